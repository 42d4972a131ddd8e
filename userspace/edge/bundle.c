// SPDX-License-Identifier: Apache-2.0
/*
 * Bundles: see bundle.h. One wrong key refuses the whole bundle, with the place where it stands. A wit-svid key that
 * carries neither cleat_issuer nor cleat_scope is another issuer's: of good form, but nothing here may be signed by
 * it, so it is counted as foreign and left aside like x509-svid and jwt-svid keys.
 */
#include "edge/bundle.h"
#include "edge/jose.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define SCOPES_MAX 256
#define KID_MAX	   1024

/* A bundle being read. */
struct reading {
	const char *text;
	size_t len;
	size_t index; /* of the key under the eye */
	struct bundle *b;
	char *error;
	size_t error_cap;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reading *r, const char *format, ...)
{
	struct json_place at = json_find(r->text, r->len, "keys", r->index);
	va_list args;
	int n;

	n = snprintf(r->error, r->error_cap, "%u:%u: keys[%zu]: ", at.line, at.column, r->index);
	if (n >= 0 && (size_t)n < r->error_cap) {
		va_start(args, format);
		vsnprintf(r->error + n, r->error_cap - (size_t)n, format, args);
		va_end(args);
	}
	return -EBADMSG;
}

struct bundle *bundle_new(const char *trust_domain)
{
	struct bundle *b;
	size_t len = strlen(trust_domain);

	if (!spiffe_trust_domain_valid(trust_domain, len))
		return NULL;
	b = calloc(1, sizeof(*b));
	if (b)
		memcpy(b->trust_domain, trust_domain, len + 1);
	return b;
}

static void key_drop(struct bundle_key *key)
{
	for (size_t i = 0; i < key->scope_count; i++)
		free(key->scopes[i]);
	free(key->scopes);
	free(key->issuer);
	*key = (struct bundle_key){ 0 };
}

void bundle_free(struct bundle *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->key_count; i++)
		key_drop(&b->keys[i]);
	free(b->keys);
	free(b);
}

/* "spiffe://<td>/host/<name>": exactly one component below /host. */
static bool issuer_valid(const char *issuer, const char *trust_domain)
{
	struct spiffe_id id;

	if (!spiffe_id_parse(issuer, strlen(issuer), &id))
		return false;
	return id.trust_domain_len == strlen(trust_domain) &&
	       !memcmp(id.trust_domain, trust_domain, id.trust_domain_len) && id.path_len > 6 &&
	       !memcmp(id.path, "/host/", 6) && !memchr(id.path + 6, '/', id.path_len - 6);
}

static bool scope_valid(const char *scope)
{
	size_t len = strlen(scope);

	return !strcmp(scope, "/") ||
	       (spiffe_path_valid(scope, len) && !spiffe_path_is_host(scope, len));
}

int bundle_add(struct bundle *b, const struct point *point, const char *issuer,
	       const char *const *scopes, size_t scope_count)
{
	struct bundle_key key = { .point = *point }, *bigger;

	if (!issuer_valid(issuer, b->trust_domain) || scope_count < 1 || scope_count > SCOPES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < scope_count; i++)
		if (!scope_valid(scopes[i]))
			return -EINVAL;
	if (jose_thumbprint(point, key.kid) < 0)
		return -EIO;
	for (size_t i = 0; i < b->key_count; i++)
		if (!strcmp(b->keys[i].kid, key.kid))
			return -EEXIST;
	bigger = realloc(b->keys, (b->key_count + 1) * sizeof(*b->keys));
	if (!bigger)
		return -ENOMEM;
	b->keys = bigger;
	key.issuer = strdup(issuer);
	key.scopes = calloc(scope_count, sizeof(*key.scopes));
	while (key.scopes && key.scope_count < scope_count &&
	       (key.scopes[key.scope_count] = strdup(scopes[key.scope_count])))
		key.scope_count++;
	if (!key.issuer || key.scope_count < scope_count) {
		key_drop(&key);
		return -ENOMEM;
	}
	b->keys[b->key_count++] = key;
	return 0;
}

int bundle_remove(struct bundle *b, const char *kid)
{
	for (size_t i = 0; i < b->key_count; i++) {
		if (strcmp(b->keys[i].kid, kid) != 0)
			continue;
		key_drop(&b->keys[i]);
		b->key_count--;
		memmove(&b->keys[i], &b->keys[i + 1], (b->key_count - i) * sizeof(*b->keys));
		return 0;
	}
	return -ENOENT;
}

/* The id prefix of a scope, as a path: "spiffe://td/a" -> "/a", the whole domain -> "/". NULL: not one. */
static const char *scope_path(struct reading *r, const json_t *scope,
			      char buffer[SPIFFE_ID_MAX + 1])
{
	struct spiffe_id id;
	size_t len = json_is_string(scope) ? json_string_length(scope) : SPIFFE_ID_MAX + 1;

	if (len > SPIFFE_ID_MAX)
		return NULL;
	memcpy(buffer, json_string_value(scope), len);
	buffer[len] = '\0';
	if (!spiffe_id_parse(buffer, len, &id) ||
	    id.trust_domain_len != strlen(r->b->trust_domain) ||
	    memcmp(id.trust_domain, r->b->trust_domain, id.trust_domain_len) != 0)
		return NULL;
	return id.path_len ? id.path : "/";
}

static int read_scopes(struct reading *r, const json_t *list, const char *scopes[SCOPES_MAX],
		       char *buffers)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count == 0)
		return refuse(r, NAME_SCOPE " must list at least one id prefix");
	if (count > SCOPES_MAX)
		return refuse(r, NAME_SCOPE " lists more than %d id prefixes", SCOPES_MAX);
	for (size_t i = 0; i < count; i++) {
		scopes[i] =
			scope_path(r, json_array_get(list, i), buffers + i * (SPIFFE_ID_MAX + 1));
		if (!scopes[i])
			return refuse(r, NAME_SCOPE "[%zu] is not an id prefix below spiffe://%s",
				      i, r->b->trust_domain);
		if (!scope_valid(scopes[i]))
			return refuse(r, NAME_SCOPE "[%zu]: ids below /host are never in scope", i);
	}
	return 0;
}

/* A key whose issuer and scope we know. */
static int read_own(struct reading *r, const json_t *jwk, const char *kid,
		    const struct point *point)
{
	const json_t *list = json_object_get(jwk, NAME_SCOPE);
	size_t count = json_array_size(list);
	owned_mem char *buffers =
		malloc((count < SCOPES_MAX ? count : SCOPES_MAX) * (SPIFFE_ID_MAX + 1) + 1);
	const char *scopes[SCOPES_MAX];
	char issuer[SPIFFE_ID_MAX + 1], thumbprint[44];
	int err;

	if (!buffers)
		return -ENOMEM;
	if (!json_get_string(jwk, NAME_ISSUER, issuer, sizeof(issuer)) ||
	    !issuer_valid(issuer, r->b->trust_domain))
		return refuse(r, NAME_ISSUER " must be spiffe://%s/host/<name>",
			      r->b->trust_domain);
	err = read_scopes(r, list, scopes, buffers);
	if (err < 0)
		return err;
	if (jose_thumbprint(point, thumbprint) < 0)
		return -EIO;
	if (strcmp(kid, thumbprint) != 0)
		return refuse(r, "kid must be the key's RFC 7638 thumbprint, %s", thumbprint);
	err = bundle_add(r->b, point, issuer, scopes, count);
	return err == -EINVAL || err == -EEXIST ? refuse(r, "the key is listed twice") : err;
}

static int read_wit(struct reading *r, const json_t *jwk, const char *kid)
{
	struct point point;

	if (jose_jwk_point(jwk, &point) < 0)
		return refuse(r, "not a P-256 public key for " NAME_ALG
				 " (kty, crv, x, y, on the curve)");
	if (!json_object_get(jwk, NAME_ISSUER) && !json_object_get(jwk, NAME_SCOPE)) {
		r->b->foreign_count++;
		return 0;
	}
	return read_own(r, jwk, kid, &point);
}

/* An x509-svid key: named by its certificate, exactly one. */
static int read_x509(struct reading *r, const json_t *jwk)
{
	const json_t *chain = json_object_get(jwk, "x5c");

	if (json_array_size(chain) != 1 || !json_is_string(json_array_get(chain, 0)))
		return refuse(r, "an x509-svid key must have exactly one certificate in x5c");
	r->b->foreign_count++;
	return 0;
}

static bool private_member(const json_t *jwk)
{
	static const char *const names[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(jwk, names[i]))
			return true;
	return false;
}

static int read_key(struct reading *r, const json_t *jwk)
{
	char kid[KID_MAX], use[64] = "";

	if (!json_is_object(jwk))
		return refuse(r, "not a JSON object");
	if (json_object_get(jwk, "use") && !json_get_string(jwk, "use", use, sizeof(use)))
		return refuse(r, "use must be a string");
	if (!json_is_string(json_object_get(jwk, "kty")))
		return refuse(r, "kty is missing");
	if (json_string_is(jwk, "kty", "oct") || private_member(jwk))
		return refuse(r, "holds a private or symmetric key: it belongs in no bundle");
	if (!strcmp(use, "x509-svid"))
		return read_x509(r, jwk);
	if (!json_get_string(jwk, "kid", kid, sizeof(kid)) || !kid[0])
		return refuse(r, "kid is missing");
	if (!strcmp(use, NAME_USE))
		return read_wit(r, jwk, kid);
	r->b->foreign_count++;
	return 0;
}

/* kid names one key only, whatever its use. */
static int check_kids(struct reading *r, const json_t *keys)
{
	json_t *seen = json_object();
	int err = seen ? 0 : -ENOMEM;

	for (size_t i = 0; err == 0 && i < json_array_size(keys); i++) {
		const char *kid =
			json_string_value(json_object_get(json_array_get(keys, i), "kid"));

		if (!kid)
			continue;
		r->index = i;
		if (json_object_get(seen, kid))
			err = refuse(r, "a second key with this kid");
		else if (json_object_set_new_nocheck(seen, kid, json_true()) < 0)
			err = -ENOMEM;
	}
	json_decref(seen);
	return err;
}

static int read_number(struct reading *r, const json_t *j, const char *name, uint64_t max,
		       uint64_t *ret)
{
	if (!json_object_get(j, name) || json_get_integer(j, name, 0, max, ret))
		return 0;
	snprintf(r->error, r->error_cap, "1:1: %s must be an integer, 0 to %" PRIu64, name, max);
	return -EBADMSG;
}

static int read_bundle(struct reading *r, const json_t *j)
{
	const json_t *keys = json_object_get(j, "keys");
	int err = read_number(r, j, "spiffe_sequence", BUNDLE_SEQUENCE_MAX, &r->b->sequence);

	if (err == 0)
		err = read_number(r, j, "spiffe_refresh_hint", INT64_MAX, &r->b->refresh_hint_s);
	if (err < 0)
		return err;
	if (!json_is_array(keys)) {
		snprintf(r->error, r->error_cap, "1:1: the list keys is missing");
		return -EBADMSG;
	}
	for (r->index = 0; err == 0 && r->index < json_array_size(keys); r->index++)
		err = read_key(r, json_array_get(keys, r->index));
	return err == 0 ? check_kids(r, keys) : err;
}

int bundle_parse(const char *trust_domain, const char *json, size_t len, struct bundle **ret,
		 char *error, size_t error_cap)
{
	owned(bundle_owned) struct bundle *b = bundle_new(trust_domain);
	owned(json_owned) json_t *j = NULL;
	struct reading r = {
		.text = json, .len = len, .b = b, .error = error, .error_cap = error_cap
	};
	int err;

	if (!b) {
		snprintf(error, error_cap, "1:1: not a trust domain's name");
		return -EBADMSG;
	}
	j = json_parse(json, len, JSON_TOP_OBJECT, error, error_cap);
	if (!j)
		return -EBADMSG;
	err = read_bundle(&r, j);
	if (err == 0)
		*ret = take_ptr(b);
	return err;
}
