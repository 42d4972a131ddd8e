/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who the current task is: owner, instance, cgroup. From the kernel's own structs at this moment;
 * what is remembered counts only while everything it was made of is still the same. A task that
 * cannot be judged is nobody: label 0.
 */
#ifndef CLEAT_TASK_BPF_H
#define CLEAT_TASK_BPF_H

#include "event.bpf.h"
#include "label.bpf.h"

struct actor {
	struct cleat_owner owner;
	struct cleat_proc proc;
	__u64 cgroup_id;
	__u32 gid;
	__u32 policy_gen;
	__u32 rule_flags;
};

/* Everything but label and epoch. */
static __always_inline void actor_facts(struct task_struct *task, const struct ids *ids,
					struct actor *ret)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	ret->owner.netns = task->nsproxy->net_ns->net_cookie;
	ret->owner.uid = ids->uid;
	ret->gid = ids->gid;
	ret->proc.start_ns = task->group_leader->start_boottime;
	ret->proc.exec_id = task->self_exec_id;
	ret->proc.tgid = task->tgid;
	ret->cgroup_id = cgroup_of(task)->kn->id;
}

/* Labels @ret under the generation in force. False when the generation changed meanwhile: its rules
 * may have been half erased under the walk, so the answer is nobody and is not to be kept. */
static __always_inline bool actor_label(struct task_struct *task, const struct ids *ids,
					const struct cleat_config *config, struct actor *ret)
{
	__u32 gen = *(volatile const __u32 *)&config->policy_gen;
	struct cleat_rule rule;

	if (!gen)
		return false;
	label_of(cgroup_of(task), ids, gen, &rule);
	if (*(volatile const __u32 *)&config->policy_gen != gen)
		return false;
	ret->owner.label = rule.label;
	ret->rule_flags = rule.flags;
	ret->policy_gen = gen;
	return true;
}

/* Any task, nothing remembered: another task than the current one, and programs that have no task
 * storage. The epoch is 0. */
static __always_inline void actor_of(struct task_struct *task, struct actor *ret)
{
	const struct cleat_config *config = config_now();
	struct ids ids;

	ids_of(task, &ids);
	actor_facts(task, &ids, ret);
	if (config)
		actor_label(task, &ids, config, ret);
}

/* The task's storage; made on first sight for a task that ran before the hooks (its epoch stays 0).
 * NULL: it should have some and has none, or there is no room. */
static __always_inline struct cleat_task *task_storage(struct task_struct *task,
						       const struct cleat_config *config)
{
	struct cleat_task *t = bpf_task_storage_get(&cleat_tasks, task, 0, 0);

	if (t)
		return t;
	if (!config->armed_ns || task->start_boottime < config->armed_ns)
		t = bpf_task_storage_get(&cleat_tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		count(CLEAT_COUNT_TASK_LOST);
	return t;
}

static __always_inline __u32 split_of(const struct ids *ids)
{
	return (ids->split_uid ? 1 : 0) | (ids->split_gid ? 2 : 0);
}

static __always_inline bool task_is_as_before(const struct cleat_task *t, const struct actor *a,
					      const struct ids *ids, __u32 gen)
{
	return t->cgroup_id == a->cgroup_id && t->exec_id == a->proc.exec_id &&
	       t->uid == ids->uid && t->gid == ids->gid && t->split == split_of(ids) &&
	       t->policy_gen == gen;
}

/* The current task (level full). */
static __always_inline void actor_now(struct actor *ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct cleat_config *config = config_now();
	struct cleat_task *t;
	struct ids ids;

	ids_of(task, &ids);
	actor_facts(task, &ids, ret);
	if (!config)
		return;
	t = task_storage(task, config);
	if (!t)
		return;
	ret->proc.epoch = t->epoch;
	if (t->policy_gen &&
	    (!kept(task_inputs) || task_is_as_before(t, ret, &ids, config->policy_gen))) {
		ret->owner.label = t->label;
		ret->rule_flags = t->flags;
		ret->policy_gen = t->policy_gen;
		return;
	}
	if (!actor_label(task, &ids, config, ret))
		return;
	t->cgroup_id = ret->cgroup_id;
	t->exec_id = ret->proc.exec_id;
	t->uid = ids.uid;
	t->gid = ids.gid;
	t->split = split_of(&ids);
	t->label = ret->owner.label;
	t->flags = ret->rule_flags;
	t->policy_gen = ret->policy_gen;
}

static __always_inline bool owner_equal(const struct cleat_owner *a, const struct cleat_owner *b)
{
	return a->label == b->label && a->uid == b->uid && a->netns == b->netns;
}

/* What the current task is to the daemon, enum cleat_room. Threads carry the mark, too: one that execs becomes
 * the leader. */
static __always_inline __u32 room_mark_now(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const __u32 *room = bpf_task_storage_get(&cleat_rooms, task, 0, 0);

	if (!room)
		room = bpf_task_storage_get(&cleat_rooms, task->group_leader, 0, 0);
	return room ? *room : CLEAT_ROOM_NONE;
}

/* It belongs to one of the daemon's rooms, or is its probe. */
static __always_inline bool room_now(void)
{
	return room_mark_now() != CLEAT_ROOM_NONE;
}

#endif
