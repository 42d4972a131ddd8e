// SPDX-License-Identifier: Apache-2.0
/*
 * Claims of a WIT and a WPT: see jose.h. Each function reads one thing and refuses in one word; who may believe what
 * was read is flow/verify's business.
 */
#include "edge/jose.h"
#include "base/twin.h"
#include <string.h>

enum reason jose_sub(const struct jose *wit, char ret[SPIFFE_ID_MAX + 1], struct spiffe_id *ret_id)
{
	struct spiffe_id id;

	if (!json_get_string(wit->claims, "sub", ret, SPIFFE_ID_MAX + 1))
		return REASON_SUBJECT;
	if (!spiffe_id_parse(ret, strlen(ret), &id) || id.path_len == 0)
		return REASON_SUBJECT;
	*ret_id = id;
	return REASON_OK;
}

enum reason jose_iss(const struct jose *wit, char ret[SPIFFE_ID_MAX + 1])
{
	return json_get_string(wit->claims, "iss", ret, SPIFFE_ID_MAX + 1) ? REASON_OK
									   : REASON_ISSUER;
}

enum reason jose_aud(const struct jose *wpt, const char *audience, size_t audience_len)
{
	const json_t *aud = json_object_get(wpt->claims, "aud");

	if (json_is_array(aud) && json_array_size(aud) == 1)
		aud = json_array_get(aud, 0);
	if (!json_is_string(aud))
		return REASON_AUDIENCE;
	if (kept(audience) && (json_string_length(aud) != audience_len ||
			       memcmp(json_string_value(aud), audience, audience_len) != 0))
		return REASON_AUDIENCE;
	return REASON_OK;
}

/* A member that may be absent, but not of another form. */
static bool optional_bytes(const json_t *object, const char *name, void *ret, size_t n,
			   bool *ret_has)
{
	*ret_has = json_object_get(object, name) != NULL;
	return !*ret_has || json_get_bytes(object, name, ret, n);
}

static uint32_t role_of(const json_t *conn)
{
	if (json_string_is(conn, "role", "client"))
		return CLEAT_ROLE_CLIENT;
	return json_string_is(conn, "role", "server") ? CLEAT_ROLE_SERVER : CLEAT_ROLE_NONE;
}

enum reason jose_conn(const struct jose *wpt, struct wpt *ret)
{
	const json_t *conn = json_object_get(wpt->claims, NAME_CONN);
	uint64_t version;

	if (!json_is_object(conn) || !json_get_integer(conn, "v", 1, 1, &version))
		return REASON_CLAIM;
	ret->role = role_of(conn);
	if (ret->role == CLEAT_ROLE_NONE || !json_get_bytes(conn, "cb", ret->cb, 32))
		return REASON_CLAIM;
	if (!json_get_integer(conn, "est", 0, SEQ_MAX, &ret->est_ms) ||
	    !json_get_integer(conn, "seq", 1, SEQ_MAX, &ret->seq))
		return REASON_CLAIM;
	return optional_bytes(conn, "ns", ret->ns, 32, &ret->has_ns) ? REASON_OK : REASON_CLAIM;
}

static bool optional_date(const json_t *object, const char *name, double *ret)
{
	return !json_object_get(object, name) || json_get_date(object, name, ret);
}

enum reason jose_wit_times(const struct jose *wit, struct wit *ret)
{
	if (!json_get_date(wit->claims, "exp", &ret->exp) ||
	    !optional_date(wit->claims, "nbf", &ret->nbf) ||
	    !optional_date(wit->claims, "iat", &ret->iat))
		return REASON_CLAIM;
	return REASON_OK;
}

enum reason jose_wpt_times(const struct jose *wpt, struct wpt *ret)
{
	if (!json_get_date(wpt->claims, "exp", &ret->exp) ||
	    !json_get_date(wpt->claims, "iat", &ret->iat))
		return REASON_CLAIM;
	return REASON_OK;
}

enum reason jose_cnf(const struct jose *wit, struct point *ret)
{
	const json_t *jwk = json_object_get(json_object_get(wit->claims, "cnf"), "jwk");
	struct point point;

	if (!jose_jwk_form(jwk, &point))
		return REASON_PROOF_KEY;
	if (kept(cnf) && (!json_string_is(jwk, "alg", NAME_ALG) || json_object_size(jwk) != 5))
		return REASON_PROOF_KEY; /* a private member, or any other that is not these five */
	*ret = point;
	return REASON_OK;
}

static bool jti_of(const struct jose *j, char ret[JTI_MAX + 1])
{
	return json_get_string(j->claims, "jti", ret, JTI_MAX + 1) && ret[0];
}

enum reason jose_wit(const struct jose *wit, struct wit *ret)
{
	if (kept(claims) && json_object_get(wit->claims, "aud"))
		return REASON_CLAIM;
	if (!jti_of(wit, ret->jti) && kept(claims))
		return REASON_CLAIM;
	if ((!json_get_bytes(wit->claims, "ueid", ret->ueid, UEID_LEN) || ret->ueid[0] != 1) &&
	    kept(claims))
		return REASON_CLAIM;
	if (!json_get_bytes(wit->claims, "bootseed", ret->bootseed, BOOTSEED_LEN) && kept(claims))
		return REASON_CLAIM;
	return REASON_OK;
}

static uint32_t level_of(const json_t *claims)
{
	if (json_string_is(claims, NAME_LEVEL, "full"))
		return CLEAT_LEVEL_FULL;
	return json_string_is(claims, NAME_LEVEL, "reduced") ? CLEAT_LEVEL_REDUCED
							     : CLEAT_LEVEL_NONE;
}

static bool proc_of(const struct jose *wpt, struct wpt *ret)
{
	const json_t *proc = json_object_get(wpt->claims, NAME_PROC);

	if (!json_is_object(proc) || !json_get_bytes(proc, "inst", ret->inst, 32))
		return false;
	if (!optional_bytes(proc, "exe", ret->exe, 32, &ret->has_exe))
		return false;
	return !json_object_get(proc, "unit") ||
	       (json_get_string(proc, "unit", ret->unit, sizeof(ret->unit)) && ret->unit[0]);
}

enum reason jose_wpt(const struct jose *wpt, struct wpt *ret)
{
	if (!jti_of(wpt, ret->jti) && kept(claims))
		return REASON_CLAIM;
	if (!json_get_bytes(wpt->claims, "wth", ret->wth, 32) && kept(claims))
		return REASON_CLAIM;
	if (!optional_bytes(wpt->claims, "ath", ret->ath, 32, &ret->has_ath) ||
	    !optional_bytes(wpt->claims, "tth", ret->tth, 32, &ret->has_tth))
		return REASON_CLAIM;
	ret->has_oth = json_object_get(wpt->claims, "oth") != NULL;
	ret->has_nonce = json_object_get(wpt->claims, "nonce") != NULL;
	ret->level = level_of(wpt->claims);
	if (ret->level == CLEAT_LEVEL_NONE && kept(claims))
		return REASON_CLAIM;
	if (!proc_of(wpt, ret) && kept(claims))
		return REASON_CLAIM;
	return REASON_OK;
}
