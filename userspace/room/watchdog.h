/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager, and what it is told: sd_notify(3)'s protocol, in the form that its page gives for programs that do
 * not link libsystemd (a process that holds keys should not load the libraries that one needs). While WATCHDOG_USEC
 * asks for it, each room is asked whether its loop turns, and only when all have answered the manager hears that we
 * live: a room that hangs ends the daemon, as its death would. Without a manager nothing of this happens.
 */
#ifndef CLEAT_ROOM_WATCHDOG_H
#define CLEAT_ROOM_WATCHDOG_H

#include "room/loop.h"
#include "room/rooms.h"

struct watchdog {
	struct loop_source timer;
	const struct room_child *rooms;
	unsigned count;
	unsigned waiting; /* room_bit() of each that has not answered the last question */
};

/* One state, as "READY=1". */
void notify(const char *state);

/* Asks @rooms from now on; they and @w live as long as the loop. 0 where nobody wants to know. */
int watchdog_start(struct watchdog *w, struct loop *loop, const struct room_child *rooms,
		   unsigned count);
void watchdog_stop(struct watchdog *w);
/* The @which'th room has answered. -EPROTO: it was not asked, or has answered before. */
int watchdog_answer(struct watchdog *w, unsigned which);

#endif
