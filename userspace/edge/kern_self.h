/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is ours, as the kernel side is told it (bpf/self.bpf.c), at level full. For edge/kern*.c alone.
 */
#ifndef CLEAT_EDGE_KERN_SELF_H
#define CLEAT_EDGE_KERN_SELF_H

#include "../bpf/abi.h"

struct kern_self {
	int own, self;		/* descriptors of cleat_own and cleat_keeper, not ours */
	__u64 since;		/* boot clock: what was said later is of this arming */
	struct cleat_keeper is; /* what cleat_keeper is to say */
};

struct kern_object;
struct kern_pins;
struct kern_set;

void kern_self_begin(struct kern_self *s, int own, int self);
/* Root in the cgroup of this path and id may touch what is ours. -ENAMETOOLONG. */
int kern_self_keeper(struct kern_self *s, const char *path, __u64 id);
/* @dir, on a bpffs, everything below it, the directories by which it is reached, those that mounts cover there, and
 * the mounts by which it is reached in init's mount namespace. */
int kern_self_pins(struct kern_self *s, const char *dir);

/* Before the hooks are attached, so that none of them is attached and anybody's: from here on what is loaded and what was
 * adopted is refused to others. -EINVAL without a keeper. */
int kern_self_before(const struct kern_self *s, const struct kern_object *object,
		     const struct kern_set *set);
/* As soon as one is attached: until it is said anybody may take a descriptor of it, and detach it at any later time. @s:
 * NULL, or what is ours at level full. */
int kern_self_link(const struct kern_self *s, int link);
/* When they are attached: the links once more, and what was said before kern_self_begin() is ours no longer. @pins: NULL, or
 * where the set lies with its manifest. */
int kern_self_after(const struct kern_self *s, const struct kern_pins *pins,
		    const struct kern_object *object, const struct kern_set *set);

#endif
