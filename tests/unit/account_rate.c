/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many audit lines for cheap refusals a uid may cause: 500 at once and 100 a second. What is above is counted and told
 * of, by uid, and no uid spends another's.
 */
#include "room/account_rate.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS    UINT64_C(1000000)
#define BEGUN (UINT64_C(3600) * 1000 * MS) /* the machine is up for an hour */

static struct account_rates rates;
static struct audit_line line;
static int audit;

/* How many of @n get their line. */
static unsigned allowed(uint32_t uid, uint64_t at_ms, unsigned n)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < n; i++)
		lines += account_rate_allowed(&rates, uid, BEGUN + at_ms * MS);
	return lines;
}

/* One account, asked in this order. */
Test(account_rate, lines)
{
	static const struct {
		const char *what;
		uint32_t uid;
		uint64_t at_ms;
		unsigned asked, lines;
	} rows[] = {
		{ "good: a few", 7, 0, 3, 3 },
		{ "at once: up to the burst", 7, 0, 600, ACCOUNT_BURST - 3 },
		{ "just before time has paid one", 7, 9, 1, 0 },
		{ "one is paid, not two", 7, 10, 5, 1 },
		{ "another uid has its own", 8, 10, 600, ACCOUNT_BURST },
		{ "and so has root", 0, 10, 600, ACCOUNT_BURST },
		{ "and who has no number here", UINT32_MAX, 10, 600, ACCOUNT_BURST },
		{ "a second pays the rate", 7, 1010, 600, ACCOUNT_RATE },
		{ "half a line is none", 7, 1015, 1, 0 },
		{ "and is not lost", 7, 1020, 5, 1 },
		{ "asking in vain costs nothing", 7, 2020, 600, ACCOUNT_RATE },
		{ "five seconds pay it all", 7, 7020, 600, ACCOUNT_BURST },
		{ "a day pays no more", 7, 86400000, 1000, ACCOUNT_BURST },
		{ "nor does the clock of a day later stop it", 7, 86400010, 5, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned lines = allowed(rows[i].uid, rows[i].at_ms, rows[i].asked);

		cr_expect_eq(lines, rows[i].lines, "%s: %u lines", rows[i].what, lines);
	}
}

/* Nothing is lost: what has no line is in the sum. */
Test(account_rate, the_sum)
{
	cr_assert_eq(allowed(7, 0, ACCOUNT_BURST + 30) + allowed(8, 0, ACCOUNT_BURST + 12),
		     2 * ACCOUNT_BURST);
	cr_expect_eq(rates.suppressed, 42);
}

/* More uids than places: who finds none shares the last one with all that find none, and takes nobody's. */
Test(account_rate, more_uids_than_places)
{
	unsigned strangers = 0;

	for (uint32_t uid = 1; uid <= ACCOUNT_UIDS; uid++)
		cr_assert_eq(allowed(uid, 0, 1), 1);
	for (uint32_t uid = 1000; uid < 2000; uid++)
		strangers += allowed(uid, 0, 1);
	cr_expect_eq(strangers, ACCOUNT_BURST);
	for (uint32_t uid = 1; uid <= ACCOUNT_UIDS; uid++)
		cr_assert_eq(allowed(uid, 0, 1), 1, "uid %u lost its place", uid);
	/* paid back, the places are free; what is still to be told keeps its own */
	cr_expect_eq(allowed(5000, 1000, 600), ACCOUNT_BURST);
}

/* Who is not counted alone is who got an answer that took a look at a token or a rule. */
Test(account_rate, what_is_cheap)
{
	static const char *const cheap[] = { "malformed",   "too-large",   "not-tcp",
					     "untagged",    "unsupported", "not-yours",
					     "not-owner",   "handed-over", "not-established",
					     "no-workload", "not-armed",   "busy",
					     "peer-gone" };
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(cheap) / sizeof(cheap[0]); i++)
		cr_expect(account_cheap(reason_of_word(cheap[i])), "%s", cheap[i]);
	for (unsigned r = 0; r < REASON_COUNT; r++)
		count += account_cheap(r);
	cr_expect_eq(count, sizeof(cheap) / sizeof(cheap[0]), "%u are", count);
	cr_expect_not(account_cheap(REASON_OK));
	cr_expect_not(account_cheap(REASON_REPLAYED));
	cr_expect_not(account_cheap(REASON_NO_AUDIT));
}

/* ---- the line that tells of them ---- */

static char *written(void)
{
	static char text[1 << 16];
	ssize_t n = pread(audit, text, sizeof(text) - 1, 0);

	cr_assert_geq(n, 0);
	text[n] = '\0';
	return text;
}

static void open_account(void)
{
	audit = memfd_create("audit", MFD_CLOEXEC);
}

static bool tell(void)
{
	return account_rate_tell(&rates, "sign", &line, audit);
}

static bool told(const char *what)
{
	return strstr(written(), what) != NULL;
}

Test(account_rate, told_by_uid, .init = open_account)
{
	cr_expect_not(tell(), "there is nothing to tell");
	allowed(7, 0, ACCOUNT_BURST + 3);
	allowed(8, 0, ACCOUNT_BURST + 2);
	allowed(9, 0, ACCOUNT_BURST);
	cr_expect_not(tell(), "all is told");
	cr_expect(told("\"event\":\"suppressed\",\"uid\":7,\"suppressed\":3}"), "%s", written());
	cr_expect(told("\"uid\":8,\"suppressed\":2}"), "%s", written());
	cr_expect_not(told("\"uid\":9"), "%s", written());
	cr_expect_eq(rates.suppressed, 0);
	/* once a second at most */
	allowed(7, 0, 4);
	cr_expect(tell(), "there is more to tell, later");
	cr_expect_not(told("\"suppressed\":4}"), "%s", written());
	rates.told_ns = 0;
	cr_expect_not(tell());
	cr_expect(told("\"uid\":7,\"suppressed\":4}"), "%s", written());
}

/* Of those that share the last place no line says a uid: it would be one of many. */
Test(account_rate, told_of_many, .init = open_account)
{
	for (uint32_t uid = 1; uid <= ACCOUNT_UIDS; uid++)
		allowed(uid, 0, 1);
	allowed(1000, 0, ACCOUNT_BURST);
	allowed(1001, 0, 5);
	cr_expect_not(tell());
	cr_expect(told("\"event\":\"suppressed\",\"suppressed\":5}"), "%s", written());
}

/* What is charged is no uid everywhere. */
Test(account_rate, told_by_another_name, .init = open_account)
{
	rates.of = "place";
	allowed(7, 0, ACCOUNT_BURST + 3);
	cr_expect_not(tell());
	cr_expect(told("\"room\":\"sign\",\"event\":\"suppressed\",\"place\":7,\"suppressed\":3}"),
		  "%s", written());
}

/* A full disk: told when there is room again, and not forgotten. */
Test(account_rate, told_later, .init = open_account)
{
	int file = audit;

	audit = open("/dev/full", O_WRONLY | O_CLOEXEC);
	allowed(7, 0, ACCOUNT_BURST + 3);
	cr_expect(tell(), "it could not be told");
	cr_expect_eq(rates.suppressed, 3);
	audit = file;
	rates.told_ns = 0;
	cr_expect_not(tell());
	cr_expect(told("\"uid\":7,\"suppressed\":3}"), "%s", written());
}
