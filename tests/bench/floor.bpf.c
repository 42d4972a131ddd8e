// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floors under connect-accept, at the attach points that ours have at level reduced: programs that do nothing at all;
 * and the three storages that a socket has from its birth on, of the sizes that ours have, nobody judged and nothing written.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct cleat_tag);
} floor_tags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cleat_seq);
} floor_seq SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cleat_window);
} floor_window SEC(".maps");

SEC("cgroup/sock_create")
int empty_birth(struct bpf_sock *ctx)
{
	(void)ctx;
	return 1;
}

SEC("cgroup/connect4")
int empty_connect(struct bpf_sock_addr *ctx)
{
	(void)ctx;
	return 1;
}

SEC("sockops")
int empty_conn(struct bpf_sock_ops *ctx)
{
	(void)ctx;
	return 1;
}

SEC("cgroup/sock_create")
int storage_birth(struct bpf_sock *ctx)
{
	bpf_sk_storage_get(&floor_seq, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	bpf_sk_storage_get(&floor_window, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	bpf_sk_storage_get(&floor_tags, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return 1;
}

/* A child has the clone of its listener's tag. */
SEC("sockops")
int storage_conn(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || !sk)
		return 1;
	bpf_sk_storage_get(&floor_seq, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	bpf_sk_storage_get(&floor_window, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return 1;
}
