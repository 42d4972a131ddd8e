// SPDX-License-Identifier: Apache-2.0
/* model/spiffe_id: matches the grammar or is refused; attack 17's lengths stand here, attack 16's spellings too. */
#include "model/spiffe_id.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(spiffe_id, grammar)
{
	static const struct {
		const char *id;
		bool valid;
	} rows[] = {
		{ "spiffe://d/a", true },
		{ "spiffe://d", true },
		{ "spiffe://d/a/b-c_d.e/Z9", true },
		{ "spiffe://a.b-c_d9/x", true },
		{ "spiffe://d/", false },
		{ "spiffe://d/a/", false },
		{ "spiffe://d//a", false },
		{ "spiffe://d/./a", false },
		{ "spiffe://d/../a", false },
		{ "spiffe://d/.../a", true },
		{ "spiffe://D/a", false },
		{ "SPIFFE://d/a", false },
		{ "spiffe:///a", false },
		{ "spiffe://", false },
		{ "spiffe:/d/a", false },
		{ "spiffe://d/%61", false },
		{ "spiffe://d/%2e%2e", false },
		{ "spiffe://d/a?q", false },
		{ "spiffe://d/a#f", false },
		{ "spiffe://u@d/a", false },
		{ "spiffe://d:1/a", false },
		{ "spiffe://d/a b", false },
		{ "spiffe://d/\xc3\xa4", false },
		{ "spiffe://d/a\xe2\x80\x8f", false },
		{ "https://d/a", false },
		{ "", false },
	};
	struct spiffe_id id;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(spiffe_id_parse(rows[i].id, strlen(rows[i].id), &id), rows[i].valid,
			     "%s", rows[i].id);
	cr_assert(!spiffe_id_parse("spiffe://d/a\0b", 14, &id));
	cr_assert(spiffe_id_parse("spiffe://dd/aX", 13, &id));
	cr_assert_eq(id.trust_domain_len, 2);
	cr_assert_eq(id.path_len, 2, "the length counts, not the NUL");
}

/* max - 1, max, max + 1, 2^16. */
Test(spiffe_id, attack_017_lengths_are_exact)
{
	static const size_t lens[] = { 254, 255, 256, 65536 };
	static const size_t totals[] = { 2047, 2048, 2049, 65536 };
	char *at = malloc(70000);
	struct spiffe_id id;

	for (int i = 0; i < 4; i++) {
		strcpy(at, "spiffe://");
		memset(at + 9, 'd', lens[i]);
		strcpy(at + 9 + lens[i], "/a");
		cr_assert_eq(spiffe_id_parse(at, strlen(at), &id), i < 2, "trust domain %zu",
			     lens[i]);
		cr_assert_eq(spiffe_trust_domain_valid(at + 9, lens[i]), i < 2);
		strcpy(at, "spiffe://d/");
		memset(at + 11, 'a', totals[i] - 11);
		cr_assert_eq(spiffe_id_parse(at, totals[i], &id), i < 2, "id %zu", totals[i]);
	}
	free(at);
}

Test(spiffe_id, whole_components)
{
	static const struct {
		const char *path, *prefix;
		bool within;
	} rows[] = {
		{ "/a/b", "/a", true },	 { "/a", "/a", true },	       { "/ab", "/a", false },
		{ "/a", "/a/b", false }, { "/a/b", "/", true },	       { "/a/b", "", false },
		{ "/A/b", "/a", false }, { "/host/x", "/host", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(spiffe_path_within(rows[i].path, strlen(rows[i].path), rows[i].prefix,
						strlen(rows[i].prefix)),
			     rows[i].within, "%s in %s", rows[i].path, rows[i].prefix);
	cr_assert(spiffe_path_is_host("/host", 5));
	cr_assert(spiffe_path_is_host("/host/h1", 8));
	cr_assert(!spiffe_path_is_host("/hosts", 6));
}
