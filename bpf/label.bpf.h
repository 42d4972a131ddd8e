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

/* One task's: which rule names it? */
struct search {
	__u64 cgroups[CLEAT_ANCESTORS]; /* from its own upwards; 0: no more */
	__u32 gen;
	__u32 place; /* whose rules are looked at */
	struct ids ids;
	struct cleat_rule found;
	int is; /* label_of_place() */
};

static long slot_look(__u32 slot, struct search *s)
{
	struct cleat_rule_key key = { .gen = s->gen, .place = s->place, .slot = slot };
	const struct cleat_rule *r = bpf_map_lookup_elem(&cleat_rules, &key);

	if (!r) {
		s->is = slot || !kept(place_ruled) ? 0 : -1;
		return 1;
	}
	if (!rule_fits(r, &s->ids))
		return 0;
	s->found = *r;
	s->is = 1;
	return 1;
}

/* 1: the first rule of the place that fits is in @s; 0: none does; -1: this generation has no rules of
 * the place (a reload is on its way through the cgroups): then nobody may take the task for an
 * ancestor's. */
static __always_inline int label_of_place(struct search *s)
{
	s->is = 0;
	bpf_loop(CLEAT_RULES_MAX, slot_look, s, 0);
	return s->is;
}

static long cgroup_look(__u32 level, struct search *s)
{
	__u64 id = level < CLEAT_ANCESTORS ? s->cgroups[level] : 0;
	const struct cleat_cgroup *named;

	if (!id)
		return 1;
	named = bpf_map_lookup_elem(&cleat_cgroups, &id);
	if (!named)
		return 0;
	s->place = named->place;
	return label_of_place(s) ? 1 : 0;
}

/* The rule that names the task under policy @gen; all zero where none does. The cgroups are gathered first, and looked up
 * by bpf_loop(): a walk inside a walk of our own the verifier judges step by step in each caller. A global function, judged
 * once, is one that others may replace (edge/kern_ext.h). Not inlined: where it is, clang 14 may lay the loop out so that its
 * back edge falls through, which 6.1 refuses. */
static __noinline void label_of(struct cgroup *cgrp, const struct ids *ids, __u32 gen,
				struct cleat_rule *ret)
{
	struct search s = { .gen = gen, .ids = *ids };

	for (int level = 0; level < CLEAT_ANCESTORS; level++) {
		struct cgroup_subsys_state *parent = cgrp->self.parent;

		s.cgroups[level] = cgrp->kn->id;
		if (!parent)
			break;
		cgrp = parent->cgroup;
	}
	bpf_loop(CLEAT_ANCESTORS, cgroup_look, &s, 0);
	*ret = s.found;
}

#endif
