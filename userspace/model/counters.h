/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page that a public room counts in: a file in the private run directory, mapped by the room, read by the kernel
 * room, which passes it on in the answer STATUS (model/admin.h). Native words; only the room writes, each word whole.
 */
#ifndef CLEAT_MODEL_COUNTERS_H
#define CLEAT_MODEL_COUNTERS_H

#include "model/reason.h"

/* Whose part of a door's places is full (room/share.h). */
enum share_part {
	SHARE_PART_UID,
	SHARE_PART_WORKLOAD, /* or that of all who are none, or not known yet */
	SHARE_PART_ALL,	     /* every place is taken */
	SHARE_PART_COUNT
};

/* What became of a door's connections. */
struct door_counts {
	uint64_t refused[SHARE_PART_COUNT]; /* no place: busy */
	uint64_t displaced;		    /* to make place for somebody with less */
	uint64_t idle;			    /* said nothing for too long */
};

struct room_counters {
	uint64_t asked;
	uint64_t answered[64];	 /* enum reason */
	uint64_t suppressed;	 /* answers that have no audit line of their own */
	struct door_counts door; /* this and the next: as of the room's last round */
	uint64_t forced; /* lingering closes that found no thread of their own (room/reaper.h) */
};
_Static_assert(REASON_COUNT <= 64, "room_counters has a place for every reason");

#endif
