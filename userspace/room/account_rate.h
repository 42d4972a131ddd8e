/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of audit lines, for account.c. */
#ifndef CLEAT_ROOM_ACCOUNT_RATE_H
#define CLEAT_ROOM_ACCOUNT_RATE_H

#include "room/account.h"

/* A refusal that costs the asker and the room next to nothing. */
bool account_cheap(enum reason reason);
/* May a cheap refusal of a->uid have its line at @now? If not it is counted, for the line that tells of it. */
bool account_allowed(struct account *a, uint64_t now);

#endif
