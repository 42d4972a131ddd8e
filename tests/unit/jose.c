// SPDX-License-Identifier: Apache-2.0
/* edge/jose: the compact form to the byte, and what is signed reads back. Claims are verify's rows and the vectors. */
#include "edge/jose.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct sig_key *key;

static void setup(void)
{
	cr_assert_eq(sig_open(), 0);
	cr_assert_eq(sig_key_new(&key), 0);
}

static void teardown(void)
{
	sig_key_free(key);
}

TestSuite(jose, .init = setup, .fini = teardown);

static enum reason parse(const char *token, size_t len)
{
	owned(jose_drop) struct jose j = { 0 };

	return jose_parse(token, len, &j);
}

/* e30 = {}. Each row is another spelling or shape. */
Test(jose, compact_form)
{
	static const struct {
		const char *token;
		enum reason must;
	} rows[] = {
		{ "e30.e30.AA", REASON_OK },
		{ "e30.e30.", REASON_OK }, /* no signature: refused later, as one */
		{ "", REASON_MALFORMED },
		{ ".", REASON_MALFORMED },
		{ "..", REASON_MALFORMED },
		{ "e30.e30", REASON_MALFORMED },
		{ "e30.e30.AA.AA", REASON_MALFORMED },
		{ "e30.e30.AA.", REASON_MALFORMED },
		{ ".e30.AA", REASON_MALFORMED },
		{ "e30..AA", REASON_MALFORMED },
		{ " e30.e30.AA", REASON_MALFORMED },
		{ "e30.e30.AA\n", REASON_MALFORMED },
		{ "e30.e30.AA==", REASON_MALFORMED },
		{ "e30=.e30.AA", REASON_MALFORMED },
		{ "e31.e30.AA", REASON_MALFORMED }, /* unused bits */
		{ "e30.e30.AB", REASON_MALFORMED },
		{ "e30.e30.A", REASON_MALFORMED },
		{ "W10.e30.AA", REASON_MALFORMED }, /* [] */
		{ "e30.MQ.AA", REASON_MALFORMED },  /* 1 */
		{ "e30.e30.A+", REASON_MALFORMED },
		{ "e30,e30,AA", REASON_MALFORMED },
		{ "{\"payload\":\"e30\",\"signatures\":[]}", REASON_MALFORMED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(parse(rows[i].token, strlen(rows[i].token)), rows[i].must, "%s",
			     rows[i].token);
	cr_expect_eq(parse("e30.e30.AA\0", 11), REASON_MALFORMED);
}

/* attack 15: what is too large is refused by its length alone; what is within it stays cheap. */
Test(jose, attack_015_bombs)
{
	static char bomb[1 << 20];

	memset(bomb, '.', sizeof(bomb));
	cr_expect_eq(parse(bomb, sizeof(bomb)), REASON_TOO_LARGE);
	cr_expect_eq(parse(bomb, TOKEN_MAX), REASON_MALFORMED);
	memset(bomb, 'A', TOKEN_MAX);
	cr_expect_eq(parse(bomb, TOKEN_MAX), REASON_MALFORMED);
	cr_expect_eq(parse(bomb, 1), REASON_MALFORMED);
	/* {"a":[[[[... in base64url */
	memset(bomb, 'W', TOKEN_MAX);
	memcpy(bomb, "e30.eyJhIjpbW1tbW1tb", 20);
	for (size_t i = 20; i < TOKEN_MAX - 4; i++)
		bomb[i] = "W1tb"[i % 4];
	memcpy(bomb + TOKEN_MAX - 3, ".AA", 3);
	cr_expect_eq(parse(bomb, TOKEN_MAX), REASON_MALFORMED);
}

Test(jose, types)
{
	static const struct {
		const char *header;
		enum reason must;
	} rows[] = {
		{ "{\"typ\":\"wpt+jwt\"}", REASON_OK },
		{ "{\"typ\":\"application/wpt+jwt\"}", REASON_OK },
		{ "{\"typ\":\"Application/WPT+JWT\"}", REASON_OK },
		{ "{\"typ\":\"wit+jwt\"}", REASON_TYPE },
		{ "{\"typ\":\"wpt+jwt \"}", REASON_TYPE },
		{ "{\"typ\":\"wpt\"}", REASON_TYPE },
		{ "{\"typ\":\"text/wpt+jwt\"}", REASON_TYPE },
		{ "{\"typ\":\"application/application/wpt+jwt\"}", REASON_TYPE },
		{ "{\"typ\":\"wpt+jwt\\u0000\"}", REASON_TYPE },
		{ "{\"typ\":\"\"}", REASON_TYPE },
		{ "{\"typ\":[\"wpt+jwt\"]}", REASON_TYPE },
		{ "{}", REASON_TYPE },
		{ "{\"typ\":\"wpt+jwt\",\"crit\":[]}", REASON_CRIT },
		{ "{\"typ\":\"wpt+jwt\",\"crit\":null}", REASON_CRIT },
		{ "{\"typ\":\"wpt+jwt\",\"crit\":[\"b64\"],\"b64\":false}", REASON_CRIT },
	};
	char at[1024];
	struct text t;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned(jose_drop) struct jose j = { 0 };

		text_init(&t, at, sizeof(at));
		cr_assert_eq(jose_sign(&t, rows[i].header, "{}", key), 0);
		cr_assert_eq(jose_parse(at, t.len, &j), REASON_OK);
		cr_expect_eq(jose_check_type(&j, NAME_TYP_WPT), rows[i].must, "%s", rows[i].header);
	}
}

Test(jose, signed_here_reads_here)
{
	char wit_at[4096], claims[4096], header[256], sub[SPIFFE_ID_MAX + 1], kid[JTI_MAX + 1];
	struct wit wit = { .sub = "spiffe://d/a",
			   .iss = "spiffe://d/host/h",
			   .jti = "j",
			   .exp = 90,
			   .nbf = 2,
			   .iat = 3,
			   .ueid = { 1, 7 },
			   .bootseed = { 5 } },
		   back = { 0 };
	owned(jose_drop) struct jose j = { 0 };
	struct spiffe_id id;
	struct text t, h, c;

	sig_key_point(key, &wit.cnf);
	text_init(&h, header, sizeof(header));
	assertion_print_wit_header(&h, "kid");
	text_init(&c, claims, sizeof(claims));
	assertion_print_wit(&c, &wit);
	text_init(&t, wit_at, sizeof(wit_at));
	cr_assert_eq(jose_sign(&t, header, claims, key), 0);
	cr_assert_eq(jose_parse(wit_at, t.len, &j), REASON_OK);
	cr_assert_eq(jose_check_type(&j, NAME_TYP_WIT), REASON_OK);
	cr_assert_eq(jose_check_alg(&j), REASON_OK);
	cr_assert_eq(jose_kid(&j, kid), REASON_OK);
	cr_assert_str_eq(kid, "kid");
	cr_assert_eq(jose_sub(&j, sub, &id), REASON_OK);
	cr_assert_str_eq(sub, wit.sub);
	cr_assert_eq(jose_iss(&j, sub), REASON_OK);
	cr_assert_str_eq(sub, wit.iss);
	cr_assert_eq(jose_wit_times(&j, &back), REASON_OK);
	cr_assert(back.exp > 89 && back.exp < 91 && back.nbf > 1 && back.iat > 2);
	cr_assert_eq(jose_cnf(&j, &back.cnf), REASON_OK);
	cr_assert_arr_eq(&back.cnf, &wit.cnf, sizeof(wit.cnf));
	cr_assert_eq(jose_wit(&j, &back), REASON_OK);
	cr_assert_arr_eq(back.ueid, wit.ueid, UEID_LEN);
	cr_assert_arr_eq(back.bootseed, wit.bootseed, BOOTSEED_LEN);
	cr_assert_eq(sig_verify(key, j.signing_input, j.signing_input_len, j.sig, j.sig_len),
		     REASON_OK);
}

Test(jose, no_room)
{
	char at[16];
	struct text t;

	text_init(&t, at, sizeof(at));
	cr_assert_eq(jose_sign(&t, "{\"alg\":\"ES256\"}", "{}", key), -ENOSPC);
	cr_assert(t.overflown);
}

/* A set is refused whole where any key of it is not a public one of ours, or a kid comes twice. */
Test(jose, plain_jws_under_a_set)
{
	static const char *const spoil[] = { NULL, "{\"kty\":\"oct\",\"k\":\"AA\",\"kid\":\"s\"}",
					     "{\"kty\":\"EC\",\"kid\":\"x\"}", "7" };
	json_t *jwk = json_pack("{s:s,s:s,s:s}", "kty", "EC", "crv", "P-256", "kid", "k");
	json_t *set = json_pack("{s:[o]}", "keys", jwk);
	char at[512], x[44], y[44];
	struct point p;
	struct text t;

	sig_key_point(key, &p);
	text_init(&t, x, sizeof(x));
	text_b64url(&t, p.x, 32);
	text_init(&t, y, sizeof(y));
	text_b64url(&t, p.y, 32);
	json_object_set_new(jwk, "x", json_string(x));
	json_object_set_new(jwk, "y", json_string(y));
	text_init(&t, at, sizeof(at));
	cr_assert_eq(jose_sign(&t, "{\"alg\":\"ES256\",\"kid\":\"k\"}", "not json", key), 0);
	for (size_t i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
		json_t *mixed = json_deep_copy(set);

		if (spoil[i])
			json_array_append_new(json_object_get(mixed, "keys"),
					      json_loads(spoil[i], JSON_DECODE_ANY, NULL));
		cr_expect_eq(jose_verify_plain(at, t.len, mixed), i ? REASON_KEY : REASON_OK);
		json_decref(mixed);
	}
	json_array_append(json_object_get(set, "keys"), jwk);
	cr_expect_eq(jose_verify_plain(at, t.len, set), REASON_KEY, "the same kid twice");
	json_object_set_new(jwk, "use", json_string("enc"));
	cr_expect_eq(jose_verify_plain(at, t.len, jwk), REASON_KEY);
	json_decref(set);
}
