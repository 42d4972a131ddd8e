// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A cgroup gets its place when it is made, by the kernel, so that no socket can be older than its
 * cgroup's label; and loses it when it is removed. Level full.
 *
 *	tp_btf/cgroup_mkdir	a path or unit that policy names: an entry in cleat_cgroups
 *	tp_btf/cgroup_rmdir	the entry goes
 *
 * Only the unified hierarchy counts: the v1 hierarchies fire the same tracepoints with the same
 * paths and ids of another space. An exact path goes before a unit's name. What cannot be read or
 * stored stays unlabelled.
 */
#include "event.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* One byte more than a place's name has shows that the name was longer. */
struct scratch {
	struct cleat_place_key key;
	char over[8];
	char slice[CLEAT_PATH_MAX + 8];
};

/* 0 -> room for two names, too large for the stack. Writer: the program on this CPU that
 * holds it, which nothing interrupts for itself. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} cleat_scratch SEC(".maps");

static __always_inline bool is_unified(const struct cgroup *cgrp)
{
	return !kept(cgroup_unified) || cgrp->root->hierarchy_id == 0;
}

/* The place named exactly by @name, behind @before bytes that the key holds already. */
static __always_inline __u32 place_of(struct scratch *s, unsigned before, const char *name)
{
	const __u32 *place;
	long n;

	n = bpf_probe_read_kernel_str(s->key.name + before, CLEAT_PATH_MAX + 1 - before, name);
	if (n <= 1 || n > CLEAT_PATH_MAX - before)
		return 0;
	place = bpf_map_lookup_elem(&cleat_places, &s->key);
	return place ? *place : 0;
}

static __always_inline __u32 place_of_path(struct scratch *s, struct cgroup *cgrp, const char *path)
{
	__builtin_memset(&s->key, 0, sizeof(s->key));
	if (kept(cgroup_exact))
		return place_of(s, 0, path);
	s->key.name[0] = '/'; /* the broken twin looks at the last component alone */
	return place_of(s, 1, cgrp->kn->name);
}

/* @name ends in ".slice" and has something before it. */
static __always_inline bool is_slice(struct scratch *s, const char *name)
{
	long n = bpf_probe_read_kernel_str(s->slice, CLEAT_PATH_MAX, name);
	const char *end;

	if (n < 8 || n > CLEAT_PATH_MAX)
		return false;
	end = s->slice + n - 7;
	return end[0] == '.' && end[1] == 's' && end[2] == 'l' && end[3] == 'i' && end[4] == 'c' &&
	       end[5] == 'e';
}

/* Every cgroup between @cgrp and the root is a slice: then only the system's own manager can have
 * made @cgrp, and its name is a unit's. Below a user's manager or a delegated unit it is not. */
static __always_inline bool is_unit(struct scratch *s, struct cgroup *cgrp)
{
	struct cgroup_subsys_state *parent = cgrp->self.parent;

	for (int level = 0; level < CLEAT_ANCESTORS; level++) {
		if (!parent)
			return false;
		cgrp = parent->cgroup;
		parent = cgrp->self.parent;
		if (!parent)
			return true; /* the root */
		if (!is_slice(s, cgrp->kn->name))
			return false;
	}
	return false;
}

static __always_inline __u32 place_of_unit(struct scratch *s, struct cgroup *cgrp)
{
	__u32 place;

	__builtin_memset(&s->key, 0, sizeof(s->key));
	place = place_of(s, 0, cgrp->kn->name);
	return place && is_unit(s, cgrp) ? place : 0;
}

static __always_inline void cgroup_event(__u32 type, __u64 id, __u32 place)
{
	struct cleat_event e = { .type = type, .cgroup_id = id, .place = place };

	event_send(&e);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cleat_mkdir, struct cgroup *cgrp, const char *path)
{
	struct cleat_cgroup named = {};
	struct scratch *s;
	__u32 zero = 0;
	__u64 id;

	if (!is_unified(cgrp))
		return 0;
	s = bpf_map_lookup_elem(&cleat_scratch, &zero);
	if (!s)
		return 0;
	named.place = place_of_path(s, cgrp, path);
	if (!named.place)
		named.place = place_of_unit(s, cgrp);
	if (!named.place)
		return 0;
	id = cgrp->kn->id;
	if (bpf_map_update_elem(&cleat_cgroups, &id, &named, BPF_ANY)) {
		count(CLEAT_COUNT_CGROUP_FULL);
		return 0;
	}
	cgroup_event(CLEAT_EVENT_CGROUP_BORN, id, named.place);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cleat_rmdir, struct cgroup *cgrp, const char *path)
{
	__u64 id = cgrp->kn->id;
	const struct cleat_cgroup *named;
	__u32 place;

	if (!is_unified(cgrp))
		return 0;
	named = bpf_map_lookup_elem(&cleat_cgroups, &id);
	if (!named)
		return 0;
	place = named->place;
	bpf_map_delete_elem(&cleat_cgroups, &id);
	cgroup_event(CLEAT_EVENT_CGROUP_DIED, id, place);
	return 0;
}
