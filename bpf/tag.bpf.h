/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A tag's life as plain functions; the hooks of level full (tag.bpf.c) and of level reduced
 * (reduced.bpf.c) are adapters over them. flags are changed by single atomic operations only,
 * because hooks of different contexts meet on them.
 */
#ifndef CLEAT_TAG_BPF_H
#define CLEAT_TAG_BPF_H

#include "task.bpf.h"

static __always_inline void tag_flag(struct cleat_tag *tag, __u32 flags)
{
	__sync_fetch_and_or(&tag->flags, flags);
}

static __always_inline void tag_unflag(struct cleat_tag *tag, __u32 flags)
{
	__sync_fetch_and_and(&tag->flags, ~flags);
}

/* The namespace was made by somebody in a user namespace of his own: root there is not root here. */
static __always_inline bool netns_is_foreign(const struct net *net)
{
	return net->user_ns->level != 0;
}

/* The owner of a socket: the task, but the socket's own network namespace. */
static __always_inline void tag_own(struct cleat_tag *tag, const struct actor *a, __u64 netns)
{
	tag->owner.label = a->owner.label;
	tag->owner.uid = a->owner.uid;
	tag->owner.netns = netns;
	tag->proc = a->proc;
	tag->cgroup_id = a->cgroup_id;
	tag->policy_gen = a->policy_gen;
}

/* Storage of a fresh socket: all three, or no tag is handed out. @sk is whatever the program type calls a
 * socket. The tag comes last, for not every program type can take it back. */
static __always_inline struct cleat_tag *tag_make(void *sk)
{
	struct cleat_tag *tag = NULL;

	if (bpf_sk_storage_get(&cleat_seq, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) &&
	    bpf_sk_storage_get(&cleat_window, sk, 0, BPF_SK_STORAGE_GET_F_CREATE))
		tag = bpf_sk_storage_get(&cleat_tags, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	count(tag ? CLEAT_COUNT_TAGGED : CLEAT_COUNT_UNTAGGED);
	return tag;
}

/* The same for a child, which may have a clone of its listener's tag already: without the other two
 * that goes, too. */
static __always_inline struct cleat_tag *tag_make_child(void *sk)
{
	struct cleat_tag *tag = tag_make(sk);

	if (!tag)
		bpf_sk_storage_delete(&cleat_tags, sk);
	return tag;
}

static __always_inline void tag_born(struct cleat_tag *tag, const struct actor *a, __u64 netns,
				     __u64 cookie, __u32 flags)
{
	const struct cleat_config *config = config_now();

	tag_own(tag, a, netns);
	tag->origin = tag->owner;
	tag->born_ns = bpf_ktime_get_boot_ns();
	tag->cookie = cookie;
	tag->epoch = config ? config->epoch : 0;
	tag->state = CLEAT_STATE_BORN;
	tag_flag(tag, flags);
}

/* A connect begins: another owner perhaps, another connection surely. What was known of the one
 * before counts no longer, whatever becomes of this one. */
static __always_inline void tag_connect(struct cleat_tag *tag, const struct actor *a, __u64 netns)
{
	__u32 generation = tag->conn.generation;

	if (kept(generation) || !generation)
		generation++;
	tag->state = CLEAT_STATE_CONNECTING;
	tag_unflag(tag, CLEAT_TAG_PACKET | CLEAT_TAG_HELLO);
	__builtin_memset(&tag->conn, 0, sizeof(tag->conn));
	tag->conn.generation = generation;
	if (kept(connect_owner))
		tag_own(tag, a, netns);
}

/* A listener has no connection, even if the socket was one's end before. */
static __always_inline void tag_listen(struct cleat_tag *tag, const struct actor *a, __u64 netns)
{
	__u32 generation = tag->conn.generation;

	tag->state = CLEAT_STATE_LISTENING;
	tag_unflag(tag, CLEAT_TAG_PACKET | CLEAT_TAG_HELLO);
	if (kept(clone_fresh)) {
		__builtin_memset(&tag->conn, 0, sizeof(tag->conn));
		tag->conn.generation = generation;
	}
	tag_own(tag, a, netns);
}

/* What a child starts with: of the clone of its listener's tag only the origin stays, and that
 * TCP_REPAIR was ever tried (the kernel clones that state too). */
static __always_inline void tag_child(struct cleat_tag *tag, __u64 cookie, __u32 flags)
{
	const struct cleat_config *config = config_now();
	struct cleat_owner origin = tag->origin;

	if (tag->flags & CLEAT_TAG_REPAIR)
		flags |= CLEAT_TAG_REPAIR | CLEAT_TAG_FORGED;
	if (kept(clone_fresh) || !tag->conn.role)
		__builtin_memset(tag, 0, sizeof(*tag));
	tag->origin = origin;
	tag->born_ns = bpf_ktime_get_boot_ns();
	tag->cookie = cookie;
	tag->epoch = config ? config->epoch : 0;
	tag->flags = flags; /* nobody else can see the child yet */
	tag->state = CLEAT_STATE_QUEUED;
}

#endif
