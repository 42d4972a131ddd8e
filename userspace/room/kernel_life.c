/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel room's life: signals, reload, what rooms say, their death. One loop, one thread; a reload in progress is a
 * phase, not a wait.
 */
#include "room/kernel_state.h"

#include "base/clock.h"
#include "room/image.h"
#include "room/jail.h"
#include "room/place.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define STOP_LIMIT_S 3
#define RESCAN_MS    250

/* ---- what a room may say ---- */

/* Who speaks: no room may answer for another one. */
struct speaker {
	struct kernel_room *k;
	unsigned which;
};

static int on_ready(void *room, const void *body, int *fd)
{
	struct speaker *s = room;

	(void)body;
	(void)fd;
	if (!(s->k->waiting & room_bit(s->which)))
		return -EPROTO;
	s->k->waiting &= ~room_bit(s->which);
	return 0;
}

static int on_done(void *room, const void *body, int *fd)
{
	const struct channel_done *m = body;
	struct speaker *s = room;
	struct kernel_room *k = s->k;
	const struct policy_image *p = k->back ? k->current.p : k->newest.p;

	(void)fd;
	if (m->generation != p->generation || !(k->waiting & room_bit(s->which)))
		return -EPROTO;
	k->waiting &= ~room_bit(s->which);
	k->key_kept = k->key_kept || m->key_kept;
	/* a daemon that ends begins nothing any more */
	return k->waiting || k->stopping ? 0 : kernel_reload_finish(k);
}

static int on_alive(void *room, const void *body, int *fd)
{
	struct speaker *s = room;

	(void)body;
	(void)fd;
	return watchdog_answer(&s->k->watchdog, s->which);
}

static const struct channel_entry tells[] = {
	{ TELL_READY, 0, DURING(START), false, on_ready },
	{ TELL_DONE, sizeof(struct channel_done), DURING(RELOAD), false, on_done },
	{ TELL_ALIVE, 0, DURING(RUN) | DURING(RELOAD), false, on_alive },
};

int kernel_room_listen(struct kernel_room *k, int which)
{
	struct speaker s = { k, (unsigned)which };

	return channel_serve(k->rooms[which].channel, tells, sizeof(tells) / sizeof(tells[0]),
			     k->phase, &s);
}

static void on_channel(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;
	int which = (int)(s - k->channels);
	int err = kernel_room_listen(k, which);

	(void)events;
	if (err == 0)
		return;
	loop_drop(k->loop, s);
	if (k->stopping && err == -EPIPE)
		return;
	/* its death, if it is one, tells more than the end of its channel */
	struct pollfd death = { .fd = k->rooms[which].pidfd, .events = POLLIN };

	if (err == -EPIPE && poll(&death, 1, 1000) > 0)
		return;
	log_error("channel", "room=%s error=\"%s\"", k->rooms[which].name, strerror(-err));
	loop_end(k->loop, 1);
}

/* ---- the end ---- */

static void on_death(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;
	unsigned which = (unsigned)(s - k->deaths);
	struct room_child *child = &k->rooms[which];
	siginfo_t info = { 0 };

	(void)events;
	waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
	loop_drop(k->loop, s);
	if (k->stopping && info.si_code == CLD_EXITED && info.si_status == 0) {
		k->living &= ~room_bit(which);
		if (!k->living)
			loop_end(k->loop, 0);
		return;
	}
	log_error("room-died", "room=%s pid=%d %s=%d", child->name, child->pid,
		  info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	loop_end(k->loop, 1);
}

static void on_limit(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;

	(void)events;
	log_error("stop", "error=\"a room did not end in %d s\"", STOP_LIMIT_S);
	loop_end(k->loop, 1);
}

static void stop(struct kernel_room *k)
{
	struct itimerspec limit = { .it_value.tv_sec = STOP_LIMIT_S };

	if (k->stopping)
		return;
	k->stopping = true;
	kernel_reload_abandon(k);
	notify("STOPPING=1");
	log_event("stopping", "rooms=%d", PUBLIC_ROOMS);
	k->living = EVERY_ROOM_BIT;
	for (int i = 0; i < PUBLIC_ROOMS; i++)
		channel_send(k->rooms[i].channel, ASK_STOP, NULL, 0, -1);
	k->limit =
		(struct loop_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), on_limit, k };
	if (k->limit.fd < 0 || timerfd_settime(k->limit.fd, 0, &limit, NULL) < 0 ||
	    loop_add(k->loop, &k->limit, EPOLLIN) < 0)
		loop_end(k->loop, 1);
}

static void on_signal(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;
	struct signalfd_siginfo info;

	(void)events;
	if (read(s->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP)
		stop(k);
	else if (!k->stopping && kernel_room_reload(k) < 0)
		loop_end(k->loop, 1); /* a room does not take the image: its death is on the way */
}

/* ---- level reduced: no hook sees a cgroup's birth ---- */

static void on_rescan(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;
	uint64_t times;
	int err;

	(void)events;
	if (read(s->fd, &times, sizeof(times)) != sizeof(times))
		return;
	err = kern_rescan(k->kern, k->current.p);
	if (err < 0)
		log_error("rescan", "error=\"%s\"", strerror(-err));
}

static int rescan_start(struct kernel_room *k)
{
	const struct timespec every = { .tv_nsec = RESCAN_MS * 1000000L };
	const struct itimerspec when = { every, every };

	k->rescan =
		(struct loop_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
				      on_rescan, k };
	if (k->rescan.fd < 0 || timerfd_settime(k->rescan.fd, 0, &when, NULL) < 0)
		return -errno;
	return loop_add(k->loop, &k->rescan, EPOLLIN);
}

/* ---- run ---- */

static int sources_add(struct kernel_room *k)
{
	sigset_t set;
	int err = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	k->signals = (struct loop_source){ signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
					   on_signal, k };
	if (k->signals.fd < 0)
		return -errno;
	err = loop_add(k->loop, &k->signals, EPOLLIN);
	for (int i = 0; i < PUBLIC_ROOMS && err == 0; i++) {
		k->channels[i] = (struct loop_source){ k->rooms[i].channel, on_channel, k };
		k->deaths[i] = (struct loop_source){ k->rooms[i].pidfd, on_death, k };
		err = loop_add(k->loop, &k->channels[i], EPOLLIN);
		if (err == 0)
			err = loop_add(k->loop, &k->deaths[i], EPOLLIN);
	}
	if (err == 0)
		err = kernel_events_serve(k);
	if (err == 0 && kern_level(k->kern) == CLEAT_LEVEL_REDUCED)
		err = rescan_start(k);
	if (err == 0)
		err = kernel_watch(k);
	if (err == 0)
		err = admin_serve(k->admin);
	if (err == 0)
		err = watchdog_start(&k->watchdog, k->loop, k->rooms, PUBLIC_ROOMS);
	return err;
}

static void after_round(void *ctx)
{
	struct kernel_room *k = ctx;

	if (kernel_events_tell(k))
		loop_within(k->loop, 1000);
}

int kernel_room_run(struct kernel_room *k)
{
	int err;

	k->phase = PHASE_RUN;
	err = sources_add(k);
	if (err < 0) {
		log_error("loop", "error=\"%s\"", strerror(-err));
		return 1;
	}
	if (jail_kernel_seal(kern_probe_is_elsewhere(k->probe)) < 0)
		return 1;
	log_event("ready", "level=%s generation=%u workloads=%u pins=%s", kernel_level_word(k),
		  k->current.p->generation, k->current.p->workloads.count,
		  kern_origin_word(kern_origin(k->kern)));
	kernel_notify_ready(k, "");
	return loop_run(k->loop, after_round, k);
}
