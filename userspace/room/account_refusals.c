/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines of refusals there may be. See account.h. */
#include "room/account.h"
#include "room/account_refusals.h"

bool account_cheap(enum reason reason)
{
	switch (reason) {
	case REASON_MALFORMED:
	case REASON_TOO_LARGE:
	case REASON_NOT_TCP:
	case REASON_NOT_ESTABLISHED:
	case REASON_UNSUPPORTED:
	case REASON_NOT_YOURS:
	case REASON_NOT_OWNER:
	case REASON_HANDED_OVER:
	case REASON_UNTAGGED:
	case REASON_NO_WORKLOAD:
	case REASON_NOT_ARMED:
	case REASON_BUSY:
	case REASON_PEER_GONE:
		return true;
	default:
		return false; /* accepts, issues, and all that took a look at a token or a rule */
	}
}

static const struct account_limit of_group = { ACCOUNT_GROUP_BURST, ACCOUNT_GROUP_RATE },
				  of_room = { ACCOUNT_ROOM_BURST, ACCOUNT_ROOM_RATE },
				  of_workload = { ACCOUNT_DEAR_BURST, ACCOUNT_DEAR_RATE },
				  of_most = { ACCOUNT_MOST_BURST, ACCOUNT_MOST_RATE };

static bool suppress(struct account *a, struct account_rates *all, struct account_rate *r)
{
	account_rate_suppress(all, r);
	r->last_uid = a->uid;
	return false;
}

static bool cheap_allowed(struct account *a, uint64_t now)
{
	struct account_rate *uid = account_rate_of(&a->uids, a->uid, &account_limit_of_uid, now);
	struct account_rate *group = account_rate_of(&a->groups, a->label, &of_group, now);
	bool placed = uid != &a->uids.each[ACCOUNT_UIDS]; /* else its group's rate must do */

	account_rate_pay(&a->cheap, &of_room, now);
	if ((placed && uid->lines >= account_limit_of_uid.burst) ||
	    group->lines >= of_group.burst || a->cheap.lines >= of_room.burst)
		return placed ? suppress(a, &a->uids, uid) : suppress(a, &a->groups, group);
	uid->lines++;
	group->lines++;
	a->cheap.lines++;
	return true;
}

bool account_allowed(struct account *a, enum reason reason, uint64_t now)
{
	struct account_rate *workload;

	if (account_cheap(reason))
		return cheap_allowed(a, now);
	workload = account_rate_of(&a->workloads, a->label, &of_workload, now);
	account_rate_pay(&a->dear, &of_most, now);
	if (workload->lines >= of_workload.burst || a->dear.lines >= of_most.burst)
		return suppress(a, &a->workloads, workload);
	workload->lines++;
	a->dear.lines++;
	return true;
}

static void name_workload(struct audit_line *l, const struct account_rate *r, bool shared,
			  const void *policy)
{
	if (!shared)
		audit_str(l, "workload", account_id(policy, r->key));
	audit_u64(l, "last_uid", r->last_uid);
}

bool account_tick(struct account *a, const struct policy_image *p)
{
	const struct account_teller of_uids = { a->room, &a->line, a->audit, account_rate_name_uid,
						NULL },
				    of_labels = { a->room, &a->line, a->audit, name_workload, p };
	bool more = account_rate_tell(&a->uids, &of_uids);

	more |= account_rate_tell(&a->groups, &of_labels);
	more |= account_rate_tell(&a->workloads, &of_labels);
	return more;
}
