// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tagged sockets of the whole machine, for the administrator, level full.
 *
 *	iter/bpf_sk_storage_map		one struct cleat_tag per tagged socket, in every network namespace
 *
 * Attached to nothing: it runs when root reads from the file that the kernel room made of it. It writes nothing, and
 * no verdict hangs on it.
 */
#include "maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("iter/bpf_sk_storage_map")
int cleat_sockets(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct cleat_tag *tag = ctx->value;
	struct cleat_tag copy;

	if (!tag) /* the call behind the last one */
		return 0;
	copy = *tag;
	bpf_seq_write(ctx->meta->seq, &copy, sizeof(copy));
	return 0;
}
