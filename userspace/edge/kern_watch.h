/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Are the hooks still where they were put? Asked of the links themselves (bpf_link info): the same link, with the same
 * program, on the same cgroup. A link that was forced off its cgroup, or whose program was exchanged, is put back.
 */
#ifndef CLEAT_EDGE_KERN_WATCH_H
#define CLEAT_EDGE_KERN_WATCH_H

#include "edge/kern.h"

struct kern_watch;

/* Remembers the hooks as they are now: right after they were attached, or adopted. */
int kern_watch_new(struct kern *k, struct kern_watch **ret);
void kern_watch_free(struct kern_watch *w);
DEFINE_OWNER(kern_watch_owned, struct kern_watch, kern_watch_free)

unsigned kern_watch_count(const struct kern_watch *w);
/* 0: every hook is in its place. 1: @line says which is not. Negative: could not look. */
int kern_watch_look(const struct kern_watch *w, char *line, size_t line_cap);
/* Attaches anew what kern_watch_look() misses. 0, or @line says which does not go. */
int kern_watch_mend(struct kern_watch *w, char *line, size_t line_cap);

#endif
