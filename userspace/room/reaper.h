/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closes descriptors that came from strangers, where closing may wait: SO_LINGER blocks the last closer of a
 * socket, flush blocks on FUSE (kernel.md 9). The room's own thread only puts them into a ring and never
 * closes one itself. The fast lane is one thread; what may linger or is no socket goes on to the slow lane,
 * so that nobody's FIN waits behind a lingering one. In both a timer's signal ends a lingering close.
 *
 * Each descriptor is charged to whose it was: who fills the slow lane with what never ends its close (a file on a FUSE
 * whose server is stopped) has SLOW_EACH of its threads, not all, and the door reads nothing more from them meanwhile.
 * Where the slow lane is full all the same, the fast one closes sockets itself, and counts them.
 */
#ifndef CLEAT_ROOM_REAPER_H
#define CLEAT_ROOM_REAPER_H

#include <stdatomic.h>
#include <stdbool.h>

struct reaper;

/* Who is charged for descriptors that are not closed yet. Lives while held is not 0. */
struct reaper_charge {
	atomic_uint held;
	unsigned closing;	     /* slow threads at work for it; the reaper's */
	struct reaper_charge *above; /* charged as well, or NULL */
};

/* Starts the threads; they live as long as the process, and make nothing any more when this returns. */
int reaper_start(struct reaper **ret);
/* May @n more be put? False while a close hangs: the caller then reads no message. */
bool reaper_has_room(struct reaper *r, unsigned n);
/* Takes @fd. The caller asked reaper_has_room() before. @who may be NULL. */
void reaper_put(struct reaper *r, int fd, struct reaper_charge *who);
/* Sockets that the fast lane had to close because the slow one was full. */
unsigned reaper_forced(struct reaper *r);

static inline unsigned reaper_charge_held(struct reaper_charge *c)
{
	return atomic_load(&c->held);
}
/* Once per round: wakes the fast lane if it sleeps. */
void reaper_flush(struct reaper *r);

#define REAPER_RING 1024
#define REAPER_SLOW 1024

#endif
