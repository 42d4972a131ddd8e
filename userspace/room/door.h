/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of a room: its public socket. Accepts connections, takes one message at a time (a fixed struct, one
 * descriptor where one is needed, all others closed), lets the room serve it by a table, sends one answer. A
 * message that breaks the form is answered malformed and harms nobody else; a client that does not
 * read its answers loses its connection; nothing is queued here. Places and turns are shares (share.h): each round of the
 * loop serves some messages, one of each owner in turn. A connection ends where it said nothing for minutes, or could not be
 * heard for so long, and at level reduced with the process that made it: a client end that is queued in a circle of sockets
 * (attacks.md 116) never closes.
 */
#ifndef CLEAT_ROOM_DOOR_H
#define CLEAT_ROOM_DOOR_H

#include "model/counters.h"
#include "model/request.h"
#include "room/caller.h"
#include "room/loop.h"
#include "room/reaper.h"
#include <stddef.h>
#include <sys/uio.h>

struct door;

/* One message in the room's hands. */
struct door_call {
	const struct caller *caller;
	const char *ask_name; /* "sign"; "" when the type is unknown */
	const void *ask;
	size_t len;
	int fd; /* -1 where none is needed; the door disposes of it */
};

/* What goes back. @body is zeroed, of the entry's answer_len; it and the tail go out only on REASON_OK. */
struct door_answer {
	void *body;
	struct iovec tail[2];
	unsigned tails;
	uint32_t generation;
	const char *detail; /* NULL: the public reason's sentence */
};

struct door_entry {
	uint32_t type;
	const char *name;
	uint32_t ask_len; /* exactly; with a tail: at least */
	uint32_t answer_len;
	bool tail;
	/* Exactly one descriptor. serve() asks facts_connection() about it, which asks whether the caller lives, too; who says
	 * yes has found it to be a socket of TCP. */
	bool fd;
	/* Decides, writes the account, fills the answer. */
	enum reason (*serve)(void *room, const struct door_call *call, struct door_answer *answer);
};

struct door_room {
	const struct door_entry *entries;
	unsigned count;
	void *room;
	/* Who is at the other end of a new connection. */
	void (*identify)(void *room, int api_fd, struct caller *ret);
	/* A message that does not reach serve(): the account alone. Gives the reason to answer. */
	enum reason (*refuse)(void *room, const struct door_call *call, enum reason reason,
			      const char *detail, struct door_answer *answer);
	/* Before each message: what of that may have changed since. NULL: nothing does. */
	void (*again)(void *room, struct caller *c);
	/* identify() is a look into a map: it is asked for each connection that comes, not in its turn. */
	bool at_once;
};

/* @listen_fd stays the caller's. @max connections at most, a quarter of them for one uid, or one workload; and a quarter as
 * many that are not identified yet. */
int door_open(struct loop *loop, struct reaper *reaper, int listen_fd, unsigned max,
	      const struct door_room *room, struct door **ret);
/* After every round of the loop: serves who is ready, in turns. */
void door_round(struct door *d);
/* What became of its connections. */
const struct door_counts *door_counts(const struct door *d);
/* Ends every connection; the loop no longer runs, the process ends soon. */
void door_close(struct door *d);

/* Connections this process may hold by its descriptor limit. */
unsigned door_capacity(void);

#endif
