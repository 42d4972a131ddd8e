/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbpf's part: the object, its links, and its maps as the rooms see them. The kernel room holds a struct
 * kern; the other rooms get descriptors and use kern_*_fd functions on them, one bpf(2) call each.
 */
#ifndef CLEAT_EDGE_KERN_H
#define CLEAT_EDGE_KERN_H

#include "../bpf/abi.h"
#include "base/cleanup.h"
#include "model/policy.h"

struct kern;
struct kern_pins;

struct kern_options {
	const char *object; /* path of cleat.bpf.o; NULL: the embedded skeleton */
	const char *
		cgroup; /* cgroup2 directory to attach to: the root of the unified mount, or a test's own */
	uint32_t
		level; /* CLEAT_LEVEL_FULL, CLEAT_LEVEL_REDUCED, or CLEAT_LEVEL_NONE: the best there is */
	const struct kern_pins
		*pins; /* NULL: what is loaded and attached ends with the struct kern */
	const uint8_t
		*lineage; /* KERN_LINEAGE bytes, whose labels; NULL: of no interest, for a look */
};

/* ---- pins: the kernel side outlives the daemon ---- */
#define KERN_PINS_DIR "/sys/fs/bpf/cleat"
#define KERN_LINEAGE  16

/* How the kernel side came about. */
enum kern_origin {
	KERN_UNPINNED = 0,
	KERN_FRESH = 1,	   /* nothing was there */
	KERN_ADOPTED = 2,  /* as it was */
	KERN_CHANGED = 3,  /* adopted, its programs replaced */
	KERN_REPLACED = 4, /* something was there that could not be adopted */
};

/* Opens the directory, and makes it where @lock; -EBUSY: another daemon has it. Without @lock, for a look: -ENOENT where
 * there is none. It must be root's alone and on a bpffs. */
int kern_pins_open(const char *path, bool lock, struct kern_pins **ret, char *error, size_t cap);
void kern_pins_close(struct kern_pins *p);
DEFINE_OWNER(kern_pins_owned, struct kern_pins, kern_pins_close)

/* Does a set of level full lie there that was armed, with the labels of this lineage? *ret_name: which. Whether it can be
 * adopted is another question. */
bool kern_pins_remember(const struct kern_pins *p, const uint8_t lineage[KERN_LINEAGE],
			char *ret_name, size_t cap);

struct kern_disarmed {
	unsigned sets, maps, programs, links, others;
};
/* Removes whatever is in the directory, and the directory: everything is detached. None there is success. -EPERM: it is a
 * bpffs of its own, or nobody's of ours, and something there is no set. */
int kern_pins_disarm(const char *path, struct kern_disarmed *ret, char *error, size_t cap);

/* ---- the kernel side ---- */

/* BPF LSM is active; whether its programs load shows when they are loaded. */
bool kern_full_possible(void);

/* Adopts what is pinned, or loads and verifies; attaches nothing. @error gets a line with the way out; -EEXIST: what is
 * pinned is not ours. */
int kern_open(const struct kern_options *options, struct kern **ret, char *error, size_t error_cap);
/* Level full, before kern_attach(): root in the cgroup of this path (from the unified root) and id may touch what is ours,
 * nobody else. */
int kern_keeper_set(struct kern *k, const char *path, uint64_t id);
/* Where there is no struct kern_pins: everything in this directory of a bpffs is ours. */
int kern_pins_guard(struct kern *k, const char *dir);
/* Attaches every hook of the level that is not attached yet, all or nothing; arms nothing: that takes proof (kern_probe.h)
 * and an epoch. */
int kern_attach(struct kern *k, char *error, size_t error_cap);
/* Proved: every other set goes. Nothing is left to go back to then. */
int kern_tidy(struct kern *k, char *error, size_t error_cap);
/* Not proved: a set that kern_attach() made goes again, and what it took the name of has it back. */
void kern_undo(struct kern *k);
/* Complete and proved: from here on requests can be answered. The epoch stays where every hook was there and none was
 * missed all the time, else it is the next. */
int kern_arm(struct kern *k);
/* The next arming epoch, at @level: the kernel side's own when it is complete and proved, none when it was found
 * incomplete. What was born in another epoch is not `full`. */
int kern_epoch_next(struct kern *k, uint32_t level);
/* What the kernel side was opened for. What is in force now is in kern_config(). */
uint32_t kern_level(const struct kern *k);
/* The cgroup directory it is attached to. */
const char *kern_cgroup(const struct kern *k);

/* The hooks as they are attached: names (the programs') and descriptors stay the kernel side's. */
#define KERN_LINKS_MAX 64
unsigned kern_link_count(const struct kern *k);
int kern_link_fd(const struct kern *k, unsigned i);
const char *kern_link_name(const struct kern *k, unsigned i);
/* Pins again what has lost its pin; *ret_lost: how much. Without pins nothing is lost. */
int kern_repin(struct kern *k, unsigned *ret_lost);
/* @fd takes the place of the @i-th, pinned where that was, and is the kernel side's, whatever comes of it. */
int kern_link_replace(struct kern *k, unsigned i, int fd);
enum kern_origin kern_origin(const struct kern *k);
static inline const char *kern_origin_word(enum kern_origin o)
{
	static const char *const words[] = { "none", "fresh", "adopted", "changed", "replaced" };

	return (unsigned)o <= KERN_REPLACED ? words[o] : "unknown";
}
/* Something was pinned, by whatever daemon. */
bool kern_predecessor(const struct kern *k);
/* A set of this level and layout was found and cannot be adopted. */
bool kern_unfit(const struct kern *k);
/* Why what was pinned could not be adopted, with KERN_REPLACED. */
const char *kern_replaced(const struct kern *k);
/* Pinned, all goes on without us; else it ends. */
void kern_close(struct kern *k);
DEFINE_OWNER(kern_owned, struct kern, kern_close)

/* Writes places and rules of the image's generation, scans the existing cgroups, then flips the
 * generation; the generation before is erased afterwards. On failure the old one stays in force. */
int kern_policy_set(struct kern *k, const struct policy_image *p, char *error, size_t error_cap);

/* Gives cgroups that policy names and that were made since their place. Level reduced only: at level full the kernel
 * side did it when they were made. */
int kern_rescan(struct kern *k, const struct policy_image *p);

/* Marks a listening API socket (enum cleat_door), and a process as a room (by pidfd). */
int kern_door_set(struct kern *k, int listen_fd, uint32_t door);
int kern_room_set(struct kern *k, int pidfd);

/* Descriptors for the rooms: BPF_F_RDONLY ones but for seq (sign room), window and cb (check room). The
 * caller owns them. */
enum kern_map {
	KERN_TAGS,
	KERN_CALLERS,
	KERN_CONFIG,
	KERN_CGROUPS, /* reduced: cgroup id -> place */
	KERN_SEQ,
	KERN_WINDOW,
	KERN_CB,
	KERN_DOORS, /* this and the next: the kernel room's alone */
	KERN_TASKS, /* -1 at level reduced, which has none */
	KERN_ROOMS,
	KERN_MAP_COUNT
};
/* The kernel side's own descriptor of a map; -1: no such map. */
int kern_map(const struct kern *k, enum kern_map map);
int kern_map_fd(struct kern *k, enum kern_map map, bool writable, int *ret_fd);

/* Events of the kernel side: an epoll-able descriptor, and a call per event. */
int kern_events_fd(struct kern *k);
int kern_events_read(struct kern *k, void (*each)(void *ctx, const struct cleat_event *e),
		     void *ctx);
/* What is in force, as the programs see it. */
int kern_config(struct kern *k, struct cleat_config *ret);
/* Of what was read so: was it armed at any time, by whatever daemon, and has something to remember? */
static inline bool kern_was_armed(const struct cleat_config *c)
{
	return c->epoch != 0;
}
/* And is it armed now: can requests be answered? */
static inline bool kern_is_armed(const struct cleat_config *c)
{
	return kern_was_armed(c) && c->level != CLEAT_LEVEL_NONE;
}
/* The record of a task, by pidfd. -ENOENT: none. */
int kern_task(struct kern *k, int pidfd, struct cleat_task *ret);
/* A file to read every tagged socket of the machine from, as struct cleat_tag; whoever reads it pays for the walk.
 * -EOPNOTSUPP at level reduced. */
int kern_sockets(struct kern *k, int *ret_fd);
/* Sums of cleat_counts over the CPUs. */
int kern_counts(struct kern *k, uint64_t ret[CLEAT_COUNT_COUNT]);

/* ---- on a room's descriptors. All return 0 or -errno; -ENOENT: no such element. ---- */
/* A stable copy of the tag: read until two reads agree (bounded), -EAGAIN when they never do. */
int kern_tag_get(int map, int sock_fd, struct cleat_tag *ret);
/* One copy: parts of it may be older than others, for the kernel side writes meanwhile. It counts once kern_tag_is() has
 * said so. */
int kern_tag_peek(int map, int sock_fd, struct cleat_tag *ret);
/* Is it still exactly this? */
bool kern_tag_is(int map, int sock_fd, const struct cleat_tag *before);
int kern_caller_get(int map, int sock_fd, struct cleat_caller *ret);
int kern_config_get(int map, struct cleat_config *ret);
/* The same map in this process's memory, for its whole life, and never to be made writable again (bpf_map_mmap() takes
 * VM_MAYWRITE away). @map may write, else the kernel refuses (do_mmap() takes VM_SHARED away), and may be closed. */
int kern_config_view(int map, const struct cleat_config **ret);
/* A stable copy of it, without a system call: as kern_tag_get(). */
int kern_config_look(const struct cleat_config *view, struct cleat_config *ret);
int kern_cgroup_get(int map, uint64_t cgroup_id, struct cleat_cgroup *ret);
/* In place, BPF_F_LOCK | BPF_EXIST: works with optmem exhausted, fails where nothing was born. */
int kern_seq_get(int map, int sock_fd, struct cleat_seq *ret);
int kern_seq_put(int map, int sock_fd, const struct cleat_seq *seq);
int kern_window_get(int map, int sock_fd, struct cleat_window *ret);
int kern_window_put(int map, int sock_fd, const struct cleat_window *window);
int kern_cb_get(int map, const struct cleat_cb_key *key, struct cleat_cb *ret);
/* Adds or renews; -E2BIG when the map is full (it never forgets). */
int kern_cb_put(int map, const struct cleat_cb_key *key, const struct cleat_cb *value);
/* A walk over the map in several slices; zeroed: it begins. */
struct kern_cb_walk {
	struct cleat_cb_key next;
	uint32_t seen;
	bool begun;
};
/* Looks at @most entries and removes what ended before @boot_ns; calls @each for all of them. 1: there is more; 0: that was
 * the last, and the walk begins anew. */
int kern_cb_sweep(int map, uint64_t boot_ns, struct kern_cb_walk *walk, unsigned most,
		  void (*each)(void *ctx, const struct cleat_cb *value, bool gone), void *ctx);

#endif
