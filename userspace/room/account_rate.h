/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many audit lines somebody may cause who pays nothing for them: so many at once, and so many a second. What is above is
 * counted, and one line says later how many: "event":"suppressed","uid":N,"suppressed":N.
 */
#ifndef CLEAT_ROOM_ACCOUNT_RATE_H
#define CLEAT_ROOM_ACCOUNT_RATE_H

#include "edge/audit.h"
#include <stdbool.h>

#define ACCOUNT_UIDS                                                                               \
	256 /* that have caused something of late, and as many workloads; the others share one rate */
#define ACCOUNT_BURST 500
#define ACCOUNT_RATE  100 /* lines a second of one uid */

/* Lines at once, and a second. */
struct account_limit {
	uint32_t burst, rate;
};

extern const struct account_limit account_limit_of_uid;

/* A bucket of lines, of a uid, a label or a place. A full one is as good as none, and its place may be taken. */
struct account_rate {
	uint32_t key;
	uint32_t lines;	     /* spent, to be paid back by time; 0: free */
	uint64_t since_ns;   /* of the last payment, boot clock */
	uint64_t suppressed; /* since the last line that said so */
	uint32_t last_uid;   /* whose the last of them was, where the key is none */
};

/* Zero-initialised. */
struct account_rates {
	struct account_rate each[ACCOUNT_UIDS + 1]; /* the last: of those that found no place */
	uint64_t suppressed;			    /* in all that no line has told of yet */
	uint64_t told_ns;
};

/* Where the lines go that tell of it, and how they say of whom: @shared is of all that found no place of their own. */
struct account_teller {
	const char *room;
	struct audit_line *line;
	int audit; /* descriptor */
	void (*name)(struct audit_line *l, const struct account_rate *r, bool shared,
		     const void *ctx);
	const void *ctx;
};

/* What time has paid of it. */
void account_rate_pay(struct account_rate *r, const struct account_limit *limit, uint64_t now);
/* @key's, or a free one for it, or the one for all that find none. */
struct account_rate *account_rate_of(struct account_rates *all, uint32_t key,
				     const struct account_limit *limit, uint64_t now);
/* May @key cause one more line at @now, by the limit of a uid? If not it is counted, for the line that tells of it. */
bool account_rate_allowed(struct account_rates *all, uint32_t key, uint64_t now);
/* @r, one of @all, has no line left: one more is counted. */
void account_rate_suppress(struct account_rates *all, struct account_rate *r);
/* Tells of what was suppressed, once a second at most. True: there is something to tell. */
bool account_rate_tell(struct account_rates *all, const struct account_teller *t);
/* For rates of uids: "uid":N. */
void account_rate_name_uid(struct audit_line *l, const struct account_rate *r, bool shared,
			   const void *ctx);

#endif
