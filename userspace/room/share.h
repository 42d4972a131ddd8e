/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is charged with what a door holds, and whose turn it is. An owner is a uid in a group; a group is a workload of
 * policy (its cgroup and all below it, under whatever uid), or everybody policy does not know. So neither cgroups made by
 * the thousand nor the 65536 uids of a user namespace make anybody's share larger.
 *
 * Places: a uid holds at most a quarter of them, a group too. Where a share or the whole is full, who holds less than
 * an even part displaces the connection used longest ago of who holds most; everybody else is refused.
 * Who just came and is not known yet waits in a reserve beside these places, of which a uid has half at most: its owners are
 * processes, because a neighbour may have its victim's uid and is told apart from it only later.
 * Turns: the groups one after the other, in a group its owners, of an owner the connections that have something to do: of n
 * groups nobody gets less than 1/n. An owner whose descriptors are still being closed waits; its messages stay its own. So does a
 * group that brought what does not end its close (reaper.h), but that of who just came: nothing is read in its turn.
 * What was refused a place is charged apart from its group: who connects in vain stops nobody.
 */
#ifndef CLEAT_ROOM_SHARE_H
#define CLEAT_ROOM_SHARE_H

#include "model/counters.h"
#include "room/reaper.h"
#include <stdbool.h>
#include <stdint.h>

#define SHARE_NEW      UINT32_MAX /* the group of who is not identified yet */
#define SHARE_STRANGER 0	  /* of who is no workload */

#define SHARE_OWNER_FDS 64  /* an owner with so many descriptors being closed waits */
#define SHARE_GROUP_FDS 256 /* a group */
#define SHARE_PARKED	8   /* either, with so many in the lane that may hang */

struct shares;
struct share; /* an owner's */

/* What holds a place; part of its owner's memory from enter to leave. */
struct share_item {
	struct share *share; /* NULL: holds none */
	struct share_item *older, *newer;
	struct share_item *before, *behind; /* while ready */
	bool ready;
};

/* @max places, and the reserve: a quarter as many. */
int shares_new(unsigned max, struct shares **ret);
void shares_free(struct shares *s);

/* A place for @i. False: refused. @ret_displaced: must leave for it, at once; else NULL. */
bool share_enter(struct shares *s, uint32_t uid, uint32_t group, struct share_item *i,
		 struct share_item **ret_displaced);
/* The same in the reserve, of group SHARE_NEW. */
bool share_enter_new(struct shares *s, uint32_t uid, uint32_t pid, struct share_item *i,
		     struct share_item **ret_displaced);
/* Who was refused: whose part of the places, or of the reserve, is full. */
enum share_part share_full(struct shares *s, uint32_t uid, uint32_t group);
void share_leave(struct shares *s, struct share_item *i);
/* @i has something to do. */
void share_ready(struct shares *s, struct share_item *i);
/* Whose turn it is: no longer ready, and its owner's last to be displaced. NULL: nobody, or all wait for the reaper. */
struct share_item *share_turn(struct shares *s);
/* Is anything ready, even if it has to wait? */
bool share_waiting(const struct shares *s);
/* Who is charged for a descriptor that @i brought. */
struct reaper_charge *share_charge(struct share_item *i);
/* The same of what @group was refused a place for: nobody waits for that. NULL: nobody can be charged. It must be held before
 * anything else is asked of @s. */
struct reaper_charge *share_charge_refused(struct shares *s, uint32_t group);
/* Now and then: takes back what departed owners no longer need. */
void shares_sweep(struct shares *s);
/* Owners that are known; for tests and the log. */
unsigned shares_known(const struct shares *s);

#endif
