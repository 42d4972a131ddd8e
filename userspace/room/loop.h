/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a room: one thread, level-triggered epoll, a source per descriptor. A source that
 * was dropped is never called again, not even for an event of the same round.
 */
#ifndef CLEAT_ROOM_LOOP_H
#define CLEAT_ROOM_LOOP_H

#include "base/cleanup.h"
#include <stdint.h>

struct loop;

/* Lives in its owner's memory until loop_drop(). */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *s, uint32_t events);
	void *owner;
};

int loop_new(struct loop **ret);
void loop_free(struct loop *l);
DEFINE_OWNER(loop_owned, struct loop, loop_free)

int loop_add(struct loop *l, struct loop_source *s, uint32_t events);
void loop_drop(struct loop *l, struct loop_source *s);
/* After every round of events @after is called (NULL: nothing). Returns what loop_end() was given. */
int loop_run(struct loop *l, void (*after)(void *ctx), void *ctx);
/* The next wait for events lasts no longer; for this round only. */
void loop_within(struct loop *l, int ms);
void loop_end(struct loop *l, int code);

#endif
