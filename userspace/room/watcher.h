/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher: keeps the level true while the daemon runs. Three times a second it looks whether every hook is in its
 * place, and at level full a live probe (kern_probe.h) shows twice a second that hooks are called, and the witness of
 * execs (bpf/task.bpf.c) that none was missed in between. What is found incomplete is written down at once, as the next
 * epoch at level none: nothing is signed or verified. Then it is mended, proved, and rises again, as one more epoch.
 *
 * A look that comes late proves as much as one in time: links are never attached again unnoticed (their ids are
 * compared), and the witness counts on. Only after GAP_MAX without a look there is a new epoch whatever it finds.
 * What could not be tried (no memory, a slow machine) is no proof and no loss: it is borne for BORNE. Who keeps making
 * it fall finds it rising later every time.
 */
#ifndef CLEAT_ROOM_WATCHER_H
#define CLEAT_ROOM_WATCHER_H

#include "edge/kern.h"
#include "edge/kern_probe.h"
#include "room/loop.h"

struct watcher;

/* What is to be told of it. */
struct watcher_state {
	bool armed;	    /* the level is in force */
	bool synchronised;  /* the kernel calls the clock so */
	uint32_t hooks;	    /* watched */
	uint64_t falls;	    /* since the start */
	uint64_t looked_ns; /* boot clock: last look */
	uint64_t proved_ns; /* boot clock: last time that a probe saw the hooks run */
	char why[256];	    /* it is not armed; "": it is */
};

struct watcher_room {
	void *ctx;
	/* Armed, not armed any more, another epoch, the clock: the state is another one. */
	void (*changed)(void *ctx, const struct watcher_state *s);
	/* It cannot be written down that the kernel side is incomplete: nothing may go on. */
	void (*lost)(void *ctx, int err);
};

/* Takes the hooks as they are now, which @probe has just seen run; borrows @k and @probe. */
int watcher_new(struct kern *k, struct kern_probe *probe, const struct watcher_room *room,
		struct watcher **ret);
void watcher_free(struct watcher *w);
DEFINE_OWNER(watcher_owned, struct watcher, watcher_free)
int watcher_start(struct watcher *w, struct loop *loop);
const struct watcher_state *watcher_state(const struct watcher *w);

#endif
