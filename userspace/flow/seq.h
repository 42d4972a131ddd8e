/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of the presentations on a connection (token.md 5, `seq`): each once, and the kernel knows of one as high before
 * anything is signed under it, so that the daemon after this one gives none again. Only this room writes there, so what it
 * wrote last needs no asking; and on a connection that has had sixteen in a row it writes for sixteen at a time, of which up to
 * fifteen are left out when it is forgotten (a restart, another connection in its place): the receiver's window is 1 024.
 */
#ifndef CLEAT_FLOW_SEQ_H
#define CLEAT_FLOW_SEQ_H

#include "model/reason.h"
#include <stdint.h>

struct seq_book;

/* @map: cleat_seq; stays the caller's. */
int seq_book_new(int map, struct seq_book **ret);
void seq_book_free(struct seq_book *b);

/* The next number of the connection @generation of the socket @sock_fd, whose cookie is @cookie. UNTAGGED: nothing was born
 * there; BUSY: it could not be written down, or none is left. */
enum reason seq_next(struct seq_book *b, int sock_fd, uint64_t cookie, uint32_t generation,
		     uint64_t *ret);

#endif
