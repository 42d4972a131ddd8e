/* SPDX-License-Identifier: Apache-2.0 */
/* Which refusals have an audit line of their own, for account.c. */
#ifndef CLEAT_ROOM_ACCOUNT_REFUSALS_H
#define CLEAT_ROOM_ACCOUNT_REFUSALS_H

#include "room/account.h"

/* A refusal that costs the asker and the room next to nothing. */
bool account_cheap(enum reason reason);
/* May a refusal of a->uid and a->label have its line at @now? If not it is counted, for the line that tells of it. */
bool account_allowed(struct account *a, enum reason reason, uint64_t now);
/* The id policy gives a label, or "". */
const char *account_id(const struct policy_image *p, uint32_t label);

#endif
