/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sign room and the check room have in common: the channel to the kernel room, the policy image, the facts'
 * maps, the door and the account. A room gives its table of requests and what it does at start and reload.
 */
#ifndef CLEAT_ROOM_FRONT_H
#define CLEAT_ROOM_FRONT_H

#include "room/account.h"
#include "room/channel.h"
#include "room/door.h"

struct front {
	const char *name;
	struct loop *loop;
	struct facts_maps maps;
	const struct policy_image *image;
	struct host_facts host;
	struct account account;

	/* what differs, set by the room before front_run() */
	void *room;
	struct door_room door;		      /* entries; the rest is filled here */
	int (*start)(void *room);	      /* host facts are known, no client yet */
	void (*renew)(void *room, bool back); /* another image is in use; @back: the one before */
	bool (*round)(void *room); /* after each round; true: there is more to do. NULL: nothing */
	/* Sign room: a host key, -1: there is no next one; 1: it is no key, the one before stays. NULL: the room has none. */
	int (*key)(void *room, bool next, int fd);
	/* The same: the image in use is in force everywhere, the one before does not come back. */
	void (*settled)(void *room);
	bool key_kept; /* the kernel room is told with the next image */

	/* of front.c */
	enum channel_phase phase;
	struct loop_source channel;
	struct reaper *reaper;
	unsigned connections; /* at most */
	struct door *opened;
};

/* Opens what the descriptors of a room stand for. */
int front_open(struct front *f, const char *name);
/* Says READY, serves until told to stop: exit code. */
int front_run(struct front *f);
/* For refusals: the tag of the socket that was passed, into the account. */
void front_account_fd(struct front *f, const struct door_call *call, enum reason reason);

#endif
