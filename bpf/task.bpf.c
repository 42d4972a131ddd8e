// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tasks, level full.
 *
 *	lsm/bprm_committed_creds	an instance begins: the arming epoch of its exec
 *	tp_btf/sched_process_exec	the witness: an exec that the hook before did not see is no instance
 *					of this epoch, and is counted. A raw tracepoint: what silences the
 *					trampolines of LSM hooks (kernel.ftrace_enabled=0) does not silence it
 *	lsm/task_alloc			a fork inherits it (task storage is not inherited by itself)
 *	lsm/ptrace_access_check		a labelled task is traced only from its own label
 *	lsm/ptrace_traceme		the same, asked by the one who is to be traced
 *
 * A task without storage is unknown, unlabelled and counted; a tracer who cannot be judged is
 * nobody, and refused.
 */
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("lsm/bprm_committed_creds")
int BPF_PROG(cleat_exec, const struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct cleat_config *config = config_now();
	struct cleat_task *t;

	t = bpf_task_storage_get(&cleat_tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count(CLEAT_COUNT_TASK_LOST);
		return 0;
	}
	t->epoch = config ? config->epoch : 0;
	t->policy_gen = 0; /* nothing remembered of the instance before */
	t->execs = (__u32)task->self_exec_id;
	return 0;
}

/* The hook before gives each task storage, whenever that was born: one of after the hooks without it was not seen, unless
 * there is no room for it (one that there was none for a moment ago counts as not seen). What is made here to know goes
 * again: the task stays unknown. */
static __always_inline struct cleat_task *witnessed(struct task_struct *task)
{
	const struct cleat_config *config = config_now();
	struct cleat_task *t = bpf_task_storage_get(&cleat_tasks, task, 0, 0);

	if (t || !kept(exec_unforked))
		return t;
	if (!config || !config->armed_ns || task->start_boottime < config->armed_ns)
		return NULL;
	t = bpf_task_storage_get(&cleat_tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count(CLEAT_COUNT_TASK_LOST);
		return NULL;
	}
	if (t->epoch || t->execs || t->policy_gen)
		return t; /* it was there: before 6.2 a look at it may fail for the moment */
	bpf_task_storage_delete(&cleat_tasks, task);
	count(CLEAT_COUNT_EXEC_UNSEEN);
	return NULL;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(cleat_execd, struct task_struct *task)
{
	struct cleat_task *t = witnessed(task);

	if (!t || t->execs == (__u32)task->self_exec_id)
		return 0;
	if (!t->epoch && !t->execs)
		return 0; /* made on first sight of a task of before the hooks, or forked by one */
	count(CLEAT_COUNT_EXEC_UNSEEN);
	t->epoch = 0;
	t->policy_gen = 0;
	return 0;
}

/* What a room forks is a room. */
static __always_inline int room_fork(struct task_struct *child)
{
	__u32 *room;

	if (!room_now())
		return 0;
	room = bpf_task_storage_get(&cleat_rooms, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!room)
		return -ENOMEM;
	*room = CLEAT_ROOM_JAILED;
	return 0;
}

SEC("lsm/task_alloc")
int BPF_PROG(cleat_fork, struct task_struct *child)
{
	struct task_struct *parent = bpf_get_current_task_btf();
	struct cleat_task *from, *to;

	from = bpf_task_storage_get(&cleat_tasks, parent, 0, 0);
	to = bpf_task_storage_get(&cleat_tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!to)
		count(CLEAT_COUNT_TASK_LOST);
	else if (from)
		*to = *from;
	return room_fork(child);
}

static __always_inline void trace_refused(const struct actor *target, const struct actor *tracer)
{
	struct cleat_event e = { .type = CLEAT_EVENT_TRACE_REFUSED };

	e.owner = target->owner;
	e.actor = tracer->owner;
	e.actor_pid = tracer->proc.tgid;
	e.owner_pid = target->proc.tgid;
	e.cgroup_id = tracer->cgroup_id;
	count(CLEAT_COUNT_TRACE_REFUSED);
	event_send(&e);
}

static __always_inline int trace(struct task_struct *target_task, struct task_struct *tracer_task)
{
	struct actor target, tracer;

	actor_of(target_task, &target);
	if (!target.owner.label || (target.rule_flags & CLEAT_RULE_DEBUG))
		return 0;
	actor_of(tracer_task, &tracer);
	if (tracer.owner.label == target.owner.label || !kept(trace))
		return 0;
	trace_refused(&target, &tracer);
	return -EPERM;
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(cleat_trace, struct task_struct *child, unsigned int mode)
{
	if (!(mode & PTRACE_MODE_ATTACH))
		return 0;
	return trace(child, bpf_get_current_task_btf());
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(cleat_traceme, struct task_struct *parent)
{
	return trace(bpf_get_current_task_btf(), parent);
}
