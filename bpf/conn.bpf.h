/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connection record as plain functions: both ends' addresses, ports and initial sequence
 * numbers, taken from the kernel's own socket when they are true. role is written last: a record
 * without one is not there.
 */
#ifndef CLEAT_CONN_BPF_H
#define CLEAT_CONN_BPF_H

#include "tag.bpf.h"

/* IPv4 as ::ffff:a.b.c.d; a v6 socket's v4-mapped address is of that form already. */
static __always_inline void addr_local(__u8 to[16], const struct sock_common *c)
{
	__u32 *word = (__u32 *)to;

	if (c->skc_family == AF_INET6) {
		word[0] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		word[1] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		word[2] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		word[3] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		return;
	}
	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = c->skc_rcv_saddr;
}

static __always_inline void addr_remote(__u8 to[16], const struct sock_common *c)
{
	__u32 *word = (__u32 *)to;

	if (c->skc_family == AF_INET6) {
		word[0] = c->skc_v6_daddr.in6_u.u6_addr32[0];
		word[1] = c->skc_v6_daddr.in6_u.u6_addr32[1];
		word[2] = c->skc_v6_daddr.in6_u.u6_addr32[2];
		word[3] = c->skc_v6_daddr.in6_u.u6_addr32[3];
		return;
	}
	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = c->skc_daddr;
}

static __always_inline bool addr_is_link_local(const __u8 a[16])
{
	const __u32 *word = (const __u32 *)a;

	if ((word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
		return true;
	return !word[0] && !word[1] && word[2] == bpf_htonl(0xffff) &&
	       (word[3] & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000);
}

/* The ends as the active opener sees them, and as the other end does. */
static __always_inline void ends_of_client(struct cleat_conn *conn, const struct sock_common *c)
{
	addr_local(conn->client_addr, c);
	addr_remote(conn->server_addr, c);
	conn->client_port = c->skc_num;
	conn->server_port = bpf_ntohs(c->skc_dport);
}

static __always_inline void ends_of_server(struct cleat_conn *conn, const struct sock_common *c)
{
	addr_remote(conn->client_addr, c);
	addr_local(conn->server_addr, c);
	conn->client_port = bpf_ntohs(c->skc_dport);
	conn->server_port = c->skc_num;
}

static __always_inline void conn_forge(struct cleat_tag *tag, __u32 flags)
{
	struct cleat_event e = { .type = CLEAT_EVENT_FORGED, .cookie = tag->cookie };
	bool first = !(tag->flags & CLEAT_TAG_FORGED);

	tag_flag(tag, CLEAT_TAG_FORGED | flags);
	if (!first)
		return;
	count(CLEAT_COUNT_FORGED);
	e.owner = tag->owner;
	e.cgroup_id = tag->cgroup_id;
	e.owner_pid = tag->proc.tgid;
	event_send(&e);
}

/* Our SYN is about to go out (TCP_CONNECT_CB): write_seq is our initial sequence number now, and
 * perhaps not later (Fast Open sends bytes with the SYN). */
static __always_inline void conn_hello(struct cleat_tag *tag, const struct tcp_sock *tp)
{
	if (tag->state != CLEAT_STATE_CONNECTING)
		return;
	tag->conn.client_isn = tp->write_seq;
	tag_flag(tag, CLEAT_TAG_HELLO);
}

/* The opener's end is established: rcv_nxt is one after the peer's initial sequence number. */
static __always_inline void conn_client(struct cleat_tag *tag, const struct tcp_sock *tp)
{
	const struct sock_common *c = &((const struct sock *)tp)->__sk_common;

	if (tag->state != CLEAT_STATE_CONNECTING || !(tag->flags & CLEAT_TAG_HELLO))
		return;
	ends_of_client(&tag->conn, c);
	tag->conn.server_isn = tp->rcv_nxt - 1;
	tag->conn.est_ns = bpf_ktime_get_boot_ns();
	if (addr_is_link_local(tag->conn.server_addr) || addr_is_link_local(tag->conn.client_addr))
		tag->conn.ifindex = c->skc_bound_dev_if;
	if (BPF_CORE_READ_BITFIELD(tp, syn_fastopen))
		tag_flag(tag, CLEAT_TAG_FASTOPEN);
	tag->conn.role = CLEAT_ROLE_CLIENT;
	tag->state = CLEAT_STATE_OWNED;
}

/* A socket that sent a SYN of its own and then met the peer's SYN: simultaneous open, or itself. */
static __always_inline void conn_simultaneous(struct cleat_tag *tag, const struct tcp_sock *tp)
{
	if (tag->state != CLEAT_STATE_CONNECTING || !(tag->flags & CLEAT_TAG_HELLO))
		return;
	if (kept(forged_simultaneous))
		conn_forge(tag, 0);
	conn_client(tag, tp);
}

/* When the SYN-ACK went out, on the boot clock; now where that was not timed. Later moments may be
 * minutes away (TCP_DEFER_ACCEPT). */
static __always_inline __u64 conn_synack_ns(__u64 synack_us)
{
	__u64 boot = bpf_ktime_get_boot_ns(), mono = bpf_ktime_get_ns();
	__u64 sent = synack_us * 1000;

	if (!sent || sent > mono)
		return boot;
	return boot - (mono - sent);
}

#endif
