/* SPDX-License-Identifier: Apache-2.0 */
/* The manager hears that we live when every room has answered, and never otherwise. */
#include "room/watchdog.h"

#include "room/channel.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ROOMS 2

static struct {
	struct loop *loop;
	struct watchdog w;
	struct room_child rooms[ROOMS];
	int ends[ROOMS]; /* the rooms' own ends */
	int manager;
} s;

static void manager_open(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char name[64];
	int len = snprintf(name, sizeof(name), "@cleat-watchdog-%d", getpid());

	memcpy(sa.sun_path, name, (size_t)len);
	sa.sun_path[0] = '\0';
	s.manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(s.manager, (struct sockaddr *)&sa,
			  (socklen_t)(sizeof(sa.sun_family) + (size_t)len)),
		     0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void begin(void)
{
	manager_open();
	unsetenv("WATCHDOG_USEC");
	cr_assert_eq(loop_new(&s.loop), 0);
	for (int i = 0; i < ROOMS; i++) {
		int pair[2];

		cr_assert_eq(channel_pair(pair), 0);
		s.rooms[i].channel = pair[0];
		s.ends[i] = pair[1];
	}
}

static void end(void)
{
	watchdog_stop(&s.w);
	loop_free(s.loop);
}

TestSuite(watchdog, .init = begin, .fini = end);

static void started(const char *usec)
{
	setenv("WATCHDOG_USEC", usec, 1);
	cr_assert_eq(watchdog_start(&s.w, s.loop, s.rooms, ROOMS), 0);
}

/* The timer's next tick, as the loop would serve it. */
static void tick(void)
{
	struct pollfd p = { .fd = s.w.timer.fd, .events = POLLIN };

	cr_assert_eq(poll(&p, 1, 5000), 1, "the timer never ticks");
	s.w.timer.ready(&s.w.timer, POLLIN);
}

static unsigned asked(int room)
{
	uint32_t type;
	unsigned n = 0;

	while (recv(s.ends[room], &type, sizeof(type), MSG_DONTWAIT) == sizeof(type) &&
	       type == ASK_ALIVE)
		n++;
	return n;
}

static bool heard(const char *want)
{
	char state[256];
	ssize_t n = recv(s.manager, state, sizeof(state) - 1, MSG_DONTWAIT);

	if (n < 0)
		return false;
	state[n] = '\0';
	return strcmp(state, want) == 0;
}

Test(watchdog, lives_when_all_have_answered)
{
	started("40000");
	for (int round = 0; round < 3; round++) {
		tick();
		cr_expect_eq(asked(0), 1);
		cr_expect_eq(asked(1), 1);
		cr_expect_eq(watchdog_answer(&s.w, 1), 0);
		cr_expect(!heard("WATCHDOG=1"), "one room alone is not us");
		cr_expect_eq(watchdog_answer(&s.w, 0), 0);
		cr_expect(heard("WATCHDOG=1"));
	}
}

Test(watchdog, a_silent_room_is_not_asked_again_and_nobody_says_we_live)
{
	started("40000");
	tick();
	cr_expect_eq(watchdog_answer(&s.w, 0), 0);
	for (int round = 0; round < 5; round++)
		tick();
	cr_expect_eq(asked(1), 1);
	cr_expect(!heard("WATCHDOG=1"));
	cr_expect_eq(watchdog_answer(&s.w, 1), 0, "late, but it does live");
	cr_expect(heard("WATCHDOG=1"));
}

Test(watchdog, an_answer_nobody_asked_for_ends_the_daemon)
{
	started("40000");
	cr_expect_eq(watchdog_answer(&s.w, 0), -EPROTO);
	tick();
	cr_expect_eq(watchdog_answer(&s.w, 0), 0);
	cr_expect_eq(watchdog_answer(&s.w, 1), 0);
	cr_expect_eq(watchdog_answer(&s.w, 1), -EPROTO);
}

/* A room that was taken over must not cover one that hangs. */
Test(watchdog, no_room_answers_for_another)
{
	started("40000");
	tick();
	cr_expect_eq(watchdog_answer(&s.w, 0), 0);
	cr_expect_eq(watchdog_answer(&s.w, 0), -EPROTO);
	cr_expect(!heard("WATCHDOG=1"));
	cr_expect_eq(watchdog_answer(&s.w, 1), 0);
	cr_expect(heard("WATCHDOG=1"));
}

Test(watchdog, nobody_asks_without_a_number)
{
	static const char *const words[] = { "", "0", "x", "1s", " ", "3" /* under one tick */ };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		started(words[i]);
		cr_expect_eq(s.w.timer.fd, -1, "'%s'", words[i]);
	}
	unsetenv("WATCHDOG_USEC");
	cr_assert_eq(watchdog_start(&s.w, s.loop, s.rooms, ROOMS), 0);
	cr_expect_eq(s.w.timer.fd, -1);
}

Test(watchdog, notify_without_a_manager_is_nothing)
{
	static const char *const words[] = { "", "relative", "@", "/" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		setenv("NOTIFY_SOCKET", words[i], 1);
		notify("READY=1");
	}
	cr_expect(!heard("READY=1"));
}
