/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who opened an API connection: by the kernel's tag at level full; by SO_PEERPIDFD at level reduced, where each message
 * must then come from that very process.
 */
#ifndef CLEAT_ROOM_CALLER_H
#define CLEAT_ROOM_CALLER_H

#include "flow/facts.h"

struct ucred;

struct caller {
	struct cleat_caller tag; /* label 0: no workload */
	uint32_t level;
	enum reason
		reason;	 /* OK, NO_WORKLOAD, or why it is not known; NOT_ARMED while that is so */
	enum reason who; /* the same as it was when it connected */
	int pidfd;	 /* level reduced: of who connected; -1 else */
	uint32_t share_uid; /* SO_PEERCRED's, known or not: who is charged. Decides nothing else */
};

void caller_identify(const struct facts_maps *maps, const struct policy_image *p, int api_fd,
		     struct caller *ret);
/* Before every request: is the kernel side armed now, and what is the caller's level in this epoch? Who it is does not
 * change; at level full it becomes PEER_GONE with the epoch. */
void caller_again(const struct facts_maps *maps, struct caller *c);
/* Has the sender of one message (its SCM_CREDENTIALS; pid 0: none of this pid namespace) the number of the process that
 * connected, and the ids that it had then? It is that process if caller_alive() says so, too, asked after the message was
 * received, or facts_connection() as caller_asker(): before anything is done for it. */
bool caller_sent(const struct caller *c, const struct ucred *sender);
bool caller_alive(const struct caller *c);
struct facts_asker caller_asker(const struct caller *c);

#endif
