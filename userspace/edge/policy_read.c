/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema as tables: one row per key, one function per kind of value. A map is read by its table: an
 * unknown key refuses the generation, and so does a key that this version does not enforce: it is never
 * parsed and ignored. The typed values are read by our own strict code, never by YAML's guesses.
 */
#include "edge/policy_read.h"

#include "edge/policy_schema.h"
#include "edge/policy_value.h"
#include <errno.h>
#include <string.h>

/* ---- match ---- */

static int place_once(struct file_reading *r, const struct tree_node *n, struct draft_workload *w,
		      const char *place)
{
	if (w->place)
		return value_complain(r, n, "cgroup and systemd both: keep one of the two");
	w->place = place;
	return 0;
}

static int read_cgroup(struct file_reading *r, const struct tree_node *n, void *into)
{
	const char *path;
	int err = value_cgroup(r, n, &path);

	return err < 0 ? err : place_once(r, n, into, path);
}

static int read_systemd(struct file_reading *r, const struct tree_node *n, void *into)
{
	const char *place;
	int err = value_unit(r, n, &place);

	return err < 0 ? err : place_once(r, n, into, place);
}

static int read_uid(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft_workload *w = into;

	w->rule_flags |= CLEAT_RULE_UID;
	return value_number(r, n, UINT32_MAX - 1, &w->uid);
}

static int read_gid(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft_workload *w = into;

	w->rule_flags |= CLEAT_RULE_GID;
	return value_number(r, n, UINT32_MAX - 1, &w->gid);
}

static const struct key match_keys[] = {
	{ "cgroup", 0, read_cgroup },
	{ "systemd", 0, read_systemd },
	{ "uid", 0, read_uid },
	{ "gid", 0, read_gid },
};

static int read_match(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft_workload *w = into;
	int err = MAP_READ(r, n, "match", match_keys, w);

	if (err == 0 && !w->place)
		return value_complain(r, n,
				      "match without cgroup or systemd: uid and gid only "
				      "narrow, add one of the two");
	return err;
}

/* ---- workloads ---- */

static int read_workload_id(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft_workload *w = into;

	return value_own_path(r, n, &w->id);
}

static int read_netns(struct file_reading *r, const struct tree_node *n, void *into)
{
	static const struct word words[] = { { "foreign-ok", POLICY_WORKLOAD_NETNS } };
	struct draft_workload *w = into;

	return VALUE_WORD(r, n, words, &w->flags);
}

static int read_debug(struct file_reading *r, const struct tree_node *n, void *into)
{
	static const struct word words[] = { { "allow", POLICY_WORKLOAD_DEBUG } };
	struct draft_workload *w = into;

	w->rule_flags |= CLEAT_RULE_DEBUG;
	return VALUE_WORD(r, n, words, &w->flags);
}

static int read_accepted_by(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft_workload *w = into;
	int err = value_id(r, n, &w->accepted_by);

	if (err == 0 && strcmp(w->accepted_by, w->id) == 0)
		return value_complain(r, n, "accepted_by itself: that is so already, remove it");
	w->accepted_by_at = place_of_value(r, n);
	return err;
}

static const struct key workload_keys[] = {
	{ "id", KEY_MUST, read_workload_id },
	{ "match", KEY_MUST, read_match },
	{ "netns", 0, read_netns },
	{ "debug", 0, read_debug },
	{ "accepted_by", 0, read_accepted_by },
};

static int read_workload(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft *d = into;
	struct draft_workload *w;

	if (d->workload_count == DRAFT_WORKLOADS_MAX)
		return value_complain(r, n, "more than %u workloads", DRAFT_WORKLOADS_MAX);
	w = draft_more(&d->workloads, &d->workload_count, &d->workload_cap, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->at = place_of_value(r, n);
	return MAP_READ(r, n, "a workload", workload_keys, w);
}

static int read_workloads(struct file_reading *r, const struct tree_node *n, void *into)
{
	return schema_list(r, n, read_workload, into);
}

/* ---- call and accept: one rule each, which becomes as many pairs as its list has ids ---- */

struct rule {
	const char *one;
	const char **many; /* sorted, no two alike */
	size_t many_count;
	const struct tree_node *many_at;
	struct draft_hosts *hosts;
	uint32_t as;
	uint32_t life_s;
	uint32_t level;
	struct place_in_file one_at;
};

static int read_one(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct rule *rule = into;

	if (n->kind != TREE_SCALAR)
		return value_complain(r, n,
				      "\"%s\" is one workload of this host: write one rule "
				      "for each",
				      n->key);
	rule->one_at = place_of_value(r, n);
	return value_id(r, n, &rule->one);
}

static int read_many(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct rule *rule = into;

	rule->many_at = n;
	return schema_strings(r, n, value_id, &rule->many, &rule->many_count);
}

static int read_hosts(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct rule *rule = into;
	size_t count;
	int err;

	rule->hosts = arena_get(&r->d->arena, sizeof(*rule->hosts));
	if (!rule->hosts)
		return -ENOMEM;
	err = schema_strings(r, n, value_host, &rule->hosts->names, &count);
	if (err == 0)
		rule->hosts->count = (uint32_t)count;
	return err;
}

static int read_as(struct file_reading *r, const struct tree_node *n, void *into)
{
	static const struct word words[] = { { "client", CLEAT_ROLE_CLIENT },
					     { "server", CLEAT_ROLE_SERVER } };
	struct rule *rule = into;

	rule->as = 0;
	return VALUE_WORD(r, n, words, &rule->as);
}

static int read_level(struct file_reading *r, const struct tree_node *n, void *into)
{
	static const struct word words[] = { { "full", CLEAT_LEVEL_FULL },
					     { "reduced", CLEAT_LEVEL_REDUCED } };
	struct rule *rule = into;

	rule->level = 0;
	return VALUE_WORD(r, n, words, &rule->level);
}

static int read_life(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct rule *rule = into;

	return value_seconds(r, n, 1, WPT_LIFE_MAX_S, &rule->life_s);
}

static const struct key call_keys[] = {
	{ "from", KEY_MUST, read_one },
	{ "to", KEY_MUST, read_many },
	{ "life", 0, read_life },
	{ "as", 0, read_as },
};

static int read_call(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft *d = into;
	struct rule rule = { .as = CLEAT_ROLE_CLIENT, .life_s = WPT_LIFE_S };
	int err = MAP_READ(r, n, "a call rule", call_keys, &rule);

	if (err < 0)
		return err;
	if (d->call_count + rule.many_count > DRAFT_RULES_MAX)
		return value_complain(r, n, "more than %u pairs in call rules", DRAFT_RULES_MAX);
	for (size_t i = 0; i < rule.many_count; i++) {
		struct draft_call *c =
			draft_more(&d->calls, &d->call_count, &d->call_cap, sizeof(*c));

		if (!c)
			return -ENOMEM;
		*c = (struct draft_call){ .from = rule.one,
					  .to = rule.many[i],
					  .as = rule.as,
					  .life_s = rule.life_s,
					  .at = rule.one_at };
	}
	return 0;
}

static int read_calls(struct file_reading *r, const struct tree_node *n, void *into)
{
	return schema_list(r, n, read_call, into);
}

static const struct key accept_keys[] = {
	{ "to", KEY_MUST, read_one }, { "from", KEY_MUST, read_many },
	{ "hosts", 0, read_hosts },   { "level", 0, read_level },
	{ "as", 0, read_as },
};

static int read_accept(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft *d = into;
	struct rule rule = { .as = CLEAT_ROLE_CLIENT, .level = CLEAT_LEVEL_FULL };
	int err = MAP_READ(r, n, "an accept rule", accept_keys, &rule);

	if (err < 0)
		return err;
	if (d->accept_count + rule.many_count > DRAFT_RULES_MAX)
		return value_complain(r, n, "more than %u pairs in accept rules", DRAFT_RULES_MAX);
	for (size_t i = 0; i < rule.many_count; i++) {
		struct draft_accept *a =
			draft_more(&d->accepts, &d->accept_count, &d->accept_cap, sizeof(*a));

		if (!a)
			return -ENOMEM;
		*a = (struct draft_accept){ .to = rule.one,
					    .from = rule.many[i],
					    .as = rule.as,
					    .level = rule.level,
					    .hosts = rule.hosts,
					    .at = rule.one_at };
	}
	return 0;
}

static int read_accepts(struct file_reading *r, const struct tree_node *n, void *into)
{
	return schema_list(r, n, read_accept, into);
}

/* ---- the file ---- */

static int read_version(struct file_reading *r, const struct tree_node *n, void *into)
{
	uint32_t version;
	int err = value_number(r, n, UINT32_MAX, &version);

	(void)into;
	if (err == 0 && version != 1)
		return value_complain(r, n, "version %u: this program reads version 1", version);
	return err;
}

static int read_trust_domain(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft *d = into;

	return value_trust_domain(r, n, &d->trust_domain);
}

static int read_own_host(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft *d = into;

	return value_host(r, n, &d->host);
}

static int read_clock(struct file_reading *r, const struct tree_node *n, void *into)
{
	static const struct word words[] = { { "synchronised", 0 },
					     { "unsynchronised-ok", POLICY_CLOCK_UNSYNC_OK } };
	struct draft *d = into;

	return VALUE_WORD(r, n, words, &d->flags);
}

static int read_cookie(struct file_reading *r, const struct tree_node *n, void *into)
{
	static const struct word words[] = { { "accept", 0 }, { "refuse", POLICY_COOKIE_REFUSE } };
	struct draft *d = into;

	return VALUE_WORD(r, n, words, &d->flags);
}

static int read_audit(struct file_reading *r, const struct tree_node *n, void *into)
{
	static const struct word words[] = { { "write", 0 }, { "sync", POLICY_AUDIT_SYNC } };
	struct draft *d = into;

	return VALUE_WORD(r, n, words, &d->flags);
}

static int read_leeway(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft *d = into;

	return value_seconds(r, n, 0, LEEWAY_MAX_S, &d->leeway_s);
}

static int read_tolerance(struct file_reading *r, const struct tree_node *n, void *into)
{
	struct draft *d = into;

	return value_milliseconds(r, n, EST_TOLERANCE_MAX_MS, &d->est_tolerance_ms);
}

/* trust_domain stands before what is read with it. */
static const struct key file_keys[] = {
	{ "version", KEY_MAIN_MUST, read_version },
	{ "trust_domain", KEY_MAIN | KEY_MAIN_MUST, read_trust_domain },
	{ "host", KEY_MAIN | KEY_MAIN_MUST, read_own_host },
	{ "clock", KEY_MAIN, read_clock },
	{ "leeway", KEY_MAIN, read_leeway },
	{ "est_tolerance", KEY_MAIN, read_tolerance },
	{ "syn_cookie", KEY_MAIN, read_cookie },
	{ "audit", KEY_MAIN, read_audit },
	{ "workloads", 0, read_workloads },
	{ "call", 0, read_calls },
	{ "accept", 0, read_accepts },
};

int policy_read(struct draft *d, enum policy_file_kind kind, const char *file, const char *name,
		const struct tree_node *root)
{
	struct file_reading r = { .d = d, .kind = kind, .file = file, .name = name };

	return MAP_READ(&r, root, "a policy file", file_keys, d);
}

const char *policy_key_name(size_t i)
{
	static const struct {
		const struct key *keys;
		size_t count;
	} tables[] = {
#define TABLE(keys) { keys, sizeof(keys) / sizeof((keys)[0]) }
		TABLE(file_keys), TABLE(workload_keys), TABLE(match_keys),
		TABLE(call_keys), TABLE(accept_keys),
#undef TABLE
	};

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		if (i < tables[t].count)
			return tables[t].keys[i].name;
		i -= tables[t].count;
	}
	return NULL;
}
