// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What an attacker would put in the place of cleat_conn() (bpf/conn.bpf.c): nothing is recorded. For replacer.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A program of his own, of the type of the one that he means. */
SEC("sockops")
int own(struct bpf_sock_ops *ctx)
{
	return 1;
}

SEC("freplace/own")
int replace(struct bpf_sock_ops *ctx)
{
	return 1;
}

SEC("fentry/own")
int listen(unsigned long long *ctx)
{
	return 0;
}
