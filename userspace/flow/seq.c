/* SPDX-License-Identifier: Apache-2.0 */
/* See seq.h. A socket's cookie is never another's while the machine runs (sock_gen_cookie()). */
#include "flow/seq.h"

#include "base/twin.h"
#include "edge/kern.h"
#include "model/assertion.h"
#include <errno.h>
#include <stdlib.h>

#define REMEMBERED 1024
#define AHEAD	   16 /* numbers by one write, once as many were given without a recall */

struct seq_book {
	int map;
	struct remembered {
		uint64_t cookie; /* 0: none */
		uint64_t last;	 /* given */
		uint64_t written;
		uint32_t generation;
		uint32_t given; /* since it was recalled; no more than AHEAD */
	} at[REMEMBERED];	/* by cookie */
};

int seq_book_new(int map, struct seq_book **ret)
{
	struct seq_book *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->map = map;
	*ret = b;
	return 0;
}

void seq_book_free(struct seq_book *b)
{
	free(b);
}

/* What the kernel says was given on this connection. */
static enum reason recall(int map, int sock_fd, uint32_t generation, uint64_t *ret)
{
	struct cleat_seq have;
	int err = kern_seq_get(map, sock_fd, &have);

	if (err < 0)
		return err == -ENOENT ? REASON_UNTAGGED : REASON_BUSY;
	*ret = have.generation == generation ? have.last : 0;
	return REASON_OK;
}

enum reason seq_next(struct seq_book *b, int sock_fd, uint64_t cookie, uint32_t generation,
		     uint64_t *ret)
{
	struct remembered *at = &b->at[cookie % REMEMBERED], r = *at;

	if (!cookie || r.cookie != cookie || r.generation != generation) {
		enum reason reason = recall(b->map, sock_fd, generation, &r.last);

		if (reason != REASON_OK)
			return reason;
		r = (struct remembered){ cookie, r.last, r.last, generation, 0 };
	}
	if (r.last >= SEQ_MAX || !generation) /* 0 is nobody's */
		return REASON_BUSY;
	r.last++;
	r.given += r.given < AHEAD;
	if (r.last > r.written) {
		r.written = r.given == AHEAD ? r.last + AHEAD - 1 : r.last;
		if (r.written > SEQ_MAX)
			r.written = SEQ_MAX;
		struct cleat_seq next = { .generation = generation, .last = r.written };

		if (kept(seq_written) && kern_seq_put(b->map, sock_fd, &next) < 0)
			return REASON_BUSY; /* nothing was given */
	}
	*at = r;
	*ret = r.last;
	return REASON_OK;
}
