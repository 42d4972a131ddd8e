// SPDX-License-Identifier: Apache-2.0
/*
 * The scene of the native attacks on verify(): a mint of each test's own, the legitimate presentation before and after,
 * and what a refusal is. For tests/attack/native; included once a binary.
 */
#ifndef CLEAT_TESTS_SCENE_H
#define CLEAT_TESTS_SCENE_H

#include "mint.h"
#include <criterion/criterion.h>

static struct mint m;

static void setup(void)
{
	cr_assert_eq(mint_open(&m), 0);
	cr_assert_eq(mint_good(&m), REASON_OK, "the legitimate one, before");
	mint_afresh(&m);
}

static void teardown(void)
{
	cr_expect_eq(mint_good(&m), REASON_OK, "the legitimate one, after");
	mint_close(&m);
}

TestSuite(attack, .init = setup, .fini = teardown);

static inline void expect(const char *twin, enum reason must, enum reason is, const char *what)
{
	cr_expect(is != REASON_OK, "accepted: twin=%s: %s", twin, what);
	cr_expect_eq(is, must, "%s: %s, not %s", what, reason_word(is), reason_word(must));
	cr_expect_eq(m.consumes, 0, "%s: something was marked", what);
}

static inline enum reason ask(const char *wit, const char *wpt)
{
	return mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt));
}

#endif
