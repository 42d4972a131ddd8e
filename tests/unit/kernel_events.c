/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's events as audit lines: each uid has so many, what is above is counted and told of, and nobody spends the
 * lines of another kind. The kernel side is the test's own: it has said what next() was told.
 */
#include "room/kernel_state.h"

#include "base/clock.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static struct kernel_room k;
static struct policy_image image = { .generation = 3 };
static struct cleat_event said;
static unsigned times;

int kern_events_fd(struct kern *kern)
{
	(void)kern;
	return eventfd(1, EFD_CLOEXEC);
}

int kern_events_read(struct kern *kern, void (*each)(void *ctx, const struct cleat_event *e),
		     void *ctx)
{
	(void)kern;
	for (unsigned i = 0; i < times; i++)
		each(ctx, &said);
	return 0;
}

static void begin(void)
{
	k.audit = memfd_create("audit", MFD_CLOEXEC);
	k.current.p = &image;
	cr_assert_eq(loop_new(&k.loop), 0);
	cr_assert_eq(kernel_events_serve(&k), 0);
}

static void end(void)
{
	close(k.events.fd);
	loop_free(k.loop);
}

TestSuite(kernel_events, .init = begin, .fini = end);

/* The kernel side says it @n times; how many lines of the audit have @word then. */
static unsigned lines(struct cleat_event e, unsigned n, const char *word)
{
	static char text[1 << 20];
	ssize_t len;
	unsigned found = 0;

	said = e;
	times = n;
	k.events.ready(&k.events, EPOLLIN);
	len = pread(k.audit, text, sizeof(text) - 1, 0);
	cr_assert_geq(len, 0);
	text[len] = '\0';
	for (const char *at = text; (at = strstr(at, word)); at++)
		found++;
	return found;
}

static struct cleat_event event(uint32_t type, uint32_t uid, uint32_t place)
{
	return (struct cleat_event){ .type = type, .actor.uid = uid, .place = place };
}

Test(kernel_events, one_line_each)
{
	cr_expect_eq(lines(event(CLEAT_EVENT_FORGED, 7, 0), 1, "\"event\":\"forged\""), 1);
	cr_expect_eq(lines(event(CLEAT_EVENT_API_REFUSED, 7, 0), 3, "\"event\":\"api-refused\""),
		     3);
	cr_expect_eq(
		lines(event(CLEAT_EVENT_SELF_REFUSED, 0, CLEAT_OWN_MAP), 2, "\"what\":\"map\""), 2);
	cr_expect_eq(lines(event(CLEAT_EVENT_CGROUP_BORN, 0, 4), 1, "\"place\":4"), 1);
	cr_expect_eq(lines(event(99, 7, 0), 5, "\n"), 7, "one that nobody knows has none");
	cr_expect_eq(k.events_suppressed, 0);
	cr_expect_not(kernel_events_tell(&k));
}

/* A workload that is refused as fast as it can ask: 3 times 4000, as in attack 101. */
Test(kernel_events, a_flood_is_counted_and_told_of)
{
	unsigned written = 0;

	for (int i = 0; i < 3; i++)
		written = lines(event(CLEAT_EVENT_API_REFUSED, 7, 0), 4000, "api-refused");
	cr_expect_geq(written, ACCOUNT_BURST);
	cr_expect_leq(written, ACCOUNT_BURST + 5 * ACCOUNT_RATE);
	cr_expect_eq(written + k.events_suppressed, 12000);
	cr_expect_not(kernel_events_tell(&k), "all of it is told");

	char told[96];

	snprintf(told, sizeof(told),
		 "\"room\":\"kernel\",\"event\":\"suppressed\",\"uid\":7,\"suppressed\":%u}",
		 12000 - written);
	cr_expect_eq(lines(event(0, 0, 0), 0, told), 1);
}

Test(kernel_events, nobody_spends_anothers)
{
	lines(event(CLEAT_EVENT_TRACE_REFUSED, 0, 0), 4000, "\n");
	cr_expect_eq(lines(event(CLEAT_EVENT_TRACE_REFUSED, 8, 0), 1, "\"uid\":8"), 1,
		     "another uid's");
	cr_expect_eq(lines(event(CLEAT_EVENT_SELF_REFUSED, 0, CLEAT_OWN_LINK), 1, "self-refused"),
		     1, "about what is ours");
	cr_expect_eq(lines(event(CLEAT_EVENT_CGROUP_DIED, 0, 4), 1, "cgroup-died"), 1);
	lines(event(CLEAT_EVENT_CGROUP_BORN, 0, 5), 4000, "\n");
	cr_expect_eq(lines(event(CLEAT_EVENT_CGROUP_DIED, 0, 6), 1, "\"place\":6"), 1,
		     "another cgroup's");
	cr_expect_not(kernel_events_tell(&k));
	cr_expect_eq(lines(event(0, 0, 0), 0, "\"event\":\"suppressed\",\"place\":5"), 1);
}
