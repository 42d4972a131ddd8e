/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines a uid may cause. See account.h. */
#include "room/account.h"
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
static struct account_rate *rate_of(struct account *a, uint32_t uid, uint64_t now)
{
	struct account_rate *unused = NULL;
	unsigned at = uid * 2654435761u % ACCOUNT_UIDS;

	for (unsigned i = 0; i < ACCOUNT_UIDS; i++, at = (at + 1) % ACCOUNT_UIDS) {
		struct account_rate *r = &a->rates[at];

		if (r->lines || r->suppressed)
			pay_back(r, now);
		if ((r->lines || r->suppressed) && r->uid == uid)
			return r;
		if (!r->lines && !r->suppressed && !unused)
			unused = r;
	}
	if (!unused) {
		pay_back(&a->rates[ACCOUNT_UIDS], now);
		return &a->rates[ACCOUNT_UIDS];
	}
	*unused = (struct account_rate){ .uid = uid, .since_ns = now };
	return unused;
}

bool account_allowed(struct account *a, uint64_t now)
{
	struct account_rate *r = rate_of(a, a->uid, now);

	if (r->lines >= ACCOUNT_BURST) {
		r->suppressed++;
		a->suppressed++;
		return false;
	}
	r->lines++;
	return true;
}

bool account_tick(struct account *a)
{
	uint64_t now;

	if (!a->suppressed)
		return false;
	now = clock_boot_ns();
	if (now - a->told_ns < SECOND_NS)
		return true;
	a->told_ns = now;
	for (unsigned i = 0; i <= ACCOUNT_UIDS; i++) {
		struct account_rate *r = &a->rates[i];

		if (!r->suppressed)
			continue;
		audit_event(&a->line, a->room, "suppressed");
		if (i < ACCOUNT_UIDS)
			audit_u64(&a->line, "uid", r->uid);
		audit_u64(&a->line, "suppressed", r->suppressed);
		if (audit_end(&a->line, a->audit, false) < 0)
			return true; /* the disk is full: told later */
		a->suppressed -= r->suppressed;
		r->suppressed = 0;
	}
	return a->suppressed != 0;
}
