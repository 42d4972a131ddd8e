// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Level reduced, all of it: what cgroup and sock_ops programs can see where BPF LSM and tracing are
 * not to be had. The records are the same; what is missing is said by the level.
 *
 *	cgroup/sock_create		birth
 *	cgroup/connect4, connect6	the owner is the connecting task
 *	sockops TCP_CONNECT_CB, ACTIVE_ESTABLISHED_CB	the opener's record
 *	sockops TCP_LISTEN_CB		the owner is the task that called listen
 *	sockops PASSIVE_ESTABLISHED_CB	the other end's record, on the clone of the listener's tag
 *
 * No hook sees accept: an accepted socket is the listener's owner's, and without a tag on the
 * listener it has none. Epochs of instances are not known: 0. The programs always let pass (1).
 */
#include "conn.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("cgroup/sock_create")
int reduced_birth(struct bpf_sock *ctx)
{
	struct cleat_tag *tag;
	struct actor a;

	if (ctx->type != SOCK_STREAM || (ctx->family != AF_INET && ctx->family != AF_INET6))
		return 1;
	if (ctx->protocol != IPPROTO_TCP)
		return 1;
	tag = tag_make(ctx);
	if (!tag)
		return 1;
	actor_of(bpf_get_current_task_btf(), &a);
	tag_born(tag, &a, bpf_get_netns_cookie(ctx), bpf_get_socket_cookie(ctx), 0);
	return 1;
}

static __always_inline __u64 netns_of(const struct tcp_sock *tp)
{
	return ((const struct sock *)tp)->__sk_common.skc_net.net->net_cookie;
}

static __always_inline void netns_mark(struct cleat_tag *tag, const struct tcp_sock *tp)
{
	if (netns_is_foreign(((const struct sock *)tp)->__sk_common.skc_net.net))
		tag_flag(tag, CLEAT_TAG_NETNS_FOREIGN);
}

static __always_inline int connecting(struct bpf_sock *sk)
{
	struct cleat_tag *tag;
	struct tcp_sock *tp;
	struct actor a;

	if (!sk)
		return 1;
	tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tag || !tp)
		return 1;
	netns_mark(tag, tp);
	actor_of(bpf_get_current_task_btf(), &a);
	tag_connect(tag, &a, netns_of(tp));
	return 1;
}

SEC("cgroup/connect4")
int reduced_conn4(struct bpf_sock_addr *ctx)
{
	return connecting(ctx->sk);
}

SEC("cgroup/connect6")
int reduced_conn6(struct bpf_sock_addr *ctx)
{
	return connecting(ctx->sk);
}

static __always_inline void listening(struct cleat_tag *tag, const struct tcp_sock *tp)
{
	struct actor a;

	netns_mark(tag, tp);
	actor_of(bpf_get_current_task_btf(), &a);
	tag_listen(tag, &a, netns_of(tp));
}

/* The child's tag is a clone of the listener's, so its owner is who called listen. snd_una and
 * copied_seq are still one after the two initial sequence numbers. */
static __always_inline void child(struct cleat_tag *tag, struct bpf_sock *sk, __u64 cookie,
				  const struct tcp_sock *tp)
{
	struct cleat_owner owner = tag->owner;
	struct cleat_proc proc = tag->proc;
	__u64 cgroup_id = tag->cgroup_id;
	__u32 policy_gen = tag->policy_gen;
	__u32 flags = tag->flags & CLEAT_TAG_NETNS_FOREIGN;
	const struct sock_common *c = &((const struct sock *)tp)->__sk_common;

	tag = tag_make_child(sk); /* the clone has no counter and no window of its own yet */
	if (!tag)
		return;
	tag_child(tag, cookie, flags);
	tag->owner = owner;
	tag->proc = proc;
	tag->cgroup_id = cgroup_id;
	tag->policy_gen = policy_gen;
	ends_of_server(&tag->conn, c);
	tag->conn.client_isn = tp->copied_seq - 1;
	tag->conn.server_isn = tp->snd_una - 1;
	tag->conn.est_ns = bpf_ktime_get_boot_ns();
	if (addr_is_link_local(tag->conn.server_addr) || addr_is_link_local(tag->conn.client_addr))
		tag->conn.ifindex = c->skc_bound_dev_if;
	tag->conn.generation = 1;
	tag->conn.role = CLEAT_ROLE_SERVER;
	tag->state = CLEAT_STATE_OWNED;
}

/* Repair is seen only while it lasts: it is on when a connection is made up by it. */
static __always_inline void active(struct cleat_tag *tag, const struct tcp_sock *tp)
{
	if (kept(forged_packet) && BPF_CORE_READ_BITFIELD(tp, repair))
		conn_forge(tag, 0);
	conn_client(tag, tp);
}

SEC("sockops")
int reduced_conn(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 op = ctx->op;
	struct cleat_tag *tag;
	struct tcp_sock *tp;

	if (!sk ||
	    (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_TCP_LISTEN_CB &&
	     op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB))
		return 1;
	tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tag || !tp)
		return 1;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		conn_hello(tag, tp);
	else if (op == BPF_SOCK_OPS_TCP_LISTEN_CB)
		listening(tag, tp);
	else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		active(tag, tp);
	else if (tag->state == CLEAT_STATE_LISTENING)
		child(tag, sk, bpf_get_socket_cookie(ctx), tp);
	else
		conn_simultaneous(tag, tp);
	return 1;
}
