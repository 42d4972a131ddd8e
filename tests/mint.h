/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for tests of verify(): a host key with its bundle, a proof key, one service, one connection, and a
 * good presentation whose every header and claim can be changed before it is signed. mint_judge() says what verify()
 * said; the world keeps the window and the cb memory between calls, as a socket and a host would.
 */
#ifndef CLEAT_TESTS_MINT_H
#define CLEAT_TESTS_MINT_H

#include "base/cleanup.h"
#include "edge/bundle.h"
#include "edge/policy_yaml.h"
#include "flow/verify.h"
#include "model/window.h"
#include <stdlib.h>
#include <string.h>

#define MINT_DOMAIN  "example.org"
#define MINT_CALLER  "spiffe://example.org/ns/prod/web"
#define MINT_SERVICE "spiffe://example.org/ns/prod/api"
#define MINT_ISSUER  "spiffe://example.org/host/h1"
#define MINT_ISSUER2 "spiffe://example.org/host/h2"
#define MINT_OTHER   "spiffe://example.org/ns/other/web" /* in h2's scope alone */
#define MINT_NOW     1790000000.0
#define MINT_EST_MS  1789999995000u

struct mint {
	struct sig_key *host;
	struct sig_key *proof;
	struct sig_key *rogue; /* in no bundle and no cnf */
	struct sig_key *host2; /* of another enrolled host, for other ids */
	char kid[44];
	char kid2[44];
	char *bundle;
	void *image;
	struct verify_cache *cache;
	struct host_facts facts;
	/* the verifier's end */
	struct connection_facts on;
	struct cleat_window window;
	bool changed;		/* the connection's record, since it was looked at */
	enum reason connection; /* what the kernel's side says */
	enum reason cb;		/* what the cb memory says */
	enum reason consumed;	/* what consume says before it looks at the window */
	double now;
	const uint8_t *ath;
	const uint8_t *tth;
	uint32_t role;	     /* expected of the signer */
	bool no_wth;	     /* leave wth out */
	bool unsynchronised; /* what the kernel says of the clock */
	unsigned consumes;   /* how often consume was asked */
	/* the presentation: change these, then mint_judge() */
	json_t *wit_header;
	json_t *wit;
	json_t *wpt_header;
	json_t *wpt;
	struct verify_verdict verdict; /* of the last judgement */
};

/* Any object that JSON text with ' for " makes. */
static inline json_t *mint_json(const char *text)
{
	char *copy = strdup(text);
	json_t *j;

	for (char *at = copy; *at; at++)
		if (*at == '\'')
			*at = '"';
	j = json_loads(copy, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	free(copy);
	if (!j)
		abort();
	return j;
}

static inline json_t *mint_b64(const void *bytes, size_t len)
{
	char at[256];
	struct text t;

	text_init(&t, at, sizeof(at));
	text_b64url(&t, bytes, len);
	return json_string(at);
}

/* Makes the presentation good again. */
static inline void mint_reset(struct mint *m)
{
	struct point cnf;
	json_t *jwk;

	json_decref(m->wit_header);
	json_decref(m->wit);
	json_decref(m->wpt_header);
	json_decref(m->wpt);
	m->wit_header = mint_json("{'alg':'ES256','typ':'wit+jwt'}");
	json_object_set_new(m->wit_header, "kid", json_string(m->kid));
	m->wit = mint_json("{'iss':'" MINT_ISSUER "','sub':'" MINT_CALLER "','iat':1789999940,"
			   "'nbf':1789999940,'exp':1790003000,'jti':'wit-jti','cnf':{'jwk':"
			   "{'kty':'EC','crv':'P-256','alg':'ES256'}}}");
	jwk = json_object_get(json_object_get(m->wit, "cnf"), "jwk");
	sig_key_point(m->proof, &cnf);
	json_object_set_new(jwk, "x", mint_b64(cnf.x, 32));
	json_object_set_new(jwk, "y", mint_b64(cnf.y, 32));
	json_object_set_new(m->wit, "ueid", mint_b64(m->facts.ueid, UEID_LEN));
	json_object_set_new(m->wit, "bootseed", mint_b64(m->facts.bootseed, BOOTSEED_LEN));
	m->wpt_header = mint_json("{'alg':'ES256','typ':'wpt+jwt'}");
	m->wpt = mint_json("{'aud':'" MINT_SERVICE "','iat':1789999998,'exp':1790000028,"
			   "'jti':'wpt-jti','cleat/conn':{'v':1,'role':'client',"
			   "'est':1789999995000,'seq':7},'cleat/level':'full','cleat/proc':"
			   "{'unit':'web.service'}}");
	json_object_set_new(json_object_get(m->wpt, "cleat/conn"), "cb", mint_b64(m->on.cb, 32));
	json_object_set_new(json_object_get(m->wpt, "cleat/proc"), "inst", mint_b64(m->on.cb, 32));
}

/* A verifier's end that has seen nothing yet. */
static inline void mint_afresh(struct mint *m)
{
	m->on = (struct connection_facts){ .est_ms = MINT_EST_MS, .level = CLEAT_LEVEL_FULL };
	m->on.tag.conn.generation = 1;
	m->on.tag.conn.role = CLEAT_ROLE_SERVER;
	memset(m->on.cb, 0x5a, sizeof(m->on.cb));
	m->window = (struct cleat_window){ 0 };
	m->connection = m->cb = m->consumed = REASON_OK;
	m->now = MINT_NOW;
	m->ath = m->tth = NULL;
	m->role = CLEAT_ROLE_CLIENT;
	m->consumes = 0;
	m->no_wth = m->unsynchronised = m->changed = false;
	verify_cache_drop(m->cache);
	mint_reset(m);
}

static inline int mint_kid(const struct sig_key *key, char ret[44])
{
	struct point point;

	sig_key_point(key, &point);
	return jose_thumbprint(&point, ret);
}

static inline int mint_enrol(struct bundle *b, const struct sig_key *key, const char *issuer,
			     const char *scope)
{
	struct point point;

	sig_key_point(key, &point);
	return bundle_add(b, &point, issuer, &scope, 1);
}

/* h1's kid sorts before h2's, so that "the first key" is h1's in every run. */
static inline int mint_keys(struct mint *m)
{
	struct sig_key *first;

	if (sig_open() < 0 || sig_key_new(&m->host) < 0 || sig_key_new(&m->host2) < 0 ||
	    sig_key_new(&m->proof) < 0 || sig_key_new(&m->rogue) < 0)
		return -1;
	if (mint_kid(m->host, m->kid) < 0 || mint_kid(m->host2, m->kid2) < 0)
		return -1;
	if (strcmp(m->kid, m->kid2) > 0) {
		first = m->host2;
		m->host2 = m->host;
		m->host = first;
	}
	return mint_kid(m->host, m->kid) < 0 || mint_kid(m->host2, m->kid2) < 0 ? -1 : 0;
}

static inline int mint_open(struct mint *m)
{
	owned(bundle_owned) struct bundle *b = bundle_new(MINT_DOMAIN);
	char error[512] = "";
	size_t size;

	memset(m, 0, sizeof(*m));
	m->facts.ueid[0] = 1;
	memset(m->facts.bootseed, 0xb0, BOOTSEED_LEN);
	if (!b || mint_keys(m) < 0 || verify_cache_new(16, &m->cache) < 0)
		return -1;
	if (mint_enrol(b, m->host, MINT_ISSUER, "/ns/prod") < 0 ||
	    mint_enrol(b, m->host2, MINT_ISSUER2, "/ns/other") < 0)
		return -1;
	if (bundle_print(b, &m->bundle) < 0)
		return -1;
	if (policy_compile_single(MINT_DOMAIN, m->bundle, strlen(m->bundle), MINT_SERVICE,
				  CLEAT_LEVEL_REDUCED, LEEWAY_S, EST_TOLERANCE_MS, &m->image, &size,
				  error, sizeof(error)) < 0) {
		fprintf(stderr, "mint: %s\n", error);
		return -1;
	}
	mint_afresh(m);
	return 0;
}

static inline void mint_close(struct mint *m)
{
	json_decref(m->wit_header);
	json_decref(m->wit);
	json_decref(m->wpt_header);
	json_decref(m->wpt);
	verify_cache_free(m->cache);
	sig_key_free(m->host);
	sig_key_free(m->proof);
	sig_key_free(m->rogue);
	sig_key_free(m->host2);
	free(m->bundle);
	free(m->image);
	memset(m, 0, sizeof(*m));
}

/* Text of any header and claims, signed; the caller frees it. */
static inline char *mint_text(const char *header, const char *claims, struct sig_key *key)
{
	size_t cap = (strlen(header) + strlen(claims)) * 4 / 3 + 128;
	char *at = malloc(cap);
	struct text t;

	text_init(&t, at, cap);
	if (jose_sign(&t, header, claims, key) < 0)
		abort();
	return at;
}

static inline char *mint_token(const json_t *header, const json_t *claims, struct sig_key *key)
{
	owned_mem char *h = json_dumps(header, JSON_COMPACT);
	owned_mem char *c = json_dumps(claims, JSON_COMPACT);

	return mint_text(h, c, key);
}

/* The token again, with @more put in front of the first member of its header or claims. */
static inline char *mint_front(const json_t *header, const json_t *claims, bool in_header,
			       const char *more, struct sig_key *key)
{
	owned_mem char *h = json_dumps(header, JSON_COMPACT), *c = json_dumps(claims, JSON_COMPACT);
	char *text = in_header ? h : c;
	owned_mem char *changed = malloc(strlen(text) + strlen(more) + 2);

	sprintf(changed, "{%s,%s", more, text + 1);
	return in_header ? mint_text(changed, c, key) : mint_text(h, changed, key);
}

static inline char *mint_wit(struct mint *m)
{
	return mint_token(m->wit_header, m->wit, m->host);
}

/* The WPT for @wit: with its hash, unless a test set one. */
static inline char *mint_wpt(struct mint *m, const char *wit)
{
	uint8_t hash[32];

	if (!m->no_wth && !json_object_get(m->wpt, "wth")) {
		sig_sha256(wit, strlen(wit), hash);
		json_object_set_new(m->wpt, "wth", mint_b64(hash, 32));
	}
	return mint_token(m->wpt_header, m->wpt, m->proof);
}

static inline enum reason mint_on_connection(void *ctx, struct connection_facts *ret)
{
	struct mint *m = ctx;

	if (m->connection == REASON_OK)
		*ret = m->on;
	return m->connection;
}

static inline bool mint_on_stands(void *ctx, const struct connection_facts *on)
{
	(void)on;
	return !((struct mint *)ctx)->changed;
}

static inline enum reason mint_on_cb(void *ctx, const struct connection_facts *on, uint32_t role)
{
	(void)on;
	(void)role;
	return ((struct mint *)ctx)->cb;
}

static inline enum reason mint_on_consume(void *ctx, const struct connection_facts *on,
					  uint32_t role, uint64_t seq, double until_s)
{
	struct mint *m = ctx;

	(void)role;
	(void)until_s;
	m->consumes++;
	if (m->consumed != REASON_OK)
		return m->consumed;
	return window_admit(&m->window, on->tag.conn.generation, seq);
}

/* What verify() says of these very bytes. */
static inline enum reason mint_ask(struct mint *m, const char *wit, size_t wit_len, const char *wpt,
				   size_t wpt_len)
{
	struct verify_ask ask = {
		.wit = wit,
		.wit_len = wit_len,
		.wpt = wpt,
		.wpt_len = wpt_len,
		.service = policy_workload_by_id(m->image, MINT_SERVICE)->label,
		.expect_role = m->role,
		.ath = m->ath,
		.tth = m->tth,
	};
	struct verify_world world = {
		.ctx = m,
		.now_s = m->now,
		.clock_unsynchronised = m->unsynchronised,
		.host = &m->facts,
		.connection = mint_on_connection,
		.stands = mint_on_stands,
		.cb_check = mint_on_cb,
		.consume = mint_on_consume,
	};

	memset(&m->verdict, 0xa5, sizeof(m->verdict));
	return verify(m->image, m->cache, &ask, &world, &m->verdict);
}

/* Signs the presentation as it stands and asks. */
static inline enum reason mint_judge(struct mint *m)
{
	owned_mem char *wit = mint_wit(m);
	owned_mem char *wpt = mint_wpt(m, wit);

	return mint_ask(m, wit, strlen(wit), wpt, strlen(wpt));
}

/* The good presentation, from a fresh world: the legitimate variant before and after an attack. */
static inline enum reason mint_good(struct mint *m)
{
	mint_afresh(m);
	return mint_judge(m);
}

#endif
