// SPDX-License-Identifier: Apache-2.0
/*
 * Attacks 188 and 189 of attacks.md, natively: dates that clocks show when they are wrong, and the millisecond at which
 * an assertion ends. In the broken twin that a test names, it fails with "accepted: twin=<name>".
 */
#include "../../scene.h"

/* ---- 188 ---- */

/* The presentation, signed for a host whose clock says @now. */
static void dated(double now)
{
	mint_afresh(&m);
	m.now = now;
	json_object_set_new(m.wit, "nbf", json_real(now));
	json_object_set_new(m.wit, "iat", json_real(now));
	json_object_set_new(m.wit, "exp", json_real(now + 3600));
	json_object_set_new(m.wpt, "iat", json_real(now));
	json_object_set_new(m.wpt, "exp", json_real(now + 30));
}

static const double dates[] = {
	0,		       /* 1970 */
	1,		       /* a clock that begins to run */
	68169600,	       /* 1972-02-29 */
	915148799,  915148800, /* a leap second, and after */
	1483228799, 1483228800,	  1483228801,	 2147483646, 2147483647, /* 2038-01-19 */
	2147483648, 4294967295,	  4294967296,				 /* 2106 */
	4102444800, 253402300799, 1099511600000, /* near the last date that a claim may have */
};

/* At every date: what was made then holds then, and is refused at all others. */
Test(attack, attack_188_odd_dates)
{
	size_t count = sizeof(dates) / sizeof(dates[0]);

	for (size_t i = 0; i < count; i++) {
		owned_mem char *wit = NULL, *wpt = NULL;

		dated(dates[i]);
		wit = mint_wit(&m);
		wpt = mint_wpt(&m, wit);
		cr_expect_eq(mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)), REASON_OK, "at %.0f",
			     dates[i]);
		for (size_t k = 0; k < count; k++) {
			enum reason r;

			if (dates[k] > dates[i] - 30 && dates[k] < dates[i] + 60)
				continue;
			m.now = dates[k];
			m.window = (struct cleat_window){ 0 };
			r = mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt));
			cr_expect(r != REASON_OK, "accepted: twin=times: of %.0f at %.0f", dates[i],
				  dates[k]);
		}
	}
}

/* No clock shows these; who writes them into a claim is refused. */
Test(attack, attack_188_dates_beyond)
{
	static const double beyond[] = { -1, -2147483648.0, 1099511627777.0,
					 18446744073709551615.0 };

	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		dated(beyond[i]);
		cr_expect_neq(mint_judge(&m), REASON_OK, "%.0f", beyond[i]);
		mint_afresh(&m);
		m.now = beyond[i];
		cr_expect_neq(mint_judge(&m), REASON_OK, "a clock that says %.0f", beyond[i]);
	}
}

/* ---- 189 ---- */

#define ENDS (1790000028 + LEEWAY_S) /* the good WPT's exp and the leeway */

/* A million moments from a millisecond before to a millisecond after. */
Test(attack, attack_189_a_million_moments)
{
	const struct wit wit = { .exp = 1790003000, .nbf = 1789999940 };
	const struct wpt wpt = { .iat = 1789999998, .exp = 1790000028 };
	unsigned wrong = 0;

	for (int i = -500000; i < 500000; i++) {
		double now = ENDS + i / 500000.0 / 1000.0;
		enum reason must = now < ENDS ? REASON_OK : REASON_EXPIRED;

		wrong += assertion_times(&wit, &wpt, now, LEEWAY_S, WPT_LIFE_MAX_S) != must;
	}
	cr_expect_eq(wrong, 0);
}

/* The whole of verify() around the same moment: one reading of the clock decides, wherever the WIT comes from. */
Test(attack, attack_189_verify_at_the_boundary)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);

	for (int i = -1000; i < 1000; i++) {
		enum reason r;

		m.now = ENDS + i / 1000.0 / 1000.0;
		m.window = (struct cleat_window){ 0 };
		r = mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt));
		if (i < 0)
			cr_expect_eq(r, REASON_OK, "%d us", i);
		else
			cr_expect(r != REASON_OK, "accepted: twin=times: %d us behind its end", i);
	}
}
