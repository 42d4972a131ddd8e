/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines a uid may cause. See account_rate.h. */
#include "room/account_rate.h"

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

static void pay_back(struct account_rate *r, uint64_t now)
{
	uint64_t lines = (now - r->since_ns) / (SECOND_NS / ACCOUNT_RATE);

	if (lines >= r->lines)
		r->lines = 0;
	else
		r->lines -= (uint32_t)lines;
	r->since_ns += lines * (SECOND_NS / ACCOUNT_RATE);
	if (!r->lines)
		r->since_ns = now;
}

/* @uid's, or a free one for it, or the one for all that find none. */
static struct account_rate *rate_of(struct account_rates *all, uint32_t uid, uint64_t now)
{
	struct account_rate *unused = NULL;
	unsigned at = uid * 2654435761u % ACCOUNT_UIDS;

	for (unsigned i = 0; i < ACCOUNT_UIDS; i++, at = (at + 1) % ACCOUNT_UIDS) {
		struct account_rate *r = &all->each[at];

		if (r->lines || r->suppressed)
			pay_back(r, now);
		if ((r->lines || r->suppressed) && r->uid == uid)
			return r;
		if (!r->lines && !r->suppressed && !unused)
			unused = r;
	}
	if (!unused) {
		pay_back(&all->each[ACCOUNT_UIDS], now);
		return &all->each[ACCOUNT_UIDS];
	}
	*unused = (struct account_rate){ .uid = uid, .since_ns = now };
	return unused;
}

bool account_rate_allowed(struct account_rates *all, uint32_t uid, uint64_t now)
{
	struct account_rate *r = rate_of(all, uid, now);

	if (r->lines >= ACCOUNT_BURST) {
		r->suppressed++;
		all->suppressed++;
		return false;
	}
	r->lines++;
	return true;
}

bool account_rate_tell(struct account_rates *all, const char *room, struct audit_line *l, int audit)
{
	uint64_t now;

	if (!all->suppressed)
		return false;
	now = clock_boot_ns();
	if (now - all->told_ns < SECOND_NS)
		return true;
	all->told_ns = now;
	for (unsigned i = 0; i <= ACCOUNT_UIDS; i++) {
		struct account_rate *r = &all->each[i];

		if (!r->suppressed)
			continue;
		audit_event(l, room, "suppressed");
		if (i < ACCOUNT_UIDS)
			audit_u64(l, all->of ? all->of : "uid", r->uid);
		audit_u64(l, "suppressed", r->suppressed);
		if (audit_end(l, audit, false) < 0)
			return true; /* the disk is full: told later */
		all->suppressed -= r->suppressed;
		r->suppressed = 0;
	}
	return all->suppressed != 0;
}
