/* SPDX-License-Identifier: Apache-2.0 */
/* The door's own state, shared by its files: connections and their turns (door.c), one message (door_message.c). */
#ifndef CLEAT_ROOM_DOOR_STATE_H
#define CLEAT_ROOM_DOOR_STATE_H

#include "room/door.h"
#include "room/share.h"
#include <sys/socket.h>

#define DOOR_FDS_MAX	253 /* SCM_MAX_FD: what one message can carry */
#define DOOR_ANSWER_MAX 8192

struct connection {
	struct loop_source source; /* its messages */
	struct loop_source gone;   /* level reduced: the process that connected, by its pidfd */
	struct door *door;
	struct connection *next, **at; /* of door->connections; *at is this one */
	struct caller caller;
	struct share_item item; /* the place it holds */
	uint64_t used_ns; /* monotonic clock, coarse: when it was last heard, or had its turn */
	bool identified;
	bool muted;   /* not in the loop: it waits for its turn, and need not say so again */
	bool drained; /* ended by the other side, and read to the end */
	bool dead;    /* it ends once the reaper has room; nothing is heard of it */
};

struct door {
	struct loop *loop;
	struct reaper *reaper;
	struct loop_source listener;
	const struct door_room *room;
	struct connection *connections; /* those that are dead first */
	struct shares *shares;
	uint64_t ticked_ns; /* when what is idle was last looked for */
	struct door_counts counts;
	union {
		struct cleat_ask_head head;
		char bytes[CLEAT_ASK_MAX];
	} ask;
	union {
		struct cleat_answer_head head;
		char bytes[DOOR_ANSWER_MAX];
	} answer;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(DOOR_FDS_MAX * sizeof(int)) +
					      CMSG_SPACE(sizeof(struct ucred)) + 256];
	int fds[DOOR_FDS_MAX];
	unsigned fd_count;
	struct ucred sender; /* SCM_CREDENTIALS of the message; zeroed: it had none */
};

static inline struct connection *connection_of(struct share_item *i)
{
	return (struct connection *)((char *)i - offsetof(struct connection, item));
}

/* Reads one message and answers it. False: the connection has ended, or does not read its answers. */
bool door_message(struct connection *c);
/* busy, to a connection that gets no place: counted by the room like every answer. */
void door_busy(struct connection *c);

#endif
