/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts: what both flows need of the two descriptors of a request, from the kernel's tags alone (the API
 * connection and the TCP socket), and the judgements that are the same for both: owned by the caller, tagged,
 * established, not forged.
 */
#ifndef CLEAT_FLOW_FACTS_H
#define CLEAT_FLOW_FACTS_H

#include "edge/kern.h"
#include "model/binding.h"
#include "model/reason.h"

/* This host in this boot; fixed for the daemon's life. */
struct host_facts {
	uint8_t ueid[UEID_LEN];
	uint8_t bootseed[BOOTSEED_LEN];
};

struct connection_facts {
	struct cleat_tag tag;
	uint64_t cookie;
	uint64_t est_ms; /* since 1970, by this host's clock now */
	uint8_t cb[32];
	uint8_t ns[32];
	bool local; /* loopback or link-local: ns is mandatory, host must be this boot */
	uint32_t
		level; /* least of now, the socket's birth, its owner's instance, the API connection's */
};

/* Who asks, as the door knows him. */
struct facts_asker {
	const struct cleat_caller *caller;
	uint32_t level;
	int pidfd; /* level reduced: of who connected, and must live; -1 else */
};

struct facts_maps {
	int tags;
	int callers;
	const struct cleat_config *config; /* kern_config_view() */
};

/* The caller of an API connection. NOT_ARMED, PEER_GONE, NO_WORKLOAD (caller is filled then, label 0). */
enum reason facts_caller(const struct facts_maps *maps, const struct policy_image *p, int api_fd,
			 struct cleat_caller *ret, uint32_t *ret_level);
/* What the caller is now, whenever it connected: NOT_ARMED, or its level. At level full PEER_GONE where it connected in
 * another arming epoch: no hook saw who sent the messages of between. */
enum reason facts_caller_now(const struct facts_maps *maps, const struct cleat_caller *c,
			     uint32_t *ret_level);
/* The connection behind @sock_fd as the caller's own: step 8 without the claims. A refusal is final; BUSY: the tag was being
 * written all the time. An OK comes of one look at the tag (kern_tag_peek()): whoever does something for it, or refuses it by
 * comparing with the record, asks kern_tag_is() before. */
enum reason facts_connection(const struct facts_maps *maps, const struct policy_image *p,
			     const struct host_facts *host, const struct facts_asker *asker,
			     int sock_fd, struct connection_facts *ret);

#endif
