// SPDX-License-Identifier: Apache-2.0
/*
 * Attacks of attacks.md 9 and 10, natively, on verify(): claims of another type, and missing ones. Every test is
 * three runs: the legitimate variant passes, the attacks are refused with their reason, the legitimate one passes
 * again. In the broken twin that a test names, it fails with "accepted: twin=<name>".
 */
#include "../../scene.h"

static json_t *conn(void)
{
	return json_object_get(m.wpt, NAME_CONN);
}

static json_t *jwk(void)
{
	return json_object_get(json_object_get(m.wit, "cnf"), "jwk");
}

/* ---- 9 and 10 ---- */

/* One claim of either token takes another value; whatever the reason, it must be refused and never rounded. */
static void confused(bool of_wit, const char *name, const char *value)
{
	enum reason r;

	mint_afresh(&m);
	json_object_set_new(of_wit ? m.wit : m.wpt, name, mint_json(value));
	r = mint_judge(&m);
	cr_expect(r != REASON_OK, "accepted: twin=claims: %s = %s", name, value);
	cr_expect_eq(m.consumes, 0);
}

static void confused_conn(const char *name, const char *value)
{
	mint_afresh(&m);
	json_object_set_new(conn(), name, mint_json(value));
	expect("", REASON_CLAIM, mint_judge(&m), value);
}

Test(attack, attack_009_claim_types)
{
	static const char *const dates[] = { "'123'",	      "-1",	      "9223372036854775807",
					     "1099511627777", "1e300",	      "true",
					     "null",	      "[1790000028]", "{}" };
	static const char *const auds[] = { "[]",
					    "['" MINT_SERVICE "','spiffe://example.org/x']",
					    "['" MINT_SERVICE "','" MINT_SERVICE "']",
					    "[['" MINT_SERVICE "']]",
					    "null",
					    "7",
					    "''",
					    "{'0':'" MINT_SERVICE "'}",
					    "'" MINT_SERVICE "\\u0000'",
					    "'" MINT_SERVICE "/'" };
	static const char *const subs[] = { "'spiffe://example.org/ns/prod/web\\u0000'",
					    "'spiffe://example.org/ns/prod/web\\u007f'",
					    "'spiffe://example.org:65536/ns/prod/web'",
					    "'spiffe://example.org:-1/ns/prod/web'",
					    "['" MINT_CALLER "']",
					    "7",
					    "null" };
	static const char *const numbers[] = {
		"'7'",	"7.0",	"7.5", "-7", "9007199254740992", "9223372036854775807",
		"true", "null", "[7]", "7e0"
	};

	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		confused(true, "exp", dates[i]);
		confused(false, "exp", dates[i]);
		confused(false, "iat", dates[i]);
		confused(true, "nbf", dates[i]);
	}
	for (size_t i = 0; i < sizeof(auds) / sizeof(auds[0]); i++)
		confused(false, "aud", auds[i]);
	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]); i++)
		confused(true, "sub", subs[i]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		confused_conn("seq", numbers[i]);
		confused_conn("est", numbers[i]);
		confused_conn("v", numbers[i]);
	}
	confused(true, "jti", "7");
	confused(true, "ueid", "'AgAAAAAAAAAAAAAAAAAAAAA'");
	confused(false, NAME_LEVEL, "2");
	confused(false, NAME_PROC, "'inst'");
}

/* Raw JSON that no JSON library of ours would print: overflow, overlong UTF-8, lone surrogates. */
Test(attack, attack_009_raw_values)
{
	static const char *const rows[] = {
		"\"x\":1e400",
		"\"x\":-1e400",
		"\"x\":NaN",
		"\"x\":18446744073709551616",
		"\"x\":9223372036854775808",
		"\"x\":\"\\ud800\"",
		"\"x\":\"\xc0\xaf\"",
		"\"x\":\"\xed\xa0\x80\"",
		"\"x\":01",
		"\"x\":0x7",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned_mem char *wit = NULL, *wpt = NULL;

		mint_afresh(&m);
		wit = mint_front(m.wit_header, m.wit, false, rows[i], m.host);
		wpt = mint_wpt(&m, wit);
		expect("", REASON_MALFORMED, ask(wit, wpt), rows[i]);
	}
}

/* Every mandatory one is dropped, made empty, made null. */
#define CLAIMS(X)                                                                                  \
	X(m.wit_header, "alg")                                                                     \
	X(m.wit_header, "typ")                                                                     \
	X(m.wit_header, "kid")                                                                     \
	X(m.wpt_header, "alg")                                                                     \
	X(m.wpt_header, "typ")                                                                     \
	X(m.wit, "sub") X(m.wit, "iss") X(m.wit, "exp") X(m.wit, "cnf") X(jwk(), "kty")            \
		X(jwk(), "crv") X(jwk(), "x") X(jwk(), "y") X(jwk(), "alg") X(m.wit, "jti")        \
			X(m.wit, "ueid") X(m.wit, "bootseed") X(m.wpt, "aud") X(m.wpt, "iat") X(   \
				m.wpt, "exp") X(m.wpt, "jti") X(m.wpt, "wth") X(m.wpt, NAME_CONN)  \
				X(conn(), "v") X(conn(), "role") X(conn(), "cb") X(conn(), "est")  \
					X(conn(), "seq") X(m.wpt, NAME_LEVEL) X(m.wpt, NAME_PROC)  \
						X(json_object_get(m.wpt, NAME_PROC), "inst")

Test(attack, attack_010_missing_claims)
{
	static const char *const values[] = { NULL, "''", "null" };

	for (size_t i = 0; i < 3; i++) {
#define X(object, name)                                                                            \
	mint_afresh(&m);                                                                           \
	m.no_wth = !values[i];                                                                     \
	if (strcmp(name, "wth") != 0)                                                              \
		m.no_wth = false;                                                                  \
	if (values[i])                                                                             \
		json_object_set_new(object, name, mint_json(values[i]));                           \
	else                                                                                       \
		json_object_del(object, name);                                                     \
	cr_expect(mint_judge(&m) != REASON_OK, "accepted: twin=claims: %s %s", name,               \
		  values[i] ? values[i] : "dropped");                                              \
	cr_expect_eq(m.consumes, 0);
		CLAIMS(X)
#undef X
	}
}
