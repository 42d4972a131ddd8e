/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines somebody may cause. See account_rate.h. */
#include "room/account_rate.h"

#include "base/clock.h"

#define SECOND_NS 1000000000u

const struct account_limit account_limit_of_uid = { ACCOUNT_BURST, ACCOUNT_RATE };

void account_rate_pay(struct account_rate *r, const struct account_limit *limit, uint64_t now)
{
	uint64_t lines = (now - r->since_ns) / (SECOND_NS / limit->rate);

	if (lines >= r->lines)
		r->lines = 0;
	else
		r->lines -= (uint32_t)lines;
	r->since_ns += lines * (SECOND_NS / limit->rate);
	if (!r->lines)
		r->since_ns = now;
}

struct account_rate *account_rate_of(struct account_rates *all, uint32_t key,
				     const struct account_limit *limit, uint64_t now)
{
	struct account_rate *unused = NULL;
	unsigned at = key * 2654435761u % ACCOUNT_UIDS;

	for (unsigned i = 0; i < ACCOUNT_UIDS; i++, at = (at + 1) % ACCOUNT_UIDS) {
		struct account_rate *r = &all->each[at];

		if (r->lines || r->suppressed)
			account_rate_pay(r, limit, now);
		if ((r->lines || r->suppressed) && r->key == key)
			return r;
		if (!r->lines && !r->suppressed && !unused)
			unused = r;
	}
	if (!unused) {
		account_rate_pay(&all->each[ACCOUNT_UIDS], limit, now);
		return &all->each[ACCOUNT_UIDS];
	}
	*unused = (struct account_rate){ .key = key, .since_ns = now };
	return unused;
}

void account_rate_suppress(struct account_rates *all, struct account_rate *r)
{
	r->suppressed++;
	all->suppressed++;
}

bool account_rate_allowed(struct account_rates *all, uint32_t key, uint64_t now)
{
	struct account_rate *r = account_rate_of(all, key, &account_limit_of_uid, now);

	if (r->lines >= account_limit_of_uid.burst) {
		account_rate_suppress(all, r);
		return false;
	}
	r->lines++;
	return true;
}

void account_rate_name_uid(struct audit_line *l, const struct account_rate *r, bool shared,
			   const void *ctx)
{
	(void)ctx;
	if (!shared)
		audit_u64(l, "uid", r->key);
}

bool account_rate_tell(struct account_rates *all, const struct account_teller *t)
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
		audit_event(t->line, t->room, "suppressed");
		t->name(t->line, r, i == ACCOUNT_UIDS, t->ctx);
		audit_u64(t->line, "suppressed", r->suppressed);
		if (audit_end(t->line, t->audit, false) < 0)
			return true; /* the disk is full: told later */
		all->suppressed -= r->suppressed;
		r->suppressed = 0;
	}
	return all->suppressed != 0;
}
