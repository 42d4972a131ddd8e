// SPDX-License-Identifier: Apache-2.0
/* model/reason: every reason has its own word, a sentence, and something to tell the asker. */
#include "model/reason.h"
#include <criterion/criterion.h>
#include <string.h>

Test(reason, words_are_unique_and_come_back)
{
	for (unsigned r = 0; r < REASON_COUNT; r++) {
		cr_assert_gt(strlen(reason_word(r)), 0);
		cr_assert_lt(strlen(reason_word(r)), 32, "fits the answer's field");
		cr_assert_gt(strlen(reason_sentence(r)), 0);
		cr_assert_eq(reason_of_word(reason_word(r)), r, "%s", reason_word(r));
	}
}

Test(reason, zero_denies)
{
	cr_assert_eq(REASON_UNDECIDED, 0);
	cr_assert_eq(REASON_OK, 1);
	cr_assert_str_eq(reason_word(REASON_COUNT), "undecided");
	cr_assert_str_eq(reason_word((enum reason) - 1), "undecided");
	cr_assert_eq(reason_of_word("no-such-word"), REASON_UNDECIDED);
}

/* What would tell a stranger about others' sockets is one answer. */
Test(reason, strangers_hear_one_word)
{
	cr_assert_eq(reason_public(REASON_NOT_OWNER), REASON_NOT_YOURS);
	cr_assert_eq(reason_public(REASON_HANDED_OVER), REASON_NOT_YOURS);
	cr_assert_eq(reason_public(REASON_UNTAGGED), REASON_NOT_YOURS);
	for (unsigned r = 0; r < REASON_COUNT; r++) {
		cr_assert_eq(reason_public(reason_public(r)), reason_public(r));
		cr_assert_eq(reason_public(r) == REASON_OK, r == REASON_OK);
	}
}
