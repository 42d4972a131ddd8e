/* SPDX-License-Identifier: Apache-2.0 */
/* A room's account of what it answered. See account.h. */
#include "room/account.h"

#include "base/clock.h"
#include "base/twin.h"
#include "room/account_refusals.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int account_open(struct account *a, const char *room, int audit_fd, int counters_fd)
{
	void *at = mmap(NULL, sizeof(struct room_counters), PROT_READ | PROT_WRITE, MAP_SHARED,
			counters_fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	a->room = room;
	a->audit = audit_fd;
	a->counters = at;
	return 0;
}

/* One writer; readers of the page see whole words. */
static void put(uint64_t *at, uint64_t n)
{
	__atomic_store_n(at, n, __ATOMIC_RELAXED);
}

static void count(uint64_t *at)
{
	put(at, *at + 1);
}

void account_begin(struct account *a, const char *ask, enum reason reason)
{
	count(&a->counters->asked);
	audit_begin(&a->line, a->room, ask, reason);
}

enum reason account_end(struct account *a, const struct policy_image *p, enum reason reason)
{
	int err;

	if (reason != REASON_OK && !account_allowed(a, reason, clock_boot_ns())) {
		count(&a->counters->suppressed);
		count(&a->counters->answered[reason]);
		return reason;
	}
	audit_u64(&a->line, "generation", p->generation);
	err = audit_end(&a->line, a->audit, p->flags & POLICY_AUDIT_SYNC);
	if (kept(audit_written) && err < 0)
		reason = REASON_NO_AUDIT;
	count(&a->counters->answered[reason]);
	return reason;
}

void account_door(struct account *a, const struct door_counts *door, uint64_t forced)
{
	struct room_counters *c = a->counters;

	for (unsigned i = 0; i < SHARE_PART_COUNT; i++)
		put(&c->door.refused[i], door->refused[i]);
	put(&c->door.displaced, door->displaced);
	put(&c->door.idle, door->idle);
	put(&c->forced, forced);
}

const char *account_id(const struct policy_image *p, uint32_t label)
{
	const struct policy_workload *w = label ? policy_workload(p, label) : NULL;

	return w ? policy_string(p, w->id) : "";
}

/* An id without "spiffe://<trust domain>", for sentences: "/payments". */
static const char *path_of(const char *id)
{
	const char *slash = strncmp(id, "spiffe://", 9) == 0 ? strchr(id + 9, '/') : NULL;

	return slash ? slash : "no workload";
}

void account_charge(struct account *a, uint32_t uid, uint32_t label)
{
	a->uid = uid;
	a->label = label;
}

void account_caller(struct account *a, const struct policy_image *p, const struct cleat_caller *c)
{
	audit_u64(&a->line, "pid", c->proc.tgid);
	audit_u64(&a->line, "uid", c->owner.uid);
	audit_str(&a->line, "workload", account_id(p, c->owner.label));
}

void account_socket(struct account *a, const struct policy_image *p, const struct cleat_tag *tag)
{
	static const struct {
		uint32_t flag;
		const char *word;
	} marks[] = {
		{ CLEAT_TAG_FORGED, "forged" },	    { CLEAT_TAG_COOKIE, "syn-cookie" },
		{ CLEAT_TAG_FASTOPEN, "fastopen" }, { CLEAT_TAG_HANDED, "handed-over" },
		{ CLEAT_TAG_MPTCP, "mptcp" },	    { CLEAT_TAG_NETNS_FOREIGN, "foreign-netns" },
	};
	const struct cleat_conn *c = &tag->conn;
	char flags[128] = "";
	struct text t;

	audit_u64(&a->line, "owner_pid", tag->proc.tgid);
	audit_u64(&a->line, "owner_uid", tag->owner.uid);
	audit_str(&a->line, "owner", account_id(p, tag->owner.label));
	if (c->role != CLEAT_ROLE_NONE) {
		audit_str(&a->line, "role", role_word(c->role));
		audit_endpoint(&a->line, "client", c->client_addr, c->client_port);
		audit_endpoint(&a->line, "server", c->server_addr, c->server_port);
	}
	text_init(&t, flags, sizeof(flags));
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (!(tag->flags & marks[i].flag))
			continue;
		text_puts(&t, t.len ? " " : "");
		text_puts(&t, marks[i].word);
	}
	if (t.len)
		audit_str(&a->line, "flags", flags);
}

void account_stranger(struct account *a, const struct policy_image *p, const struct cleat_tag *tag,
		      const struct cleat_caller *c)
{
	const char *verb = tag->flags & CLEAT_TAG_HANDED ? "was passed to" : "was named by";
	char line[512];

	snprintf(
		line, sizeof(line),
		"the socket of %.128s (pid %u, uid %u) %s pid %u (uid %u, %.128s); only its owner can obtain an assertion",
		path_of(account_id(p, tag->owner.label)), tag->proc.tgid, tag->owner.uid, verb,
		c->proc.tgid, c->owner.uid, path_of(account_id(p, c->owner.label)));
	audit_str(&a->line, "detail", line);
}

void account_rule(struct account *a, const struct policy_image *p, uint32_t file, uint32_t line)
{
	char at[512];
	struct text t;

	text_init(&t, at, sizeof(at));
	text_puts(&t, policy_string(p, file));
	text_puts(&t, ":");
	text_u64(&t, line);
	audit_str(&a->line, "rule", at);
}
