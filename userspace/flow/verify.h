/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verify: the eighteen steps of token.md section 6, in their order, effects last. What the steps ask of the
 * outside stands in struct verify_world: the check room gives the kernel's answers, the vector runner those
 * written in the vectors; the steps are the same code.
 */
#ifndef CLEAT_FLOW_VERIFY_H
#define CLEAT_FLOW_VERIFY_H

#include "edge/jose.h"
#include "flow/facts.h"
#include "model/policy.h"

struct verify_cache; /* WITs whose signature held (step 10), and host keys parsed once */

/* @capacity WITs are remembered at most. */
int verify_cache_new(unsigned capacity, struct verify_cache **ret);
/* Drops everything: a new generation of the bundle. */
void verify_cache_drop(struct verify_cache *c);
void verify_cache_free(struct verify_cache *c);

struct verify_ask {
	const char *wit;
	size_t wit_len;
	const char *wpt;
	size_t wpt_len;
	uint32_t service; /* label of the caller: whose audience */
	uint32_t expect_role;
	const uint8_t *ath; /* NULL: no access token was sent along */
	const uint8_t *tth;
};

struct verify_world {
	void *ctx;
	double now_s;
	bool clock_unsynchronised; /* the kernel says so of now_s */
	unsigned wpt_life_max_s;   /* for a verifier that wants shorter lives; 0: 60 s, the most */
	const struct host_facts *host;
	/* Step 8: the connection the request came in on, judged to be the caller's. */
	enum reason (*connection)(void *ctx, struct connection_facts *ret);
	/* Step 8: is its record still what it was then? Where not, it was half of one, or is over: nobody is refused by it. */
	bool (*stands)(void *ctx, const struct connection_facts *on);
	/* Steps 8 and 17: is (cb, role) free for this socket? Looks only. */
	enum reason (*cb_check)(void *ctx, const struct connection_facts *on, uint32_t role);
	/* Step 17: check the window and mark seq; remember cb until @until_s. Both or none. */
	enum reason (*consume)(void *ctx, const struct connection_facts *on, uint32_t role,
			       uint64_t seq, double until_s);
};

/* Filled from the verified buffers alone; all zero unless REASON_OK, but for claimed_* (audit only). */
struct verify_verdict {
	struct wit wit;
	struct wpt wpt;
	struct connection_facts on; /* kernel facts; filled when step 8 got that far */
	const struct policy_accept *rule;
	char claimed_sub[SPIFFE_ID_MAX + 1]; /* of an unverified token */
};

enum reason verify(const struct policy_image *p, struct verify_cache *cache,
		   const struct verify_ask *ask, const struct verify_world *world,
		   struct verify_verdict *ret);

#endif
