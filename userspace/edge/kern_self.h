/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is ours, as the kernel side is told it (bpf/self.bpf.c), at level full. For edge/kern*.c alone. The order: every
 * object but the links is said, then kern_self_on(), then the hooks are attached and each link is said as it comes
 * to be, then kern_self_done().
 */
#ifndef CLEAT_EDGE_KERN_SELF_H
#define CLEAT_EDGE_KERN_SELF_H

#include "../bpf/abi.h"

struct kern_self {
	int own, self;		/* descriptors of cleat_own and cleat_keeper, not ours */
	__u64 since;		/* boot clock: what was said later is of this arming */
	struct cleat_keeper is; /* what cleat_keeper is to say */
};

struct bpf_object;

/* Begins an arming. */
void kern_self_begin(struct kern_self *s, int own, int self);
/* The map, program or link behind @fd is ours. */
int kern_self_say(const struct kern_self *s, enum cleat_own kind, int fd);
/* The link behind @fd and the program it runs. */
int kern_self_say_link(const struct kern_self *s, int fd);
/* Every map and every loaded program of @object. */
int kern_self_say_object(const struct kern_self *s, struct bpf_object *object);
/* Root in the cgroup of this path and id may touch what is ours. -ENAMETOOLONG. */
int kern_self_keeper(struct kern_self *s, const char *path, __u64 id);
/* @dir, on a bpffs, everything below it, and the mounts and directories by which it is reached from here and from
 * init's mount namespace. */
int kern_self_pins(struct kern_self *s, const char *dir);
/* From here on all of it is refused to others, as far as the hooks are attached. */
int kern_self_on(const struct kern_self *s);
/* What this arming did not say is ours no longer. */
int kern_self_done(const struct kern_self *s);

#endif
