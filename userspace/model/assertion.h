/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assertion: what a WIT and a WPT say (token.md 4 and 5), as claims in memory. Names of claims,
 * headers and types stand here once. Printing is pure text building (the sign room never reads
 * JSON); reading is edge/jose's.
 */
#ifndef CLEAT_MODEL_ASSERTION_H
#define CLEAT_MODEL_ASSERTION_H

#include "base/bytes.h"
#include "model/binding.h"
#include "model/reason.h"
#include "model/spiffe_id.h"
#include <stdbool.h>
#include <stdint.h>

#define TOKEN_MAX	     16384 /* characters of one compact token */
#define JTI_MAX		     128
#define UNIT_MAX	     255
#define WIT_LIFE_S	     3600
#define WPT_LIFE_S	     30
#define WPT_LIFE_MAX_S	     60
#define LEEWAY_S	     30
#define LEEWAY_MAX_S	     60
#define EST_TOLERANCE_MS     2000
#define EST_TOLERANCE_MAX_MS 5000
#define SEQ_MAX		     ((1ULL << 53) - 1)
#define NUMERIC_DATE_MAX     (1ULL << 40)

#define NAME_TYP_WIT "wit+jwt"
#define NAME_TYP_WPT "wpt+jwt"
#define NAME_ALG     "ES256"
#define NAME_CONN    "cleat/conn"
#define NAME_LEVEL   "cleat/level"
#define NAME_PROC    "cleat/proc"
#define NAME_USE     "wit-svid"
#define NAME_ISSUER  "cleat_issuer"
#define NAME_SCOPE   "cleat_scope"

/* A P-256 public key: big-endian coordinates. */
struct point {
	uint8_t x[32];
	uint8_t y[32];
};

struct wit {
	char sub[SPIFFE_ID_MAX + 1];
	char iss[SPIFFE_ID_MAX + 1];
	char kid[JTI_MAX + 1];
	char jti[JTI_MAX + 1];
	double exp; /* NumericDate, s */
	double nbf; /* 0: absent */
	double iat; /* 0: absent */
	uint8_t ueid[UEID_LEN];
	uint8_t bootseed[BOOTSEED_LEN];
	struct point cnf;
};

struct wpt {
	char aud[SPIFFE_ID_MAX + 1];
	char jti[JTI_MAX + 1];
	double iat;
	double exp;
	uint8_t wth[32];
	uint8_t ath[32];
	uint8_t tth[32];
	bool has_ath;
	bool has_tth;
	bool has_oth; /* any oth: none is understood yet */
	bool has_nonce;
	uint32_t role;	/* enum cleat_role */
	uint32_t level; /* enum cleat_level */
	uint8_t cb[32];
	uint64_t est_ms;
	uint64_t seq;
	bool has_ns;
	uint8_t ns[32];
	uint8_t inst[32];
	bool has_exe;
	uint8_t exe[32];
	char unit[UNIT_MAX + 1]; /* "": absent */
};

/* The times of both (step 9). @leeway_s 0 ... 60. exp is exclusive. @life_max_s: WPT_LIFE_MAX_S or less. */
enum reason assertion_times(const struct wit *wit, const struct wpt *wpt, double now_s,
			    unsigned leeway_s, unsigned life_max_s);

/* Header and claims as JSON text. exp, iat, nbf are printed as whole seconds. */
void assertion_print_wit_header(struct text *t, const char *kid);
void assertion_print_wit(struct text *t, const struct wit *wit);
void assertion_print_wpt_header(struct text *t);
void assertion_print_wpt(struct text *t, const struct wpt *wpt);

const char *role_word(uint32_t role);	/* "client", "server", "none" */
const char *level_word(uint32_t level); /* "none", "reduced", "full" */

#endif
