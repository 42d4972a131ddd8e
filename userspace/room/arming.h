/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which level this machine gives, by trying it: the hooks are attached and a live probe sees them run, or it is not that
 * level. Nothing is armed here. See kern_probe.h.
 */
#ifndef CLEAT_ROOM_ARMING_H
#define CLEAT_ROOM_ARMING_H

#include "edge/kern.h"
#include "edge/kern_probe.h"

#define ARMING_LINE 512

struct arming {
	struct kern *kern;
	struct kern_probe *probe;
	char why[ARMING_LINE]; /* why it is not full; "": it is, or nobody wanted it */
	bool unfit; /* the set of level full that was found cannot be adopted by anybody */
};

/* What is to be adopted, and what is to be done between opening and attaching (NULL: nothing). */
struct arming_options {
	const char *cgroup;
	uint32_t level; /* as in kern_options */
	const struct kern_pins *pins;
	const uint8_t *lineage;
	int (*before)(void *ctx, struct kern *k);
	void *ctx;
};

/* The kernel side of the level that is wanted, or the best there is, attached and seen to run. @line: why there is none,
 * and the way out. */
int arming_open(const struct arming_options *o, struct arming *ret, char *line, size_t line_cap);
void arming_close(struct arming *a);

/* The same without attaching anything: does the level load? */
int arming_check(const struct arming_options *o, uint32_t level, char *line, size_t line_cap);
/* Warns of what is known to be wrong with this kernel. */
void arming_warn(uint32_t level);

#endif
