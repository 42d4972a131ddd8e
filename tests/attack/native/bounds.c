// SPDX-License-Identifier: Apache-2.0
/*
 * Attacks 15 and 119 of attacks.md, natively, on verify(): what a stranger's bytes may cost. Size, separators and nesting
 * are refused before anything is stored, and no curve arithmetic is done for who could not pass without it. Between
 * legitimate presentations, as everywhere.
 */
#include "../../scene.h"

#define STORED_MAX (64u << 10) /* bytes asked of malloc for one refusal */

/* ---- what is asked of malloc ---- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *at, size_t n);

static size_t stored;

void *malloc(size_t n)
{
	stored += n;
	return __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	stored += count * n;
	return __libc_calloc(count, n);
}

void *realloc(void *at, size_t n)
{
	stored += n;
	return __libc_realloc(at, n);
}

/* ---- 15 ---- */

/* The bytes in either place of a presentation whose other half is good. */
static void bomb(const char *bytes, size_t len, const char *what)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);
	size_t before;

	for (int of_wit = 0; of_wit < 2; of_wit++) {
		uint64_t curves = sig_calls();
		enum reason r;

		before = stored;
		r = of_wit ? mint_ask(&m, bytes, len, wpt, strlen(wpt))
			   : mint_ask(&m, wit, strlen(wit), bytes, len);
		cr_expect(r == REASON_MALFORMED || r == REASON_TOO_LARGE, "%s: %s", what,
			  reason_word(r));
		cr_expect_eq(r == REASON_TOO_LARGE, len > TOKEN_MAX, "%s: %s", what,
			     reason_word(r));
		cr_expect_leq(stored - before, STORED_MAX, "%s: %zu bytes stored", what,
			      stored - before);
		cr_expect_eq(sig_calls(), curves, "%s: arithmetic", what);
	}
}

/* A token whose claims are these bytes. */
static void claims_bomb(const char *claims, size_t len, const char *what)
{
	owned_mem char *token = malloc(len * 2 + 256);
	struct text t;

	text_init(&t, token, len * 2 + 256);
	text_b64url(&t, "{\"alg\":\"ES256\",\"typ\":\"wit+jwt\"}", 31);
	text_puts(&t, ".");
	text_b64url(&t, claims, len);
	text_puts(&t, ".");
	for (int i = 0; i < 86; i++)
		text_puts(&t, "A");
	cr_assert(!t.overflown);
	bomb(token, t.len, what);
}

Test(attack, attack_015_sizes_and_separators)
{
	static const size_t sizes[] = {
		0, 1, 2, 3, TOKEN_MAX - 1, TOKEN_MAX, TOKEN_MAX + 1, 65536, 1u << 20, 64u << 20
	};
	static const char kinds[] = { 'A', '.', '=', '{', '[', '~', '\0' };
	char *at = malloc(64u << 20);

	for (size_t k = 0; k < sizeof(kinds); k++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char what[64];

			snprintf(what, sizeof(what), "%zu times 0x%02x", sizes[i], kinds[k]);
			memset(at, kinds[k], sizes[i]);
			bomb(at, sizes[i], what);
		}
	free(at);
}

/* As many as a token can hold, and far more. */
Test(attack, attack_015_nesting_and_members)
{
	static const size_t counts[] = { 33, 1000, 12000, 100000 };
	char *at = malloc(3u << 20);

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t n = counts[i], len = 0;

		memset(at, '[', n);
		claims_bomb(at, n, "arrays never closed");
		memset(at + n, ']', n);
		claims_bomb(at, 2 * n, "arrays");
		for (size_t k = 0; k < n; k++)
			len += (size_t)sprintf(at + len, "{\"a\":");
		claims_bomb(at, len, "objects");
	}
}

/* As many members as a token has room for, and far more: each costs the JSON library a hundred bytes and more, so that a
 * few hundred are the bound, in valid JSON too. */
Test(attack, attack_015_as_many_members_as_fit)
{
	static const char *const forms[] = { "\"%zx\":0,", "\"%zx\":{},", "\"%zx\":\"\"," };
	static const size_t lens[] = { 3000, TOKEN_MAX / 4 * 3 - 120, 1u << 20 };
	char *at = malloc(2u << 20);

	for (size_t f = 0; f < 3; f++)
		for (size_t l = 0; l < 3; l++)
			for (int valid = 0; valid < 2; valid++) {
				size_t len = (size_t)sprintf(at, "{");

				for (size_t i = 0; len < lens[l]; i++)
					len += (size_t)sprintf(at + len, forms[f], i);
				len += (size_t)sprintf(at + len,
						       valid ? "\"z\":0}" : "\"z\":[0,0,0}");
				claims_bomb(at, len, forms[f]);
			}
	free(at);
}

/* A hundred claims that mean nothing to us are no attack. */
Test(attack, attack_015_some_members_more)
{
	char name[8];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		json_object_set_new(m.wit, name, json_integer(i));
		json_object_set_new(m.wpt, name, json_integer(i));
	}
	cr_expect_eq(mint_judge(&m), REASON_OK);
}

/* A header that says the content is compressed: nothing here decompresses, so it is what it looks like. */
Test(attack, attack_015_compressed)
{
	static const char *const names[] = { "zip", "enc" };

	for (int i = 0; i < 2; i++) {
		owned_mem char *wit = NULL, *wpt = NULL;
		size_t before;

		mint_afresh(&m);
		json_object_set_new(m.wit_header, names[i], json_string("DEF"));
		wit = mint_token(m.wit_header, m.wit, m.rogue);
		wpt = mint_wpt(&m, wit);
		before = stored;
		cr_expect_eq(mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)), REASON_SIGNATURE);
		cr_expect_leq(stored - before, STORED_MAX);
	}
}

/* ---- 119 ---- */

static json_t *conn(void)
{
	return json_object_get(m.wpt, NAME_CONN);
}

/* Refused with so much arithmetic: 0 for whoever is not at this connection now, with a token for this service. */
#define ROWS(X)                                                                                    \
	X(0, "wrong typ", json_object_set_new(m.wpt_header, "typ", json_string("JWT")))            \
	X(0, "alg none", json_object_set_new(m.wit_header, "alg", json_string("none")))            \
	X(0, "unknown key", json_object_set_new(m.wit_header, "kid", json_string("x")))            \
	X(0, "foreign domain", json_object_set_new(m.wit, "sub", json_string("spiffe://x/a")))     \
	X(0, "another service", json_object_set_new(m.wpt, "aud", json_string(MINT_CALLER)))       \
	X(0, "not its socket", m.connection = REASON_NOT_OWNER)                                    \
	X(0, "another connection", m.on.cb[0] ^= 1)                                                \
	X(0, "another role", json_object_set_new(conn(), "role", json_string("server")))           \
	X(0, "another time", m.on.est_ms += 5000)                                                  \
	X(0, "another socket", m.cb = REASON_OTHER_SOCKET)                                         \
	X(0, "expired", m.now += 3600)                                                             \
	X(0, "from the future", m.now -= 3600)                                                     \
	X(1, "bad WIT signature", signer = m.rogue)                                                \
	X(1, "another issuer", json_object_set_new(m.wit, "iss", json_string(MINT_ISSUER2)))       \
	X(1, "out of scope", json_object_set_new(m.wit, "sub", json_string(MINT_OTHER)))           \
	X(2, "no level", json_object_del(m.wpt, NAME_LEVEL))

Test(attack, attack_119_cheap_checks_first){
#define X(curves, what, change)                                                                    \
	{                                                                                          \
		owned_mem char *wit = NULL, *wpt = NULL;                                           \
		struct sig_key *signer;                                                            \
		uint64_t before;                                                                   \
                                                                                                   \
		mint_afresh(&m);                                                                   \
		signer = m.host;                                                                   \
		change;                                                                            \
		wit = mint_token(m.wit_header, m.wit, signer);                                     \
		wpt = mint_wpt(&m, wit);                                                           \
		before = sig_calls();                                                              \
		cr_expect_neq(mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)), REASON_OK, what);  \
		cr_expect_eq(sig_calls() - before, curves, "%s: %lu", what,                        \
			     (unsigned long)(sig_calls() - before));                               \
	}
	ROWS(X)
#undef X
}

/* A flood from elsewhere: ten thousand well-formed tokens with chance signatures, not one curve operation. */
Test(attack, attack_119_a_flood_costs_no_arithmetic)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);
	char *sig = strrchr(wpt, '.') + 1;
	uint64_t before = sig_calls();
	uint8_t random[64];
	struct text t;

	m.on.cb[0] ^= 1;
	for (int i = 0; i < 10000; i++) {
		cr_assert_eq(sig_random(random, 64), 0);
		text_init(&t, sig, 87);
		text_b64url(&t, random, 64);
		cr_assert_eq(mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)),
			     REASON_WRONG_CONNECTION);
	}
	cr_expect_eq(sig_calls(), before);
}
