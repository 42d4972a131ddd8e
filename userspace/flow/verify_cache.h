/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What verify remembers between calls, to save curve arithmetic and never to decide: WITs whose every own check held
 * under one generation of the bundle, and host keys parsed once. Both are bounded; forgetting costs time only.
 */
#ifndef CLEAT_FLOW_VERIFY_CACHE_H
#define CLEAT_FLOW_VERIFY_CACHE_H

#include "flow/verify.h"

/* A WIT that was verified: found by the SHA-256 of all its bytes. */
struct verify_known {
	uint8_t hash[32];
	uint32_t key;	       /* index of the host's key in the image */
	struct sig_key *proof; /* cnf */
	struct wit wit;
};

/* The entry of @hash, or NULL; lives until the next call on the cache. One that expired before @now_s is gone. */
const struct verify_known *verify_known(struct verify_cache *c, const struct policy_image *p,
					const uint8_t hash[32], double now_s);
/* Takes @proof's ownership shared; silently forgets where there is no memory. */
void verify_remember(struct verify_cache *c, const struct policy_image *p, const uint8_t hash[32],
		     uint32_t key, const struct wit *wit, struct sig_key *proof);
/* The parsed key @index of the image, or NULL; lives until the next call on the cache. */
struct sig_key *verify_host_key(struct verify_cache *c, const struct policy_image *p,
				uint32_t index);

#endif
