/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closes descriptors that came from strangers, where closing may wait: SO_LINGER blocks the last closer of a
 * socket, flush blocks on FUSE (kernel.md 9). The room's own thread only puts them into a ring and never
 * closes one itself. The fast lane is one thread; what may linger or is no socket goes on to the slow lane,
 * so that nobody's FIN waits behind a lingering one. In both a timer's signal ends a lingering close.
 */
#ifndef CLEAT_ROOM_REAPER_H
#define CLEAT_ROOM_REAPER_H

#include <stdbool.h>

struct reaper;

/* Starts the threads; they live as long as the process, and make nothing any more when this returns. */
int reaper_start(struct reaper **ret);
/* May @n more be put? False while a close hangs: the caller then reads no message. */
bool reaper_has_room(struct reaper *r, unsigned n);
/* Takes @fd. The caller asked reaper_has_room() before. */
void reaper_put(struct reaper *r, int fd);
/* Once per round: wakes the fast lane if it sleeps. */
void reaper_flush(struct reaper *r);

#define REAPER_RING 1024
#define REAPER_SLOW 512

#endif
