/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closes descriptors that came from strangers, where closing may wait, for a bounded time or for ever: SO_LINGER blocks the
 * last closer of a socket, flush and release ask the server of a FUSE, and the last close of an AF_UNIX socket is that of
 * every file that still lies in its queue. The room's own thread only puts them into a ring and never closes one itself.
 * An end of the room's own first takes no more (shutdown) and is then looked into, so that only what does carry something
 * is treated as such. Four lanes, all threads of this process:
 *
 *   fast     one thread: TCP sockets that do not linger. It closes nothing else, ever; of an end it asks whether it is empty.
 *            What wakes it is closed at once; while more keeps coming it looks once a millisecond instead of being woken.
 *   linger   TCP sockets that do. A timer's signal ends the wait, so it is always bounded.
 *   drained  our own ends in which nothing is. Apart from TCP, because before Linux 6.9 the last close of any AF_UNIX socket may
 *            collect what others left in circles of queues, and that may hang: one thread at a time, so the others go on.
 *   strange  everything else. May hang past every signal; so whoever is charged has STRANGE_EACH of its threads, and what finds
 *            none stays parked: open and charged, in the way of nobody but who is charged, until REAPER_MAX are open.
 *
 * Who has parked something is not read further (share.h), and no more is open at a time than REAPER_MAX.
 */
#ifndef CLEAT_ROOM_REAPER_H
#define CLEAT_ROOM_REAPER_H

#include <stdatomic.h>
#include <stdbool.h>

struct reaper;

enum reaper_lanes { REAPER_LINGER, REAPER_DRAINED, REAPER_STRANGE, REAPER_LANES };

/* Who is charged for descriptors that are not closed yet. Lives while held is not 0. */
struct reaper_charge {
	atomic_uint held;
	atomic_uint parked;		/* of these: in the lane that may hang */
	unsigned closing[REAPER_LANES]; /* threads at work for it; the reaper's */
	struct reaper_charge *above;	/* charged as well, or NULL */
};

/* What is known of a descriptor. In doubt the last. */
enum reaper_what {
	REAPER_IS_ANY,	   /* nothing: the reaper asks the socket layer */
	REAPER_IS_TCP,	   /* a socket of TCP or MPTCP */
	REAPER_IS_DRAINED, /* our own end of a connection on which nothing waits or can come any more */
	REAPER_IS_END, /* our own end, with SO_PASSCRED: the reaper looks whether something is in it */
	REAPER_IS_STRANGE, /* something else, or that again with something in it */
};

/* Starts the threads; they live as long as the process, and make nothing any more when this returns. */
int reaper_start(struct reaper **ret);
/* May @n more be put? The caller reads no message and accepts nobody where it is false. */
bool reaper_has_room(struct reaper *r, unsigned n);
/* Takes @fd. The caller asked reaper_has_room() before. @who may be NULL: all of these are one. */
void reaper_put(struct reaper *r, int fd, enum reaper_what what, struct reaper_charge *who);
/* Lingering sockets that the fast lane had to close, within a timer's bound, because that lane was full. */
unsigned reaper_forced(struct reaper *r);

static inline unsigned reaper_charge_held(struct reaper_charge *c)
{
	return atomic_load(&c->held);
}
static inline unsigned reaper_charge_parked(struct reaper_charge *c)
{
	return atomic_load(&c->parked);
}
/* Once per round: wakes the fast lane if it sleeps. */
void reaper_flush(struct reaper *r);

#define REAPER_RING                                                                                \
	4096 /* power of two, and more than may be open: a place in it is never what lacks */
#define REAPER_MAX 3072 /* open at a time: in the ring and in all lanes */

#endif
