// SPDX-License-Identifier: Apache-2.0
/*
 * flow/verify: from a good presentation each row changes one thing, and exactly its refusal must come; the good one is
 * accepted before and after. A row names the broken twin that must take it: there, it says "accepted: twin=<name>".
 */
#include "../mint.h"
#include <criterion/criterion.h>

static struct mint m;

static void setup(void)
{
	cr_assert_eq(mint_open(&m), 0);
}

static void teardown(void)
{
	mint_close(&m);
}

TestSuite(verify, .init = setup, .fini = teardown);

static json_t *conn(void)
{
	return json_object_get(m.wpt, NAME_CONN);
}

static void put(json_t *object, const char *name, const char *value)
{
	json_object_set_new(object, name, mint_json(value));
}

static const uint8_t sent[32] = { 0xaa };

/* A local connection between this host's own ends. */
static void local(uint8_t last)
{
	static const uint8_t loop[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, 0, 0, 1 };
	static const uint8_t link[16] = { 0xfe, 0x80, [15] = 1 };

	memcpy(m.on.tag.conn.client_addr, last ? link : loop, 16);
	memcpy(m.on.tag.conn.server_addr, last ? link : loop, 16);
	m.on.local = true;
	memset(m.on.ns, 0x33, 32);
	json_object_set_new(conn(), "ns", mint_b64(m.on.ns, 32));
}

static void other_host(void)
{
	uint8_t ueid[UEID_LEN] = { 1, 9 };

	json_object_set_new(m.wit, "ueid", mint_b64(ueid, UEID_LEN));
}

static void other_boot(void)
{
	uint8_t boot[BOOTSEED_LEN] = { 9 };

	json_object_set_new(m.wit, "bootseed", mint_b64(boot, BOOTSEED_LEN));
}

/* X(what, twin, change, reason), in the order of the steps */
#define ROWS(X)                                                                                    \
	X("wrong typ of the WIT", "typ", put(m.wit_header, "typ", "'jwt'"), TYPE)                  \
	X("wrong typ of the WPT", "typ", put(m.wpt_header, "typ", "'JWT'"), TYPE)                  \
	X("crit", "crit", put(m.wpt_header, "crit", "['b64']"), CRIT)                              \
	X("alg of the WIT", "alg", put(m.wit_header, "alg", "'none'"), ALG)                        \
	X("an id with a trailing slash", "subject", put(m.wit, "sub", "'" MINT_CALLER "/'"),       \
	  SUBJECT)                                                                                 \
	X("the trust domain itself", "", put(m.wit, "sub", "'spiffe://example.org'"), SUBJECT)     \
	X("another trust domain", "", put(m.wit, "sub", "'spiffe://other.org/a'"), TRUST_DOMAIN)   \
	X("another service", "audience", put(m.wpt, "aud", "'" MINT_SERVICE "x'"), AUDIENCE)       \
	X("not the caller's socket", "", m.connection = REASON_NOT_OWNER, NOT_OWNER)               \
	X("a forged connection", "", m.connection = REASON_FORGED, FORGED)                         \
	X("no connection claim", "", json_object_del(m.wpt, NAME_CONN), CLAIM)                     \
	X("seq 0", "", put(conn(), "seq", "0"), CLAIM)                                             \
	X("seq 2^53", "", put(conn(), "seq", "9007199254740992"), CLAIM)                           \
	X("another connection", "cb", m.on.cb[31] ^= 1, WRONG_CONNECTION)                          \
	X("half a record, or an old one", "", (m.on.cb[31] ^= 1, m.changed = true), BUSY)          \
	X("signed by the other end", "role", put(conn(), "role", "'server'"), WRONG_ROLE)          \
	X("our own end", "role", m.on.tag.conn.role = CLEAT_ROLE_CLIENT, WRONG_ROLE)               \
	X("a clock nobody vouches for", "verify_clock", m.unsynchronised = true, CLOCK)            \
	X("established 2 001 ms later", "est", m.on.est_ms += 2001, WRONG_TIME)                    \
	X("established a period earlier", "est", m.on.est_ms -= 274878, WRONG_TIME)                \
	X("local, another host", "host", (local(0), other_host()), WRONG_HOST)                     \
	X("local, another boot", "host", (local(0), other_boot()), WRONG_HOST)                     \
	X("link-local, another host", "host", (local(1), other_host()), LINK_LOCAL)                \
	X("local, no ns", "ns", (local(0), json_object_del(conn(), "ns")), NETNS)                  \
	X("local, another ns", "ns", (local(0), m.on.ns[0] ^= 1), NETNS)                           \
	X("accepted on another socket", "cb_memory", m.cb = REASON_OTHER_SOCKET, OTHER_SOCKET)     \
	X("cb memory full", "", m.cb = REASON_BUSY, BUSY)                                          \
	X("no exp in the WIT", "", json_object_del(m.wit, "exp"), CLAIM)                           \
	X("expired", "times", m.now = 1790000058, EXPIRED)                                         \
	X("WIT expired", "times", put(m.wit, "exp", "1789999970"), EXPIRED)                        \
	X("expired; and its connection is over since", "times",                                    \
	  (m.now = 1790000058, m.changed = true), EXPIRED)                                         \
	X("from the future", "times", m.now = 1789999967, NOT_YET)                                 \
	X("too long a life", "times", put(m.wpt, "exp", "1790000059"), LIFE)                       \
	X("too long a WIT", "times", put(m.wit, "exp", "1790003631"), LIFE)                        \
	X("another host's issuer", "issuer", put(m.wit, "iss", "'" MINT_ISSUER2 "'"), ISSUER)      \
	X("no issuer", "issuer", json_object_del(m.wit, "iss"), ISSUER)                            \
	X("out of scope", "scope", put(m.wit, "sub", "'" MINT_OTHER "'"), SCOPE)                   \
	X("a host's id", "scope", put(m.wit, "sub", "'" MINT_ISSUER "'"), SCOPE)                   \
	X("a prefix that is no component", "scope",                                                \
	  put(m.wit, "sub", "'spiffe://example.org/ns/production/web'"), SCOPE)                    \
	X("a private key in cnf", "cnf",                                                           \
	  put(json_object_get(json_object_get(m.wit, "cnf"), "jwk"), "d", "'AA'"), PROOF_KEY)      \
	X("no cnf", "", json_object_del(m.wit, "cnf"), PROOF_KEY)                                  \
	X("alg of the WPT", "alg", put(m.wpt_header, "alg", "'es256'"), ALG)                       \
	X("aud in the WIT", "claims", put(m.wit, "aud", "'" MINT_SERVICE "'"), CLAIM)              \
	X("no jti", "claims", json_object_del(m.wpt, "jti"), CLAIM)                                \
	X("no ueid", "claims", json_object_del(m.wit, "ueid"), CLAIM)                              \
	X("no proc", "claims", json_object_del(m.wpt, NAME_PROC), CLAIM)                           \
	X("another WIT's proof", "wth", json_object_set_new(m.wpt, "wth", mint_b64(sent, 32)),     \
	  WRONG_WIT)                                                                               \
	X("ath sent, not signed", "ath", m.ath = sent, OTHER_TOKEN)                                \
	X("ath signed, not sent", "ath", json_object_set_new(m.wpt, "ath", mint_b64(sent, 32)),    \
	  OTHER_TOKEN)                                                                             \
	X("tth sent, not signed", "tth", m.tth = sent, OTHER_TOKEN)                                \
	X("oth", "oth", put(m.wpt, "oth", "{'x':'y'}"), OTHER_TOKEN)                               \
	X("consume says busy", "", m.consumed = REASON_BUSY, BUSY)                                 \
	X("consume says other socket", "cb_memory", m.consumed = REASON_OTHER_SOCKET, OTHER_SOCKET)

/* Says nothing but its words where the twin is the one being tested. */
static void expect(const char *what, const char *twin, enum reason must, enum reason is)
{
	cr_expect(is != REASON_OK, "accepted: twin=%s: %s", twin, what);
	cr_expect_eq(is, must, "%s: %s, not %s", what, reason_word(is), reason_word(must));
}

Test(verify, refusals)
{
#define X(what, twin, change, reason)                                                              \
	cr_expect_eq(mint_good(&m), REASON_OK, "before: %s", what);                                \
	mint_afresh(&m);                                                                           \
	change;                                                                                    \
	expect(what, twin, REASON_##reason, mint_judge(&m));                                       \
	cr_expect_eq(mint_good(&m), REASON_OK, "after: %s", what);
	ROWS(X)
#undef X
}

/* Effects last: but for consume's own refusals, nobody was asked to mark anything. */
Test(verify, nothing_is_marked_by_a_refusal)
{
#define X(what, twin, change, reason)                                                              \
	mint_afresh(&m);                                                                           \
	change;                                                                                    \
	if (mint_judge(&m) != REASON_OK && m.consumed == REASON_OK)                                \
		cr_expect_eq(m.consumes, 0, "%s: something was marked", what);
	ROWS(X)
#undef X
}

/* The verdict never disagrees with the reason: all zero on refusal but for the audit's two. */
Test(verify, attack_012_a_refusal_leaves_nothing_to_read)
{
	static const struct verify_verdict zero;

#define X(what, twin, change, reason)                                                              \
	mint_afresh(&m);                                                                           \
	change;                                                                                    \
	if (mint_judge(&m) != REASON_OK) {                                                         \
		memset(m.verdict.claimed_sub, 0, sizeof(m.verdict.claimed_sub));                   \
		memset(&m.verdict.on, 0, sizeof(m.verdict.on));                                    \
		cr_expect_eq(memcmp(&m.verdict, &zero, sizeof(zero)), 0, "%s", what);              \
	}
	ROWS(X)
#undef X
}

Test(verify, the_verdict_is_what_was_signed)
{
	cr_assert_eq(mint_good(&m), REASON_OK);
	cr_assert_str_eq(m.verdict.wit.sub, MINT_CALLER);
	cr_assert_str_eq(m.verdict.wit.iss, MINT_ISSUER);
	cr_assert_str_eq(m.verdict.wit.kid, m.kid);
	cr_assert_str_eq(m.verdict.wpt.aud, MINT_SERVICE);
	cr_assert_str_eq(m.verdict.wpt.unit, "web.service");
	cr_assert_eq(m.verdict.wpt.seq, 7);
	cr_assert_eq(m.verdict.wpt.level, CLEAT_LEVEL_FULL);
	cr_assert_not_null(m.verdict.rule);
	cr_assert_str_eq(m.verdict.claimed_sub, MINT_CALLER);
	cr_assert_eq(m.consumes, 1);
}

Test(verify, what_is_sent_along_and_signed_is_good)
{
	mint_afresh(&m);
	m.ath = m.tth = sent;
	json_object_set_new(m.wpt, "ath", mint_b64(sent, 32));
	json_object_set_new(m.wpt, "tth", mint_b64(sent, 32));
	cr_assert_eq(mint_judge(&m), REASON_OK);
	mint_afresh(&m);
	local(0);
	cr_assert_eq(mint_judge(&m), REASON_OK, "local, same host and namespace");
	mint_afresh(&m);
	local(1);
	cr_assert_eq(mint_judge(&m), REASON_OK, "link-local within the host");
	mint_afresh(&m);
	json_object_set_new(conn(), "ns", mint_b64(sent, 32));
	cr_assert_eq(mint_judge(&m), REASON_OK, "ns says nothing elsewhere");
	mint_afresh(&m);
	put(m.wpt, "nonce", "'n'");
	cr_assert_eq(mint_judge(&m), REASON_OK, "no nonce was issued, so none is demanded");
}

/* The same world over several presentations. */
Test(verify, seq)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);
	size_t wit_len = strlen(wit), wpt_len = strlen(wpt);

	cr_assert_eq(mint_ask(&m, wit, wit_len, wpt, wpt_len), REASON_OK);
	expect("the same again", "seq", REASON_REPLAYED, mint_ask(&m, wit, wit_len, wpt, wpt_len));
	mint_reset(&m);
	put(m.wpt, "jti", "'another'");
	expect("the same number, newly signed", "seq", REASON_REPLAYED, mint_judge(&m));
	mint_reset(&m);
	put(conn(), "seq", "8");
	cr_expect_eq(mint_judge(&m), REASON_OK);
	m.on.tag.conn.generation++;
	mint_reset(&m);
	cr_expect_eq(mint_judge(&m), REASON_OK, "a new generation counts afresh");
}

/* attack 41's heart: refused presentations burn nothing. */
Test(verify, a_refused_one_can_still_be_used)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);
	size_t wit_len = strlen(wit), wpt_len = strlen(wpt);

	for (int i = 0; i < 1000; i++) {
		m.on.cb[0] ^= 1;
		cr_assert_neq(mint_ask(&m, wit, wit_len, wpt, wpt_len), REASON_OK);
		m.on.cb[0] ^= 1;
	}
	cr_assert_eq(m.consumes, 0);
	cr_assert_eq(mint_ask(&m, wit, wit_len, wpt, wpt_len), REASON_OK);
}

/* A signature's other half (r, n - s) verifies too; seq is the replay key, so it buys nothing. */
Test(verify, malleated_signature_same_seq)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);
	static const char order[] =
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	char *sig = strrchr(wpt, '.') + 1;
	uint8_t raw[64], n[32];
	struct text t;
	size_t len;
	int borrow = 0;

	cr_assert_eq(mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)), REASON_OK);
	cr_assert_eq(b64url_decode(sig, strlen(sig), raw, 64, &len), 0);
	cr_assert_eq(hex_decode(order, 64, n, 32), 0);
	for (int i = 31; i >= 0; i--) {
		int d = n[i] - raw[32 + i] - borrow;

		borrow = d < 0;
		raw[32 + i] = (uint8_t)d;
	}
	text_init(&t, sig, strlen(sig) + 1);
	text_b64url(&t, raw, 64);
	expect("malleated", "seq", REASON_REPLAYED,
	       mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)));
	mint_afresh(&m);
	cr_expect_eq(mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)), REASON_OK,
		     "it is a good signature otherwise");
}

/* Signatures by a key that is nobody's, and a kid that is nobody's. */
Test(verify, other_keys)
{
	owned_mem char *wit = mint_token(m.wit_header, m.wit, m.rogue), *wpt = mint_wpt(&m, wit);
	owned_mem char *good = NULL, *forged = NULL;

	expect("WIT by another key", "wit_sig", REASON_SIGNATURE,
	       mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)));
	mint_afresh(&m);
	good = mint_wit(&m);
	free(mint_wpt(&m, good)); /* sets wth */
	forged = mint_token(m.wpt_header, m.wpt, m.rogue);
	expect("WPT by another key", "wpt_sig", REASON_SIGNATURE,
	       mint_ask(&m, good, strlen(good), forged, strlen(forged)));
	mint_afresh(&m);
	json_object_del(m.wit_header, "kid");
	expect("no kid", "kid", REASON_KEY, mint_judge(&m));
}

/* The cache saves arithmetic and decides nothing. */
Test(verify, the_cache)
{
	uint64_t before, first, second;
	char seq[24];

	mint_afresh(&m);
	cr_assert_eq(mint_judge(&m), REASON_OK);
	owned_mem char *wit = mint_wit(&m);
	owned_mem char *fresh = NULL, *known = NULL;

	mint_reset(&m);
	put(conn(), "seq", "8");
	fresh = mint_wpt(&m, wit);
	before = sig_calls();
	cr_assert_eq(mint_ask(&m, wit, strlen(wit), fresh, strlen(fresh)), REASON_OK);
	first = sig_calls() - before;
	mint_reset(&m);
	put(conn(), "seq", "9");
	known = mint_wpt(&m, wit);
	before = sig_calls();
	cr_assert_eq(mint_ask(&m, wit, strlen(wit), known, strlen(known)), REASON_OK);
	second = sig_calls() - before;
	cr_assert_eq(first, 2, "a new WIT costs its signature");
	cr_assert_eq(second, 1, "a known one does not");
	cr_assert_str_eq(m.verdict.wit.sub, MINT_CALLER);
	verify_cache_drop(m.cache);
	mint_reset(&m);
	put(conn(), "seq", "10");
	free(known);
	known = mint_wpt(&m, wit);
	before = sig_calls();
	cr_assert_eq(mint_ask(&m, wit, strlen(wit), known, strlen(known)), REASON_OK);
	cr_assert_eq(sig_calls() - before, 2, "a dropped one again");
	m.now = 1790003030;
	cr_assert_eq(mint_ask(&m, wit, strlen(wit), known, strlen(known)), REASON_EXPIRED);
	m.now = MINT_NOW;
	((struct policy_image *)m.image)->generation++;
	for (int i = 11; i < 100; i++) { /* more WITs than it holds */
		mint_reset(&m);
		snprintf(seq, sizeof(seq), "%d", i);
		put(conn(), "seq", seq);
		put(m.wit, "jti", "'j'");
		json_object_set_new(m.wit, "jti", json_string(seq));
		cr_assert_eq(mint_judge(&m), REASON_OK, "%d", i);
	}
}

/* A known WIT does not carry another one's proof. */
Test(verify, a_known_wit_is_still_bound)
{
	owned_mem char *wit = NULL, *other = NULL, *wpt = NULL;

	mint_afresh(&m);
	wit = mint_wit(&m);
	cr_assert_eq(mint_judge(&m), REASON_OK);
	put(m.wit, "jti", "'other'");
	other = mint_wit(&m);
	mint_reset(&m);
	put(conn(), "seq", "8");
	wpt = mint_wpt(&m, other);
	expect("proof of another WIT of the same key", "wth", REASON_WRONG_WIT,
	       mint_ask(&m, wit, strlen(wit), wpt, strlen(wpt)));
}

static enum reason asked(const char *subject, uint32_t role, const char *level)
{
	mint_afresh(&m);
	json_object_set_new(m.wit, "sub", json_string(subject));
	json_object_set_new(m.wpt, NAME_LEVEL, json_string(level));
	m.role = role;
	m.on.tag.conn.role = role == CLEAT_ROLE_CLIENT ? CLEAT_ROLE_SERVER : CLEAT_ROLE_CLIENT;
	json_object_set_new(conn(), "role", json_string(role_word(role)));
	return mint_judge(&m);
}

/* Step 16, on an image whose rule for clients demands full, and that has no rule for servers. */
Test(verify, policy)
{
	const struct policy_image *p = m.image;
	struct policy_accept *accepts;

	cr_assert_eq(asked(MINT_CALLER, CLEAT_ROLE_CLIENT, "reduced"), REASON_OK);
	cr_assert_eq(asked(MINT_CALLER, CLEAT_ROLE_SERVER, "full"), REASON_OK);
	cr_assert_eq(p->accepts.count, 2);
	accepts = (struct policy_accept *)((char *)m.image + p->accepts.at);
	for (int i = 0; i < 2; i++) {
		if (accepts[i].as == CLEAT_ROLE_CLIENT)
			accepts[i].level = CLEAT_LEVEL_FULL;
		else
			accepts[i].to = 99;
	}
	expect("less than policy demands", "level", REASON_LEVEL,
	       asked(MINT_CALLER, CLEAT_ROLE_CLIENT, "reduced"));
	expect("no rule", "policy", REASON_POLICY, asked(MINT_CALLER, CLEAT_ROLE_SERVER, "full"));
	cr_assert_eq(asked(MINT_CALLER, CLEAT_ROLE_CLIENT, "full"), REASON_OK);
	m.role = 0;
	cr_assert_eq(mint_judge(&m), REASON_MALFORMED, "no end expected");
}

Test(verify, sizes)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);
	owned_mem char *big = malloc(TOKEN_MAX + 2);
	uint64_t before;

	memset(big, 'A', TOKEN_MAX + 1);
	before = sig_calls();
	cr_assert_eq(mint_ask(&m, big, TOKEN_MAX + 1, wpt, strlen(wpt)), REASON_TOO_LARGE);
	cr_assert_eq(mint_ask(&m, wit, strlen(wit), big, TOKEN_MAX + 1), REASON_TOO_LARGE);
	cr_assert_eq(mint_ask(&m, big, TOKEN_MAX, wpt, strlen(wpt)), REASON_MALFORMED);
	cr_assert_eq(mint_ask(&m, "", 0, wpt, strlen(wpt)), REASON_MALFORMED);
	cr_assert_eq(mint_ask(&m, wit, strlen(wit), "", 0), REASON_MALFORMED);
	cr_assert_eq(sig_calls(), before);
}
