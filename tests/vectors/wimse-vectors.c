// SPDX-License-Identifier: Apache-2.0
/*
 * wimse-vectors FILE...: the pair of the WIMSE drafts and the SPIFFE appendix token (vectors/wimse). Structure and
 * hashes must be read as published and the WIT's signature must hold; as a presentation the pair must be refused: its
 * subject is no SPIFFE ID, and its WPT is EdDSA. The appendix token's key is not published: structure only.
 */
#include "edge/jose.h"
#include "vectors.h"

static bool sha256_is(const char *of, const json_t *set, const char *name)
{
	uint8_t is[32], must[32];

	return sig_sha256(of, strlen(of), is) == 0 && json_get_bytes(set, name, must, 32) &&
	       !memcmp(is, must, 32);
}

static void run_wit(struct tally *t, const json_t *set, const char *wit)
{
	owned(json_owned) json_t *jwk = json_deep_copy(json_object_get(set, "issuer_jwk"));
	owned(jose_drop) struct jose j = { 0 };
	char sub[SPIFFE_ID_MAX + 1], kid[JTI_MAX + 1];
	struct wit times = { 0 };
	struct spiffe_id id;
	struct point cnf;

	judge(t, jose_parse(wit, strlen(wit), &j) == REASON_OK, "the WIT's form");
	judge(t, jose_check_type(&j, NAME_TYP_WIT) == REASON_OK, "the WIT's typ");
	judge(t, jose_check_type(&j, NAME_TYP_WPT) == REASON_TYPE, "a WIT is no WPT");
	judge(t, jose_check_alg(&j) == REASON_OK, "the WIT's alg");
	judge(t, jose_kid(&j, kid) == REASON_OK && !strcmp(kid, "June 5"), "the WIT's kid");
	judge(t, jose_wit_times(&j, &times) == REASON_OK && times.exp > 0, "the WIT's times");
	judge(t, jose_sub(&j, sub, &id) == REASON_SUBJECT, "wimse:// is no SPIFFE ID");
	judge(t, jose_cnf(&j, &cnf) == REASON_PROOF_KEY, "an Ed25519 key in cnf");
	judge(t, jose_verify_plain(wit, strlen(wit), jwk) == REASON_KEY, "a private JWK");
	json_object_del(jwk, "d");
	judge(t, jose_verify_plain(wit, strlen(wit), jwk) == REASON_OK, "the WIT's signature");
}

static void run_wpt(struct tally *t, const json_t *set, const char *wpt)
{
	owned(jose_drop) struct jose j = { 0 };
	const char *aud = text_of(set, "aud");
	uint8_t is[32], must[32];

	judge(t, jose_parse(wpt, strlen(wpt), &j) == REASON_OK, "the WPT's form");
	judge(t, jose_check_type(&j, NAME_TYP_WPT) == REASON_OK, "the WPT's typ");
	judge(t, jose_check_alg(&j) == REASON_ALG, "the WPT is EdDSA");
	judge(t, jose_aud(&j, aud, strlen(aud)) == REASON_OK, "the WPT's audience");
	judge(t, sha256_is(text_of(set, "wit"), set, "wth"), "wth");
	judge(t, sha256_is(text_of(set, "access_token"), set, "ath"), "ath");
	for (int i = 0; i < 2; i++)
		judge(t,
		      json_get_bytes(j.claims, i ? "ath" : "wth", is, 32) &&
			      json_get_bytes(set, i ? "ath" : "wth", must, 32) &&
			      !memcmp(is, must, 32),
		      "the hash within the WPT");
}

static void run_appendix(struct tally *t, const char *token)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	owned(jose_drop) struct jose j = { 0 };
	char sub[SPIFFE_ID_MAX + 1];
	struct spiffe_id id;
	struct point cnf;

	judge(t, jose_parse(token, strlen(token), &j) == REASON_OK, "the WIT-SVID's form");
	judge(t, jose_check_type(&j, NAME_TYP_WIT) == REASON_OK, "the WIT-SVID's typ");
	judge(t, jose_check_alg(&j) == REASON_OK, "the WIT-SVID's alg");
	judge(t,
	      jose_sub(&j, sub, &id) == REASON_OK &&
		      !strcmp(sub, "spiffe://example.com/my-workload"),
	      "the WIT-SVID's sub");
	judge(t, jose_cnf(&j, &cnf) == REASON_OK && sig_key_of_point(&cnf, &key) == 0,
	      "the WIT-SVID's cnf");
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);

	if (!set)
		return;
	run_wit(t, set, text_of(set, "wit"));
	run_wpt(t, set, text_of(set, "wpt"));
	run_appendix(t, text_of(json_object_get(set, "spiffe_wit_svid"), "token"));
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
