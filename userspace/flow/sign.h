/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sign: takes every fact from the kernel's tags of the two descriptors, decides by the policy image, counts
 * seq, builds the claims, signs. Parses nothing a client sent but fixed-size fields.
 */
#ifndef CLEAT_FLOW_SIGN_H
#define CLEAT_FLOW_SIGN_H

#include "edge/sig.h"
#include "flow/facts.h"
#include "flow/seq.h"
#include "model/policy.h"

struct sign_identities; /* per workload: WIT text, its proof key, when to renew */

int sign_identities_new(struct sig_key *host_key, const struct host_facts *host,
			struct sign_identities **ret);
/* A new generation: identities of labels that the image no longer has are dropped. */
void sign_identities_renew(struct sign_identities *s, const struct policy_image *p);
/* The host's keys: the next one signs as soon as this host's own bundle names it for this host, before that the current
 * one. A change drops every identity: what is made afterwards is under the new key. @next NULL: none. */
int sign_identities_keys(struct sign_identities *s, const struct policy_image *p,
			 struct sig_key *current, struct sig_key *next);
void sign_identities_free(struct sign_identities *s);

struct sign_ask {
	const char *audience;
	size_t audience_len;
	const uint8_t *ath; /* NULL: none */
	const uint8_t *tth;
	int sock_fd;
	struct seq_book *seq;
};

struct sign_result {
	char wit[TOKEN_MAX + 1];
	size_t wit_len;
	char wpt[TOKEN_MAX + 1];
	size_t wpt_len;
	struct connection_facts on;
	struct wpt claims;
	const struct policy_workload *workload;
	const struct policy_call *rule;
};

enum reason sign(const struct policy_image *p, struct sign_identities *identities,
		 const struct facts_maps *maps, const struct host_facts *host,
		 const struct facts_asker *asker, const struct sign_ask *ask,
		 struct sign_result *ret);

#endif
