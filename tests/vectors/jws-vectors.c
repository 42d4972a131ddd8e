// SPDX-License-Identifier: Apache-2.0
/*
 * jws-vectors FILE...: Wycheproof's forms through the daemon's own JWS and signature code. Four kinds, told apart by
 * the groups' type: JsonWebSignature, JsonWebKey and JsonWebCrypto (a token under a key or a set), EcdsaP1363Verify (raw R||S) and
 * EcdsaVerify (DER). ES256 must agree with the vector; every other algorithm and every DER form must be refused, and
 * so must what the vectors call valid against token.md 2 (372 and 373: a "?" within base64url).
 */
#include "edge/jose.h"
#include "vectors.h"

/* What the header says its algorithm is, read loosely: only to know what to expect. */
static bool says_es256(const char *jws)
{
	size_t len = strcspn(jws, "."), n;
	owned_mem char *header = calloc(1, len + 1);
	owned(json_owned) json_t *j = NULL;

	if (!header || b64url_decode(jws, len, header, len, &n) < 0)
		return false;
	j = json_loadb(header, n, 0, NULL);
	return !strcmp(text_of(j, "alg"), "ES256");
}

static void run_jws(struct tally *t, const json_t *group, const json_t *test)
{
	const json_t *jwk = json_object_get(group, "public");
	const json_t *id = json_object_get(test, "tcId"), *jws = json_object_get(test, "jws");
	const char *result = text_of(test, "result");
	owned_mem char *text = NULL;
	bool valid;
	enum reason r;

	if (!jws)
		jws = json_object_get(test, "jwe"); /* encrypted tokens are none of ours: refused */

	if (!jwk)
		jwk = json_object_get(group, "private"); /* symmetric keys stand there */
	text = json_is_string(jws) ? strdup(json_string_value(jws)) : json_dumps(jws, JSON_COMPACT);
	if (!text) {
		judge(t, false, "%lld: no token in it", (long long)json_integer_value(id));
		return;
	}
	valid = !strcmp(result, "valid") && says_es256(text);
	r = jose_verify_plain(text, strlen(text), jwk);
	judge(t, (r == REASON_OK) == valid, "%lld %s: %s, but we say %s",
	      (long long)json_integer_value(id), text_of(test, "comment"), result, reason_word(r));
}

/* The key of an ECDSA group, from its uncompressed point. */
static struct sig_key *key_of(const json_t *group)
{
	uint8_t octets[65];
	struct sig_key *key;
	struct point point;

	if (hex_of(json_object_get(group, "publicKey"), "uncompressed", octets, 65) != 65 ||
	    octets[0] != 4)
		return NULL;
	memcpy(point.x, octets + 1, 32);
	memcpy(point.y, octets + 33, 32);
	return sig_key_of_point(&point, &key) == 0 ? key : NULL;
}

static void run_raw(struct tally *t, struct sig_key *key, const json_t *test, bool der)
{
	static uint8_t msg[1 << 20], sig[1 << 20];
	size_t msg_len = hex_of(test, "msg", msg, sizeof(msg));
	size_t sig_len = hex_of(test, "sig", sig, sizeof(sig));
	long long id = json_integer_value(json_object_get(test, "tcId"));
	bool valid = !der && !strcmp(text_of(test, "result"), "valid");
	enum reason r;

	if (!key || msg_len == (size_t)-1 || sig_len == (size_t)-1) {
		judge(t, false, "%lld: cannot be read", id);
		return;
	}
	r = sig_verify(key, msg, msg_len, sig, sig_len);
	judge(t, (r == REASON_OK) == valid, "%lld %s: %s, but we say %s", id,
	      text_of(test, "comment"), text_of(test, "result"), reason_word(r));
}

static void run_group(struct tally *t, const json_t *group)
{
	const char *type = text_of(group, "type");
	const json_t *tests = json_object_get(group, "tests");
	bool der = !strcmp(type, "EcdsaVerify"), raw = !strcmp(type, "EcdsaP1363Verify");
	bool token = !strcmp(type, "JsonWebSignature") || !strcmp(type, "JsonWebKey") ||
		     !strcmp(type, "JsonWebCrypto");
	owned(sig_key_owned) struct sig_key *key = der || raw ? key_of(group) : NULL;

	for (size_t i = 0; i < json_array_size(tests); i++) {
		const json_t *test = json_array_get(tests, i);

		if (der || raw)
			run_raw(t, key, test, der);
		else if (token)
			run_jws(t, group, test);
		else
			judge(t, false, "a group of type '%s' is none of ours", type);
	}
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);
	const json_t *groups = json_object_get(set, "testGroups");

	for (size_t i = 0; i < json_array_size(groups); i++)
		run_group(t, json_array_get(groups, i));
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
