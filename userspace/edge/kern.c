/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side: what its level needs is adopted from the pins, or loaded and attached, all of it or nothing; armed it
 * is when it was seen to run. See kern.h; libbpf's object is in kern_object.c, the pins are in kern_adopt.h.
 */
#include "edge/kern.h"

#include "base/clock.h"
#include "base/twin.h"
#include "edge/cgroupfs.h"
#include "edge/kern_adopt.h"
#include "edge/kern_ext.h"
#include "edge/kern_map.h"
#include "edge/kern_policy.h"
#include "edge/kern_self.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct kern {
	struct kern_object *object;
	struct kern_set set;
	const struct kern_pins *pins;
	const uint8_t *lineage; /* the caller's */
	enum kern_found found;
	bool made; /* a set, by kern_attach() */
	bool predecessor;
	char replaced[512]; /* why what was found is not adopted */
	struct ring_buffer *events;
	struct kern_self self; /* level full */
	uint32_t level;
	char cgroup[4096];
	uint64_t cgroup_id;
	unsigned events_left; /* of the kern_events_read() under way */
	void (*each)(void *ctx,
		     const struct cleat_event *e); /* of the kern_events_read() under way */
	void *each_ctx;
};

static int map_fd(const struct kern *k, const char *name)
{
	return kern_set_map(&k->set, name);
}

static const struct kern_self *self_of(const struct kern *k)
{
	return k->level == CLEAT_LEVEL_FULL ? &k->self : NULL;
}

static struct kern_wanted wanted(const struct kern *k)
{
	return (struct kern_wanted){ .pins = k->pins,
				     .object = k->object,
				     .lineage = k->lineage,
				     .cgroup_id = k->cgroup_id,
				     .self = self_of(k) };
}

/* What the object made, where the set has none. */
static int take_loaded(struct kern *k)
{
	struct bpf_program *walk = kern_object_walk(k->object);
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, k->object->bpf)
	{
		int fd;

		if (err < 0 || map_fd(k, bpf_map__name(map)) >= 0)
			continue;
		fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
		err = fd < 0 ? -errno : kern_set_add_map(&k->set, bpf_map__name(map), fd);
	}
	if (err < 0 || !walk)
		return err;
	kern_set_hold(&k->set.walk, fcntl(bpf_program__fd(walk), F_DUPFD_CLOEXEC, 3));
	return k->set.walk < 0 ? -errno : 0;
}

static int open_level(struct kern *k, const char *path, uint32_t level, char *error, size_t cap)
{
	int err;

	if (k->object)
		kern_object_free(k->object);
	k->object = NULL;
	kern_set_close(&k->set);
	k->found = KERN_FOUND_NOTHING;
	err = kern_object_open(path, level, &k->object, error, cap);
	if (err == 0 && k->pins) {
		const struct kern_wanted w = wanted(k);

		err = kern_adopt_look(&w, &k->set, &k->found, error, cap);
		if (err == 0)
			snprintf(
				k->replaced, sizeof(k->replaced), "%s",
				k->found == KERN_FOUND_UNFIT
					? error
					: "what is there has another layout or level, or was never finished");
	}
	if (err < 0)
		return err;
	k->level = level;
	if (k->found == KERN_FOUND_WHOLE)
		return 0;
	err = kern_object_load(k->object, k->found == KERN_FOUND_CHANGE ? &k->set : NULL, error,
			       cap);
	if (err < 0)
		return err;
	err = take_loaded(k);
	return err < 0 ? kern_complain(error, cap, err, "the loaded maps") : 0;
}

static int open_best(struct kern *k, const struct kern_options *o, char *error, size_t cap)
{
	int err;

	if (k->pins) {
		err = kern_adopt_survey(k->pins, &k->predecessor, error, cap);
		if (err < 0)
			return err;
	}
	if (o->level != CLEAT_LEVEL_REDUCED) {
		err = open_level(k, o->object, CLEAT_LEVEL_FULL, error, cap);
		if (err == 0 || err == -EEXIST || o->level == CLEAT_LEVEL_FULL)
			return err;
	}
	return open_level(k, o->object, CLEAT_LEVEL_REDUCED, error, cap);
}

/* Whoever makes events faster than they are written must not keep the loop from its other sources. */
#define EVENTS_AT_ONCE 64

static int each_event(void *ctx, void *at, size_t size)
{
	struct kern *k = ctx;

	if (size >= sizeof(struct cleat_event) && k->each)
		k->each(k->each_ctx, at);
	return --k->events_left ? 0 : -EAGAIN; /* the rest when the loop comes round again */
}

int kern_open(const struct kern_options *options, struct kern **ret, char *error, size_t error_cap)
{
	owned(kern_owned) struct kern *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return kern_complain(error, error_cap, -ENOMEM, "kernel side");
	kern_set_init(&k->set);
	if (strlen(options->cgroup) >= sizeof(k->cgroup))
		return kern_complain(error, error_cap, -ENAMETOOLONG, "kernel side");
	strcpy(k->cgroup, options->cgroup);
	k->pins = options->pins;
	k->lineage = options->lineage;
	kern_hush();
	err = cgroupfs_id(AT_FDCWD, k->cgroup, &k->cgroup_id);
	if (err < 0)
		return kern_complain(error, error_cap, err, k->cgroup);
	err = open_best(k, options, error, error_cap);
	if (err < 0)
		return err;
	k->events = ring_buffer__new(map_fd(k, "cleat_events"), each_event, k, NULL);
	if (!k->events)
		return kern_complain(error, error_cap, -errno, "cannot map the events");
	kern_self_begin(&k->self, map_fd(k, "cleat_own"), map_fd(k, "cleat_keeper"));
	*ret = take_ptr(k);
	return 0;
}

int kern_keeper_set(struct kern *k, const char *path, uint64_t id)
{
	int err = kern_self_keeper(&k->self, path, id);

	return err == 0 && k->pins ? kern_self_pins(&k->self, k->pins->path) : err;
}

int kern_pins_guard(struct kern *k, const char *dir)
{
	return kern_self_pins(&k->self, dir);
}

/* Without pins: the links are ours alone, and end with us. */
static int attach_all(struct kern *k, int cgroup, char *error, size_t cap)
{
	struct bpf_program *program = NULL;
	char what[128];
	int err = 0, fd;

	while (err == 0 && (program = kern_object_next(k->object, program))) {
		err = kern_object_attach(program, cgroup, &fd);
		if (err == 0)
			err = kern_set_add_link(&k->set, bpf_program__name(program), fd);
		if (err == 0)
			err = kern_self_link(self_of(k), fd);
		if (err < 0) {
			snprintf(what, sizeof(what), "%s (%s) does not attach",
				 bpf_program__name(program), bpf_program__section_name(program));
			return kern_complain(error, cap, err, what);
		}
	}
	return err;
}

/* A hook that the object before had not: what was born without it belongs to no epoch of this one. Written before the hook
 * is attached, so that whoever comes after a death begins the next epoch, too. */
static int gap_tell(struct kern *k)
{
	struct bpf_program *program = NULL;
	struct cleat_config config;
	uint32_t zero = 0;
	int err;

	while ((program = kern_object_next(k->object, program)))
		if (kern_set_link(&k->set, bpf_program__name(program)) < 0)
			break;
	err = program ? kern_config(k, &config) : 0;
	if (err < 0 || !program)
		return err;
	config.level = CLEAT_LEVEL_NONE;
	return kern_map_put(map_fd(k, "cleat_config"), &zero, &config, BPF_ANY);
}

static int hooks_in_place(struct kern *k, int cgroup, char *error, size_t cap)
{
	const struct kern_wanted w = wanted(k);
	int err;

	if (!k->pins)
		return attach_all(k, cgroup, error, cap);
	switch (k->found) {
	case KERN_FOUND_WHOLE:
		return 0;
	case KERN_FOUND_CHANGE:
		err = gap_tell(k);
		if (err < 0)
			return kern_complain(error, cap, err, "cannot write cleat_config");
		return kern_adopt_change(&w, cgroup, &k->set, error, cap);
	default:
		err = kern_adopt_make(&w, cgroup, &k->set, error, cap);
		k->made = err == 0;
		return err;
	}
}

/* Execs that the hook of execs missed, as the witness counted them; what an arming has seen of them. */
static int execs_unseen(struct kern *k, uint32_t *ret)
{
	uint64_t counts[CLEAT_COUNT_COUNT] = { 0 };
	int err = kern_counts(k, counts);

	*ret = (uint32_t)counts[CLEAT_COUNT_EXEC_UNSEEN];
	return err;
}

int kern_epoch_next(struct kern *k, uint32_t level)
{
	struct cleat_config config;
	uint32_t zero = 0;
	int err = kern_config(k, &config);

	if (err == 0)
		err = execs_unseen(k, &config.unseen);
	if (err < 0)
		return err;
	if (config.epoch == UINT32_MAX) /* never 0 again, never one that was */
		return -EOVERFLOW;
	config.epoch++;
	config.level = level;
	if (level != CLEAT_LEVEL_NONE)
		config.armed_ns = clock_boot_ns();
	return kern_map_put(map_fd(k, "cleat_config"), &zero, &config, BPF_ANY);
}

/* From here on what is born is born under a complete kernel side. One that was complete all the time stays as it is. */
int kern_arm(struct kern *k)
{
	struct cleat_config config;
	uint32_t unseen = 0;
	int err = kern_config(k, &config);

	if (err == 0)
		err = execs_unseen(k, &unseen);
	if (err < 0 || (config.epoch && config.level == k->level && config.unseen == unseen))
		return err;
	return kern_epoch_next(k, k->level);
}

/* What forks from here on is seen; nothing is claimed yet. */
static int attached(struct kern *k)
{
	struct cleat_config config;
	uint32_t zero = 0;
	int err = kern_config(k, &config);

	if (err < 0 || config.armed_ns)
		return err;
	config.armed_ns = clock_boot_ns();
	return kern_map_put(map_fd(k, "cleat_config"), &zero, &config, BPF_ANY);
}

/* What we loaded was anybody's to get until our own hooks refused it: nobody could replace a part of it. */
static int closed(const struct kern *k, char *error, size_t cap)
{
	const char *name;
	bool loaded = k->found != KERN_FOUND_WHOLE; /* else kern_adopt_look() asked */
	int found = loaded && kept(functions_static) ? kern_ext_look(&k->set, &name) : 0;

	if (found > 0)
		snprintf(
			error, cap,
			"others could replace a part of %s (freplace): libbpf loaded it with a function that is global",
			name);
	if (found < 0)
		kern_complain(error, cap, found, "cannot look at what was loaded");
	return found > 0 ? -ENOTSUP : found;
}

int kern_attach(struct kern *k, char *error, size_t error_cap)
{
	owned_fd int cgroup = open(k->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	kern_hush();
	if (cgroup < 0)
		return kern_complain(error, error_cap, -errno, k->cgroup);
	err = k->level == CLEAT_LEVEL_FULL ? kern_self_before(&k->self, k->object, &k->set) : 0;
	if (err < 0)
		return kern_complain(error, error_cap, err, "cannot say what is ours (cleat_own)");
	err = hooks_in_place(k, cgroup, error, error_cap);
	if (err < 0)
		return err;
	if (k->level == CLEAT_LEVEL_FULL)
		err = kern_self_after(&k->self, k->pins, k->object, &k->set);
	if (err < 0)
		return kern_complain(error, error_cap, err, "cannot say what is ours (cleat_own)");
	err = closed(k, error, error_cap);
	if (err < 0)
		return err;
	err = attached(k);
	return err < 0 ? kern_complain(error, error_cap, err, "cannot write cleat_config") : 0;
}

int kern_tidy(struct kern *k, char *error, size_t error_cap)
{
	const struct kern_wanted w = wanted(k);

	k->made = false;
	return k->pins ? kern_adopt_tidy(&w, error, error_cap) : 0;
}

void kern_undo(struct kern *k)
{
	const struct kern_wanted w = wanted(k);

	if (k->made)
		kern_adopt_unmake(&w);
	k->made = false;
}

uint32_t kern_level(const struct kern *k)
{
	return k->level;
}

const char *kern_cgroup(const struct kern *k)
{
	return k->cgroup;
}

unsigned kern_link_count(const struct kern *k)
{
	return k->set.link_count;
}

int kern_link_fd(const struct kern *k, unsigned i)
{
	return k->set.links[i].fd;
}

const char *kern_link_name(const struct kern *k, unsigned i)
{
	return k->set.links[i].name;
}

int kern_repin(struct kern *k, unsigned *ret_lost)
{
	const struct kern_wanted w = wanted(k);

	*ret_lost = 0;
	return k->pins ? kern_adopt_repin(&w, &k->set, ret_lost) : 0;
}

int kern_link_replace(struct kern *k, unsigned i, int fd)
{
	const char *name = k->set.links[i].name;
	int err = kern_self_link(self_of(k), fd);

	if (err == 0 && k->pins)
		err = kern_adopt_relink(
			&(struct kern_wanted){ .pins = k->pins, .object = k->object }, name, fd);
	if (err < 0) {
		close(fd);
		return err;
	}
	err = kern_set_add_link(&k->set, name, fd);
	if (err == 0 && k->level == CLEAT_LEVEL_FULL)
		err = kern_self_after(&k->self, k->pins, k->object, &k->set);
	return err;
}

enum kern_origin kern_origin(const struct kern *k)
{
	static const enum kern_origin of[] = {
		[KERN_FOUND_NOTHING] = KERN_FRESH,
		[KERN_FOUND_WHOLE] = KERN_ADOPTED,
		[KERN_FOUND_CHANGE] = KERN_CHANGED,
		[KERN_FOUND_UNFIT] = KERN_REPLACED,
	};

	if (k->pins && k->found == KERN_FOUND_NOTHING && k->predecessor)
		return KERN_REPLACED;
	return k->pins ? of[k->found] : KERN_UNPINNED;
}

bool kern_predecessor(const struct kern *k)
{
	return k->predecessor;
}

bool kern_unfit(const struct kern *k)
{
	return k->pins && k->found == KERN_FOUND_UNFIT;
}

const char *kern_replaced(const struct kern *k)
{
	return k->replaced;
}

void kern_close(struct kern *k)
{
	kern_set_close(&k->set);
	ring_buffer__free(k->events);
	if (k->object)
		kern_object_free(k->object);
	free(k);
}

static struct kern_policy_maps policy_maps(const struct kern *k)
{
	return (struct kern_policy_maps){ .places = map_fd(k, "cleat_places"),
					  .cgroups = map_fd(k, "cleat_cgroups"),
					  .rules = map_fd(k, "cleat_rules"),
					  .config = map_fd(k, "cleat_config") };
}

int kern_policy_set(struct kern *k, const struct policy_image *p, char *error, size_t error_cap)
{
	const struct kern_policy_maps maps = policy_maps(k);

	return kern_policy_write(&maps, p, error, error_cap);
}

int kern_rescan(struct kern *k, const struct policy_image *p)
{
	const struct kern_policy_maps maps = policy_maps(k);

	return kern_policy_scan(&maps, p);
}

int kern_door_set(struct kern *k, int listen_fd, uint32_t door)
{
	return kern_map_put(map_fd(k, "cleat_doors"), &listen_fd, &door, BPF_ANY);
}

int kern_room_set(struct kern *k, int pidfd)
{
	uint32_t jailed = CLEAT_ROOM_JAILED;

	return kern_map_put(map_fd(k, "cleat_rooms"), &pidfd, &jailed, BPF_ANY);
}

int kern_map(const struct kern *k, enum kern_map map)
{
	static const char *const name[KERN_MAP_COUNT] = {
		[KERN_TAGS] = "cleat_tags",	[KERN_CALLERS] = "cleat_callers",
		[KERN_CONFIG] = "cleat_config", [KERN_CGROUPS] = "cleat_cgroups",
		[KERN_SEQ] = "cleat_seq",	[KERN_WINDOW] = "cleat_window",
		[KERN_CB] = "cleat_cb",		[KERN_DOORS] = "cleat_doors",
		[KERN_TASKS] = "cleat_tasks",	[KERN_ROOMS] = "cleat_rooms",
	};

	return (unsigned)map < KERN_MAP_COUNT ? map_fd(k, name[map]) : -1;
}

int kern_map_fd(struct kern *k, enum kern_map map, bool writable, int *ret_fd)
{
	const int fd = kern_map(k, map);

	return fd < 0 ? -EINVAL : kern_map_again(fd, writable ? 0 : BPF_F_RDONLY, ret_fd);
}

int kern_events_fd(struct kern *k)
{
	return ring_buffer__epoll_fd(k->events);
}

int kern_events_read(struct kern *k, void (*each)(void *ctx, const struct cleat_event *e),
		     void *ctx)
{
	int n;

	k->each = each;
	k->each_ctx = ctx;
	k->events_left = EVENTS_AT_ONCE;
	n = ring_buffer__consume(k->events);
	k->each = NULL;
	return n < 0 && n != -EAGAIN ? n : 0;
}

int kern_config(struct kern *k, struct cleat_config *ret)
{
	return kern_config_get(map_fd(k, "cleat_config"), ret);
}

int kern_task(struct kern *k, int pidfd, struct cleat_task *ret)
{
	return kern_map_get(map_fd(k, "cleat_tasks"), &pidfd, ret, 0);
}

int kern_sockets(struct kern *k, int *ret_fd)
{
	union bpf_iter_link_info over = { .map.map_fd = (uint32_t)map_fd(k, "cleat_tags") };
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &over, .iter_info_len = sizeof(over));
	owned_fd int link = -1;
	int fd;

	if (k->set.walk < 0)
		return -EOPNOTSUPP;
	link = bpf_link_create(k->set.walk, 0, BPF_TRACE_ITER, &opts);
	if (link < 0)
		return -errno;
	fd = bpf_iter_create(link); /* holds what it needs */
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int kern_counts(struct kern *k, uint64_t ret[CLEAT_COUNT_COUNT])
{
	int map = map_fd(k, "cleat_counts"), cpus = libbpf_num_possible_cpus();
	uint64_t sums[CLEAT_COUNT_COUNT] = { 0 };
	owned_mem uint64_t *each = NULL;

	if (cpus < 0)
		return cpus;
	each = calloc((size_t)cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	for (uint32_t i = 0; i < CLEAT_COUNT_COUNT; i++) {
		int err = kern_map_get(map, &i, each, 0);

		if (err < 0)
			return err;
		for (int cpu = 0; cpu < cpus; cpu++)
			sums[i] += each[cpu];
	}
	memcpy(ret, sums, sizeof(sums));
	return 0;
}
