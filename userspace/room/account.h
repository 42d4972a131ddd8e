/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room's account of what it answered: one audit line before the answer and one counter, whatever the answer is. Where
 * the line cannot be written the answer becomes no-audit.
 */
#ifndef CLEAT_ROOM_ACCOUNT_H
#define CLEAT_ROOM_ACCOUNT_H

#include "../bpf/abi.h"
#include "edge/audit.h"
#include "model/policy.h"

struct account {
	const char *room;
	int audit; /* descriptor */
	struct reason_counters *counters;
	struct audit_line line;
};

/* Maps the counters' page. */
int account_open(struct account *a, const char *room, int audit_fd, int counters_fd);

void account_begin(struct account *a, const char *ask, enum reason reason);
/* Writes the line and counts. @reason, or NO_AUDIT. */
enum reason account_end(struct account *a, const struct policy_image *p, enum reason reason);

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
