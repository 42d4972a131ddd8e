// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What an attacker would put in the place of label_of_place() (bpf/label.bpf.h): nobody is anybody. For replacer.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The name is all that must be the same. */
struct slots {
	__u32 gen;
};

SEC("freplace/label_of_place")
int replace(struct slots *s)
{
	return !s;
}
