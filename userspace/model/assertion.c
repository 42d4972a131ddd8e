// SPDX-License-Identifier: Apache-2.0
/*
 * The assertion: see assertion.h. Printing is plain text building in a fixed order; every string that is printed was
 * matched against a grammar before, and is escaped all the same.
 */
#include "model/assertion.h"
#include <string.h>

static enum reason wit_times(const struct wit *wit, double now_s, unsigned leeway_s)
{
	if (now_s >= wit->exp + leeway_s)
		return REASON_EXPIRED;
	if (wit->nbf > now_s + leeway_s)
		return REASON_NOT_YET;
	if (wit->exp > now_s + WIT_LIFE_S + leeway_s)
		return REASON_LIFE;
	return REASON_OK;
}

static enum reason wpt_times(const struct wpt *wpt, double now_s, unsigned leeway_s,
			     unsigned life_max_s)
{
	if (now_s >= wpt->exp + leeway_s)
		return REASON_EXPIRED;
	if (wpt->iat > now_s + leeway_s)
		return REASON_NOT_YET;
	if (wpt->exp < wpt->iat || wpt->exp - wpt->iat > life_max_s)
		return REASON_LIFE;
	if (wpt->exp > now_s + life_max_s + leeway_s)
		return REASON_LIFE;
	return REASON_OK;
}

enum reason assertion_times(const struct wit *wit, const struct wpt *wpt, double now_s,
			    unsigned leeway_s, unsigned life_max_s)
{
	enum reason r = wit_times(wit, now_s, leeway_s);

	return r == REASON_OK ? wpt_times(wpt, now_s, leeway_s, life_max_s) : r;
}

static void put_string(struct text *t, const char *before, const char *value)
{
	text_puts(t, before);
	text_json(t, value, strlen(value));
}

static void put_bytes(struct text *t, const char *before, const void *bytes, size_t len)
{
	text_puts(t, before);
	text_puts(t, "\"");
	text_b64url(t, bytes, len);
	text_puts(t, "\"");
}

static void put_seconds(struct text *t, const char *before, double at)
{
	text_puts(t, before);
	text_u64(t, (uint64_t)at);
}

void assertion_print_wit_header(struct text *t, const char *kid)
{
	put_string(t, "{\"alg\":\"" NAME_ALG "\",\"typ\":\"" NAME_TYP_WIT "\",\"kid\":", kid);
	text_puts(t, "}");
}

void assertion_print_wit(struct text *t, const struct wit *wit)
{
	put_string(t, "{\"iss\":", wit->iss);
	put_string(t, ",\"sub\":", wit->sub);
	if (wit->iat > 0)
		put_seconds(t, ",\"iat\":", wit->iat);
	if (wit->nbf > 0)
		put_seconds(t, ",\"nbf\":", wit->nbf);
	put_seconds(t, ",\"exp\":", wit->exp);
	put_string(t, ",\"jti\":", wit->jti);
	put_bytes(t, ",\"cnf\":{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":", wit->cnf.x, 32);
	put_bytes(t, ",\"y\":", wit->cnf.y, 32);
	put_bytes(t, ",\"alg\":\"" NAME_ALG "\"}},\"ueid\":", wit->ueid, UEID_LEN);
	put_bytes(t, ",\"bootseed\":", wit->bootseed, BOOTSEED_LEN);
	text_puts(t, "}");
}

void assertion_print_wpt_header(struct text *t)
{
	text_puts(t, "{\"alg\":\"" NAME_ALG "\",\"typ\":\"" NAME_TYP_WPT "\"}");
}

static void print_conn(struct text *t, const struct wpt *wpt)
{
	put_string(t, ",\"" NAME_CONN "\":{\"v\":1,\"role\":", role_word(wpt->role));
	put_bytes(t, ",\"cb\":", wpt->cb, 32);
	text_puts(t, ",\"est\":");
	text_u64(t, wpt->est_ms);
	text_puts(t, ",\"seq\":");
	text_u64(t, wpt->seq);
	if (wpt->has_ns)
		put_bytes(t, ",\"ns\":", wpt->ns, 32);
	text_puts(t, "}");
}

static void print_proc(struct text *t, const struct wpt *wpt)
{
	put_bytes(t, ",\"" NAME_PROC "\":{\"inst\":", wpt->inst, 32);
	if (wpt->has_exe)
		put_bytes(t, ",\"exe\":", wpt->exe, 32);
	if (wpt->unit[0])
		put_string(t, ",\"unit\":", wpt->unit);
	text_puts(t, "}");
}

void assertion_print_wpt(struct text *t, const struct wpt *wpt)
{
	put_string(t, "{\"aud\":", wpt->aud);
	put_seconds(t, ",\"iat\":", wpt->iat);
	put_seconds(t, ",\"exp\":", wpt->exp);
	put_string(t, ",\"jti\":", wpt->jti);
	put_bytes(t, ",\"wth\":", wpt->wth, 32);
	if (wpt->has_ath)
		put_bytes(t, ",\"ath\":", wpt->ath, 32);
	if (wpt->has_tth)
		put_bytes(t, ",\"tth\":", wpt->tth, 32);
	print_conn(t, wpt);
	print_proc(t, wpt);
	put_string(t, ",\"" NAME_LEVEL "\":", level_word(wpt->level));
	text_puts(t, "}");
}

const char *role_word(uint32_t role)
{
	if (role == CLEAT_ROLE_CLIENT)
		return "client";
	return role == CLEAT_ROLE_SERVER ? "server" : "none";
}

const char *level_word(uint32_t level)
{
	if (level == CLEAT_LEVEL_FULL)
		return "full";
	return level == CLEAT_LEVEL_REDUCED ? "reduced" : "none";
}
