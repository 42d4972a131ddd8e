/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live probe: a child of ours, in a network namespace of the probe's own and in the cgroup that is attached to, makes
 * a listener, connects, accepts, and reads from the kernel side's maps what the hooks wrote of it; at level full it also
 * opens an API connection, and its parent reads what the hooks of fork and exec wrote of the child. What hooks do is
 * believed when it was seen. No neighbour's firewall, port or flood of packets is in that namespace.
 */
#ifndef CLEAT_EDGE_KERN_PROBE_H
#define CLEAT_EDGE_KERN_PROBE_H

#include "edge/kern.h"

enum kern_probed {
	KERN_PROBED_SEEN = 0, /* the hooks run */
	KERN_PROBED_SILENT,   /* one of them does not: @line says which */
	KERN_PROBED_UNKNOWN,  /* the probe itself could not be made: @line says why */
};

struct kern_probe;

/* Makes the namespace with its first child. */
int kern_probe_new(struct kern *k, struct kern_probe **ret, char *error, size_t error_cap);
void kern_probe_free(struct kern_probe *p);
DEFINE_OWNER(kern_probe_owned, struct kern_probe, kern_probe_free)

/* Its child is born in another cgroup than ours is. */
bool kern_probe_is_elsewhere(const struct kern_probe *p);
/* Starts a probe; @deep: the child executes this program at its end, so that the hook of exec is seen as well. One at a
 * time: -EBUSY. */
int kern_probe_start(struct kern_probe *p, bool deep);
/* Readable when a probe has come to its end; -1: none is under way. */
int kern_probe_fd(const struct kern_probe *p);
/* The outcome of what was started; -EAGAIN: not yet. @line is filled unless it is SEEN. */
int kern_probe_take(struct kern_probe *p, enum kern_probed *ret, char *line, size_t line_cap);
/* Whatever is under way ends, without an outcome. */
void kern_probe_stop(struct kern_probe *p);
/* All of it, waiting for at most @limit_ms. */
enum kern_probed kern_probe_run(struct kern_probe *p, bool deep, int limit_ms, char *line,
				size_t line_cap);
/* What the child executes at the end of a deep probe. */
int kern_probe_main(void);

#endif
