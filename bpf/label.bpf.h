/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which workload a cgroup and ids make: from the task's own cgroup upwards, at each cgroup that
 * policy names, the first rule that fits the ids. No fit there: on upwards. Deeper than the bounded
 * walk, not named, no fit: 0, nobody policy knows.
 */
#ifndef CLEAT_LABEL_BPF_H
#define CLEAT_LABEL_BPF_H

#include "maps.bpf.h"

/* Who a task is to the rules. split_*: real, effective and saved id are not all equal, which is the
 * moment of a set-uid program or of a daemon that lent its identity: that is nobody's identity, and
 * no rule that names an id may take it for one. */
struct ids {
	__u32 uid;
	__u32 gid;
	__u32 split_uid;
	__u32 split_gid;
};

static __always_inline void ids_of(struct task_struct *task, struct ids *ret)
{
	/* real_cred is the task's own; cred may be borrowed for a while (io_uring, overlayfs). */
	const struct cred *c = task->real_cred;

	ret->uid = c->euid.val;
	ret->gid = c->egid.val;
	ret->split_uid = c->uid.val != ret->uid || c->suid.val != ret->uid;
	ret->split_gid = c->gid.val != ret->gid || c->sgid.val != ret->gid;
}

/* The process's cgroup in the unified hierarchy, whichever cgroup a thread was moved to. */
static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	return kept(cgroup_process) ? task->cgroups->dom_cset->dfl_cgrp : task->cgroups->dfl_cgrp;
}

static __always_inline bool rule_fits(const struct cleat_rule *r, const struct ids *ids)
{
	if (kept(rule_uid) && (r->flags & CLEAT_RULE_UID) && (ids->split_uid || r->uid != ids->uid))
		return false;
	if ((r->flags & CLEAT_RULE_GID) && (ids->split_gid || r->gid != ids->gid))
		return false;
	return true;
}

struct slots {
	__u32 gen;
	__u32 place;
	struct ids ids;
	struct cleat_rule found;
};

/* 1: the first rule of the place that fits is in @s; 0: none does; -1: this generation has no rules of
 * the place (a reload is on its way through the cgroups): then nobody may take the task for an
 * ancestor's. A global function: the verifier judges it once by its types, not anew at each step of
 * each caller's walk. */
__weak int label_of_place(struct slots *s)
{
	struct cleat_rule_key key = {};

	if (!s)
		return 0;
	key.gen = s->gen;
	key.place = s->place;
	for (int slot = 0; slot < CLEAT_RULES_MAX; slot++) {
		const struct cleat_rule *r;

		key.slot = slot;
		r = bpf_map_lookup_elem(&cleat_rules, &key);
		if (!r)
			return slot || !kept(place_ruled) ? 0 : -1;
		if (!rule_fits(r, &s->ids))
			continue;
		s->found = *r;
		return 1;
	}
	return 0;
}

/* The rule that names the task under policy @gen; all zero where none does. Not inlined: where it is, clang
 * 14 may lay the loop out so that its back edge falls through, which 6.1 refuses. */
static __noinline void label_of(struct cgroup *cgrp, const struct ids *ids, __u32 gen,
				struct cleat_rule *ret)
{
	struct slots s = { .gen = gen, .ids = *ids };

	for (int level = 0; level < CLEAT_ANCESTORS; level++) {
		__u64 id = cgrp->kn->id;
		const struct cleat_cgroup *named = bpf_map_lookup_elem(&cleat_cgroups, &id);
		struct cgroup_subsys_state *parent;

		if (named) {
			s.place = named->place;
			if (label_of_place(&s))
				break;
		}
		parent = cgrp->self.parent;
		if (!parent)
			break;
		cgrp = parent->cgroup;
	}
	*ret = s.found;
}

#endif
