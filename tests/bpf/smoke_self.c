/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is ours is refused to other processes of root, and what is not ours is not (bpf/self.bpf.c). Objects, pins and
 * mounts; the rooms are in smoke_room.c. The test itself sits in the keeper's cgroup: what it may is the control.
 */
#include "edge/cgroupfs.h"
#include "world.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void self_tests(void);
void self_room_tests(void);  /* smoke_room.c */
bool self_mount_tests(void); /* smoke_mount.c */

#define MANY	 512
#define SILENCER "/proc/sys/kernel/ftrace_enabled"

/* One kind of object, by its id. */
struct kind {
	const char *name;
	int (*next)(__u32 id, __u32 *ret);
	int (*fd)(__u32 id);
	unsigned ours, others;
	__u32 id[MANY]; /* ours first */
	__u32 other;	/* the test's own, which is nobody's business */
};

static struct kind kinds[] = {
	{ "map", bpf_map_get_next_id, bpf_map_get_fd_by_id, 0, 0, { 0 }, 0 },
	{ "program", bpf_prog_get_next_id, bpf_prog_get_fd_by_id, 0, 0, { 0 }, 0 },
	{ "link", bpf_link_get_next_id, bpf_link_get_fd_by_id, 0, 0, { 0 }, 0 },
};

enum { MAP, PROGRAM, LINK, KINDS };

/* Another tool's: pinned beside our directory, attached to the test's slice. */
static struct {
	int map, program, link;
	char dir[64];
} other;

static unsigned events; /* that came */

static void count_event(void *ctx, const struct cleat_event *e)
{
	(void)ctx;
	if (e->type == CLEAT_EVENT_SELF_REFUSED)
		events |= 1u << e->place;
	else if (e->type > CLEAT_EVENT_SELF_REFUSED)
		events |= 1u << (16 + e->type);
}

static int below; /* a directory below the pins', opened before anything was refused */

static __u32 id_of(int kind, int fd)
{
	struct bpf_map_info map = { 0 };
	struct bpf_prog_info program = { 0 };
	struct bpf_link_info link = { 0 };
	void *const info[] = { &map, &program, &link };
	__u32 len[] = { sizeof(map), sizeof(program), sizeof(link) };

	if (bpf_obj_get_info_by_fd(fd, info[kind], &len[kind]) < 0)
		return 0;
	return kind == MAP ? map.id : kind == PROGRAM ? program.id : link.id;
}

static void other_make(void)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int slice = open(world.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[96];

	other.map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", 4, 4, 1, NULL);
	other.program = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "other", "GPL", pass, 2, NULL);
	other.link = bpf_link_create(other.program, slice, BPF_CGROUP_INET_EGRESS, NULL);
	snprintf(other.dir, sizeof(other.dir), "/sys/fs/bpf/other-%d", getpid());
	check(mkdir(other.dir, 0755) == 0, "another tool's directory");
	snprintf(path, sizeof(path), "%s/map", other.dir);
	check(other.link >= 0 && bpf_obj_pin(other.map, path) == 0, "  map, program, link, pin");
	kinds[MAP].other = id_of(MAP, other.map);
	kinds[PROGRAM].other = id_of(PROGRAM, other.program);
	kinds[LINK].other = id_of(LINK, other.link);
	close(slice);
}

/* As the keeper: every object there is, ours being all but the test's other ones. */
static void ids_collect(void)
{
	for (int k = 0; k < KINDS; k++) {
		struct kind *kind = &kinds[k];
		bool all = true;

		for (__u32 id = 0; kind->next(id, &id) == 0 && kind->ours < MANY;) {
			int fd = kind->fd(id);

			all = all && fd >= 0;
			if (id != kind->other)
				kind->id[kind->ours++] = id;
			close(fd);
		}
		check(all && kind->ours > 10, "the keeper gets a descriptor of every object");
	}
}

/* Root elsewhere: lists them all, and gets those that are not ours. */
static int by_id(void *arg)
{
	(void)arg;
	for (int k = 0; k < KINDS; k++) {
		const struct kind *kind = &kinds[k];
		unsigned listed = 0, refused = 0;
		char what[64];
		int fd;

		for (__u32 id = 0; kind->next(id, &id) == 0;)
			listed++;
		for (unsigned i = 0; i < kind->ours; i++) {
			fd = kind->fd(kind->id[i]);
			refused += fd == -ENOENT;
			if (fd >= 0)
				close(fd);
		}
		snprintf(what, sizeof(what), "  no %s of ours by id", kind->name);
		check(refused == kind->ours, what);
		check(listed == kind->ours + 1, "  but the list of ids is whole");
		fd = kind->fd(kind->other);
		check(fd >= 0, "  and what is not ours is given");
		close(fd);
	}
	return 0;
}

/* An attempt that a broken twin lets through is the last one: the guest is still needed. */
static bool refused(int result, const char *what)
{
	check(result < 0, what);
	return result < 0;
}

static int by_pin(void *arg)
{
	static const char *const names[] = { "map", "program", "link" };
	char path[96], stolen[96];

	(void)arg;
	snprintf(stolen, sizeof(stolen), "%s/stolen", other.dir);
	for (int k = 0; k < KINDS; k++) {
		snprintf(path, sizeof(path), "%s/%s", world.pins, names[k]);
		if (!refused(bpf_obj_get(path), "  no descriptor by our pin"))
			return 1;
		check(unlink(path) == -1 && errno == EACCES, "  it cannot be removed");
		check(rename(path, stolen) == -1 && errno == EACCES, "  nor moved");
		check(link(path, stolen) == -1 && errno == EACCES, "  nor linked");
	}
	check(openat(below, ".", O_RDONLY | O_DIRECTORY) == -1 && errno == EACCES &&
		      mkdirat(below, "x", 0700) == -1 && errno == EACCES,
	      "  nor by a directory held from before");
	return 0;
}

static int by_directory(void *arg)
{
	char path[96], renamed[96];

	(void)arg;
	snprintf(renamed, sizeof(renamed), "%s/renamed", other.dir);
	check(open(world.pins, O_RDONLY | O_DIRECTORY) == -1 && errno == EACCES,
	      "  our directory is not read");
	check(rename(world.pins, "/sys/fs/bpf/moved") == -1 && errno == EACCES, "  not moved");
	check(syscall(SYS_renameat2, AT_FDCWD, other.dir, AT_FDCWD, world.pins,
		      2 /* RENAME_EXCHANGE */) == -1 &&
		      errno == EACCES,
	      "  not exchanged");
	check(rmdir(world.pins) == -1 && errno == EACCES, "  not removed");
	check(chmod(world.pins, 0777) == -1 && errno == EACCES, "  its mode stays");
	check(chown(world.pins, 1001, 1001) == -1 && errno == EACCES, "  its owner stays");
	snprintf(path, sizeof(path), "%s/x", world.pins);
	check(mkdir(path, 0700) == -1 && errno == EACCES, "  nothing is made in it");
	snprintf(path, sizeof(path), "%s/map", other.dir);
	check(bpf_obj_get(path) >= 0 && chmod(other.dir, 0700) == 0 && rename(path, renamed) == 0 &&
		      rename(renamed, path) == 0,
	      "  another tool's pins are its own");
	return 0;
}

/* Nobody, in a user namespace where it is root, with a bpffs of its own. */
static int by_boxed_root(void *arg)
{
	char path[96], inside[96];

	(void)arg;
	snprintf(inside, sizeof(inside), "/tmp%s", strrchr(world.pins, '/'));
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		printf("skip no user namespaces: %s\n", strerror(errno));
		return 0;
	}
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	snprintf(path, sizeof(path), "%s/map", world.pins);
	check(bpf_obj_get(path) < 0 && bpf_map_get_fd_by_id(kinds[MAP].id[0]) < 0,
	      "  no map by pin or id");
	check(umount2("/sys/fs/bpf", MNT_DETACH) < 0, "  nor is the mount its");
	check(mount("none", "/tmp", "bpf", 0, NULL) < 0 || access(inside, F_OK) < 0,
	      "  and a bpffs of its own has nothing of ours");
	return 0;
}

/* What the keeper's cgroup alone does not give. */
static int not_enough(void *arg)
{
	int fd = bpf_map_get_fd_by_id(kinds[MAP].id[0]);

	check(fd < 0, arg);
	return 0;
}

/* Without ALLOW_MULTI a program would be the only one of its cgroup; and nothing of ours can be detached. */
static int displaces(void *arg)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int slice = open(world.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "other", "GPL", pass, 2, NULL);

	(void)arg;
	check(bpf_prog_attach(fd, slice, BPF_CGROUP_SOCK_OPS, 0) == -EPERM &&
		      bpf_prog_attach(fd, slice, BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_OVERRIDE) ==
			      -EPERM,
	      "  no program takes ours' place");
	check(bpf_prog_detach(slice, BPF_CGROUP_SOCK_OPS) < 0, "  ours is not detached");
	check(bpf_prog_attach(fd, slice, BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_MULTI) == 0 &&
		      bpf_prog_detach2(fd, slice, BPF_CGROUP_SOCK_OPS) == 0,
	      "  beside it another one comes and goes");
	fd = bpf_link_get_fd_by_id(kinds[LINK].other);
	check(fd >= 0 && bpf_link_update(fd, other.program, NULL) == 0 && bpf_link_detach(fd) == 0,
	      "  and another tool's link is updated and detached");
	return 0;
}

static ssize_t sysctl_read(const char *path, char *ret, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, cap);

	close(fd);
	return n;
}

static ssize_t sysctl_write(const char *path, const char *value, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;
	ssize_t n = fd < 0 ? -1 : write(fd, value, len);

	err = errno;
	close(fd);
	errno = err;
	return n;
}

/* What a sysctl is already, by somebody who may not write ours: a name that is shorter, as long, and longer than its. */
static bool others_written(void)
{
	static const char *const names[] = { "kernel/panic", "vm/vfs_cache_pressure",
					     "kernel/ftrace_dump_on_oops" };
	char path[64], value[64];
	unsigned written = 0;

	for (unsigned i = 0; i < 3; i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/sys/%s", names[i]);
		n = sysctl_read(path, value, sizeof(value));
		written += n > 0 && sysctl_write(path, value, (size_t)n) == n;
	}
	return written == 3;
}

/* @arg: what it is, which says whether the hooks of LSM are called now. */
static int silences(void *arg)
{
	const char *is = arg;
	char now = 0;

	check(others_written(), "  another sysctl is written");
	check(sysctl_write(SILENCER, "0\n", 2) == -1 && errno == EPERM,
	      *is == '1' ? "  the hooks are not silenced" : "  nor is it written while they are");
	check(sysctl_write(SILENCER, "10\n", 3) == -1 && errno == EPERM,
	      "  whatever the value, but for 1");
	check(sysctl_read(SILENCER, &now, 1) == 1 && now == *is, "  it is read, and what it was");
	check(others_written(), "  and another one is still written");
	check(sysctl_write(SILENCER, "1\n", 2) == 2, "  a silence is anybody's to end");
	return 0;
}

/* By the keeper it is, and then what refuses others is not called but for the one that refuses this. */
static void silencer_tests(void)
{
	uint64_t before = counted(CLEAT_COUNT_SELF_REFUSED);
	static char on[] = "1", off[] = "0";

	check(child("plain", 0, silences, on) == 0, "silence, by another cgroup's root");
	check(sysctl_write(SILENCER, "0\n", 2) == 2, "  by the keeper");
	check(child("plain", 0, silences, off) == 0, "  and by the other again");
	check(sysctl_write(SILENCER, "1\n", 2) == 2, "  the keeper's, too");
	check(counted(CLEAT_COUNT_SELF_REFUSED) >= before + 4, "  each is counted");
}

struct given {
	int via[2];
	bool room, wanted;
	const char *what;
};

static int receives(void *arg)
{
	const struct given *g = arg;
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0), fd;

	if (g->room)
		check(kern_room_set(world.k, pidfd) == 0, "  a room");
	fd = fd_receive(g->via[1]);
	check((fd >= 0) == g->wanted, g->what);
	return 0;
}

static void given_check(const char *cgroup, unsigned uid, struct given g, int fd)
{
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, g.via) == 0, "passed on");
	fd_send(g.via[0], fd);
	check(child(cgroup, uid, receives, &g) == 0, "  asked for");
	close(g.via[0]);
	close(g.via[1]);
}

/* By somebody who holds it, a room that was taken over. */
static void given_tests(void)
{
	int ours = kinds[MAP].fd(kinds[MAP].id[0]);
	int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	given_check("plain", 0, (struct given){ .what = "  no map of ours is given away" }, ours);
	given_check("plain", 1001, (struct given){ .what = "  nor to another uid" }, ours);
	given_check("keeper", 1001, (struct given){ .what = "  nor to one in the keeper's cgroup" },
		    ours);
	given_check("keeper", 0, (struct given){ .wanted = true, .what = "  to the keeper it is" },
		    ours);
	given_check("keeper", 1001,
		    (struct given){ .room = true, .wanted = true, .what = "  and to a room" },
		    ours);
	given_check("plain", 0, (struct given){ .wanted = true, .what = "  another tool's map is" },
		    other.map);
	given_check("plain", 0,
		    (struct given){ .wanted = true, .what = "  another tool's program is" },
		    other.program);
	given_check("plain", 0, (struct given){ .wanted = true, .what = "  a file is" }, file);
	close(ours);
	close(file);
}

/* A thread's cgroup below the keeper's: its processes are the keeper's, as the kernel counts. */
static void threaded_check(void)
{
	unsigned before;
	char path[400];
	int fd;

	cgroup_make("keeper/threads");
	snprintf(path, sizeof(path), "%s/keeper/threads/cgroup.type", world.base);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	check(fd >= 0 && write(fd, "threaded", 8) == 8, "a threaded cgroup below the keeper's");
	close(fd);
	for (int i = 0; i < 8; i++)
		kern_events_read(world.k, count_event, NULL);
	before = events;
	events = 0;
	check(child("keeper/threads", 0, not_enough, (char[]){ "  is not the keeper's" }) == 0,
	      "  entered");
	for (int i = 0; i < 8; i++)
		kern_events_read(world.k, count_event, NULL);
	check(events & 1u << (16 + CLEAT_EVENT_SELF_ENTERED), "  which is told");
	events |= before;
	cgroup_remove("keeper/threads");
}

/* The service manager removes the cgroup of a daemon that ended and makes it again. */
static void keeper_again(void)
{
	char path[400];
	uint64_t before, after;
	int fd;

	snprintf(path, sizeof(path), "%s/keeper", world.base);
	cgroupfs_id(AT_FDCWD, path, &before);
	cgroup_enter("plain");
	check(bpf_map_get_fd_by_id(kinds[MAP].id[0]) == -ENOENT, "the keeper leaves: refused");
	cgroup_remove("keeper");
	cgroup_make("keeper2");
	cgroup_enter("keeper2");
	check(bpf_map_get_fd_by_id(kinds[MAP].id[0]) == -ENOENT, "  another cgroup: refused");
	cgroup_make("keeper");
	cgroup_enter("keeper");
	cgroup_remove("keeper2");
	fd = bpf_map_get_fd_by_id(kinds[MAP].id[0]);
	check(cgroupfs_id(AT_FDCWD, path, &after) == 0 && after != before && fd >= 0,
	      "  the same path made anew: may");
	close(fd);
}

/* As the keeper. */
static void pins_make(void)
{
	static const char *const names[] = { "map", "program", "link" };
	char path[96];
	int fd;

	for (int k = 0; k < KINDS; k++) {
		fd = kinds[k].fd(kinds[k].id[0]);
		snprintf(path, sizeof(path), "%s/%s", world.pins, names[k]);
		check(bpf_obj_pin(fd, path) == 0, "the keeper pins");
		close(fd);
		fd = bpf_obj_get(path);
		check(fd >= 0, "  and gets by the pin");
		close(fd);
	}
	snprintf(path, sizeof(path), "%s/below", world.pins);
	check(mkdir(path, 0700) == 0, "  and makes a directory");
	below = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void pins_remove(void)
{
	static const char *const names[] = { "map", "program", "link" };
	char path[96];

	for (int k = 0; k < KINDS; k++) {
		snprintf(path, sizeof(path), "%s/%s", world.pins, names[k]);
		check(unlink(path) == 0, "the keeper removes its pin");
	}
	snprintf(path, sizeof(path), "%s/below", world.pins);
	check(rmdir(path) == 0, "  and the directory");
	snprintf(path, sizeof(path), "%s/map", other.dir);
	unlink(path);
	check(rmdir(other.dir) == 0, "  another tool's as well");
	close(below);
}

/* Every way, until one leads somewhere. */
static bool outsiders(void)
{
	uint64_t before = counted(CLEAT_COUNT_SELF_REFUSED);

	if (child("plain", 0, by_id, NULL) != 0)
		return false;
	check(counted(CLEAT_COUNT_SELF_REFUSED) >= before + 30, "  which is counted");
	return child("plain", 0, by_pin, NULL) == 0 && child("plain", 0, by_directory, NULL) == 0 &&
	       self_mount_tests() && child("keeper", 1001, by_boxed_root, NULL) == 0 &&
	       child("keeper", 1001, not_enough, (char[]){ "  nor another uid in its cgroup" }) ==
		       0 &&
	       child("keeper/below", 0, not_enough, (char[]){ "  nor root in one below" }) == 0 &&
	       child("plain", 0, displaces, NULL) == 0;
}

static void events_check(void)
{
	for (int i = 0; i < 8; i++) /* a bounded number comes at once */
		kern_events_read(world.k, count_event, NULL);
	check(events == (1u << CLEAT_OWN_MAP | 1u << CLEAT_OWN_PROGRAM | 1u << CLEAT_OWN_LINK |
			 1u << CLEAT_OWN_MOUNT | 1u << CLEAT_OWN_ROOM | 1u << CLEAT_OWN_PINS |
			 1u << CLEAT_OWN_SILENCER | 1u << (16 + CLEAT_EVENT_SELF_ENTERED) |
			 1u << (16 + CLEAT_EVENT_SELF_MOVED)),
	      "an event of every kind came");
}

void self_tests(void)
{
	struct cleat_tag t;
	struct pair p;

	other_make();
	ids_collect();
	pins_make();
	cgroup_make("keeper/below");
	for (int i = 0; i < 8; i++)
		kern_events_read(world.k, count_event, NULL); /* what came before */
	events = 0;
	check(outsiders(), "nobody but the keeper gets at what is ours");
	silencer_tests();
	given_tests();
	self_room_tests();
	cgroup_remove("keeper/below");
	threaded_check();
	keeper_again();
	pins_remove();
	check(pair_open(&p, "127.0.0.1", "127.0.0.1") && tag_of(p.client, &t) && t.conn.role,
	      "after all that the kernel side does its work");
	pair_close(&p);
	events_check();
}
