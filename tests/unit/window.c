// SPDX-License-Identifier: Apache-2.0
/* model/window: each number once, 1 024 back, a new generation afresh; held against a plain list over random runs. */
#include "model/window.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* One window, asked in this order. */
Test(window, in_order)
{
	static const struct {
		const char *what;
		uint32_t generation;
		uint64_t seq;
		enum reason must;
	} rows[] = {
		{ "first", 1, 7, REASON_OK },
		{ "again", 1, 7, REASON_REPLAYED },
		{ "zero", 1, 0, REASON_REPLAYED },
		{ "older, new", 1, 6, REASON_OK },
		{ "older, again", 1, 6, REASON_REPLAYED },
		{ "far ahead", 1, 1030, REASON_OK },
		{ "the oldest inside", 1, 1030 - 1023, REASON_REPLAYED },
		{ "next to it", 1, 1030 - 1022, REASON_OK },
		{ "the newest outside", 1, 1030 - 1024, REASON_REPLAYED },
		{ "one more", 1, 1031, REASON_OK },
		{ "7 is outside now", 1, 7, REASON_REPLAYED },
		{ "a new generation knows nothing", 2, 7, REASON_OK },
		{ "but remembers", 2, 7, REASON_REPLAYED },
		{ "and has nothing of the old", 2, 1030, REASON_OK },
		{ "the largest", 2, (1ULL << 53) - 1, REASON_OK },
		{ "everything else is left of it", 2, 1031, REASON_REPLAYED },
	};
	struct cleat_window w = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(window_check(&w, rows[i].generation, rows[i].seq), rows[i].must, "%s",
			     rows[i].what);
		cr_assert_eq(window_admit(&w, rows[i].generation, rows[i].seq), rows[i].must, "%s",
			     rows[i].what);
	}
}

Test(window, refusals_are_not_remembered)
{
	struct cleat_window w = { 0 }, before;

	cr_assert_eq(window_admit(&w, 1, 2000), REASON_OK);
	before = w;
	cr_assert_eq(window_admit(&w, 1, 976), REASON_REPLAYED);
	cr_assert_eq(window_check(&w, 1, 3000), REASON_OK);
	cr_assert_arr_eq(&w, &before, sizeof(w));
}

#define NUMBERS 8192

/* 50 runs of 4 000 numbers near a moving head, against a list of all that were admitted. */
Test(window, like_a_list)
{
	static bool seen[NUMBERS];

	for (unsigned run = 0; run < 50; run++) {
		struct cleat_window w = { 0 };
		uint64_t highest = 0, head = 1;

		srandom(run);
		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < 4000; i++) {
			uint64_t back = (uint64_t)random() % (run % 2 ? 1500 : 20), seq;
			bool fresh;

			head += random() % 4 == 0 ? (uint64_t)random() % 5 : 0;
			head = head < NUMBERS ? head : NUMBERS - 1;
			seq = head > back ? head - back : 1;
			fresh = !seen[seq] && (seq > highest || highest - seq < CLEAT_WINDOW_BITS);
			cr_assert_eq(window_admit(&w, 1, seq) == REASON_OK, fresh, "run %u seq %lu",
				     run, (unsigned long)seq);
			seen[seq] = seen[seq] || fresh;
			highest = fresh && seq > highest ? seq : highest;
		}
	}
}
