/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of a door (attacks.md 117, 118, 143): places first, then turns. */
#include "room/share.h"

#include <criterion/criterion.h>

#define MAX 64 /* places: a quarter is 16 */

static struct shares *s;
static struct share_item items[8 * MAX];
static unsigned used;

static void start(void)
{
	used = 0;
	cr_assert_eq(shares_new(MAX, &s), 0);
}

static void stop(void)
{
	shares_free(s);
}

TestSuite(share, .init = start, .fini = stop);

/* How many of @n places for (@uid, @group) are given; who is displaced leaves. */
static unsigned enter(uint32_t uid, uint32_t group, unsigned n, unsigned *displaced)
{
	unsigned given = 0;

	for (unsigned i = 0; i < n; i++) {
		struct share_item *out;

		if (!share_enter(s, uid, group, &items[used], &out))
			continue;
		if (out) {
			cr_assert_neq(out, &items[used]);
			share_leave(s, out);
			*displaced += 1;
		}
		given++;
		used++;
	}
	return given;
}

Test(share, places)
{
	/* Each row comes on top of those before it. uid..: so many uids in a row, one after the other. full: what the last of
	 * them is told is full, if it is refused. */
	static const struct {
		const char *what;
		uint32_t uid, uids, group;
		unsigned each, given, displaced;
		enum share_part full;
	} rows[] = {
		{ "a uid: a quarter", 1, 1, 7, 40, 16, 0, SHARE_PART_UID },
		{ "and no more", 1, 1, 7, 1, 0, 0, SHARE_PART_UID },
		{ "another workload of it: an even part of that quarter", 1, 1, 8, 20, 8, 8,
		  SHARE_PART_UID },
		{ "a third", 1, 1, 9, 20, 5, 5, SHARE_PART_UID },
		{ "cgroups by the thousand are no workload: one part for all", 1, 1, 0, 100, 4, 4,
		  SHARE_PART_UID },
		{ "uids by the thousand: a quarter", 1000, 100, 0, 1, 15, 3, SHARE_PART_WORKLOAD },
		{ "uids of one workload: a quarter", 2000, 100, 20, 1, 16, 0, SHARE_PART_WORKLOAD },
		{ "and another", 3000, 100, 21, 1, 16, 0, SHARE_PART_WORKLOAD },
		{ "the last ones: of who holds most", 4000, 1, 22, 1, 1, 0, SHARE_PART_ALL },
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		unsigned given = 0, displaced = 0;

		for (uint32_t u = 0; u < rows[r].uids; u++)
			given += enter(rows[r].uid + u, rows[r].group, rows[r].each, &displaced);
		cr_expect_eq(given, rows[r].given, "%s: given %u%s", rows[r].what, given,
			     given > rows[r].given ? "; accepted: twin=share_quarter:" : "");
		cr_expect_eq(displaced, rows[r].displaced, "%s: displaced %u", rows[r].what,
			     displaced);
		cr_expect_eq(share_full(s, rows[r].uid + rows[r].uids - 1, rows[r].group),
			     rows[r].full, "%s: full", rows[r].what);
	}
}

/* Sixteen that take all they can, and one that comes when everything is taken. */
Test(share, there_is_always_a_place_for_who_has_none)
{
	unsigned displaced = 0, given = 0;

	for (uint32_t i = 0; i < 16; i++)
		given += enter(100 + i, 10 + i, MAX, &displaced);
	cr_assert_geq(given, MAX);
	for (uint32_t i = 0; i < 16; i++)
		cr_expect_eq(enter(100 + i, 10 + i, 1, &displaced), 0, "%u has its even part", i);
	cr_expect_eq(share_full(s, 100, 10), SHARE_PART_ALL);
	displaced = 0;
	cr_expect_eq(enter(5, 5, 1, &displaced), 1);
	cr_expect_eq(displaced, 1);
}

static unsigned enter_new(uint32_t uid, uint32_t pid, unsigned n, unsigned *displaced)
{
	unsigned given = 0;

	for (unsigned i = 0; i < n; i++) {
		struct share_item *out;

		if (!share_enter_new(s, uid, pid, &items[used], &out))
			continue;
		if (out) {
			share_leave(s, out);
			*displaced += 1;
		}
		share_ready(s, &items[used]);
		given++;
		used++;
	}
	return given;
}

/* A neighbour has the uid's quarter and comes again and again: whoever else comes has a place in the reserve (of 16, a uid
 * has 8) and the next turn but one there, and once it is known the neighbour makes room. */
Test(share, who_is_new_is_heard_beside_a_flood_of_its_uid)
{
	static const struct {
		const char *what;
		uint32_t uid, pid;
		unsigned each, given, displaced;
		enum share_part full;
	} rows[] = {
		{ "a process: its uid's half", 1, 10, 40, 8, 0, SHARE_PART_UID },
		{ "another of the same uid", 1, 11, 1, 1, 1, SHARE_PART_UID },
		{ "and up to an even part", 1, 11, 20, 3, 3, SHARE_PART_UID },
		{ "another uid", 2, 20, 20, 8, 0, SHARE_PART_UID },
		{ "a third, when all is full", 3, 30, 20, 4, 4, SHARE_PART_WORKLOAD },
	};
	unsigned displaced = 0;
	struct share_item *victim = NULL;

	cr_assert_eq(enter(1, 7, MAX, &displaced), MAX / 4);
	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		displaced = 0;
		unsigned given = enter_new(rows[r].uid, rows[r].pid, rows[r].each, &displaced);

		if (r == 1)
			victim = &items[used - 1];
		cr_expect_eq(given, rows[r].given, "%s: given %u", rows[r].what, given);
		cr_expect_eq(displaced, rows[r].displaced, "%s: displaced %u", rows[r].what,
			     displaced);
		cr_expect_eq(share_full(s, rows[r].uid, SHARE_NEW), rows[r].full, "%s: full",
			     rows[r].what);
	}
	cr_assert_neq(share_turn(s), victim);
	cr_assert_eq(share_turn(s), victim);
	share_leave(s, victim);
	displaced = 0;
	cr_expect_eq(enter(1, 8, 1, &displaced), 1);
	cr_expect_eq(displaced, 1, "the neighbour made room");
}

/* Who comes back often leaves nothing behind. */
Test(share, known_owners_go)
{
	struct share_item *out;

	for (uint32_t uid = 0; uid < 65536; uid++) {
		cr_assert(share_enter_new(s, uid, 65536 - uid, &items[0], &out));
		share_ready(s, &items[0]);
		cr_assert_eq(share_turn(s), &items[0]);
		share_leave(s, &items[0]);
	}
	cr_assert_eq(shares_known(s), 0);
}

/* ---- turns ---- */

static uint32_t owner_of_item[8 * MAX];

static void ready(uint32_t uid, uint32_t group, unsigned n)
{
	struct share_item *out;

	for (unsigned i = 0; i < n; i++) {
		cr_assert(share_enter(s, uid, group, &items[used], &out));
		cr_assert_null(out);
		owner_of_item[used] = uid;
		share_ready(s, &items[used++]);
	}
}

/* Serves @turns; who was served is ready again at once. How often @uid was. */
static unsigned turns_of(uint32_t uid, unsigned turns)
{
	unsigned got = 0;

	for (unsigned i = 0; i < turns; i++) {
		struct share_item *t = share_turn(s);

		cr_assert(t);
		got += owner_of_item[t - items] == uid;
		share_ready(s, t);
	}
	return got;
}

Test(share, turns)
{
	ready(1, 1, 10); /* noisy */
	ready(2, 2, 10);
	ready(3, 3, 10);
	ready(9, 9, 1); /* quiet: one of four */
	cr_expect_eq(turns_of(9, 400), 100);
}

Test(share, many_uids_of_one_group_have_one_turn)
{
	for (uint32_t uid = 100; uid < 116; uid++)
		ready(uid, SHARE_STRANGER, 1);
	ready(9, 9, 1);
	unsigned quiet = turns_of(9, 320);

	cr_expect_eq(quiet, 160, "the quiet one has %u turns of 320%s", quiet,
		     quiet < 160 ? "; accepted: twin=share_groups:" : "");
	cr_expect_eq(turns_of(100, 320), 10);
}

Test(share, who_has_left_has_no_turn)
{
	ready(1, 1, 3);
	ready(2, 2, 1);
	for (unsigned i = 0; i < 3; i++)
		share_leave(s, &items[i]);
	cr_expect_eq(turns_of(2, 5), 5);
	share_leave(s, &items[3]);
	cr_expect_null(share_turn(s));
	cr_expect(!share_waiting(s));
	cr_expect_eq(shares_known(s), 0);
}

/* Descriptors that are not closed yet: their owner waits, the others do not; and then its turn comes. */
Test(share, who_fills_the_reaper_waits)
{
	ready(1, 1, 2);
	ready(2, 2, 1);
	struct reaper_charge *who = share_charge(&items[0]);

	atomic_store(&who->held, SHARE_OWNER_FDS);
	cr_expect_eq(turns_of(2, 5), 5);
	share_leave(s, &items[2]);
	cr_expect_null(share_turn(s));
	cr_expect(share_waiting(s));
	atomic_store(&who->held, SHARE_PARKED);
	atomic_store(&who->parked, SHARE_PARKED);
	cr_expect_null(share_turn(s), "what it brought hangs");
	atomic_store(&who->parked, 0);
	atomic_store(&who->above->parked, SHARE_PARKED);
	cr_expect_null(share_turn(s), "what its group brought does");
	atomic_store(&who->above->parked, 0);
	atomic_store(&who->held, 1);
	cr_expect_eq(turns_of(1, 4), 4);
	share_leave(s, &items[0]);
	share_leave(s, &items[1]);
	share_turn(s);
	cr_expect_eq(shares_known(s), 3, "it is charged as long as one is held");
	atomic_store(&who->held, 0);
	shares_sweep(s);
	cr_expect_eq(shares_known(s), 0);
}

/* In the turn of who just came nothing is read: whatever is still being closed of others who came so, it is identified. */
Test(share, who_just_came_waits_for_nobody)
{
	ready(1, SHARE_NEW, 1);
	for (struct reaper_charge *c = share_charge(&items[0]); c; c = c->above) {
		atomic_store(&c->held, SHARE_GROUP_FDS);
		atomic_store(&c->parked, SHARE_GROUP_FDS);
	}
	cr_expect_eq(turns_of(1, 3), 3);
}

/* Nor for what was refused, in any group. */
Test(share, who_is_refused_stops_nobody)
{
	static const uint32_t groups[] = { SHARE_STRANGER, 7, SHARE_NEW };
	struct reaper_charge *who[3];

	for (int g = 0; g < 3; g++) {
		ready(1, groups[g], 1);
		who[g] = share_charge_refused(s, groups[g]);
		cr_assert_null(who[g]->above);
		atomic_store(&who[g]->held, SHARE_GROUP_FDS);
		atomic_store(&who[g]->parked, SHARE_GROUP_FDS);
		cr_expect_eq(share_charge_refused(s, groups[g]), who[g]);
	}
	cr_expect_eq(turns_of(1, 6), 6);
	for (int g = 0; g < 3; g++)
		share_leave(s, &items[g]);
	shares_sweep(s);
	cr_expect_eq(shares_known(s), 3, "it is known while it is charged");
	for (int g = 0; g < 3; g++)
		atomic_store(&who[g]->held, 0);
	shares_sweep(s);
	cr_expect_eq(shares_known(s), 0);
}

/* In a group that must wait, who came and went leaves nothing; and the others have their turns again, in their order. */
Test(share, who_leaves_a_group_that_waits_is_forgotten)
{
	struct share_item *out;

	ready(1, SHARE_STRANGER, 1);
	struct reaper_charge *group = share_charge(&items[0])->above;

	atomic_store(&group->held, SHARE_PARKED);
	atomic_store(&group->parked, SHARE_PARKED);
	for (uint32_t uid = 100; uid < 5000; uid++) {
		cr_assert(share_enter(s, uid, SHARE_STRANGER, &items[1], &out));
		share_ready(s, &items[1]);
		cr_assert_null(share_turn(s));
		share_leave(s, &items[1]);
	}
	cr_expect_eq(shares_known(s), 3);
	ready(2, SHARE_STRANGER, 1);
	ready(3, SHARE_STRANGER, 1);
	share_leave(s, &items[1]); /* from the middle */
	atomic_store(&group->parked, 0);
	cr_expect_eq(share_turn(s), &items[0]);
	cr_expect_eq(share_turn(s), &items[2]);
	cr_expect_null(share_turn(s));
	cr_expect(!share_waiting(s));
	share_ready(s, &items[2]);
	atomic_store(&group->parked, SHARE_PARKED);
	share_leave(s, &items[2]);
	cr_expect(!share_waiting(s), "nothing waits where nobody is");
	share_ready(s, &items[0]);
	atomic_store(&group->held, 0);
	atomic_store(&group->parked, 0);
	cr_expect_eq(share_turn(s), &items[0]);
	share_leave(s, &items[0]);
	cr_expect_eq(shares_known(s), 0);
}
