/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's events, into the audit log. Anybody can make the kernel side speak, as fast as a thread runs: each has a rate
 * of lines, or the disk would be full, and no room answers anything then.
 */
#include "room/kernel_state.h"

#include "base/clock.h"
#include <sys/epoll.h>

static const char *const event_words[] = {
	[CLEAT_EVENT_HANDED] = "handed-over",	     [CLEAT_EVENT_CGROUP_BORN] = "cgroup-born",
	[CLEAT_EVENT_CGROUP_DIED] = "cgroup-died",   [CLEAT_EVENT_TRACE_REFUSED] = "trace-refused",
	[CLEAT_EVENT_API_REFUSED] = "api-refused",   [CLEAT_EVENT_FORGED] = "forged",
	[CLEAT_EVENT_SELF_REFUSED] = "self-refused", [CLEAT_EVENT_SELF_ENTERED] = "self-entered",
	[CLEAT_EVENT_SELF_MOVED] = "self-moved",
};

static const char *const own_words[] = {
	[CLEAT_OWN_MAP] = "map",	[CLEAT_OWN_PROGRAM] = "program", [CLEAT_OWN_LINK] = "link",
	[CLEAT_OWN_MOUNT] = "mount",	[CLEAT_OWN_ROOM] = "room",	 [CLEAT_OWN_PINS] = "pins",
	[CLEAT_OWN_SILENCER] = "hooks",
};

/* About what is ours: who did it, to what, and to which process. */
static void self_write(struct audit_line *l, const struct cleat_event *e)
{
	audit_u64(l, "pid", e->actor_pid);
	audit_u64(l, "uid", e->actor.uid);
	if (e->place < sizeof(own_words) / sizeof(own_words[0]) && own_words[e->place])
		audit_str(l, "what", own_words[e->place]);
	if (e->owner_pid)
		audit_u64(l, "owner_pid", e->owner_pid);
}

static const char *id_of(const struct policy_image *p, uint32_t label)
{
	const struct policy_workload *w = label ? policy_workload(p, label) : NULL;

	return w ? policy_string(p, w->id) : "";
}

static enum event_rate rate_of(const struct cleat_event *e)
{
	if (e->type == CLEAT_EVENT_CGROUP_BORN || e->type == CLEAT_EVENT_CGROUP_DIED)
		return EVENT_RATE_PLACE;
	return e->type >= CLEAT_EVENT_SELF_REFUSED ? EVENT_RATE_SELF : EVENT_RATE_ACTOR;
}

/* Whoever causes an event pays nothing for its line. The kernel side has counted it, with a line or without. */
static bool allowed(struct kernel_room *k, const struct cleat_event *e)
{
	enum event_rate which = rate_of(e);
	uint32_t charged = which == EVENT_RATE_PLACE ? e->place : e->actor.uid;

	if (account_rate_allowed(&k->event_rates[which], charged, clock_boot_ns()))
		return true;
	k->events_suppressed++;
	return false;
}

static void event_write(void *ctx, const struct cleat_event *e)
{
	struct kernel_room *k = ctx;
	struct audit_line *l = &k->line;

	if (e->type >= sizeof(event_words) / sizeof(event_words[0]) || !event_words[e->type] ||
	    !allowed(k, e))
		return;
	audit_event(l, "kernel", event_words[e->type]);
	audit_u64(l, "boot_ns", e->boot_ns);
	audit_u64(l, "cgroup_id", e->cgroup_id);
	if (e->type >= CLEAT_EVENT_SELF_REFUSED) {
		self_write(l, e);
	} else if (rate_of(e) != EVENT_RATE_PLACE) {
		audit_u64(l, "pid", e->actor_pid);
		audit_u64(l, "uid", e->actor.uid);
		audit_str(l, "workload", id_of(k->current.p, e->actor.label));
		audit_u64(l, "owner_pid", e->owner_pid);
		audit_u64(l, "owner_uid", e->owner.uid);
		audit_str(l, "owner", id_of(k->current.p, e->owner.label));
	}
	if (e->cookie)
		audit_u64(l, "cookie", e->cookie);
	if (e->place && e->type < CLEAT_EVENT_SELF_REFUSED)
		audit_u64(l, "place", e->place);
	audit_u64(l, "generation", k->current.p->generation);
	if (audit_end(l, k->audit, false) < 0)
		log_error("audit", "event=%s error=\"not written\"", event_words[e->type]);
}

static void on_events(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;

	(void)events;
	kern_events_read(k->kern, event_write, k);
}

int kernel_events_serve(struct kernel_room *k)
{
	k->events = (struct loop_source){ kern_events_fd(k->kern), on_events, k };
	return k->events.fd < 0 ? 0 : loop_add(k->loop, &k->events, EPOLLIN);
}

static void name_place(struct audit_line *l, const struct account_rate *r, bool shared,
		       const void *ctx)
{
	(void)ctx;
	if (!shared)
		audit_u64(l, "place", r->key);
}

bool kernel_events_tell(struct kernel_room *k)
{
	struct account_teller t = { "kernel", &k->line, k->audit, NULL, NULL };
	bool more = false;

	for (int i = 0; i < EVENT_RATES; i++) {
		t.name = i == EVENT_RATE_PLACE ? name_place : account_rate_name_uid;
		more |= account_rate_tell(&k->event_rates[i], &t);
	}
	return more;
}
