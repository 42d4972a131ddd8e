/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager, and what it is told. See watchdog.h. */
#include "room/watchdog.h"

#include "room/channel.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define ASKED_EACH 4 /* times within the manager's patience: one late answer is not the end */

void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	owned_fd int fd = -1;

	if ((len < 2 || len >= sizeof(sa.sun_path)) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
		       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

/* A room that owes an answer is not asked again: what it has not read must not pile up and block us. */
static void on_timer(struct loop_source *s, uint32_t events)
{
	struct watchdog *w = s->owner;
	uint64_t times;

	(void)events;
	if (read(s->fd, &times, sizeof(times)) != sizeof(times) || w->waiting)
		return;
	w->waiting = room_bit(w->count) - 1;
	for (unsigned i = 0; i < w->count; i++)
		channel_send(w->rooms[i].channel, ASK_ALIVE, NULL, 0, -1);
}

int watchdog_answer(struct watchdog *w, unsigned which)
{
	if (!(w->waiting & room_bit(which)))
		return -EPROTO;
	w->waiting &= ~room_bit(which);
	if (!w->waiting)
		notify("WATCHDOG=1");
	return 0;
}

/* WATCHDOG_PID is not looked at: systemd sets it for this very process, which executes its rooms with no environment. */
static uint64_t patience_us(void)
{
	const char *word = getenv("WATCHDOG_USEC");
	char *end = NULL;
	unsigned long long us = word ? strtoull(word, &end, 10) : 0;

	return word && *word && *end == '\0' ? us : 0;
}

int watchdog_start(struct watchdog *w, struct loop *loop, const struct room_child *rooms,
		   unsigned count)
{
	uint64_t us = patience_us() / ASKED_EACH;
	struct timespec every = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
	struct itimerspec when = { every, every };

	*w = (struct watchdog){ .timer = { -1, on_timer, w }, .rooms = rooms, .count = count };
	if (us == 0)
		return 0;
	w->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer.fd < 0 || timerfd_settime(w->timer.fd, 0, &when, NULL) < 0)
		return -errno;
	return loop_add(loop, &w->timer, EPOLLIN);
}

void watchdog_stop(struct watchdog *w)
{
	if (w->timer.fd > 0)
		close(w->timer.fd);
	w->timer.fd = -1;
}
