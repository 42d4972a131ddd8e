/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host key through reloads: it signs from the image on that it came for, not before, and no longer than that image stays.
 * Each row: what is told one after the other (s: a key is staged, n: none is staged, u: unstaged, t: an image is taken,
 * b: back, f: it is in force), and which key is then in use: 0 the first, 1 the first that was staged ..., -: none.
 */
#include "room/host_key.h"

#include <criterion/criterion.h>
#include <string.h>

#define KEYS 4

static struct sig_key *keys[KEYS]; /* the test's own share of each */

static void begin(void)
{
	cr_assert_eq(sig_open(), 0);
	for (int i = 0; i < KEYS; i++)
		cr_assert_eq(sig_key_new(&keys[i]), 0);
}

TestSuite(host_key, .init = begin);

static void told(struct host_key *k, const char *words)
{
	int staged = 0;

	for (; *words; words++)
		switch (*words) {
		case 's':
			cr_assert_lt(staged + 1, KEYS);
			host_key_stage(k, sig_key_share(keys[++staged]));
			break;
		case 'n':
			host_key_stage(k, NULL);
			break;
		case 'u':
			host_key_unstage(k);
			break;
		case 't':
			host_key_take(k);
			break;
		case 'b':
			host_key_back(k);
			break;
		case 'f':
			host_key_settle(k);
			break;
		}
}

Test(host_key, in_use)
{
	static const struct {
		const char *what, *words;
		char in_use;
		bool alone; /* no other key is kept */
	} rows[] = {
		{ "good: a reload", "stf", '1', true },
		{ "nothing yet", "", '0', true },
		{ "staged is not in use", "s", '0', false },
		{ "nor is it in force before an image comes", "sf", '0', false },
		{ "staged twice: the last counts", "sstf", '2', true },
		{ "taken, the one before is kept", "st", '1', false },
		{ "and comes back", "stb", '0', true },
		{ "once", "stbb", '0', true },
		{ "but not when it was in force", "stfb", '1', true },
		{ "another reload after going back", "stbstf", '2', true },
		{ "a file that was no key", "utf", '0', true },
		{ "and going back from that", "utb", '0', true },
		{ "of a reload that sent no image", "sutf", '0', true },
		{ "two reloads", "stfstf", '2', true },
		{ "back from the second", "stfstb", '1', true },
		{ "back from one that brought none", "stftb", '1', true },
		{ "a next key goes", "ntf", '-', true },
		{ "and comes back with the image", "ntb", '0', true },
		{ "it comes anew", "ntfstf", '1', true },
		{ "and goes back to none", "ntfstb", '-', true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host_key k = { .now = sig_key_share(keys[0]) };

		told(&k, rows[i].words);
		cr_expect_eq(k.now, rows[i].in_use == '-' ? NULL : keys[rows[i].in_use - '0'], "%s",
			     rows[i].what);
		cr_expect_eq(k.other == NULL && k.what == HOST_KEY_NOTHING, rows[i].alone, "%s",
			     rows[i].what);
		host_key_free(&k);
	}
}
