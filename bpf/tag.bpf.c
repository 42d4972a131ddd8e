// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Whose a socket is, level full.
 *
 *	lsm/socket_post_create		birth: origin and owner are the creating task's
 *	tp_btf/inet_sock_set_state	connect, listen, close: under the socket's lock, in the task that
 *					calls, whichever way it came (connect, MSG_FASTOPEN, io_uring)
 *	lsm/sock_graft			accept: the owner is the accepting task
 *	lsm/file_receive		hand-over: remembered
 *	lsm/socket_setsockopt		TCP_REPAIR: remembered for the socket's life
 *
 * What cannot be recorded leaves the socket without a tag or without an owner: refused later. Apart
 * from the rooms' own refusals nothing here says no: the application is left alone.
 */
#include "conn.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline __u64 netns_of(const struct sock *sk)
{
	return sk->__sk_common.skc_net.net->net_cookie;
}

static __always_inline bool is_inet(const struct sock *sk)
{
	return sk->__sk_common.skc_family == AF_INET || sk->__sk_common.skc_family == AF_INET6;
}

static __always_inline void tcp_born(struct sock *sk)
{
	__u32 flags = sk->sk_protocol == IPPROTO_MPTCP ? CLEAT_TAG_MPTCP : 0;
	struct cleat_tag *tag;
	struct actor a;

	if (netns_is_foreign(sk->__sk_common.skc_net.net))
		flags |= CLEAT_TAG_NETNS_FOREIGN;
	tag = tag_make(sk);
	if (!tag)
		return;
	actor_now(&a);
	tag_born(tag, &a, netns_of(sk), bpf_get_socket_cookie(sk), flags);
}

SEC("lsm/socket_post_create")
int BPF_PROG(cleat_birth, struct socket *sock, int family, int type, int protocol, int kern)
{
	struct sock *sk = sock->sk;

	if (kern || !sk || type != SOCK_STREAM || (family != AF_INET && family != AF_INET6))
		return 0;
	if (sk->sk_protocol == IPPROTO_TCP || sk->sk_protocol == IPPROTO_MPTCP)
		tcp_born(sk);
	return 0;
}

/* Closed, connect(AF_UNSPEC), or our own end has said goodbye. The rooms ask the tag and not the socket layer:
 * TCP_INFO waits for the socket's lock, which its owner can hold for as long as it likes. */
static __always_inline bool is_over(int state)
{
	return state == BPF_TCP_CLOSE || state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 ||
	       state == BPF_TCP_LAST_ACK || state == BPF_TCP_CLOSING || state == BPF_TCP_TIME_WAIT;
}

/* SYN_SENT and LISTEN are only ever entered by a task's own call. */
static __always_inline void state_entered(struct sock *sk, int state)
{
	struct cleat_tag *tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	struct actor a;

	if (!tag && !kept(untagged)) { /* nobody saw its birth, and nobody makes up for that */
		tcp_born(sk);
		tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	}
	if (!tag)
		return;
	if (is_over(state)) {
		tag->state = CLEAT_STATE_BORN;
		return;
	}
	actor_now(&a);
	if (!kept(owner_at_accept) && state == BPF_TCP_ESTABLISHED) { /* whoever runs now */
		tag_own(tag, &a, netns_of(sk));
		tag->state = CLEAT_STATE_OWNED;
		return;
	}
	if (state == TCP_SYN_SENT)
		tag_connect(tag, &a, netns_of(sk));
	else
		tag_listen(tag, &a, netns_of(sk));
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(cleat_state, struct sock *sk, int old, int state)
{
	bool accepted_here =
		!kept(owner_at_accept) && old == BPF_TCP_SYN_RECV && state == BPF_TCP_ESTABLISHED;

	if (state != TCP_SYN_SENT && state != TCP_LISTEN && !is_over(state) && !accepted_here)
		return 0;
	if (sk->sk_protocol == IPPROTO_TCP)
		state_entered(sk, state);
	return 0;
}

SEC("lsm/sock_graft")
int BPF_PROG(cleat_accept, struct sock *sk, struct socket *parent)
{
	struct cleat_tag *tag;
	struct actor a;

	if (!is_inet(sk))
		return 0;
	if (sk->sk_protocol == IPPROTO_MPTCP) {
		tcp_born(sk);
		return 0;
	}
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	if (!tag || tag->state != CLEAT_STATE_QUEUED)
		return 0;
	actor_now(&a);
	tag_own(tag, &a, netns_of(sk));
	if (!kept(graft_owner))
		tag->owner = tag->origin;
	tag->state = CLEAT_STATE_OWNED;
	return 0;
}

static __always_inline void handed(struct cleat_tag *tag, const struct actor *a)
{
	struct cleat_event e = { .type = CLEAT_EVENT_HANDED, .cookie = tag->cookie };
	bool first = !(tag->flags & CLEAT_TAG_HANDED);

	tag_flag(tag, CLEAT_TAG_HANDED);
	if (!first)
		return;
	tag->handed_pid = a->proc.tgid;
	tag->handed_uid = a->owner.uid;
	count(CLEAT_COUNT_HANDED);
	if (!tag->owner.label && !a->owner.label)
		return; /* nobody policy knows gave it to nobody policy knows */
	e.owner = tag->owner;
	e.actor = a->owner;
	e.actor_pid = a->proc.tgid;
	e.owner_pid = tag->proc.tgid;
	e.cgroup_id = a->cgroup_id;
	event_send(&e);
}

/* Nothing is refused to a room here: what is refused is closed by the kernel, in the thread that reads messages, and may
 * have to wait there for a stranger's server (FUSE). What is received is closed where nobody waits (room/reaper.h). */
SEC("lsm/file_receive")
int BPF_PROG(cleat_receive, struct file *file)
{
	struct socket *sock;
	struct cleat_tag *tag;
	struct actor a;
	struct sock *sk;

	if ((file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	sock = bpf_sock_from_file(file);
	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk || !is_inet(sk))
		return 0;
	tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	if (!tag || room_now())
		return 0;
	actor_now(&a);
	if (!owner_equal(&a.owner, &tag->owner))
		handed(tag, &a);
	return 0;
}

/* Before it takes effect, and whether or not it will: who has tried is not believed again. */
static __always_inline void repair_tried(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct cleat_tag *tag;

	if (!sk || !is_inet(sk))
		return;
	tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	if (tag && kept(forged_repair))
		conn_forge(tag, CLEAT_TAG_REPAIR);
}

SEC("lsm/socket_setsockopt")
int BPF_PROG(cleat_setopt, struct socket *sock, int level, int optname)
{
	if (level == IPPROTO_TCP && optname == TCP_REPAIR)
		repair_tried(sock);
	return 0;
}
