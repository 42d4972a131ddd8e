/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE bundles (SPIFFE_Trust_Domain_and_Bundle.md; token.md and design.md 8): the public keys of the hosts
 * of one trust domain, each with its issuer and scope. Reading refuses the whole bundle with a line and
 * a sentence ("line:column: keys[i]: ..."); foreign keys (x509-svid, jwt-svid, and wit-svid ones that carry neither
 * cleat_issuer nor cleat_scope) are checked for form and left aside: nothing can be signed by them.
 */
#ifndef CLEAT_EDGE_BUNDLE_H
#define CLEAT_EDGE_BUNDLE_H

#include "base/cleanup.h"
#include "model/assertion.h"
#include <stddef.h>
#include <stdint.h>

/* Of spiffe_sequence, which SPIFFE gives 64 bits and no bound (4.1.1): what a JSON integer holds here, exactly. */
#define BUNDLE_SEQUENCE_MAX INT64_MAX

struct bundle_key {
	struct point point;
	char kid[44];
	char *issuer;
	char **scopes; /* path prefixes ("/ns/prod"), at least one */
	size_t scope_count;
};

struct bundle {
	char trust_domain[SPIFFE_TRUST_DOMAIN_MAX + 1];
	uint64_t sequence;
	uint64_t refresh_hint_s; /* 0: none */
	struct bundle_key *keys; /* wit-svid ones */
	size_t key_count;
	size_t foreign_count; /* keys of other uses, not kept */
};

/* @error gets one line on failure (-EBADMSG). */
int bundle_parse(const char *trust_domain, const char *json, size_t len, struct bundle **ret,
		 char *error, size_t error_cap);
/* The canonical JSON text, for the caller to free(). */
int bundle_print(const struct bundle *b, char **ret);
/* One key of it: the entry that "cleatctl trust add" takes; for the caller to free(). */
int bundle_print_key(const struct bundle *b, size_t i, char **ret);
struct bundle *bundle_new(const char *trust_domain);
/* Adds a key (scope prefixes are copied); -EEXIST where the kid is there, -EINVAL on bad names. */
int bundle_add(struct bundle *b, const struct point *point, const char *issuer,
	       const char *const *scopes, size_t scope_count);
/* -ENOENT where the kid is not there. */
int bundle_remove(struct bundle *b, const char *kid);
void bundle_free(struct bundle *b);
DEFINE_OWNER(bundle_owned, struct bundle, bundle_free)

#endif
