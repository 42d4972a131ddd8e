/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compact JWS in, claims out (RFC 7515, token.md 2, 4, 5), and the other way round. Reading is in stages,
 * so that flow/verify can refuse in the order of the specification; what a stage reads before the
 * signature is checked serves only to refuse.
 */
#ifndef CLEAT_EDGE_JOSE_H
#define CLEAT_EDGE_JOSE_H

#include "edge/json.h"
#include "edge/sig.h"
#include "model/assertion.h"
#include "model/reason.h"

/* A compact token taken apart: sizes, alphabet, three parts, strict JSON in the first two. Owns its
 * JSON; signing_input points into the caller's token. Zero-initialise; jose_drop() is then safe. */
struct jose {
	json_t *header;
	json_t *claims;
	const char *signing_input;
	size_t signing_input_len;
	uint8_t sig[128];
	size_t sig_len;
};

/* Step 1 and 2: size (<= 16 KiB), alphabet, three parts, base64url, strict JSON objects. */
enum reason jose_parse(const char *token, size_t len, struct jose *ret);
void jose_drop(struct jose *j);

/* Step 3: typ is @name, with or without "application/" (case-insensitive as media types are), no crit. */
enum reason jose_check_type(const struct jose *j, const char *name);
/* Steps 4, 13: alg is exactly ES256. */
enum reason jose_check_alg(const struct jose *j);
/* The kid header: a string of 1..128 bytes. REASON_KEY else. */
enum reason jose_kid(const struct jose *j, char ret[JTI_MAX + 1]);

/* sub alone (step 5): a SPIFFE ID with a path. */
enum reason jose_sub(const struct jose *wit, char ret[SPIFFE_ID_MAX + 1], struct spiffe_id *ret_id);
/* aud alone (step 7): one string, or an array of one; compared as bytes with length. */
enum reason jose_aud(const struct jose *wpt, const char *audience, size_t audience_len);
/* cleat/conn alone (step 8): version, role, cb, est, seq, ns. REASON_CLAIM where it is missing or of a
 * wrong form. */
enum reason jose_conn(const struct jose *wpt, struct wpt *ret);
/* exp, nbf, iat (step 9). REASON_CLAIM where mandatory ones are missing or not dates. */
enum reason jose_wit_times(const struct jose *wit, struct wit *ret);
enum reason jose_wpt_times(const struct jose *wpt, struct wpt *ret);
/* iss alone (step 11), as a string; it must equal an id that the bundle's reading held to the grammar. */
enum reason jose_iss(const struct jose *wit, char ret[SPIFFE_ID_MAX + 1]);
/* cnf.jwk (step 12): exactly kty, crv, x, y, alg. Whether it is on the curve is asked where the key is made. */
enum reason jose_cnf(const struct jose *wit, struct point *ret);
/* The mandatory claims that no step before read (step 14), each into its place. */
enum reason jose_wit(const struct jose *wit, struct wit *ret);
enum reason jose_wpt(const struct jose *wpt, struct wpt *ret);

/* The form of a P-256 public key in a JWK, without looking at the curve or at further members. */
bool jose_jwk_form(const json_t *jwk, struct point *ret);
/* A public JWK for signatures: kty EC, crv P-256, x, y; d and oct refused; alg, where present, ES256. 0
 * or -EBADMSG. */
int jose_jwk_point(const json_t *jwk, struct point *ret);
/* RFC 7638 thumbprint, base64url, 43 characters and NUL. */
int jose_thumbprint(const struct point *point, char ret[44]);

/* header "." claims, signed: a compact token in @t (which is overflown when it does not fit). */
int jose_sign(struct text *t, const char *header, const char *claims, struct sig_key *key);

/* A plain compact ES256 JWS under a JWK of any kind (Wycheproof's form): the same checks of form, alg and
 * signature, without typ and without JSON claims. */
enum reason jose_verify_plain(const char *jws, size_t len, const json_t *jwk);

#endif
