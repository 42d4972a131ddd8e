// SPDX-License-Identifier: Apache-2.0
/*
 * token-mint COUNT: presentations signed by the daemon's own code (assertion_print_*, jose_sign), with fresh keys, as
 * JSON on stdout for verifiers that are not ours: { now, trust_domain, host_jwk, host_thumbprint, pairs: [ { wit,
 * wpt } ] }. Every second one carries what is optional.
 */
#include "edge/jose.h"
#include "vectors.h"

#define NOW 1790000000.0

static json_t *jwk_of(const struct sig_key *key)
{
	struct point point;
	char x[44], y[44];
	struct text t;

	sig_key_point(key, &point);
	text_init(&t, x, sizeof(x));
	text_b64url(&t, point.x, 32);
	text_init(&t, y, sizeof(y));
	text_b64url(&t, point.y, 32);
	return json_pack("{s:s, s:s, s:s, s:s}", "kty", "EC", "crv", "P-256", "x", x, "y", y);
}

static char *signed_by(struct sig_key *key, const struct text *header, const struct text *claims)
{
	char *at = malloc(TOKEN_MAX + 1);
	struct text t;

	text_init(&t, at, TOKEN_MAX + 1);
	if (!at || header->overflown || claims->overflown ||
	    jose_sign(&t, header->at, claims->at, key) < 0)
		abort();
	return at;
}

static char *mint_wit(struct sig_key *host, const char *kid, const struct sig_key *proof)
{
	struct wit wit = {
		.sub = "spiffe://example.org/ns/prod/web",
		.iss = "spiffe://example.org/host/h1",
		.jti = "WEnE5IVDqUmuDFHzkhTYnw",
		.iat = NOW - 60,
		.nbf = NOW - 60,
		.exp = NOW + 3000,
		.ueid = { 1, 2, 3 },
		.bootseed = { 4, 5, 6 },
	};
	char header_at[512], claims_at[8192];
	struct text header, claims;

	text_init(&header, header_at, sizeof(header_at));
	text_init(&claims, claims_at, sizeof(claims_at));
	sig_key_point(proof, &wit.cnf);
	assertion_print_wit_header(&header, kid);
	assertion_print_wit(&claims, &wit);
	return signed_by(host, &header, &claims);
}

static char *mint_wpt(struct sig_key *proof, const char *wit, bool full)
{
	struct wpt wpt = {
		.aud = "spiffe://example.org/ns/prod/api",
		.jti = "Xk2nYcbl9Mh-0jE0wHq8tQ",
		.iat = NOW - 2,
		.exp = NOW + 28,
		.role = full ? CLEAT_ROLE_SERVER : CLEAT_ROLE_CLIENT,
		.level = full ? CLEAT_LEVEL_FULL : CLEAT_LEVEL_REDUCED,
		.est_ms = (uint64_t)NOW * 1000 - 3000,
		.seq = full ? SEQ_MAX : 1,
		.has_ath = full,
		.has_tth = full,
		.has_ns = full,
		.has_exe = full,
	};
	char header_at[512], claims_at[8192];
	struct text header, claims;

	if (full)
		strcpy(wpt.unit, "web@1.service");
	if (sig_sha256(wit, strlen(wit), wpt.wth) < 0 || sig_random(wpt.cb, 32) < 0 ||
	    sig_random(wpt.inst, 32) < 0)
		abort();
	text_init(&header, header_at, sizeof(header_at));
	text_init(&claims, claims_at, sizeof(claims_at));
	assertion_print_wpt_header(&header);
	assertion_print_wpt(&claims, &wpt);
	return signed_by(proof, &header, &claims);
}

int main(int argc, char **argv)
{
	owned(sig_key_owned) struct sig_key *host = NULL;
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	owned(json_owned) json_t *out = NULL;
	json_t *pairs = json_array();
	struct point point;
	char kid[44];

	if (count < 1) {
		fprintf(stderr, "usage: %s COUNT\n", argv[0]);
		return 2;
	}
	if (sig_open() < 0 || sig_key_new(&host) < 0)
		return EXIT_FAILURE;
	sig_key_point(host, &point);
	if (jose_thumbprint(&point, kid) < 0)
		return EXIT_FAILURE;
	for (long i = 0; i < count; i++) {
		owned(sig_key_owned) struct sig_key *proof = NULL;
		owned_mem char *wit = NULL, *wpt = NULL;

		if (sig_key_new(&proof) < 0)
			return EXIT_FAILURE;
		wit = mint_wit(host, kid, proof);
		wpt = mint_wpt(proof, wit, i % 2);
		json_array_append_new(pairs, json_pack("{s:s, s:s}", "wit", wit, "wpt", wpt));
	}
	out = json_pack("{s:f, s:s, s:o, s:s, s:o}", "now", NOW, "trust_domain", "example.org",
			"host_jwk", jwk_of(host), "host_thumbprint", kid, "pairs", pairs);
	return json_dumpf(out, stdout, JSON_INDENT(1)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
