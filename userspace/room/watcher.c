/* SPDX-License-Identifier: Apache-2.0 */
/* The watcher. See watcher.h. */
#include "room/watcher.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/twin.h"
#include "edge/kern_watch.h"
#include "edge/machine.h"
#include "model/assertion.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define MS	       UINT64_C(1000000)
#define LOOK_MS	       300
#define PINS_MS	       550   /* so every other look: dear, and nothing is lost while we live */
#define PROBE_MS       500   /* from one probe's start to the next's */
#define PROBE_LIMIT_MS 10000 /* a child that says nothing for so long says nothing */
#define GAP_MS	       1000  /* between two looks: worth a line */
#define GAP_MAX_MS     10000 /* and a new epoch */
#define BORNE_MS       30000 /* without a probe that could be made */
#define RISE_MIN_MS    100
#define RISE_MAX_MS    5000
#define CALM_MS	       60000 /* up for so long: falls before are forgotten */

struct watcher {
	struct kern *k;
	struct kern_watch *hooks;
	struct kern_probe *probe;
	struct watcher_room room;
	struct loop *loop;
	struct loop_source timer;
	struct loop_source probing; /* fd -1: no probe is under way */
	struct watcher_state s;
	uint64_t unseen;     /* execs that were missed, when last armed */
	uint64_t begun_ns;   /* the probe under way, or the last one */
	uint64_t unsure_ns;  /* since when no probe could be made; 0: it could */
	uint64_t changed_ns; /* last fall or rise */
	uint64_t rise_ms;    /* to wait after a fall */
	uint64_t pins_ns;    /* last look at the pins */
	int pins_err;	     /* and of what it said */
};

static bool is_full(const struct watcher *w)
{
	return kern_level(w->k) == CLEAT_LEVEL_FULL;
}

static int unseen(struct watcher *w, uint64_t *ret)
{
	uint64_t counts[CLEAT_COUNT_COUNT] = { 0 };
	int err = kern_counts(w->k, counts);

	*ret = counts[CLEAT_COUNT_EXEC_UNSEEN];
	return err;
}

/* Missed since kern_arm() are those of the time before the first look, too. */
static int unseen_when_armed(struct watcher *w, uint64_t *ret)
{
	struct cleat_config config;
	uint64_t now;
	int err = kern_config(w->k, &config);

	if (err == 0)
		err = unseen(w, &now);
	if (err == 0)
		*ret = now - (uint32_t)((uint32_t)now - config.unseen);
	return err;
}

/* ---- down and up ---- */

static uint32_t epoch_of(struct watcher *w)
{
	struct cleat_config c = { 0 };

	kern_config(w->k, &c);
	return c.epoch;
}

static void probe_drop(struct watcher *w)
{
	if (w->probing.fd >= 0)
		loop_drop(w->loop, &w->probing);
	w->probing.fd = -1;
}

/* The next epoch, written before anybody is told. A probe under way would find itself between two. */
static bool epoch_begin(struct watcher *w, uint32_t level)
{
	int err = kern_epoch_next(w->k, level);

	probe_drop(w);
	kern_probe_stop(w->probe);
	if (err < 0 && kept(fall_written))
		w->room.lost(w->room.ctx, err);
	return err == 0;
}

/* With the way out where it is known: the first time, and as long as it lasts. */
static void say_why(struct watcher *w, const char *why)
{
	snprintf(w->s.why, sizeof(w->s.why), "%s%s", why,
		 machine_ftrace_off()
			 ? "; kernel.ftrace_enabled is 0: sysctl kernel.ftrace_enabled=1"
			 : "");
}

static void fall(struct watcher *w, uint64_t now, const char *why)
{
	if (!epoch_begin(w, CLEAT_LEVEL_NONE))
		return;
	w->rise_ms = now - w->changed_ns > CALM_MS * MS ? RISE_MIN_MS : 2 * w->rise_ms;
	if (w->rise_ms > RISE_MAX_MS)
		w->rise_ms = RISE_MAX_MS;
	w->changed_ns = now;
	w->s.armed = false;
	w->s.falls++;
	say_why(w, why);
	log_error("level-lost", "level=%s reason=not-armed epoch=%u why=\"%s\"",
		  level_word(kern_level(w->k)), epoch_of(w), w->s.why);
	w->room.changed(w->room.ctx, &w->s);
}

static void rise(struct watcher *w, uint64_t now)
{
	if (!epoch_begin(w, kern_level(w->k)))
		return;
	log_event("level-back", "level=%s epoch=%u down_ms=%" PRIu64, level_word(kern_level(w->k)),
		  epoch_of(w), (now - w->changed_ns) / MS);
	w->changed_ns = now;
	w->s.armed = true;
	w->s.why[0] = '\0';
	w->room.changed(w->room.ctx, &w->s);
}

/* ---- the probe ---- */

static void unsure(struct watcher *w, uint64_t now, const char *line)
{
	char why[256];

	if (!w->unsure_ns)
		w->unsure_ns = now;
	if (!w->s.armed)
		say_why(w, line);
	else if (now - w->unsure_ns > BORNE_MS * MS) {
		snprintf(why, sizeof(why), "not proved for %u s: %.200s", BORNE_MS / 1000, line);
		fall(w, now, why);
	}
}

/* While it was away nothing was missed, and the hooks are where they belong: then what it saw counts. */
static void proved(struct watcher *w, uint64_t now)
{
	uint64_t missed;

	w->unsure_ns = 0;
	w->s.proved_ns = w->begun_ns;
	if (w->s.armed)
		return;
	if (unseen(w, &missed) < 0 || missed != w->unseen ||
	    kern_watch_look(w->hooks, w->s.why, sizeof(w->s.why)))
		return;
	rise(w, now);
}

static void probe_listen(struct watcher *w)
{
	w->probing.fd = kern_probe_fd(w->probe);
	if (w->probing.fd >= 0 && loop_add(w->loop, &w->probing, EPOLLIN) < 0)
		w->probing.fd = -1; /* on_timer asks again */
}

static void probe_take(struct watcher *w)
{
	uint64_t now = clock_boot_ns();
	enum kern_probed probed;
	char line[256] = "";
	int err;

	probe_drop(w);
	err = kern_probe_take(w->probe, &probed, line, sizeof(line));
	if (err == -EAGAIN) {
		probe_listen(w);
		return;
	}
	if (err < 0 || probed == KERN_PROBED_UNKNOWN)
		unsure(w, now, line);
	else if (probed == KERN_PROBED_SEEN)
		proved(w, now);
	else if (w->s.armed)
		fall(w, now, line);
	else
		say_why(w, line);
}

static void on_probe(struct loop_source *s, uint32_t events)
{
	(void)events;
	probe_take(s->owner);
}

/* Up, fork and sockets are looked at; to come up again, exec as well. */
static void probe_begin(struct watcher *w, uint64_t now)
{
	int err;

	w->begun_ns = now;
	err = kern_probe_start(w->probe, !w->s.armed);
	if (err < 0)
		unsure(w, now, strerror(-err));
	else
		probe_listen(w);
}

static void probe_tend(struct watcher *w, uint64_t now)
{
	bool due = w->s.armed ? is_full(w) && now - w->begun_ns >= PROBE_MS * MS
			      : now - w->changed_ns >= w->rise_ms * MS;

	if (kern_probe_fd(w->probe) < 0) {
		if (due)
			probe_begin(w, now);
		return;
	}
	if (now - w->begun_ns < PROBE_LIMIT_MS * MS) {
		if (w->probing.fd < 0)
			probe_listen(w);
		return;
	}
	probe_drop(w);
	kern_probe_stop(w->probe);
	unsure(w, now, "the probe did not end");
}

/* ---- the look ---- */

/* 0: nothing is wrong. 1: @line says what is. */
static int look(struct watcher *w, char *line, size_t cap)
{
	uint64_t missed;
	int found = kern_watch_look(w->hooks, line, cap);

	if (found)
		return 1; /* what cannot be looked at is not there */
	if (unseen(w, &missed) < 0) {
		snprintf(line, cap, "the counters cannot be read");
		return 1;
	}
	if (missed == w->unseen)
		return 0;
	snprintf(line, cap, "%" PRIu64 " execs were not seen by the hook of execs",
		 missed - w->unseen);
	return 1;
}

static void mend(struct watcher *w)
{
	uint64_t missed;

	if (kern_watch_mend(w->hooks, w->s.why, sizeof(w->s.why)) < 0)
		return;
	if (kern_probe_fd(w->probe) < 0 && unseen(w, &missed) == 0)
		w->unseen = missed; /* none more may be missed until it is proved */
}

/* A pin that is gone is no gap: we hold what it stood for. But the next daemon would not find it. */
static void pins_look(struct watcher *w, uint64_t now)
{
	unsigned lost;
	int err;

	if (now - w->pins_ns < PINS_MS * MS)
		return;
	w->pins_ns = now;
	err = kern_repin(w->k, &lost);
	if (lost)
		log_error("pin-lost", "count=%u result=\"pinned again\"", lost);
	if (err != w->pins_err && err < 0)
		log_error("pin-lost",
			  "error=\"%s\" result=\"the next start begins with a fresh kernel side\"",
			  strerror(-err));
	w->pins_err = err;
}

static void clock_look(struct watcher *w)
{
	bool synchronised = clock_synchronised();

	if (synchronised == w->s.synchronised)
		return;
	w->s.synchronised = synchronised;
	if (synchronised)
		log_event("clock", "synchronised=yes");
	else
		log_error(
			"clock",
			"synchronised=no reason=clock error=\"start a time daemon (chrony, systemd-timesyncd)\"");
	w->room.changed(w->room.ctx, &w->s);
}

static void gap_look(struct watcher *w, uint64_t now)
{
	uint64_t gap_ms = (now - w->s.looked_ns) / MS;

	if (gap_ms < GAP_MS)
		return;
	log_event("unwatched", "ms=%" PRIu64 " armed=%s", gap_ms, w->s.armed ? "yes" : "no");
	if (!w->s.armed || gap_ms < GAP_MAX_MS)
		return;
	if (epoch_begin(w, kern_level(w->k)))
		w->room.changed(w->room.ctx, &w->s);
}

static void on_timer(struct loop_source *s, uint32_t events)
{
	struct watcher *w = s->owner;
	uint64_t times, now;
	char line[256] = "";

	(void)events;
	if (read(s->fd, &times, sizeof(times)) != sizeof(times))
		return;
	now = clock_boot_ns();
	if (!w->s.armed)
		mend(w);
	else if (look(w, line, sizeof(line)))
		fall(w, now, line);
	gap_look(w, now);
	w->s.looked_ns = now;
	probe_tend(w, now);
	pins_look(w, now);
	clock_look(w);
}

/* ---- life ---- */

int watcher_new(struct kern *k, struct kern_probe *probe, const struct watcher_room *room,
		struct watcher **ret)
{
	owned(watcher_owned) struct watcher *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	*w = (struct watcher){ .k = k,
			       .probe = probe,
			       .room = *room,
			       .timer = { -1, on_timer, w },
			       .probing = { -1, on_probe, w },
			       .rise_ms = RISE_MIN_MS };
	err = kern_watch_new(k, &w->hooks);
	if (err == 0)
		err = unseen_when_armed(w, &w->unseen);
	if (err < 0)
		return err;
	w->s = (struct watcher_state){ .armed = true,
				       .synchronised = clock_synchronised(),
				       .hooks = kern_watch_count(w->hooks),
				       .looked_ns = clock_boot_ns(),
				       .proved_ns = clock_boot_ns() };
	w->begun_ns = w->s.proved_ns;
	*ret = take_ptr(w);
	return 0;
}

int watcher_start(struct watcher *w, struct loop *loop)
{
	const struct timespec every = { .tv_nsec = LOOK_MS * (long)MS };
	const struct itimerspec when = { every, every };

	w->loop = loop;
	w->s.looked_ns = clock_boot_ns();
	w->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer.fd < 0 || timerfd_settime(w->timer.fd, 0, &when, NULL) < 0)
		return -errno;
	return loop_add(loop, &w->timer, EPOLLIN);
}

void watcher_free(struct watcher *w)
{
	if (w->timer.fd >= 0)
		close(w->timer.fd);
	if (w->hooks)
		kern_watch_free(w->hooks);
	free(w);
}

const struct watcher_state *watcher_state(const struct watcher *w)
{
	return &w->s;
}
