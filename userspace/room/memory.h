/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the check room remembers of accepts: in the kernel, one cb one socket (with a share per workload) and the window
 * of each connection, which refuse; in its own memory, the peer of a socket's last accept, for whois, which may
 * be forgotten.
 *
 * A workload's share is a quarter, and once the whole is three quarters full no more than is still free: of n workloads that
 * take all they can each has 1/(n+1), and as much is left for who comes next.
 */
#ifndef CLEAT_ROOM_MEMORY_H
#define CLEAT_ROOM_MEMORY_H

#include "flow/facts.h"
#include "flow/verify.h"

struct memory;

/* The maps stay the caller's. */
int memory_new(int cb_map, int window_map, int tags_map, struct memory **ret);
void memory_free(struct memory *m);

/* Is (cb, role) free for this socket? What is found counts for the memory_consume() of this request, if one follows. */
enum reason memory_look(struct memory *m, const struct connection_facts *on, uint32_t role);
/* Window and cb, both or none. @sock_fd is the socket of @on; @until_boot_ns: how long cb is remembered. */
enum reason memory_consume(struct memory *m, int sock_fd, const struct connection_facts *on,
			   uint32_t role, uint64_t seq, uint64_t until_boot_ns);
/* Removes what is past and counts the shares anew. */
void memory_sweep(struct memory *m);
/* Removes some of what is past, going on where the last call ended. True: there is more to look at. */
bool memory_sweep_slice(struct memory *m);

struct memory_peer {
	uint64_t cookie; /* of the socket it was accepted on */
	uint32_t generation;
	uint32_t level;
	uint64_t accepted_ns; /* boot clock */
	char *subject;
	char *issuer;
};

void memory_peer_set(struct memory *m, const struct connection_facts *on,
		     const struct verify_verdict *v);
/* NULL: none, or forgotten. */
const struct memory_peer *memory_peer(const struct memory *m, const struct connection_facts *on);

#endif
