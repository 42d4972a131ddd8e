/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side's maps as the rooms see them: descriptors, one bpf(2) call each, no library. See
 * kern.h.
 */
#include "edge/kern.h"

#include "base/twin.h"
#include "edge/kern_map.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define TRIES 16

static int call(int cmd, union bpf_attr *attr)
{
	long n = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return n < 0 ? -errno : (int)n;
}

static int element(int cmd, int map, const void *key, const void *value, uint64_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr)); /* bytes beyond the members used must be zero */
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	attr.flags = flags;
	return call(cmd, &attr);
}

int kern_map_get(int map, const void *key, void *ret, uint64_t flags)
{
	return element(BPF_MAP_LOOKUP_ELEM, map, key, ret, flags);
}

int kern_map_put(int map, const void *key, const void *value, uint64_t flags)
{
	return element(BPF_MAP_UPDATE_ELEM, map, key, value, flags);
}

int kern_map_drop(int map, const void *key)
{
	return element(BPF_MAP_DELETE_ELEM, map, key, NULL, 0);
}

int kern_map_next(int map, const void *key, void *ret_key)
{
	return element(BPF_MAP_GET_NEXT_KEY, map, key, ret_key, 0);
}

int kern_map_again(int map, uint32_t open_flags, int *ret_fd)
{
	struct bpf_map_info info = { 0 };
	union bpf_attr attr;
	int err;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)map;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	err = call(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (err < 0)
		return err;
	memset(&attr, 0, sizeof(attr));
	attr.map_id = info.id;
	attr.open_flags = open_flags;
	err = call(BPF_MAP_GET_FD_BY_ID, &attr);
	if (err < 0)
		return err;
	*ret_fd = err;
	return 0;
}

int kern_tag_peek(int map, int sock_fd, struct cleat_tag *ret)
{
	return kern_map_get(map, &sock_fd, ret, 0);
}

int kern_tag_get(int map, int sock_fd, struct cleat_tag *ret)
{
	struct cleat_tag a, b;
	int err = kern_map_get(map, &sock_fd, &a, 0);

	/* The kernel side writes while it is copied: believed when two copies agree. */
	for (unsigned i = 0; err == 0 && i < TRIES; i++) {
		err = kern_map_get(map, &sock_fd, &b, 0);
		if (err == 0 && memcmp(&a, &b, sizeof(a)) == 0) {
			*ret = a;
			return 0;
		}
		a = b;
	}
	return err < 0 ? err : -EAGAIN;
}

bool kern_tag_is(int map, int sock_fd, const struct cleat_tag *before)
{
	struct cleat_tag now;

	return kern_map_get(map, &sock_fd, &now, 0) == 0 && memcmp(&now, before, sizeof(now)) == 0;
}

int kern_caller_get(int map, int sock_fd, struct cleat_caller *ret)
{
	return kern_map_get(map, &sock_fd, ret, 0);
}

int kern_config_get(int map, struct cleat_config *ret)
{
	uint32_t zero = 0;

	return kern_map_get(map, &zero, ret, 0);
}

int kern_config_view(int map, const struct cleat_config **ret)
{
	void *at = mmap(NULL, sizeof(**ret), PROT_READ, MAP_SHARED, map, 0);

	if (at == MAP_FAILED)
		return -errno;
	*ret = at;
	return 0;
}

/* By words, none of them torn, and in order. */
static void config_copy(const struct cleat_config *view, struct cleat_config *ret)
{
	typedef uint64_t __attribute__((may_alias)) word;
	const word *from = (const word *)view;
	word *to = (word *)ret;

	for (size_t i = 0; i < sizeof(*ret) / sizeof(word); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
}
_Static_assert(sizeof(struct cleat_config) % sizeof(uint64_t) == 0, "config_copy copies all of it");

int kern_config_look(const struct cleat_config *view, struct cleat_config *ret)
{
	struct cleat_config a, b;

	config_copy(view, &a);
	for (unsigned i = 0; i < TRIES; i++) {
		config_copy(view, &b);
		if (!kept(config_whole) || memcmp(&a, &b, sizeof(a)) == 0) {
			*ret = a;
			return 0;
		}
		a = b;
	}
	return -EAGAIN;
}

int kern_cgroup_get(int map, uint64_t cgroup_id, struct cleat_cgroup *ret)
{
	return kern_map_get(map, &cgroup_id, ret, 0);
}

int kern_seq_get(int map, int sock_fd, struct cleat_seq *ret)
{
	return kern_map_get(map, &sock_fd, ret, BPF_F_LOCK);
}

int kern_seq_put(int map, int sock_fd, const struct cleat_seq *seq)
{
	return kern_map_put(map, &sock_fd, seq, BPF_F_LOCK | BPF_EXIST);
}

int kern_window_get(int map, int sock_fd, struct cleat_window *ret)
{
	return kern_map_get(map, &sock_fd, ret, BPF_F_LOCK);
}

int kern_window_put(int map, int sock_fd, const struct cleat_window *window)
{
	return kern_map_put(map, &sock_fd, window, BPF_F_LOCK | BPF_EXIST);
}

int kern_cb_get(int map, const struct cleat_cb_key *key, struct cleat_cb *ret)
{
	return kern_map_get(map, key, ret, 0);
}

int kern_cb_put(int map, const struct cleat_cb_key *key, const struct cleat_cb *value)
{
	return kern_map_put(map, key, value, BPF_ANY);
}

/* One entry; the next key is asked for before this one goes: after that the walk would begin anew. */
static int sweep_one(int map, uint64_t boot_ns, struct cleat_cb_key *at,
		     void (*each)(void *ctx, const struct cleat_cb *value, bool gone), void *ctx)
{
	struct cleat_cb_key key = *at;
	struct cleat_cb value;
	bool there = kern_map_get(map, &key, &value, 0) == 0;
	int err = kern_map_next(map, &key, at);

	if (there)
		each(ctx, &value, value.until_ns < boot_ns && kern_map_drop(map, &key) == 0);
	return err;
}

int kern_cb_sweep(int map, uint64_t boot_ns, struct kern_cb_walk *walk, unsigned most,
		  void (*each)(void *ctx, const struct cleat_cb *value, bool gone), void *ctx)
{
	int err = 0;

	if (!walk->begun)
		err = kern_map_next(map, NULL, &walk->next);
	walk->begun = true;
	for (unsigned i = 0; err == 0 && i < most && walk->seen < 2 * CLEAT_CB_MAX; i++) {
		err = sweep_one(map, boot_ns, &walk->next, each, ctx);
		walk->seen++;
	}
	if (err == 0 && walk->seen < 2 * CLEAT_CB_MAX)
		return 1;
	*walk = (struct kern_cb_walk){ 0 };
	return err == -ENOENT ? 0 : err;
}
