/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children: each room is this program executed anew, with only its own descriptors at fixed numbers, an empty
 * environment and nothing of its parent's memory. What a room finds at which number stands here.
 */
#ifndef CLEAT_ROOM_ROOMS_H
#define CLEAT_ROOM_ROOMS_H

#include "base/log.h"
#include <sys/types.h>

/* The reader has CHANNEL and IMAGE (the generation before, or /dev/null) only. */
enum room_fd {
	ROOM_FD_CHANNEL = 3,
	ROOM_FD_IMAGE,
	ROOM_FD_LISTEN,
	ROOM_FD_AUDIT,
	ROOM_FD_COUNTERS,
	ROOM_FD_TAGS, /* read-only, as CALLERS */
	ROOM_FD_CALLERS,
	ROOM_FD_CONFIG,	   /* mapped read-only, then closed */
	ROOM_FD_FIRST_OWN, /* what only one of the two rooms has */
	ROOM_FD_SEQ = ROOM_FD_FIRST_OWN,
	ROOM_FD_HOST_KEY,
	ROOM_FD_WINDOW = ROOM_FD_FIRST_OWN,
	ROOM_FD_CB,
	ROOM_FD_END
};
#define ROOM_NOFILE 16384 /* wanted; the door takes what it gets into account */
#define ROOM_FDS    (ROOM_FD_END - ROOM_FD_CHANNEL)

/* Level reduced: what the room opens for itself before anything else (room/jail.c). The first is even: jail_calls.c. */
enum { ROOM_FD_PROC = ROOM_FD_END + 1, ROOM_FD_CGROUP_ROOT };

struct room_child {
	const char *name; /* "sign", "check", "reader" */
	pid_t pid;
	int pidfd;
	int channel; /* our end */
};

/* Of the @which'th room, where a set of them is kept: who has said something is told from who has said it twice. */
static inline unsigned room_bit(unsigned which)
{
	return 1u << which;
}

/* Executes this program as room @name. fds[i] becomes descriptor ROOM_FD_CHANNEL + 1 + i; the
 * channel is made here. @args (NULL-terminated) follow --room=<name>. */
int room_spawn(const char *name, const char *const *args, const int *fds, unsigned count,
	       struct room_child *ret);
#define ROOM_END_MS 1500
/* Why a killed room is still there. */
#define ROOM_STAYS                                                                                 \
	"is killed and does not end: a close of its waits for a file system that does not answer"

/* Kills it if it still runs, waits, closes. Where it does not die in time the log says so, and it is left to whoever waits
 * for orphans: it runs no more, and whatever it holds a lock on stays locked until that file system answers or is gone. */
void room_end(struct room_child *child);

/* In the child, first of all: name, limits, signals that are the kernel room's. */
int room_begin(const char *name, enum log_format format);

#endif
