/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room's account of what it answered: one audit line before the answer and one counter, whatever the answer is. Where
 * the line cannot be written the answer becomes no-audit. Above a rate refusals are only counted, so that nobody fills the
 * disk with them: one line says later of whom and how many, "event":"suppressed","uid":N,"suppressed":N. What cost next to
 * nothing (account_cheap) has the rates of its uid, of its workload (all who are none are one) and of the room; any other
 * refusal those of its workload and of the room. "ok" always has its line.
 */
#ifndef CLEAT_ROOM_ACCOUNT_H
#define CLEAT_ROOM_ACCOUNT_H

#include "../bpf/abi.h"
#include "edge/audit.h"
#include "model/counters.h"
#include "model/policy.h"
#include "room/account_rate.h"
#include <stdbool.h>

/* Of a workload, or of all who are none; of the room; and the same for refusals that are not cheap. */
#define ACCOUNT_GROUP_BURST 1000
#define ACCOUNT_GROUP_RATE  200
#define ACCOUNT_ROOM_BURST  4000
#define ACCOUNT_ROOM_RATE   1000
#define ACCOUNT_DEAR_BURST  2000
#define ACCOUNT_DEAR_RATE   500
#define ACCOUNT_MOST_BURST  8000
#define ACCOUNT_MOST_RATE   2000

struct account {
	const char *room;
	int audit; /* descriptor */
	struct room_counters *counters;
	struct audit_line line;
	uint32_t uid, label;			      /* who is charged for the line in hand */
	struct account_rates uids, groups, workloads; /* cheap refusals; others */
	struct account_rate cheap, dear;	      /* the same of all */
};

/* Maps the counters' page. */
int account_open(struct account *a, const char *room, int audit_fd, int counters_fd);

void account_begin(struct account *a, const char *ask, enum reason reason);
/* Writes the line and counts. @reason, or NO_AUDIT. */
enum reason account_end(struct account *a, const struct policy_image *p, enum reason reason);

/* Once a round: tells of what was suppressed, once a second at most. True: there is something to tell. */
bool account_tick(struct account *a, const struct policy_image *p);
/* What the door and the reaper count, for whoever reads the page. */
void account_door(struct account *a, const struct door_counts *door, uint64_t forced);
/* Whose rates the line in hand is of; @label 0: no workload. Before account_end(). */
void account_charge(struct account *a, uint32_t uid, uint32_t label);

/* pid, uid and workload of who opened the API connection. */
void account_caller(struct account *a, const struct policy_image *p, const struct cleat_caller *c);
/* Owner, endpoints, role and flags of a socket. */
void account_socket(struct account *a, const struct policy_image *p, const struct cleat_tag *tag);
/* The sentence for the administrator where a socket is not the asker's. */
void account_stranger(struct account *a, const struct policy_image *p, const struct cleat_tag *tag,
		      const struct cleat_caller *c);
/* "rule": "file:line" */
void account_rule(struct account *a, const struct policy_image *p, uint32_t file, uint32_t line);

#endif
