/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many audit lines refusals may cause: of cheap ones 500 at once and 100 a second of a uid, and more of a workload and of
 * the room; of others many. What is above is counted and told of, by uid or workload, and no uid spends another's.
 */
#include "room/account_refusals.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS    UINT64_C(1000000)
#define BEGUN (UINT64_C(3600) * 1000 * MS) /* the machine is up for an hour */

static struct account account;
static struct policy_image image;

/* How many of @n get their line. */
static unsigned allowed_of(uint32_t uid, uint32_t label, enum reason reason, uint64_t at_ms,
			   unsigned n)
{
	unsigned lines = 0;

	account_charge(&account, uid, label);
	for (unsigned i = 0; i < n; i++)
		lines += account_allowed(&account, reason, BEGUN + at_ms * MS);
	return lines;
}

/* What no line has told of yet. */
static uint64_t untold(void)
{
	return account.uids.suppressed + account.groups.suppressed + account.workloads.suppressed;
}

/* Of a workload of its own. */
static unsigned allowed(uint32_t uid, uint64_t at_ms, unsigned n)
{
	return allowed_of(uid, uid + 1, REASON_MALFORMED, at_ms, n);
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
	cr_expect_eq(untold(), 42);
}

/* More uids than places, and more workloads: who finds none shares the last one with all that find none, and takes
 * nobody's. */
Test(account_rate, more_uids_than_places)
{
	unsigned strangers = 0;

	for (uint32_t uid = 1; uid <= ACCOUNT_UIDS; uid++)
		cr_assert_eq(allowed(uid, 0, 1), 1);
	for (uint32_t uid = 1000; uid < 3000; uid++)
		strangers += allowed(uid, 0, 1);
	cr_expect_eq(strangers, ACCOUNT_GROUP_BURST);
	for (uint32_t uid = 1; uid <= ACCOUNT_UIDS; uid++)
		cr_assert_eq(allowed(uid, 0, 1), 1, "uid %u lost its place", uid);
	/* paid back, the places are free; what is still to be told keeps its own */
	cr_expect_eq(allowed(5000, 1000, 600), ACCOUNT_BURST);
}

/* Uids by the thousand are one workload, or strangers: they have its lines, and leave the others theirs. */
Test(account_rate, many_uids_of_one_group)
{
	unsigned lines = 0;

	for (uint32_t uid = 100000; uid < 101000; uid++)
		lines += allowed_of(uid, 0, REASON_NO_WORKLOAD, 0, 100);
	cr_expect_leq(lines, ACCOUNT_GROUP_BURST, "%u lines", lines);
	cr_expect_eq(untold(), 100000 - lines);
	cr_expect_eq(allowed_of(7, 9, REASON_NOT_YOURS, 0, 20), 20, "a workload beside them");
	for (uint32_t label = 10; label < 100; label++)
		lines += allowed_of(label, label, REASON_NOT_YOURS, 0, ACCOUNT_BURST);
	cr_expect_eq(lines + 20, ACCOUNT_ROOM_BURST, "of all together");
	lines = 0;
	for (uint32_t label = 10; label < 100; label++)
		lines += allowed_of(label, label, REASON_NOT_YOURS, 1000, ACCOUNT_BURST);
	cr_expect_eq(lines, ACCOUNT_ROOM_RATE);
}

/* What took a look at a token or a rule: more of them, by workload, and nothing cheap spends them. */
Test(account_rate, refusals_that_are_not_cheap)
{
	allowed_of(7, 1, REASON_MALFORMED, 0, ACCOUNT_DEAR_BURST);
	cr_expect_eq(allowed_of(7, 1, REASON_POLICY, 0, ACCOUNT_DEAR_BURST + 9),
		     ACCOUNT_DEAR_BURST);
	cr_expect_eq(allowed_of(8, 1, REASON_REPLAYED, 0, 5), 0, "another uid of it");
	cr_expect_eq(allowed_of(7, 2, REASON_POLICY, 0, 5), 5, "another workload");
	cr_expect_eq(allowed_of(7, 1, REASON_POLICY, 1000, ACCOUNT_DEAR_BURST), ACCOUNT_DEAR_RATE);
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
	ssize_t n = pread(account.audit, text, sizeof(text) - 1, 0);

	cr_assert_geq(n, 0);
	text[n] = '\0';
	return text;
}

static void open_account(void)
{
	account.room = "sign";
	account.audit = memfd_create("audit", MFD_CLOEXEC);
}

static bool tick(void)
{
	return account_tick(&account, &image);
}

static bool told(const char *what)
{
	return strstr(written(), what) != NULL;
}

Test(account_rate, told_by_uid, .init = open_account)
{
	cr_expect_not(tick(), "there is nothing to tell");
	allowed(7, 0, ACCOUNT_BURST + 3);
	allowed(8, 0, ACCOUNT_BURST + 2);
	allowed(9, 0, ACCOUNT_BURST);
	cr_expect_not(tick(), "all is told");
	cr_expect(told("\"event\":\"suppressed\",\"uid\":7,\"suppressed\":3}"), "%s", written());
	cr_expect(told("\"uid\":8,\"suppressed\":2}"), "%s", written());
	cr_expect_not(told("\"uid\":9"), "%s", written());
	cr_expect_eq(untold(), 0);
	/* once a second at most */
	allowed(7, 0, 4);
	cr_expect(tick(), "there is more to tell, later");
	cr_expect_not(told("\"suppressed\":4}"), "%s", written());
	account.uids.told_ns = 0;
	cr_expect_not(tick());
	cr_expect(told("\"uid\":7,\"suppressed\":4}"), "%s", written());
}

/* Of whom, where uids have no place of their own: of the strangers, and of a workload. */
Test(account_rate, told_by_group, .init = open_account)
{
	for (uint32_t uid = 1; uid <= ACCOUNT_UIDS; uid++)
		allowed(uid, 0, 1);
	account.groups.each[0] = (struct account_rate){ 0, ACCOUNT_GROUP_BURST, BEGUN, 0, 0 };
	allowed_of(1000, 0, REASON_MALFORMED, 0, 3);
	allowed_of(1001, 0, REASON_MALFORMED, 0, 1);
	allowed_of(7, 0, REASON_POLICY, 0, ACCOUNT_DEAR_BURST + 2);
	tick();
	cr_expect(told("\"suppressed\",\"workload\":\"\",\"last_uid\":1001,\"suppressed\":4}"),
		  "%s", written());
	cr_expect(told("\"suppressed\",\"workload\":\"\",\"last_uid\":7,\"suppressed\":2}"), "%s",
		  written());
	cr_expect_eq(untold(), 0);
}

/* Of those that share the last place too no line says whose: it would be one of many. But for the last of them. */
Test(account_rate, told_of_many, .init = open_account)
{
	for (uint32_t uid = 1; uid <= ACCOUNT_UIDS; uid++)
		allowed(uid, 0, 1);
	allowed(1000, 0, ACCOUNT_GROUP_BURST);
	allowed(1001, 0, 5);
	cr_expect_not(tick());
	cr_expect(told("\"event\":\"suppressed\",\"last_uid\":1001,\"suppressed\":5}"), "%s",
		  written());
}

/* A full disk: told when there is room again, and not forgotten. */
Test(account_rate, told_later, .init = open_account)
{
	int file = account.audit;

	account.audit = open("/dev/full", O_WRONLY | O_CLOEXEC);
	allowed(7, 0, ACCOUNT_BURST + 3);
	cr_expect(tick(), "it could not be told");
	cr_expect_eq(untold(), 3);
	account.audit = file;
	account.uids.told_ns = 0;
	cr_expect_not(tick());
	cr_expect(told("\"uid\":7,\"suppressed\":3}"), "%s", written());
}
