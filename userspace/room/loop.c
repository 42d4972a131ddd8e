/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of a room. See loop.h. */
#include "room/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>

#define EVENTS_MAX 64 /* of one round: what waits longer comes first in the next */

struct loop {
	int epoll;
	bool ended;
	int code;
	int wait_ms; /* -1: for ever */
	int pending; /* events of this round, for loop_drop() */
	struct epoll_event events[EVENTS_MAX];
};

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		int err = -errno;

		free(l);
		return err;
	}
	l->wait_ms = -1;
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	close(l->epoll);
	free(l);
}

int loop_add(struct loop *l, struct loop_source *s, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &e) < 0 ? -errno : 0;
}

void loop_drop(struct loop *l, struct loop_source *s)
{
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	for (int i = 0; i < l->pending; i++)
		if (l->events[i].data.ptr == s)
			l->events[i].data.ptr = NULL;
}

int loop_run(struct loop *l, void (*after)(void *ctx), void *ctx)
{
	while (!l->ended) {
		l->pending = epoll_wait(l->epoll, l->events, EVENTS_MAX, l->wait_ms);
		l->wait_ms = -1;
		if (l->pending < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < l->pending && !l->ended; i++) {
			struct loop_source *s = l->events[i].data.ptr;

			if (s)
				s->ready(s, l->events[i].events);
		}
		l->pending = 0;
		if (after)
			after(ctx);
	}
	return l->code;
}

void loop_within(struct loop *l, int ms)
{
	if (l->wait_ms < 0 || ms < l->wait_ms)
		l->wait_ms = ms;
}

void loop_end(struct loop *l, int code)
{
	if (!l->ended)
		l->code = code;
	l->ended = true;
}
