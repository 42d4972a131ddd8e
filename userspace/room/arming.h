/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which level this machine gives, by trying it: the hooks are attached and a live probe sees them run, or it is not that
 * level. Nothing is armed here. See kern_probe.h.
 */
#ifndef CLEAT_ROOM_ARMING_H
#define CLEAT_ROOM_ARMING_H

#include "edge/keeper.h"
#include "edge/kern.h"
#include "edge/kern_probe.h"

#define ARMING_LINE 512

struct arming {
	struct kern *kern;
	struct kern_probe *probe;
	char why[ARMING_LINE]; /* why it is not full; "": it is, or nobody wanted it */
};

/* The kernel side of the level that is wanted, or the best there is (o->level), attached and seen to run. @keeper: who may
 * touch it at level full. @line: why there is none,
 * and the way out. */
int arming_open(const struct kern_options *o, const struct keeper *keeper, struct arming *ret,
		char *line, size_t line_cap);
void arming_close(struct arming *a);

/* The same without attaching anything: does the level load? */
int arming_check(const struct kern_options *o, uint32_t level, char *line, size_t line_cap);
/* Warns of what is known to be wrong with this kernel. */
void arming_warn(uint32_t level);

#endif
