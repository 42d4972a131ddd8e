// SPDX-License-Identifier: Apache-2.0
/*
 * Attack 14, natively: one good presentation, and everything next to it. Every bit flipped, every prefix, every byte
 * appended, every two parts swapped, and CLEAT_FLIPS (1 000 000) chance flips of two bits: all refused, nothing ever
 * marked, and the good one still accepted at the end. The seed is printed; CLEAT_SEED repeats a run.
 */
#include "../../mint.h"
#include <criterion/criterion.h>
#include <time.h>

static struct mint m;
static char *wit, *wpt;
static size_t wit_len, wpt_len;

static void setup(void)
{
	cr_assert_eq(mint_open(&m), 0);
	wit = mint_wit(&m);
	wpt = mint_wpt(&m, wit);
	wit_len = strlen(wit);
	wpt_len = strlen(wpt);
	cr_assert_eq(mint_ask(&m, wit, wit_len, wpt, wpt_len), REASON_OK, "before");
	mint_afresh(&m);
}

static void teardown(void)
{
	cr_expect_eq(m.consumes, 0, "something was marked");
	cr_expect_eq(mint_ask(&m, wit, wit_len, wpt, wpt_len), REASON_OK, "after");
	free(wit);
	free(wpt);
	mint_close(&m);
}

TestSuite(flips, .init = setup, .fini = teardown);

static void refused(const char *a, size_t a_len, const char *b, size_t b_len, const char *what)
{
	if (mint_ask(&m, a, a_len, b, b_len) == REASON_OK)
		cr_expect_fail("accepted: twin=%s: %.*s ~ %.*s", what, (int)a_len, a, (int)b_len,
			       b);
}

Test(flips, attack_014_every_bit)
{
	for (size_t bit = 0; bit < 8 * wit_len; bit++) {
		wit[bit / 8] ^= (char)(1 << bit % 8);
		refused(wit, wit_len, wpt, wpt_len, "");
		wit[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * wpt_len; bit++) {
		wpt[bit / 8] ^= (char)(1 << bit % 8);
		refused(wit, wit_len, wpt, wpt_len, "wpt_sig");
		wpt[bit / 8] ^= (char)(1 << bit % 8);
	}
}

Test(flips, attack_014_every_prefix_and_byte)
{
	owned_mem char *longer = malloc(wit_len + wpt_len + 2);

	for (size_t len = 0; len < wit_len; len++)
		refused(wit, len, wpt, wpt_len, "");
	for (size_t len = 0; len < wpt_len; len++)
		refused(wit, wit_len, wpt, len, "");
	for (int byte = 0; byte < 256; byte++) {
		memcpy(longer, wit, wit_len);
		longer[wit_len] = (char)byte;
		refused(longer, wit_len + 1, wpt, wpt_len, "");
		memcpy(longer, wpt, wpt_len);
		longer[wpt_len] = (char)byte;
		refused(wit, wit_len, longer, wpt_len + 1, "");
	}
}

static void parts_of(const char *token, const char *at[3], int len[3])
{
	for (int i = 0; i < 3; i++) {
		const char *end = i < 2 ? strchr(token, '.') : token + strlen(token);

		at[i] = token;
		len[i] = (int)(end - token);
		token = end + 1;
	}
}

/* The six parts of both, any two of them exchanged. */
Test(flips, attack_014_parts_swapped)
{
	const char *at[6];
	char a[TOKEN_MAX], b[TOKEN_MAX];
	int len[6], order[6];

	parts_of(wit, at, len);
	parts_of(wpt, at + 3, len + 3);
	for (int x = 0; x < 6; x++)
		for (int y = x + 1; y < 6; y++) {
			for (int i = 0; i < 6; i++)
				order[i] = i == x ? y : i == y ? x : i;
			snprintf(a, sizeof(a), "%.*s.%.*s.%.*s", len[order[0]], at[order[0]],
				 len[order[1]], at[order[1]], len[order[2]], at[order[2]]);
			snprintf(b, sizeof(b), "%.*s.%.*s.%.*s", len[order[3]], at[order[3]],
				 len[order[4]], at[order[4]], len[order[5]], at[order[5]]);
			refused(a, strlen(a), b, strlen(b), "");
		}
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 10) : otherwise;
}

static uint64_t state;

/* xorshift64*: the same run for the same seed everywhere. */
static uint64_t chance(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ULL;
}

static void flip(size_t bit)
{
	char *at = bit < 8 * wit_len ? wit + bit / 8 : wpt + (bit / 8 - wit_len);

	*at ^= (char)(1 << bit % 8);
}

Test(flips, attack_014_two_bits_by_chance)
{
	unsigned long count = setting("CLEAT_FLIPS", 1000000);
	unsigned long seed = setting("CLEAT_SEED", (unsigned long)time(NULL));
	size_t bits = 8 * (wit_len + wpt_len);

	cr_log_info("seed %lu, %lu flips", seed, count);
	state = seed | 1;
	for (unsigned long i = 0; i < count; i++) {
		size_t a = chance() % bits, b = (a + 1 + chance() % (bits - 1)) % bits;

		flip(a);
		flip(b);
		refused(wit, wit_len, wpt, wpt_len, "");
		flip(a);
		flip(b);
	}
}
