// SPDX-License-Identifier: Apache-2.0
/*
 * Compact JWS: see jose.h. Nothing here follows a header to a key: alg comes from the key, kid is only looked up; jwk,
 * jku, x5u and x5c are never read.
 */
#include "edge/jose.h"
#include "base/twin.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define PART_MAX   (TOKEN_MAX / 4 * 3)
/* Members and elements of one part: a few bytes of the sender's cost the JSON library two hundred of ours. */
#define VALUES_MAX 256

/* One base64url part that must be a strict JSON object. */
static enum reason part_json(const char *s, size_t len, json_t **ret)
{
	uint8_t bytes[PART_MAX];
	size_t n;

	if (b64url_decode(s, len, bytes, sizeof(bytes), &n) < 0)
		return REASON_MALFORMED;
	*ret = json_parse_small((const char *)bytes, n, VALUES_MAX);
	return *ret ? REASON_OK : REASON_MALFORMED;
}

/* The WPTs of every host begin with the same bytes. The header read last is kept beside its text: the same text would be
 * read as the same header again. As with a struct sig_key, one thread at a time. */
static struct {
	char text[64];
	size_t len;
	json_t *header;
} last;

static enum reason part_header(const char *s, size_t len, json_t **ret)
{
	enum reason r;

	if (last.header && len == last.len && !memcmp(s, last.text, len)) {
		*ret = json_incref(last.header);
		return REASON_OK;
	}
	r = part_json(s, len, ret);
	if (r == REASON_OK && len <= sizeof(last.text)) {
		json_decref(last.header);
		memcpy(last.text, s, len);
		last.len = len;
		last.header = json_incref(*ret);
	}
	return r;
}

/* A signature of any length is decoded, so that a wrong alphabet is seen; only one that could be ours is kept. */
static enum reason part_sig(const char *s, size_t len, struct jose *j)
{
	uint8_t bytes[PART_MAX];

	if (b64url_decode(s, len, bytes, sizeof(bytes), &j->sig_len) < 0)
		return REASON_MALFORMED;
	if (j->sig_len <= sizeof(j->sig))
		memcpy(j->sig, bytes, j->sig_len);
	return REASON_OK;
}

/* The three parts; a further dot is left in the last one, where the alphabet refuses it. */
struct parts {
	const char *at[3];
	size_t len[3];
};

static enum reason parts_of(const char *token, size_t len, struct parts *ret)
{
	const char *end = token + len, *dot, *second;

	if (len > TOKEN_MAX)
		return REASON_TOO_LARGE;
	dot = memchr(token, '.', len);
	second = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
	if (!second)
		return REASON_MALFORMED;
	*ret = (struct parts){
		.at = { token, dot + 1, second + 1 },
		.len = { (size_t)(dot - token), (size_t)(second - dot - 1),
			 (size_t)(end - second - 1) },
	};
	return REASON_OK;
}

enum reason jose_parse(const char *token, size_t len, struct jose *ret)
{
	struct parts part;
	enum reason r = parts_of(token, len, &part);

	memset(ret, 0, sizeof(*ret));
	if (r == REASON_OK)
		r = part_sig(part.at[2], part.len[2], ret);
	if (r == REASON_OK)
		r = part_header(part.at[0], part.len[0], &ret->header);
	if (r == REASON_OK)
		r = part_json(part.at[1], part.len[1], &ret->claims);
	if (r != REASON_OK) {
		jose_drop(ret);
		return r;
	}
	ret->signing_input = token;
	ret->signing_input_len = part.len[0] + 1 + part.len[1];
	return REASON_OK;
}

void jose_drop(struct jose *j)
{
	json_decref(j->header);
	json_decref(j->claims);
	memset(j, 0, sizeof(*j));
}

enum reason jose_check_type(const struct jose *j, const char *name)
{
	static const char prefix[] = "application/";
	char typ[64], *at = typ;

	if (!json_get_string(j->header, "typ", typ, sizeof(typ)))
		typ[0] = '\0';
	if (!strncasecmp(typ, prefix, sizeof(prefix) - 1))
		at += sizeof(prefix) - 1;
	if (kept(typ) && strcasecmp(at, name) != 0)
		return REASON_TYPE;
	if (kept(crit) && json_object_get(j->header, "crit"))
		return REASON_CRIT;
	return REASON_OK;
}

enum reason jose_check_alg(const struct jose *j)
{
	if (kept(alg) && !json_string_is(j->header, "alg", NAME_ALG))
		return REASON_ALG;
	return REASON_OK;
}

enum reason jose_kid(const struct jose *j, char ret[JTI_MAX + 1])
{
	char kid[JTI_MAX + 1];

	if (!json_get_string(j->header, "kid", kid, sizeof(kid)) || !kid[0])
		return REASON_KEY;
	strcpy(ret, kid);
	return REASON_OK;
}

bool jose_jwk_form(const json_t *jwk, struct point *ret)
{
	return json_is_object(jwk) && json_string_is(jwk, "kty", "EC") &&
	       json_string_is(jwk, "crv", "P-256") && json_get_bytes(jwk, "x", ret->x, 32) &&
	       json_get_bytes(jwk, "y", ret->y, 32);
}

int jose_jwk_point(const json_t *jwk, struct point *ret)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	struct point point;

	if (!jose_jwk_form(jwk, &point) || json_object_get(jwk, "d") || json_object_get(jwk, "k"))
		return -EBADMSG;
	if (json_object_get(jwk, "alg") && !json_string_is(jwk, "alg", NAME_ALG))
		return -EBADMSG;
	if (kept(curve) && sig_key_of_point(&point, &key) < 0)
		return -EBADMSG;
	*ret = point;
	return 0;
}

int jose_thumbprint(const struct point *point, char ret[44])
{
	char form[BINDING_THUMB_MAX];
	uint8_t hash[32];
	struct text t;
	int err = sig_sha256(form, binding_thumbprint(point->x, point->y, form), hash);

	if (err < 0)
		return err;
	text_init(&t, ret, 44);
	text_b64url(&t, hash, sizeof(hash));
	return 0;
}

int jose_sign(struct text *t, const char *header, const char *claims, struct sig_key *key)
{
	size_t from = t->len;
	uint8_t sig[SIG_LEN];
	int err;

	text_b64url(t, header, strlen(header));
	text_puts(t, ".");
	text_b64url(t, claims, strlen(claims));
	if (t->overflown)
		return -ENOSPC;
	err = sig_sign(key, t->at + from, t->len - from, sig);
	if (err < 0)
		return err;
	text_puts(t, ".");
	text_b64url(t, sig, sizeof(sig));
	return t->overflown ? -ENOSPC : 0;
}

/* use and key_ops, where a JWK has them, must allow checking signatures. */
static bool jwk_verifies(const json_t *jwk)
{
	const json_t *ops = json_object_get(jwk, "key_ops");

	if (json_object_get(jwk, "use") && !json_string_is(jwk, "use", "sig"))
		return false;
	if (!ops)
		return true;
	for (size_t i = 0; i < json_array_size(ops); i++) {
		const char *op = json_string_value(json_array_get(ops, i));

		if (op && !strcmp(op, "verify"))
			return true;
	}
	return false;
}

/* The one key of a set with this kid. A set is refused whole when any of it is not a public key of ours, or a kid
 * comes twice. */
static const json_t *jwk_of_set(const json_t *keys, const char *kid)
{
	const json_t *found = NULL;
	struct point point;

	for (size_t i = 0; i < json_array_size(keys); i++) {
		const json_t *jwk = json_array_get(keys, i);
		const json_t *name = json_object_get(jwk, "kid");

		if (!json_is_string(name) || jose_jwk_point(jwk, &point) < 0)
			return NULL;
		for (size_t k = 0; k < i; k++)
			if (json_equal(json_object_get(json_array_get(keys, k), "kid"), name))
				return NULL;
		if (!strcmp(json_string_value(name), kid))
			found = jwk;
	}
	return found;
}

enum reason jose_verify_plain(const char *jws, size_t len, const json_t *jwk)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	owned(jose_drop) struct jose j = { 0 };
	char kid[JTI_MAX + 1] = "";
	uint8_t payload[PART_MAX];
	struct point point;
	struct parts part;
	size_t n;
	enum reason r = parts_of(jws, len, &part);

	if (r == REASON_OK)
		r = part_sig(part.at[2], part.len[2], &j);
	if (r == REASON_OK)
		r = part_json(part.at[0], part.len[0], &j.header);
	if (r == REASON_OK && b64url_decode(part.at[1], part.len[1], payload, PART_MAX, &n) < 0)
		r = REASON_MALFORMED;
	if (r == REASON_OK && json_object_get(j.header, "crit"))
		r = REASON_CRIT;
	if (r == REASON_OK)
		r = jose_check_alg(&j);
	if (r != REASON_OK)
		return r;
	if (json_object_get(jwk, "keys"))
		jwk = jose_kid(&j, kid) == REASON_OK ? jwk_of_set(json_object_get(jwk, "keys"), kid)
						     : NULL;
	if (!jwk || !jwk_verifies(jwk) || jose_jwk_point(jwk, &point) < 0 ||
	    sig_key_of_point(&point, &key) < 0)
		return REASON_KEY;
	return sig_verify(key, jws, part.len[0] + 1 + part.len[1], j.sig, j.sig_len);
}
