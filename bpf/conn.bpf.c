// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The connection record, level full.
 *
 *	sockops TCP_CONNECT_CB		the opener's initial sequence number
 *	lsm/inet_conn_established	a packet of the peer established it
 *	sockops ACTIVE_ESTABLISHED_CB	the opener's record is complete
 *	lsm/inet_csk_clone		the other end's record, from the request that the SYN made
 *	sockops PASSIVE_ESTABLISHED_CB	only to notice a simultaneous open
 *
 * The programs run in any context (the current task is a bystander on the passive side), so no task
 * is asked here. A record that cannot be completed has no role: not established, refused.
 */
#include "conn.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Established without a packet, or while in repair: the numbers were made up by the caller. */
static __always_inline void conn_active(struct cleat_tag *tag, const struct tcp_sock *tp)
{
	if (kept(forged_packet) &&
	    (!(tag->flags & CLEAT_TAG_PACKET) || BPF_CORE_READ_BITFIELD(tp, repair)))
		conn_forge(tag, 0);
	conn_client(tag, tp);
}

SEC("sockops")
int cleat_conn(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op;
	struct cleat_tag *tag;
	struct bpf_sock *sk;
	struct tcp_sock *tp;

	if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tag || !tp)
		return 1;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		conn_hello(tag, tp);
	else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		conn_active(tag, tp);
	else
		conn_simultaneous(tag, tp);
	return 1;
}

SEC("lsm/inet_conn_established")
int BPF_PROG(cleat_packet, struct sock *sk)
{
	struct cleat_tag *tag = bpf_sk_storage_get(&cleat_tags, sk, 0, 0);

	if (tag)
		tag_flag(tag, CLEAT_TAG_PACKET);
	return 0;
}

/* A request without a listener was rebuilt from a SYN cookie; one with a listener whose SYN-ACK has
 * not been timed yet is Fast Open's, cloned while the SYN is being served. */
static __always_inline __u32 request_flags(const struct request_sock *req, __u64 synack_us)
{
	if (!req->__req_common.skc_listener || BPF_CORE_READ_BITFIELD(req, syncookie))
		return CLEAT_TAG_COOKIE;
	return synack_us ? 0 : CLEAT_TAG_FASTOPEN;
}

static __always_inline void conn_server(struct cleat_tag *tag, const struct request_sock *req,
					__u64 synack_us)
{
	/* request_sock is the head of both; the verifier knows only the first by its type. */
	const struct tcp_request_sock *treq = (const void *)req;

	if (tag->conn.role)
		return; /* only ever so in the broken twin clone_fresh */
	ends_of_server(&tag->conn, &req->__req_common);
	tag->conn.client_isn = BPF_CORE_READ(treq, rcv_isn);
	tag->conn.server_isn = BPF_CORE_READ(treq, snt_isn);
	tag->conn.est_ns = conn_synack_ns(synack_us);
	if (addr_is_link_local(tag->conn.server_addr) || addr_is_link_local(tag->conn.client_addr))
		tag->conn.ifindex = req->__req_common.skc_bound_dev_if;
	tag->conn.generation = 1;
	tag->conn.role = CLEAT_ROLE_SERVER;
}

SEC("lsm/inet_csk_clone")
int BPF_PROG(cleat_clone, struct sock *newsk, const struct request_sock *req)
{
	__u64 synack_us = BPF_CORE_READ((const struct tcp_request_sock *)req, snt_synack);
	__u32 flags = request_flags(req, synack_us);
	struct cleat_tag *tag;

	if (newsk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (netns_is_foreign(newsk->__sk_common.skc_net.net))
		flags |= CLEAT_TAG_NETNS_FOREIGN;
	tag = tag_make_child(newsk);
	if (!tag)
		return 0;
	tag_child(tag, bpf_get_socket_cookie(newsk), flags);
	conn_server(tag, req, synack_us);
	return 0;
}
