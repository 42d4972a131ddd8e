/* SPDX-License-Identifier: Apache-2.0 */
/* The door of a room: its connections and their turns. See door.h. */
#include "room/door_state.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define FDS_APART   (REAPER_MAX + 2 * DOOR_FDS_MAX) /* descriptors kept free of connections */
#define FDS_TO_READ 1024 /* of these, kept free of connections that end */
#define ACCEPTS_MAX 32	 /* of one round */
#define TURNS_MAX   64	 /* of one round: then who just came is heard */
#define TICK_MS	    1000
#define IDLE_S	    300 /* a connection that says nothing for so long ends, or has no turn */
#define UNKNOWN_S   3	/* and one of nobody that could be identified */
#define SECOND_NS   1000000000u

unsigned door_capacity(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur <= FDS_APART + 64)
		return 0;
	/* two each: at level reduced a connection holds a pidfd; and the quarter that is not identified yet, one each */
	return (unsigned)((files.rlim_cur - FDS_APART - 64) * 4 / 9);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* ---- connections ---- */

static void pidfd_close(struct connection *c)
{
	if (c->gone.ready)
		loop_drop(c->door->loop, &c->gone);
	if (c->caller.pidfd >= 0)
		close(c->caller.pidfd);
}

static void list(struct connection *c)
{
	struct door *d = c->door;

	c->next = d->connections;
	c->at = &d->connections;
	if (c->next)
		c->next->at = &c->next;
	d->connections = c;
}

static void unlist(struct connection *c)
{
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
}

static void connection_close(struct connection *c)
{
	struct door *d = c->door;
	uint32_t group = c->identified ? c->caller.tag.owner.label : SHARE_NEW;
	struct reaper_charge *who =
		c->item.share ? share_charge(&c->item) : share_charge_refused(d->shares, group);

	loop_drop(d->loop, &c->source);
	pidfd_close(c);
	unlist(c);
	/* closing it closes what messages that it still holds carry */
	reaper_put(d->reaper, c->source.fd, c->drained ? REAPER_IS_DRAINED : REAPER_IS_END, who);
	if (c->item.share)
		share_leave(d->shares, &c->item);
	free(c);
}

/* Closes it, or has that done later if the reaper would be left too little for messages: it keeps its place so long. */
static void connection_end(struct connection *c)
{
	struct door *d = c->door;

	if (reaper_has_room(d->reaper, FDS_TO_READ)) {
		connection_close(c);
		return;
	}
	if (c->dead)
		return;
	loop_drop(d->loop, &c->source);
	if (c->gone.ready)
		loop_drop(d->loop, &c->gone);
	c->dead = true;
	unlist(c);
	list(c);
}

static bool any_dead(const struct door *d)
{
	return d->connections && d->connections->dead;
}

static void displace(struct door *d, struct share_item *displaced)
{
	struct connection *c;

	if (!displaced)
		return;
	d->counts.displaced++;
	c = connection_of(displaced);
	if (!reaper_has_room(d->reaper, FDS_TO_READ))
		share_leave(d->shares, displaced); /* its place is another's already */
	connection_end(c);
}

/* A place in the share of its workload, by displacing whoever holds too much where it must be. */
static bool place_take(struct connection *c)
{
	struct share_item *displaced;

	if (!share_enter(c->door->shares, c->caller.share_uid, c->caller.tag.owner.label, &c->item,
			 &displaced))
		return false;
	displace(c->door, displaced);
	return true;
}

/* @group: the one whose share it was to have a place in. */
static void connection_refuse(struct connection *c, uint32_t group)
{
	struct door *d = c->door;

	d->counts.refused[share_full(d->shares, c->caller.share_uid, group)]++;
	door_busy(c);
	connection_end(c);
}

/* ---- what a connection does in its turn ---- */

static void on_gone(struct loop_source *s, uint32_t events)
{
	(void)events;
	connection_end(s->owner); /* nobody else may speak on it */
}

/* Who is at the other end. At level reduced its process is watched from then on. */
static int learn(struct connection *c)
{
	struct door *d = c->door;
	uint32_t uid = c->caller.share_uid;
	int err;

	d->room->identify(d->room->room, c->source.fd, &c->caller);
	c->caller.share_uid = uid;
	c->identified = true;
	if (c->caller.pidfd < 0)
		return 0;
	c->gone = (struct loop_source){ c->caller.pidfd, on_gone, c };
	err = loop_add(d->loop, &c->gone, EPOLLIN);
	if (err < 0)
		c->gone.ready = NULL;
	return err;
}

/* Learns who it is, and puts it in the share of that one's workload. False: there is no place for it. */
static bool place(struct connection *c)
{
	int err = learn(c);

	if (c->item.share)
		share_leave(c->door->shares, &c->item);
	return err == 0 && place_take(c);
}

/* Who came before anything was armed stands with strangers, whose group may have to wait for long: once it can be known it
 * waits in its own. False: it has ended. */
static bool learn_before(struct connection *c)
{
	if (c->caller.who != REASON_NOT_ARMED || !reaper_has_room(c->door->reaper, FDS_TO_READ) ||
	    place(c))
		return true;
	connection_refuse(c, c->caller.tag.owner.label);
	return false;
}

static void on_message(struct loop_source *s, uint32_t events)
{
	struct connection *c = s->owner;

	(void)events;
	if (c->item.ready && !c->muted) {
		loop_drop(c->door->loop, s);
		c->muted = true;
	}
	if (!c->item.ready) {
		c->used_ns = now_ns();
		if (!learn_before(c))
			return;
	}
	share_ready(c->door->shares, &c->item);
}

/* Now it is in its own share, and its messages are heard. */
static void settle(struct connection *c)
{
	if (!place(c) || loop_add(c->door->loop, &c->source, EPOLLIN | EPOLLRDHUP) < 0)
		connection_refuse(c, c->caller.tag.owner.label);
}

/* What may have changed since: who it is, where nobody could say before, and with that its share; else whether anything is
 * armed, and the level. False: it has ended. */
static bool learn_again(struct connection *c)
{
	const struct door_room *room = c->door->room;

	if (c->caller.who == REASON_NOT_ARMED && !place(c)) {
		connection_refuse(c, c->caller.tag.owner.label);
		return false;
	}
	if (room->again)
		room->again(room->room, &c->caller);
	return true;
}

static void turn(struct connection *c)
{
	struct door *d = c->door;

	if (c->dead)
		return;
	if (!c->identified) {
		settle(c);
		return;
	}
	c->used_ns = now_ns();
	if (!learn_again(c))
		return;
	if (!door_message(c)) {
		connection_end(c);
		return;
	}
	if (c->muted) {
		c->muted = false;
		if (loop_add(d->loop, &c->source, EPOLLIN | EPOLLRDHUP) < 0)
			connection_end(c);
	}
}

/* ---- the listener ---- */

/* Whose share a connection is of: who connected, known or not. Decides nothing else. */
static struct ucred cred_of(int fd)
{
	struct ucred cred = { .uid = UINT32_MAX };
	socklen_t len = sizeof(cred);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred;
}

/* It is not known yet whose it is: it waits for its turn to be identified. */
static void wait_new(struct connection *c, uint32_t pid)
{
	struct door *d = c->door;
	struct share_item *displaced;

	if (!share_enter_new(d->shares, c->caller.share_uid, pid, &c->item, &displaced)) {
		connection_refuse(c, SHARE_NEW);
		return;
	}
	displace(d, displaced);
	share_ready(d->shares, &c->item);
}

static void connection_open(struct door *d, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct ucred cred = cred_of(fd);

	if (!c) {
		reaper_put(d->reaper, fd, REAPER_IS_END, NULL);
		return;
	}
	*c = (struct connection){ .source = { fd, on_message, c }, .door = d, .used_ns = now_ns() };
	c->caller = (struct caller){ .pidfd = -1, .share_uid = cred.uid };
	list(c);
	if (d->room->at_once)
		settle(c);
	else
		wait_new(c, (uint32_t)cred.pid);
}

/* Read fast, because the queue is one for all; who is known by then waits in his own. Nobody comes in before the dead are out:
 * what was displaced is of no share's number any more. */
static void on_connection(struct loop_source *s, uint32_t events)
{
	struct door *d = s->owner;

	(void)events;
	for (int i = 0; i < ACCEPTS_MAX && !any_dead(d) && reaper_has_room(d->reaper, FDS_TO_READ);
	     i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		connection_open(d, fd);
	}
}

/* ---- rounds ---- */

static void dead_end(struct door *d)
{
	while (any_dead(d) && reaper_has_room(d->reaper, FDS_TO_READ))
		connection_close(d->connections);
}

static void idle_end(struct door *d, uint64_t now)
{
	for (struct connection *c = d->connections, *next; c; c = next) {
		bool unknown = c->caller.reason == REASON_PEER_GONE && !c->item.ready;
		uint64_t limit_s = unknown ? UNKNOWN_S : IDLE_S;

		next = c->next;
		if (c->dead || !c->identified || now - c->used_ns < limit_s * SECOND_NS)
			continue;
		if (!reaper_has_room(d->reaper, FDS_TO_READ))
			return;
		d->counts.idle++;
		connection_close(c);
	}
}

static void tick(struct door *d)
{
	uint64_t now = now_ns();

	if (now - d->ticked_ns < (uint64_t)TICK_MS * 1000000)
		return;
	d->ticked_ns = now;
	idle_end(d, now);
	shares_sweep(d->shares);
}

void door_round(struct door *d)
{
	struct share_item *item = NULL;

	for (int i = 0; i < TURNS_MAX && reaper_has_room(d->reaper, DOOR_FDS_MAX + 4); i++) {
		item = share_turn(d->shares);
		if (!item)
			break;
		turn(connection_of(item));
	}
	dead_end(d);
	tick(d);
	reaper_flush(d->reaper);
	/* what waits for the reaper alone gives it a moment */
	if (share_waiting(d->shares))
		loop_within(d->loop, item ? 0 : 1);
	else if (d->connections || shares_known(d->shares))
		loop_within(d->loop, TICK_MS);
}

const struct door_counts *door_counts(const struct door *d)
{
	return &d->counts;
}

int door_open(struct loop *loop, struct reaper *reaper, int listen_fd, unsigned max,
	      const struct door_room *room, struct door **ret)
{
	struct door *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	*d = (struct door){ .loop = loop, .reaper = reaper, .room = room };
	d->listener = (struct loop_source){ listen_fd, on_connection, d };
	err = shares_new(max, &d->shares);
	if (err == 0)
		err = loop_add(loop, &d->listener, EPOLLIN);
	if (err < 0) {
		if (d->shares)
			shares_free(d->shares);
		free(d);
		return err;
	}
	*ret = d;
	return 0;
}

void door_close(struct door *d)
{
	while (d->connections && reaper_has_room(d->reaper, 4))
		connection_close(d->connections);
	loop_drop(d->loop, &d->listener);
}
