// SPDX-License-Identifier: Apache-2.0
/*
 * Attacks of attacks.md A, natively, on verify(): forged, confused and misshapen tokens of every class. Every test is
 * three runs: the legitimate variant passes, the attacks are refused with their reason, the legitimate one passes
 * again. In the broken twin that a test names, it fails with "accepted: twin=<name>".
 */
#include "../../scene.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

/* ---- 1 ---- */

/* A token's signature in one of four ways: the right one, none, that of another text, 64 chance bytes. */
static char *signed_as(const char *good, int way)
{
	char *at = malloc(strlen(good) + 100);
	size_t len = (size_t)(strrchr(good, '.') + 1 - good);
	uint8_t random[64];
	struct text t;

	strcpy(at, good);
	if (way == 0)
		return at;
	at[len] = '\0';
	if (way == 2)
		strcpy(at + len,
		       "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
		       "AQEBAQEBAQEBAQEBAQ");
	if (way == 3) {
		cr_assert_eq(sig_random(random, 64), 0);
		text_init(&t, at + len, 100);
		text_b64url(&t, random, 64);
	}
	return at;
}

/* Refused before any curve arithmetic on the token whose header it is. */
static void alg_is(const char *alg, bool of_wit, int way)
{
	json_t *header;
	owned_mem char *wit = NULL, *wpt = NULL, *shown = NULL;
	uint64_t before;
	enum reason r;

	mint_afresh(&m);
	header = of_wit ? m.wit_header : m.wpt_header;
	json_object_del(header, "alg");
	if (alg)
		json_object_set_new(header, "alg", mint_json(alg));
	wit = mint_wit(&m);
	if (of_wit) {
		shown = signed_as(wit, way);
		free(wit);
		wit = take_ptr(shown);
	}
	wpt = mint_wpt(&m, wit);
	if (!of_wit) {
		shown = signed_as(wpt, way);
		free(wpt);
		wpt = take_ptr(shown);
	}
	before = sig_calls();
	r = ask(wit, wpt);
	expect("alg", REASON_ALG, r, alg ? alg : "absent");
	cr_expect_eq(sig_calls() - before, of_wit ? 0 : 1, "%s: arithmetic before the refusal",
		     alg);
}

Test(attack, attack_001_alg_none)
{
	static const char *const spellings[] = {
		"'none'",  "'None'",   "'NONE'",  "'nOnE'",	    "''",
		NULL,	   "null",     "[]",	  "['ES256']",	    "{'ES256':1}",
		"'HS256'", "'ES256 '", "'es256'", "'ES256\\u0000'", "'ES384'",
		"'ES512'", "'EdDSA'",  "'RS256'", "'PS256'",	    "'dir'",
		"256",
	};

	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		for (int way = 0; way < 4; way++) {
			alg_is(spellings[i], true, way);
			alg_is(spellings[i], false, way);
		}
}

/* ---- 6 ---- */

/* kid is compared with what the bundle has and goes nowhere else: no file opens, no arithmetic happens. */
Test(attack, attack_006_kid_injection)
{
	static char pipe_name[] = "/tmp/cleat-kid-XXXXXX";
	char many[300];
	const char *kids[] = { "../../etc/hostname",
			       "/dev/zero",
			       "/proc/self/fd/0",
			       pipe_name,
			       "%00",
			       "' OR '1'='1",
			       "\"; --",
			       "",
			       "*",
			       many,
			       "h1",
			       "-PTiuiMwpW_0dv_Y5tpXxsmMU-XmSZwUNdKRS79oyYk" };
	struct pollfd opened = { .events = POLLIN };

	close(mkstemp(pipe_name));
	unlink(pipe_name);
	cr_assert_eq(mkfifo(pipe_name, 0600), 0);
	opened.fd = open(pipe_name, O_RDONLY | O_NONBLOCK);
	memset(many, 'k', sizeof(many));
	many[sizeof(many) - 1] = '\0';
	for (size_t i = 0; i < sizeof(kids) / sizeof(kids[0]); i++) {
		owned_mem char *wit = NULL, *wpt = NULL;
		uint64_t before;

		mint_afresh(&m);
		json_object_set_new(m.wit_header, "kid", json_string(kids[i]));
		wit = mint_wit(&m);
		wpt = mint_wpt(&m, wit);
		before = sig_calls();
		expect("kid", REASON_KEY, ask(wit, wpt), kids[i]);
		cr_expect_eq(sig_calls(), before, "%s: arithmetic", kids[i]);
	}
	mint_afresh(&m);
	json_object_set_new(m.wit_header, "kid", mint_json("7"));
	expect("kid", REASON_KEY, mint_judge(&m), "a number");
	mint_afresh(&m);
	json_object_set_new(m.wit_header, "kid", json_stringn("x\0y", 3));
	expect("kid", REASON_KEY, mint_judge(&m), "NUL inside");
	cr_expect_eq(poll(&opened, 1, 0), 0, "nobody ever opened the pipe");
	close(opened.fd);
	unlink(pipe_name);
}

Test(attack, attack_006_kid_of_another_host)
{
	json_object_set_new(m.wit_header, "kid", json_string(m.kid2));
	expect("wit_sig", REASON_SIGNATURE, mint_judge(&m),
	       "the kid of h2 over the signature of h1");
}

Test(attack, attack_006_kid_of_a_megabyte)
{
	char *big = malloc(1 << 20);

	memset(big, 'k', 1 << 20);
	json_object_set_new(m.wit_header, "kid", json_stringn(big, 1 << 20));
	free(big);
	expect("", REASON_TOO_LARGE, mint_judge(&m), "a megabyte");
}

/* ---- 7 ---- */

static json_t *rogue_jwk(void)
{
	json_t *j = mint_json("{'kty':'EC','crv':'P-256','alg':'ES256'}");
	struct point p;

	sig_key_point(m.rogue, &p);
	json_object_set_new(j, "x", mint_b64(p.x, 32));
	json_object_set_new(j, "y", mint_b64(p.y, 32));
	return j;
}

Test(attack, attack_007_keys_in_headers)
{
	static const char *const names[] = { "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *value = i == 0	 ? rogue_jwk()
				: i == 3 ? mint_json("['AAAA']")
					 : mint_json("'https://127.0.0.1:9/keys'");
		owned_mem char *wit = NULL, *wpt = NULL, *good = NULL, *forged = NULL;

		mint_afresh(&m);
		json_object_set(m.wit_header, names[i], value);
		wit = mint_token(m.wit_header, m.wit, m.rogue);
		wpt = mint_wpt(&m, wit);
		expect("wit_sig", REASON_SIGNATURE, ask(wit, wpt), names[i]);
		mint_afresh(&m);
		json_object_set(m.wpt_header, names[i], value);
		good = mint_wit(&m);
		free(mint_wpt(&m, good)); /* sets wth */
		forged = mint_token(m.wpt_header, m.wpt, m.rogue);
		expect("wpt_sig", REASON_SIGNATURE, ask(good, forged), names[i]);
		mint_afresh(&m);
		json_object_set(m.wit_header, names[i], value);
		json_object_set_new(m.wpt_header, names[i], value);
		cr_expect_eq(mint_judge(&m), REASON_OK, "%s: unknown members are ignored",
			     names[i]);
	}
}

Test(attack, attack_007_crit)
{
	static const char *const values[] = { "['x']",	 "[]",	    "null", "'x'",
					      "['b64']", "['exp']", "{}",   "0" };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (int of_wit = 0; of_wit < 2; of_wit++) {
			mint_afresh(&m);
			json_object_set_new(of_wit ? m.wit_header : m.wpt_header, "crit",
					    mint_json(values[i]));
			json_object_set_new(m.wpt_header, "b64", mint_json("true"));
			expect("crit", REASON_CRIT, mint_judge(&m), values[i]);
		}
}

/* ---- 8 ---- */

Test(attack, attack_008_duplicates)
{
	static const struct {
		bool wit, header;
		const char *more;
	} rows[] = {
		{ true, false, "\"sub\":\"spiffe://example.org/ns/prod/root\"" },
		{ true, false, "\"s\\u0075b\":\"spiffe://example.org/ns/prod/root\"" },
		{ true, true, "\"alg\":\"none\"" },
		{ true, true, "\"\\u0061lg\":\"none\"" },
		{ true, false, "\"x\":{\"a\":1,\"\\u0061\":1}" },
		{ false, false, "\"aud\":\"spiffe://example.org/ns/prod/db\"" },
		{ false, false, "\"\\u0061ud\":\"spiffe://example.org/ns/prod/db\"" },
		{ false, true, "\"typ\":\"JWT\"" },
		{ false, false, "\"x\":[{\"a\":1,\"a\":2}]" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned_mem char *wit = NULL, *wpt = NULL;

		mint_afresh(&m);
		wit = rows[i].wit ? mint_front(m.wit_header, m.wit, rows[i].header, rows[i].more,
					       m.host)
				  : mint_wit(&m);
		wpt = mint_wpt(&m, wit);
		if (!rows[i].wit) {
			free(wpt);
			wpt = mint_front(m.wpt_header, m.wpt, rows[i].header, rows[i].more,
					 m.proof);
		}
		expect("duplicates", REASON_MALFORMED, ask(wit, wpt), rows[i].more);
	}
}

/* ---- 11 ---- */

Test(attack, attack_011_one_thing_verified_another_used)
{
	owned_mem char *wit = mint_wit(&m), *wpt = mint_wpt(&m, wit);
	char at[3 * TOKEN_MAX];
	const char *payload = strchr(wpt, '.') + 1, *sig = strrchr(wpt, '.') + 1;
	int head = (int)(payload - 1 - wpt), body = (int)(sig - 1 - payload);

	snprintf(at, sizeof(at), "%s%s", wpt, wpt);
	expect("", REASON_MALFORMED, ask(wit, at), "two in one");
	snprintf(at, sizeof(at), "%s.%s", wpt, wpt);
	expect("", REASON_MALFORMED, ask(wit, at), "two joined by a dot");
	snprintf(at, sizeof(at), "%s, %s", wpt, wpt);
	expect("", REASON_MALFORMED, ask(wit, at), "two header lines joined");
	snprintf(at, sizeof(at), "%s~%s", wit, wpt);
	expect("", REASON_MALFORMED, ask(at, wpt), "the pair as the WIT");
	snprintf(at, sizeof(at), "%.*s..%s", head, wpt, sig);
	expect("", REASON_MALFORMED, ask(wit, at), "a detached payload");
	snprintf(at, sizeof(at),
		 "{\"payload\":\"%.*s\",\"protected\":\"%.*s\",\"signature\":\"%s\"}", body,
		 payload, head, wpt, sig);
	expect("", REASON_MALFORMED, ask(wit, at), "the flattened JSON form");
	snprintf(
		at, sizeof(at),
		"{\"payload\":\"%.*s\",\"signatures\":[{\"protected\":\"%.*s\",\"signature\":\"%s\"},"
		"{\"header\":{\"alg\":\"none\"}}]}",
		body, payload, head, wpt, sig);
	expect("", REASON_MALFORMED, ask(wit, at), "the general JSON form");
}

/* A whole token within a claim is a string, and the verdict is of the outer one. */
Test(attack, attack_011_nested_token)
{
	owned_mem char *inner = NULL;

	json_object_set_new(m.wit, "sub", json_string("spiffe://example.org/ns/prod/root"));
	inner = mint_wit(&m);
	mint_reset(&m);
	json_object_set_new(m.wit, "token", json_string(inner));
	json_object_set_new(m.wit, "payload",
			    mint_json("{'sub':'spiffe://example.org/ns/prod/root'}"));
	cr_expect_eq(mint_judge(&m), REASON_OK);
	cr_expect_str_eq(m.verdict.wit.sub, MINT_CALLER);
}

/* ---- 13 ---- */

/* Whoever can have the host key or a proof key sign something of another kind: its typ says so, and is refused. */
Test(attack, attack_013_kinds_of_token)
{
	static const char *const others[] = { "wpt+jwt",   "jwt",	  "JWT", "at+jwt",
					      "dpop+jwt",  "cleat-audit", "wit", "wit+cwt",
					      "wit+jwt;x", "secevent+jwt" };
	owned_mem char *wit = NULL, *wpt = NULL;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		mint_afresh(&m);
		json_object_set_new(m.wit_header, "typ", json_string(others[i]));
		expect("typ", REASON_TYPE, mint_judge(&m), others[i]);
		mint_afresh(&m);
		json_object_set_new(m.wpt_header, "typ", json_string(i ? others[i] : "wit+jwt"));
		expect("typ", REASON_TYPE, mint_judge(&m), others[i]);
	}
	mint_afresh(&m);
	wit = mint_wit(&m);
	wpt = mint_wpt(&m, wit);
	expect("", REASON_TYPE, ask(wpt, wit), "swapped");
	expect("", REASON_TYPE, ask(wit, wit), "the WIT twice");
	expect("", REASON_TYPE, ask(wpt, wpt), "the WPT twice");
}

/* The host key signs WITs, a proof key WPTs: crossed over, neither holds, even with the right typ. */
Test(attack, attack_013_keys_crossed)
{
	owned_mem char *by_proof = mint_token(m.wit_header, m.wit, m.proof);
	owned_mem char *wpt = mint_wpt(&m, by_proof), *wit = NULL, *by_host = NULL;

	expect("wit_sig", REASON_SIGNATURE, ask(by_proof, wpt), "a WIT signed by a workload");
	mint_afresh(&m);
	wit = mint_wit(&m);
	free(mint_wpt(&m, wit)); /* sets wth */
	by_host = mint_token(m.wpt_header, m.wpt, m.host);
	expect("wpt_sig", REASON_SIGNATURE, ask(wit, by_host), "a WPT signed by the host");
}

/* ---- 16 ---- */

/* The policy takes whatever id the scope allows: only the grammar stands between these and a name alike. */
Test(attack, attack_016_names_are_not_normalised)
{
	static const char *const subs[] = {
		"spiffe://example.org/ns/prod/./web",
		"spiffe://example.org/ns/prod/x/../web",
		"spiffe://example.org/ns/prod//web",
		"spiffe://example.org/ns/prod/web/",
		"spiffe://example.org/ns/prod/%77eb",
		"spiffe://example.org/ns/prod/%2e%2e/web",
		"spiffe://example.org/ns/prod/web%00",
		"spiffe://example.org/ns/prod/we\xcc\x81"
		"b",
		"spiffe://example.org/ns/prod/w\xd0\xb5"
		"b",
		"spiffe://example.org/ns/prod/web\xe2\x80\x8f",
		"spiffe://example.org/ns/prod/web?x",
		"spiffe://example.org/ns/prod/web#x",
		"spiffe://example.org/ns/prod/web ",
	};
	static const char *const domains[] = {
		"spiffe://Example.org/ns/prod/web",   "spiffe://EXAMPLE.ORG/ns/prod/web",
		"SPIFFE://example.org/ns/prod/web",   "spiffe://example.org./ns/prod/web",
		"spiffe://x@example.org/ns/prod/web", "spiffe://example.org:443/ns/prod/web"
	};

	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]); i++) {
		mint_afresh(&m);
		json_object_set_new(m.wit, "sub", json_string(subs[i]));
		expect("subject", REASON_SUBJECT, mint_judge(&m), subs[i]);
	}
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		enum reason r;

		mint_afresh(&m);
		json_object_set_new(m.wit, "sub", json_string(domains[i]));
		r = mint_judge(&m);
		cr_expect(r == REASON_SUBJECT || r == REASON_TRUST_DOMAIN, "%s: %s", domains[i],
			  reason_word(r));
	}
}
