/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: key, value, the only writer, how long an entry lives, and what happens when it is full.
 * All are __weak: each file of the object includes them all, linking makes them one. None is an LRU:
 * security state is refused when there is no room, it is never forgotten.
 */
#ifndef CLEAT_MAPS_BPF_H
#define CLEAT_MAPS_BPF_H

#include "kernel.bpf.h"

/* TCP socket -> tag and connection record. Writers: tag.bpf.c, conn.bpf.c (reduced.bpf.c at level
 * reduced). Lives as long as the socket; a child starts with a clone of its listener's, of which
 * only the origin survives. No room (optmem): no tag, the socket is unknown and refused. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct cleat_tag);
} cleat_tags __weak SEC(".maps");

/* TCP socket -> sender's counter. Made zeroed with the tag and never cloned, afterwards written in
 * place by the sign room only. No room: no tag either. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cleat_seq);
} cleat_seq __weak SEC(".maps");

/* TCP socket -> receiver's window. As cleat_seq, written by the check room only. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cleat_window);
} cleat_window __weak SEC(".maps");

/* The daemon's listening API sockets -> enum cleat_door. Writer: the kernel room. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} cleat_doors __weak SEC(".maps");

/* API connection, both ends -> who connected. Writer: api.bpf.c, once, at connect. Lives as long as
 * each end. No room: the connect is refused. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cleat_caller);
} cleat_callers __weak SEC(".maps");

/* task -> its label's cache and the epoch of its exec. Writer: task.bpf.h. Lives as long as the
 * task. No room: the task is unknown, unlabelled, counted. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cleat_task);
} cleat_tasks __weak SEC(".maps");

/* leader of a room's process, or of the live probe's -> enum cleat_room. Writers: the kernel room, and task.bpf.c for what a room forks.
 * Lives as long as the task. No room: the daemon does not start, or the fork is refused. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} cleat_rooms __weak SEC(".maps");

/* id of a cgroup named by policy -> its place. Writers: cgroup.bpf.c, and the kernel room's scan.
 * Removed with the cgroup or with its place. Full: the cgroup stays unlabelled, counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEAT_CGROUPS_MAX);
	__type(key, __u64);
	__type(value, struct cleat_cgroup);
} cleat_cgroups __weak SEC(".maps");

/* cgroup path or unit name -> place. Writer: the kernel room, at load and reload. Full: the reload
 * is refused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEAT_PLACES_MAX);
	__type(key, struct cleat_place_key);
	__type(value, __u32);
} cleat_places __weak SEC(".maps");

/* generation, place, slot -> rule. Writer: the kernel room; a generation is complete before
 * cleat_config names it and is erased after another one is named. Full: the reload is refused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEAT_RULES_TOTAL);
	__type(key, struct cleat_rule_key);
	__type(value, struct cleat_rule);
} cleat_rules __weak SEC(".maps");

/* cb and role -> the one socket that accepted. Only user space uses it; writer: the check room. It
 * stands here because it has to outlive a daemon. Full: the verify is refused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEAT_CB_MAX);
	__type(key, struct cleat_cb_key);
	__type(value, struct cleat_cb);
} cleat_cb __weak SEC(".maps");

/* What is ours -> when that was said (boot clock). Writer: the kernel room, when it arms. Lives until a
 * later arming does not say it again. Full: the daemon does not arm. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CLEAT_OWN_MAX);
	__type(key, struct cleat_own_key);
	__type(value, __u64);
} cleat_own __weak SEC(".maps");

/* 0 -> who may touch what is ours. Writers: the kernel room, when it arms; self.bpf.c, when the
 * daemon's cgroup is made anew, and what it said last. Zeroed: nothing is ours yet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cleat_keeper);
} cleat_keeper __weak SEC(".maps");

/* 0 -> what is in force. Writer: the kernel room. Zeroed: not armed, nothing is labelled. The rooms have it in
 * their memory, read-only: each request asks twice. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cleat_config);
} cleat_config __weak SEC(".maps");

/* enum cleat_count -> how often. Writers: all programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CLEAT_COUNT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} cleat_counts __weak SEC(".maps");

/* Events for the audit log. Writers: all programs. Full: the event is lost and counted; no verdict
 * hangs on it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} cleat_events __weak SEC(".maps");

#endif
