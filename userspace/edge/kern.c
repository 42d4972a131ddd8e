/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbpf's part: load what the level needs, attach all of it or nothing, arm. Which program belongs to which level is
 * in its name: reduced_* to level reduced, every other one to level full. See kern.h.
 */
#include "edge/kern.h"

#include "base/clock.h"
#include "base/file.h"
#include "edge/cgroupfs.h"
#include "edge/kern_map.h"
#include "edge/kern_policy.h"
#include "edge/kern_self.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "cleat.skel.h"
#pragma GCC diagnostic pop
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINKS_MAX 64

struct kern {
	struct bpf_object *object;
	struct ring_buffer *events;
	struct bpf_link *links[LINKS_MAX];
	unsigned link_count;
	struct kern_self self; /* level full */
	uint32_t level;
	char cgroup[4096];
	unsigned events_left; /* of the kern_events_read() under way */
	void (*each)(void *ctx,
		     const struct cleat_event *e); /* of the kern_events_read() under way */
	void *each_ctx;
};

/* The first line libbpf warned with: it names the program or map that did not load. */
static __thread char said[512];

static int listen_to_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN || said[0])
		return 0;
	vsnprintf(said, sizeof(said), format, args);
	said[strcspn(said, "\n")] = '\0';
	return 0;
}

static bool file_says(const char *path, const char *word)
{
	owned_mem char *text = NULL;
	size_t len;

	return file_read(AT_FDCWD, path, 4096, FILE_ANY, &text, &len) == 0 && strstr(text, word);
}

static bool lsm_is_active(void)
{
	owned_mem char *text = NULL;
	char *rest, *name;
	size_t len;

	if (file_read(AT_FDCWD, "/sys/kernel/security/lsm", 4096, FILE_ANY, &text, &len) < 0)
		return false;
	for (rest = text; (name = strsep(&rest, ",\n"));)
		if (strcmp(name, "bpf") == 0)
			return true;
	return false;
}

/* Why it did not go, and what the administrator can do about it. */
static int complain(char *error, size_t cap, int err, const char *what)
{
	const char *way = "";

	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		way = "; the kernel has no BTF (/sys/kernel/btf/vmlinux): use one built with CONFIG_DEBUG_INFO_BTF=y";
	else if (err == -EPERM && geteuid() != 0)
		way = "; run as root (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN)";
	else if (err == -EPERM && file_says("/sys/kernel/security/lockdown", "[confidentiality]"))
		way = "; the kernel is locked down: boot it with lockdown=integrity or without, or use level reduced";
	else if (err == -EPERM)
		way = "; the kernel refuses such programs (lockdown, or another security module): see its log";
	snprintf(error, cap, "%s: %s%s%s%s", what, strerror(-err), way, said[0] ? "; libbpf: " : "",
		 said);
	return err;
}

static bool program_is_of(const struct bpf_program *program, uint32_t level)
{
	bool reduced = strncmp(bpf_program__name(program), "reduced_", 8) == 0;

	return reduced == (level == CLEAT_LEVEL_REDUCED);
}

static struct bpf_object *object_open(const char *path)
{
	size_t size;
	const void *bytes = cleat_bpf__elf_bytes(&size);

	if (path)
		return bpf_object__open_file(path, NULL);
	return bpf_object__open_mem(bytes, size, NULL);
}

static int load(struct kern *k, const char *path, uint32_t level)
{
	struct bpf_program *program;
	int err;

	said[0] = '\0';
	libbpf_set_print(listen_to_libbpf);
	k->object = object_open(path);
	if (!k->object)
		return -errno;
	bpf_object__for_each_program(program, k->object)
		bpf_program__set_autoload(program, program_is_of(program, level));
	err = bpf_object__load(k->object);
	if (err < 0) {
		bpf_object__close(k->object);
		k->object = NULL;
		return err;
	}
	k->level = level;
	return 0;
}

static int load_full(struct kern *k, const char *path, char *error, size_t cap)
{
	int err;

	if (!lsm_is_active()) {
		snprintf(
			error, cap,
			"level full needs BPF LSM, and /sys/kernel/security/lsm does not name bpf: boot with lsm=...,bpf (and CONFIG_BPF_LSM=y), with securityfs mounted");
		return -EOPNOTSUPP;
	}
	err = load(k, path, CLEAT_LEVEL_FULL);
	return err < 0 ? complain(error, cap, err, "the programs of level full do not load") : 0;
}

static int load_level(struct kern *k, const struct kern_options *o, char *error, size_t cap)
{
	int err;

	if (o->level != CLEAT_LEVEL_REDUCED) {
		err = load_full(k, o->object, error, cap);
		if (err == 0 || o->level == CLEAT_LEVEL_FULL)
			return err;
	}
	err = load(k, o->object, CLEAT_LEVEL_REDUCED);
	if (err < 0)
		return complain(error, cap, err, "the programs of level reduced do not load");
	return 0;
}

static int map_fd(const struct kern *k, const char *name)
{
	return bpf_object__find_map_fd_by_name(k->object, name);
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

	if (!k || strlen(options->cgroup) >= sizeof(k->cgroup))
		return complain(error, error_cap, k ? -ENAMETOOLONG : -ENOMEM, "kernel side");
	strcpy(k->cgroup, options->cgroup);
	err = load_level(k, options, error, error_cap);
	if (err < 0)
		return err;
	k->events = ring_buffer__new(map_fd(k, "cleat_events"), each_event, k, NULL);
	if (!k->events)
		return complain(error, error_cap, -errno, "cannot map the events");
	kern_self_begin(&k->self, map_fd(k, "cleat_own"), map_fd(k, "cleat_keeper"));
	*ret = take_ptr(k);
	return 0;
}

int kern_keeper_set(struct kern *k, const char *path, uint64_t id)
{
	return kern_self_keeper(&k->self, path, id);
}

int kern_pins_set(struct kern *k, const char *dir)
{
	return kern_self_pins(&k->self, dir);
}

static bool is_cgroups(const struct bpf_program *program)
{
	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_SOCK_OPS:
		return true;
	default:
		return false;
	}
}

/* Runs when it is read from (kern_sockets), so it is attached to nothing. */
static bool is_walk(const struct bpf_program *program)
{
	return bpf_program__expected_attach_type(program) == BPF_TRACE_ITER;
}

static int attach_one(struct kern *k, struct bpf_program *program, int cgroup)
{
	struct bpf_link *link;

	if (k->link_count == LINKS_MAX)
		return -E2BIG;
	link = is_cgroups(program) ? bpf_program__attach_cgroup(program, cgroup)
				   : bpf_program__attach(program);
	if (!link)
		return -errno;
	k->links[k->link_count++] = link;
	return k->level == CLEAT_LEVEL_FULL
		       ? kern_self_say(&k->self, CLEAT_OWN_LINK, bpf_link__fd(link))
		       : 0;
}

static void detach(struct kern *k)
{
	while (k->link_count > 0)
		bpf_link__destroy(k->links[--k->link_count]);
}

static int attach_all(struct kern *k, int cgroup, char *error, size_t cap)
{
	struct bpf_program *program;
	char what[128];
	int err;

	bpf_object__for_each_program(program, k->object)
	{
		if (!bpf_program__autoload(program) || is_walk(program))
			continue;
		err = attach_one(k, program, cgroup);
		if (err < 0) {
			snprintf(what, sizeof(what), "%s (%s) does not attach",
				 bpf_program__name(program), bpf_program__section_name(program));
			return complain(error, cap, err, what);
		}
	}
	return 0;
}

/* Before the hooks, so that none of them is attached and anybody's. */
static int guard_self(const struct kern *k)
{
	int err;

	if (k->level != CLEAT_LEVEL_FULL)
		return 0;
	err = kern_self_say_object(&k->self, k->object);
	return err < 0 ? err : kern_self_on(&k->self);
}

/* From here on what is born is born under a complete kernel side. */
static int arm(const struct kern *k)
{
	const struct cleat_config config = { .epoch = 1,
					     .level = k->level,
					     .armed_ns = clock_boot_ns() };
	uint32_t zero = 0;

	return kern_map_put(map_fd(k, "cleat_config"), &zero, &config, BPF_ANY);
}

int kern_attach(struct kern *k, char *error, size_t error_cap)
{
	owned_fd int cgroup = open(k->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	said[0] = '\0';
	if (cgroup < 0)
		return complain(error, error_cap, -errno, k->cgroup);
	err = guard_self(k);
	if (err < 0)
		return complain(error, error_cap, err, "cannot say what is ours (cleat_own)");
	err = attach_all(k, cgroup, error, error_cap);
	if (err == 0) {
		err = k->level == CLEAT_LEVEL_FULL ? kern_self_done(&k->self) : 0;
		if (err == 0)
			err = arm(k);
		if (err < 0)
			complain(error, error_cap, err, "cannot arm (cleat_config)");
	}
	if (err < 0)
		detach(k);
	return err;
}

uint32_t kern_level(const struct kern *k)
{
	return k->level;
}

void kern_close(struct kern *k)
{
	if (!k)
		return;
	detach(k);
	ring_buffer__free(k->events);
	if (k->object)
		bpf_object__close(k->object);
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
	uint32_t yes = 1;

	return kern_map_put(map_fd(k, "cleat_rooms"), &pidfd, &yes, BPF_ANY);
}

int kern_map_fd(struct kern *k, enum kern_map map, bool writable, int *ret_fd)
{
	static const char *const name[KERN_MAP_COUNT] = {
		[KERN_TAGS] = "cleat_tags",	[KERN_CALLERS] = "cleat_callers",
		[KERN_CONFIG] = "cleat_config", [KERN_CGROUPS] = "cleat_cgroups",
		[KERN_SEQ] = "cleat_seq",	[KERN_WINDOW] = "cleat_window",
		[KERN_CB] = "cleat_cb",
	};

	if ((unsigned)map >= KERN_MAP_COUNT)
		return -EINVAL;
	return kern_map_again(map_fd(k, name[map]), writable ? 0 : BPF_F_RDONLY, ret_fd);
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
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &over, .link_info_len = sizeof(over));
	struct bpf_program *walk = bpf_object__find_program_by_name(k->object, "cleat_sockets");
	struct bpf_link *link;
	int fd;

	if (!walk || !bpf_program__autoload(walk))
		return -EOPNOTSUPP;
	link = bpf_program__attach_iter(walk, &opts);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link)); /* holds what it needs */
	bpf_link__destroy(link);
	if (fd < 0)
		return fd;
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
