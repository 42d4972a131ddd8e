/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines of refusals there may be. See account.h. */
#include "room/account.h"
#include "room/account_refusals.h"

#include "base/clock.h"

#define SECOND_NS 1000000000u

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

static bool suppress(struct account *a, struct account_rate *r)
{
	r->suppressed++;
	r->last_uid = a->uid;
	a->suppressed++;
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
		return suppress(a, placed ? uid : group);
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
		return suppress(a, workload);
	workload->lines++;
	a->dear.lines++;
	return true;
}

/* False: the disk is full; what is left is told later. */
static bool tell(struct account *a, struct account_rates *rates, const struct policy_image *p)
{
	for (unsigned i = 0; i <= ACCOUNT_UIDS; i++) {
		struct account_rate *r = &rates->each[i];

		if (!r->suppressed)
			continue;
		audit_event(&a->line, a->room, "suppressed");
		if (rates != &a->uids && i < ACCOUNT_UIDS)
			audit_str(&a->line, "workload", account_id(p, r->key));
		if (rates == &a->uids)
			audit_u64(&a->line, "uid", r->key);
		else
			audit_u64(&a->line, "last_uid", r->last_uid);
		audit_u64(&a->line, "suppressed", r->suppressed);
		if (audit_end(&a->line, a->audit, false) < 0)
			return false;
		a->suppressed -= r->suppressed;
		r->suppressed = 0;
	}
	return true;
}

bool account_tick(struct account *a, const struct policy_image *p)
{
	uint64_t now;

	if (!a->suppressed)
		return false;
	now = clock_boot_ns();
	if (now - a->told_ns < SECOND_NS)
		return true;
	a->told_ns = now;
	return !tell(a, &a->uids, p) || !tell(a, &a->groups, p) || !tell(a, &a->workloads, p);
}
