/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rooms say to each other, and all they can say: to start, reload, report and stop, never a client's
 * request. SOCK_SEQPACKET pairs, one fixed struct per message. Each side has a table of what the other may
 * say: type, exact length, phase, descriptor or none. Anything else ends the daemon.
 */
#ifndef CLEAT_ROOM_CHANNEL_H
#define CLEAT_ROOM_CHANNEL_H

#include "flow/facts.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Never on a wire that outlives the daemon: the compiler counts, so that two cannot be one. */
enum channel_type {
	ASK_START = 1, /* kernel room -> room: struct channel_start; it answers clients */
	ASK_IMAGE,     /* kernel room -> room: struct channel_image, with the sealed image */
	ASK_STOP,      /* kernel room -> room */
	TELL_READY,    /* room -> kernel room: everything is read and open */
	TELL_DONE,     /* room -> kernel room: struct channel_done: this generation is in use */
	TELL_IMAGE,    /* reader -> kernel room: struct channel_image, with the sealed image */
	TELL_ERROR,    /* reader -> kernel room: struct channel_error */
	ASK_KEY,       /* kernel room -> sign room: struct channel_key, with the key's descriptor */
	ASK_NO_NEXT,   /* kernel room -> sign room: there is no next key (any more) */
	ASK_ALIVE,     /* kernel room -> room: does your loop turn? */
	TELL_ALIVE,    /* room -> kernel room: it does */
	ASK_AUDIT,     /* kernel room -> room: write to this file from now on */
	ASK_SETTLED, /* kernel room -> sign room: the image it has is in force, its keys with it */
};

struct channel_start {
	struct host_facts host;
	uint8_t zero[3];
	uint32_t level;
};
_Static_assert(sizeof(struct channel_start) == 40, "channel_start has no padding");

struct channel_image {
	uint32_t generation;
};

struct channel_done {
	uint32_t generation;
	uint32_t key_kept; /* 1: a key handed over before was none, and the one before it stays */
};

/* A host key's file, before the image with which it counts: forward with it, and back. */
struct channel_key {
	uint32_t next; /* 1: the next one, during rotation; 0: the current one */
};

struct channel_error {
	char line[512]; /* NUL-terminated */
};

#define CHANNEL_BODY_MAX sizeof(struct channel_error)

enum channel_phase { PHASE_START, PHASE_RUN, PHASE_RELOAD };
#define DURING(phase) (1u << PHASE_##phase)

struct channel_entry {
	uint32_t type;
	uint32_t len; /* exactly */
	unsigned phases;
	bool with_fd; /* exactly one descriptor, or none */
	/* @fd is closed after the call unless taken. A negative answer ends the daemon. */
	int (*serve)(void *room, const void *body, int *fd);
};

/* A pair of ends, close-on-exec. */
int channel_pair(int ret[2]);
/* @pass_fd -1: no descriptor. */
int channel_send(int channel, uint32_t type, const void *body, uint32_t len, int pass_fd);
/* May a room be handed @fd? Tried, by handing it to itself: ours refuses a room nothing, another LSM may. The other end would
 * see a message without it, which is in no table and ends the daemon. 0, -EACCES: it may not (or, seldom, there was no memory
 * for it: the kernel does not tell the two apart), another errno: not tried to the end (-EMFILE). */
int channel_passes(int fd);
/* Reads one message and serves it. -EPIPE: the other end is gone. -EPROTO: not in the table for @phase. */
int channel_serve(int channel, const struct channel_entry *table, size_t count,
		  enum channel_phase phase, void *room);

#endif
