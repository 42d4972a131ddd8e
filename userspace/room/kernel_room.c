/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel room's start and end. See kernel_room.h; its life is in kernel_life.c. */
#include "room/kernel_room.h"

#include "base/clock.h"
#include "base/file.h"
#include "edge/cgroupfs.h"
#include "edge/keys.h"
#include "edge/policy_yaml.h"
#include "room/image.h"
#include "room/jail.h"
#include "room/kernel_state.h"
#include "room/place.h"
#include "room/reader.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define BACKLOG	       1024
#define READY_LIMIT_MS 10000
#define ROOM_MAPS      5 /* that one room has, at most */
#define NO_CGROUP2                                                                                 \
	"the root of the unified cgroup hierarchy is mounted nowhere: mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1"

static const struct {
	const char *name;
	const char *socket;
	const char *counters;
	uint32_t door;
} public_rooms[PUBLIC_ROOMS] = {
	[SIGN] = { "sign", PLACE_SIGN, "counters.sign", CLEAT_DOOR_SIGN },
	[CHECK] = { "check", PLACE_CHECK, "counters.check", CLEAT_DOOR_CHECK },
};

static int failed(const char *step, int err, const char *path)
{
	log_error(step, "path=\"%s\" error=\"%s\"", path, strerror(-err));
	return err;
}

/* ---- the run-time directory ---- */

static int place_failed(const char *dir, int err)
{
	if (err == -EBUSY)
		log_error("place", "path=\"%s\" error=\"another cleatd runs there\"", dir);
	else if (err == -EPERM)
		log_error("place",
			  "path=\"%s\" error=\"it must be ours, and writable by nobody else\"",
			  dir);
	else
		return failed("place", err, dir);
	return err;
}

/* Before anything is read: a room that cannot become who it should be does not run. */
static int users_check(void)
{
	char error[128] = "";
	int err = jail_users(error, sizeof(error));

	if (err < 0)
		log_error("users", "error=\"%s\"", error);
	return err;
}

int kernel_room_new(const struct kernel_options *o, struct kernel_room **ret)
{
	owned(kernel_room_owned) struct kernel_room *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	*k = (struct kernel_room){ .o = *o,
				   .begun_ns = clock_boot_ns(),
				   .dir = -1,
				   .private = -1,
				   .audit = -1,
				   .host_key = -1,
				   .listeners = { -1, -1 },
				   .counters = { -1, -1 },
				   .current = { .fd = -1 },
				   .newest = { .fd = -1 } };
	err = users_check();
	if (err < 0)
		return err;
	err = place_open(o->runtime_dir, &k->dir, &k->private);
	if (err < 0)
		return place_failed(o->runtime_dir, err);
	err = kernel_keeper_settle(k); /* pins of level full are refused elsewhere */
	if (err == 0)
		err = kernel_pins_lock(k);
	if (err < 0)
		return err;
	err = place_audit(o->audit, &k->audit);
	if (err < 0)
		return failed("audit", err, o->audit);
	err = loop_new(&k->loop);
	if (err < 0)
		return err;
	*ret = take_ptr(k);
	return 0;
}

void kernel_room_free(struct kernel_room *k)
{
	const int fds[] = { k->limit.fd > 0 ? k->limit.fd : -1,
			    k->rescan.fd > 0 ? k->rescan.fd : -1,
			    k->signals.fd > 0 ? k->signals.fd : -1,
			    k->listeners[SIGN],
			    k->listeners[CHECK],
			    k->counters[SIGN],
			    k->counters[CHECK],
			    k->host_key,
			    k->audit,
			    k->newest.fd != k->current.fd ? k->newest.fd : -1,
			    k->current.fd,
			    k->private,
			    k->dir };

	watchdog_stop(&k->watchdog);
	kernel_reload_abandon(k);
	for (int i = 0; i < PUBLIC_ROOMS; i++) {
		if (k->listeners[i] >= 0)
			place_unbind(k->dir, public_rooms[i].socket);
		room_end(&k->rooms[i]);
	}
	if (k->admin)
		admin_free(k->admin);
	if (k->watcher)
		watcher_free(k->watcher);
	if (k->probe)
		kern_probe_free(k->probe);
	if (k->kern)
		kern_close(k->kern);
	if (k->pins)
		kern_pins_close(k->pins);
	if (k->loop)
		loop_free(k->loop);
	if (k->newest.p && k->newest.p != k->current.p)
		image_unmap(k->newest.p);
	if (k->current.p)
		image_unmap(k->current.p);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(k);
}

/* ---- policy ---- */

/* The reader goes on from the image this boot's daemon before us kept: no label is given twice. */
static int kept_take(struct kernel_room *k)
{
	owned_fd int kept = -1, sealed = -1;
	owned_mem char *bytes = NULL;
	size_t len;
	int err = image_kept(k->private, &kept);

	if (err < 0 || kept < 0)
		return err;
	err = file_read_fd(kept, POLICY_MAX, &bytes, &len);
	if (err == 0)
		err = image_seal(bytes, len, &sealed);
	if (err == 0)
		err = image_map(sealed, &k->newest.p);
	if (err == 0)
		k->newest.fd = take_fd(&sealed);
	k->successor = err == 0;
	return err;
}

int kernel_room_read(struct kernel_room *k)
{
	char error[512];
	int err = kept_take(k);

	if (err < 0) {
		log_error(
			"policy",
			"error=\"the image kept of this boot cannot be used: %s; labels could repeat: reboot, or remove it and restart every workload\"",
			strerror(-err));
		return err;
	}
	err = image_lineage(k->private, k->successor, k->lineage, sizeof(k->lineage));
	if (err < 0)
		return failed("policy", err, "lineage");
	struct reader_options o = { k->o.config_dir, k->o.state_dir, k->o.format };
	owned_fd int image = -1;

	err = reader_run(&o, k->newest.fd, &image, error, sizeof(error));
	if (err == 0)
		err = kernel_image_adopt(k, take_fd(&image), error, sizeof(error));
	if (err < 0) {
		log_error("policy", "error=\"%s\"", error);
		return err;
	}
	k->current = k->newest;
	return 0;
}

/* ---- host key and the kernel side ---- */

static int attach_point(const struct kernel_options *o, char mount[4096], const char **ret)
{
	int err = o->cgroup ? 0 : cgroupfs_find(mount, 4096);

	*ret = o->cgroup ? o->cgroup : mount;
	if (err == -ENOENT)
		log_error("cgroup2", "error=\"" NO_CGROUP2 "\"");
	else if (err < 0)
		failed("cgroup2", err, "/proc/self/mountinfo");
	return err;
}

static int before_attach(void *ctx, struct kern *kern)
{
	struct kernel_room *k = ctx;
	int err;

	k->kern = kern;
	err = kernel_keeper_set(k);
	k->kern = NULL; /* not ours yet */
	return err;
}

/* Adopted or loaded, attached and seen to run: the level is known before anything depends on it. Nothing is armed yet. */
static int load_kernel_side(struct kernel_room *k)
{
	struct arming_options ao = { .level = k->o.level,
				     .pins = k->pins,
				     .lineage = k->lineage,
				     .before = before_attach,
				     .ctx = k };
	char mount[4096], error[2 * ARMING_LINE] = "";
	struct arming a = { 0 };
	int err = attach_point(&k->o, mount, &ao.cgroup);

	if (err < 0)
		return err;
	err = arming_open(&ao, &a, error, sizeof(error));
	if (err < 0) {
		log_error("kernel", "reason=not-armed error=\"%s\"", error);
		return err;
	}
	k->kern = a.kern;
	k->probe = a.probe;
	memcpy(k->level_why, a.why, sizeof(k->level_why));
	if (a.why[0])
		log_error("level", "level=%s instead=full why=\"%s\"",
			  level_word(kern_level(k->kern)), a.why);
	arming_warn(kern_level(k->kern));
	return 0;
}

static int load_host(const struct kernel_options *o, int *ret_key, struct host_facts *ret)
{
	int err = keys_open(o->state_dir, ret_key);

	if (err == -ENOENT) {
		log_error("host-key", "path=\"%s/%s\" error=\"missing: run cleatctl host init\"",
			  o->state_dir, KEYS_HOST_FILE);
		return err;
	}
	if (err < 0) {
		log_error("host-key", "path=\"%s/%s\" error=\"%s\"", o->state_dir, KEYS_HOST_FILE,
			  keys_trouble(err));
		return err;
	}
	if (err == 0)
		err = keys_ueid(o->state_dir, ret->ueid);
	if (err == 0)
		err = keys_bootseed(ret->bootseed);
	return err < 0 ? failed("host-key", err, o->state_dir) : 0;
}

int kernel_room_load(struct kernel_room *k)
{
	int err = load_host(&k->o, &k->host_key, &k->host);

	if (err == 0)
		err = load_kernel_side(k);
	if (err == 0)
		kernel_pins_tell(k);
	return err;
}

/* What this kernel can do, per level; good when the one that would be run at is. */
static int check_levels(const struct kernel_options *o, const struct kern_pins *pins)
{
	struct arming_options ao = { .pins = pins };
	char mount[4096], line[2 * ARMING_LINE];
	uint32_t best = CLEAT_LEVEL_NONE;
	int err = attach_point(o, mount, &ao.cgroup);

	if (err < 0)
		return err;
	for (uint32_t level = CLEAT_LEVEL_FULL; level >= CLEAT_LEVEL_REDUCED; level--) {
		line[0] = '\0';
		if (o->level != CLEAT_LEVEL_NONE && o->level != level)
			continue;
		err = arming_check(&ao, level, line, sizeof(line));
		if (err < 0) {
			log_error("kernel", "level=%s result=refused error=\"%s\"",
				  level_word(level), line);
			continue;
		}
		log_event("kernel", "level=%s result=ok", level_word(level));
		best = level > best ? level : best;
	}
	arming_warn(best);
	return best == CLEAT_LEVEL_NONE ? err : 0;
}

int kernel_room_check(const struct kernel_options *o)
{
	struct reader_options ro = { o->config_dir, o->state_dir, o->format };
	owned(kern_pins_owned) struct kern_pins *pins = NULL;
	owned_fd int image = -1, key = -1;
	struct host_facts host;
	struct keeper keeper;
	char error[512];
	int err = users_check();

	if (err < 0)
		return err;
	err = reader_run(&ro, -1, &image, error, sizeof(error));
	if (err < 0) {
		log_error("policy", "error=\"%s\"", error);
		return err;
	}
	log_event("policy", "result=ok");
	err = load_host(o, &key, &host);
	if (err < 0)
		return err;
	log_event("host-key", "result=ok");
	kernel_keeper_reach(o, &keeper);
	err = kernel_pins_look(o, &pins);
	if (err == 0)
		err = check_levels(o, pins);
	kernel_keeper_leave(&keeper);
	return err;
}

/* ---- the rooms ---- */

static int mark_room(struct kernel_room *k, pid_t pid)
{
	owned_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	return pidfd < 0 ? -errno : kern_room_set(k->kern, pidfd);
}

/* The descriptors of a room, in the order of enum room_fd from IMAGE on; *ret_maps are ours to close. */
static int room_fds(struct kernel_room *k, int which, int fds[ROOM_FDS], int maps[ROOM_MAPS])
{
	static const enum kern_map shared[] = { KERN_TAGS, KERN_CALLERS, KERN_CONFIG };
	int err = 0, n = 0;

	/* CONFIG cannot be mapped through a descriptor that may only read; the room closes it at once (front_open) */
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]) && err == 0; i++)
		err = kern_map_fd(k->kern, shared[i], shared[i] == KERN_CONFIG, &maps[n++]);
	if (err == 0 && which == SIGN)
		err = kern_map_fd(k->kern, KERN_SEQ, true, &maps[n++]);
	if (err == 0 && which == CHECK)
		err = kern_map_fd(k->kern, KERN_WINDOW, true, &maps[n++]);
	if (err == 0 && which == CHECK)
		err = kern_map_fd(k->kern, KERN_CB, true, &maps[n++]);
	if (err < 0)
		return err;
	const int all[] = { k->current.fd,
			    k->listeners[which],
			    k->audit,
			    k->counters[which],
			    maps[0],
			    maps[1],
			    maps[2],
			    maps[3],
			    which == SIGN ? k->host_key : maps[4] };
	_Static_assert(sizeof(all) / sizeof(all[0]) == ROOM_FDS - 1,
		       "every descriptor but CHANNEL");

	memcpy(fds, all, sizeof(all));
	return 0;
}

static int room_open(struct kernel_room *k, int which)
{
	const char *const args[] = { "--log-format", k->o.format == LOG_JSON ? "json" : "text",
				     "--level", level_word(kern_level(k->kern)), NULL };
	const char *name = public_rooms[which].name;
	int fds[ROOM_FDS], maps[ROOM_MAPS] = { -1, -1, -1, -1, -1 };
	int err;

	err = place_bind(k->dir, public_rooms[which].socket, &k->listeners[which]);
	if (err < 0)
		return failed("socket", err, public_rooms[which].socket);
	err = place_counters(k->private, public_rooms[which].counters, &k->counters[which]);
	if (err == 0)
		err = kern_door_set(k->kern, k->listeners[which], public_rooms[which].door);
	if (err == 0)
		err = room_fds(k, which, fds, maps);
	if (err == 0)
		err = room_spawn(name, args, fds, ROOM_FDS - 1, &k->rooms[which]);
	if (err == 0)
		err = kern_room_set(k->kern, k->rooms[which].pidfd);
	for (int i = 0; i < ROOM_MAPS; i++)
		if (maps[i] >= 0)
			close(maps[i]);
	if (err == -ETIMEDOUT)
		log_error("room", "room=%s error=\"that of the cleatd before " ROOM_STAYS "\"",
			  name);
	return err < 0 ? failed("room", err, name) : 0;
}

/* Everything a room needs it has by now; a second is plenty, unless something is wrong. */
static int await_ready(struct kernel_room *k, int which)
{
	struct pollfd p = { .fd = k->rooms[which].channel, .events = POLLIN };
	int err = 0;

	while (err == 0 && k->waiting & room_bit((unsigned)which))
		err = poll(&p, 1, READY_LIMIT_MS) > 0 ? kernel_room_listen(k, which) : -ETIMEDOUT;
	return err < 0 ? failed("room", err, public_rooms[which].name) : 0;
}

int kernel_room_spawn(struct kernel_room *k)
{
	int err = mark_room(k, getpid());

	k->phase = PHASE_START;
	k->waiting = EVERY_ROOM_BIT;
	for (int i = 0; i < PUBLIC_ROOMS && err == 0; i++)
		err = room_open(k, i);
	for (int i = 0; i < PUBLIC_ROOMS && err == 0; i++)
		err = await_ready(k, i);
	if (err == 0) {
		err = admin_open(k, &k->admin);
		if (err < 0)
			failed("socket", err, PLACE_ADMIN);
	}
	close(k->host_key); /* the sign room's alone from here on */
	k->host_key = -1;
	return err;
}

int kernel_room_arm(struct kernel_room *k)
{
	char error[1024] = "";
	int err;

	kernel_pins_wait(k);
	err = kern_policy_set(k->kern, k->current.p, error, sizeof(error));
	if (err == 0) {
		err = kern_arm(k->kern);
		if (err < 0)
			snprintf(error, sizeof(error), "cannot arm (cleat_config): %s",
				 strerror(-err));
	}
	if (err == 0) /* a rotation may be under way */
		err = kernel_keys_send(k, error, sizeof(error));
	if (err < 0) {
		log_error("kernel", "error=\"%s\"", error);
		return err;
	}
	struct channel_start start = { .host = k->host, .level = kern_level(k->kern) };
	const int on = 1;

	for (int i = 0; i < PUBLIC_ROOMS && err == 0; i++) {
		/* every message says who sent it (caller.h): so none, not even of no bytes, looks like the end of
		 * them (door_message.c) */
		if (setsockopt(k->listeners[i], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
			err = -errno;
		else if (listen(k->listeners[i], BACKLOG) < 0)
			err = -errno;
		else
			err = channel_send(k->rooms[i].channel, ASK_START, &start, sizeof(start),
					   -1);
	}
	return err < 0 ? failed("listen", err, k->o.runtime_dir) : 0;
}
