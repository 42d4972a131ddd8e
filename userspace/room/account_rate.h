/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many audit lines somebody may cause who pays nothing for them: so many at once, and so many a second. What is above is
 * counted, and one line says later how many: "event":"suppressed","uid":N,"suppressed":N.
 */
#ifndef CLEAT_ROOM_ACCOUNT_RATE_H
#define CLEAT_ROOM_ACCOUNT_RATE_H

#include "edge/audit.h"
#include <stdbool.h>

#define ACCOUNT_UIDS  256 /* that have caused something of late; all others share one rate */
#define ACCOUNT_BURST 500
#define ACCOUNT_RATE  100 /* lines a second of one uid */

/* Of one uid: a bucket of lines. A full one is as good as none, and its place may be taken. */
struct account_rate {
	uint32_t uid;
	uint32_t lines;	     /* spent, to be paid back by time; 0: free */
	uint64_t since_ns;   /* of the last payment, boot clock */
	uint64_t suppressed; /* since the last line that said so */
};

/* Zero-initialised. */
struct account_rates {
	const char *of; /* what is charged, as the line names it; NULL: a uid */
	struct account_rate each[ACCOUNT_UIDS + 1]; /* the last: of those that found no place */
	uint64_t suppressed;			    /* in all that no line has told of yet */
	uint64_t told_ns;
};

/* A refusal that costs the asker and the room next to nothing. */
bool account_cheap(enum reason reason);
/* May @uid cause one more line at @now? If not it is counted, for the line that tells of it. */
bool account_rate_allowed(struct account_rates *r, uint32_t uid, uint64_t now);
/* Tells of what was suppressed, once a second at most. True: there is something to tell. */
bool account_rate_tell(struct account_rates *r, const char *room, struct audit_line *l, int audit);

#endif
