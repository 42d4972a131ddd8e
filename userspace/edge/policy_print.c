/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image as a policy file: everything that is in force, defaults too, in one order, so that two policies
 * that mean the same print the same, and what is printed parses to the policy it was printed from.
 */
#include "edge/policy_yaml.h"

#include "base/cleanup.h"
#include "edge/policy_value.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define AHEAD 1024 /* how far rules that could be one are looked for; also below SCHEMA_LIST_MAX */

/* ---- words ---- */

/* The code point at *@s, which is UTF-8 because libyaml took it; *@s goes behind it. */
static uint32_t code_point(const char **s)
{
	const unsigned char *c = (const unsigned char *)*s;
	unsigned more = c[0] >= 0xf0 ? 3 : c[0] >= 0xe0 ? 2 : c[0] >= 0xc0 ? 1 : 0;
	uint32_t point = more ? c[0] & (0x3fu >> more) : c[0];

	for (*s += 1; more > 0 && **s; more--, *s += 1)
		point = point << 6 | (**s & 0x3fu);
	return point;
}

static void print_quoted(FILE *to, const char *s)
{
	fputc('"', to);
	while (*s) {
		uint32_t point = code_point(&s);

		if (point == '"' || point == '\\')
			fprintf(to, "\\%c", (int)point);
		else if (point >= ' ' && point <= '~')
			fputc((int)point, to);
		else
			fprintf(to, "\\U%08" PRIX32, point);
	}
	fputc('"', to);
}

/* A SPIFFE ID: the path alone where it is of the own trust domain. */
static void print_id(const struct policy_image *p, FILE *to, uint32_t at)
{
	static const char scheme[] = "spiffe://";
	const char *id = policy_string(p, at), *own = policy_string(p, p->trust_domain);
	const char *rest = id + sizeof(scheme) - 1;

	if (strncmp(rest, own, strlen(own)) == 0 && rest[strlen(own)] == '/')
		id = rest + strlen(own);
	fputs(id, to);
}

static void print_label(const struct policy_image *p, FILE *to, uint32_t label)
{
	print_id(p, to, policy_workload(p, label)->id);
}

/* ---- workloads ---- */

/* The rule of each workload, and the places by number. */
struct index {
	const struct policy_rule **rule_of; /* by index in workloads */
	struct policy_place *places;
};

static void index_drop(struct index *x)
{
	free(x->rule_of);
	free(x->places);
}

static int order_places(const void *a, const void *b)
{
	const struct policy_place *x = a, *y = b;

	return x->place < y->place ? -1 : x->place > y->place;
}

static int index_open(const struct policy_image *p, struct index *x)
{
	const struct policy_workload *workloads = policy_at(p, &p->workloads);
	const struct policy_rule *rules = policy_at(p, &p->rules);

	x->rule_of = calloc(p->workloads.count + 1, sizeof(*x->rule_of));
	x->places = calloc(p->places.count + 1, sizeof(*x->places));
	if (!x->rule_of || !x->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->rules.count; i++)
		x->rule_of[policy_workload(p, rules[i].label) - workloads] = &rules[i];
	memcpy(x->places, policy_at(p, &p->places), p->places.count * sizeof(*x->places));
	draft_sort(x->places, p->places.count, sizeof(*x->places), order_places);
	return 0;
}

/* The name of the place a rule is for, or NULL. */
static const char *place_name(const struct policy_image *p, const struct index *x,
			      const struct policy_rule *rule)
{
	const struct policy_place key = { .place = rule->place };
	const struct policy_place *found =
		bsearch(&key, x->places, p->places.count, sizeof(key), order_places);

	return found ? policy_string(p, found->name) : NULL;
}

static void print_match(FILE *to, const char *name, const struct policy_rule *rule)
{
	fputs("    match: { ", to);
	if (name[0] == '/') {
		fputs("cgroup: ", to);
		print_quoted(to, name);
	} else {
		fputs("systemd: ", to);
		print_quoted(to, name[0] == '_' ? name + 1 : name); /* as value_unit() escaped it */
	}
	if (rule->flags & CLEAT_RULE_UID)
		fprintf(to, ", uid: %" PRIu32, rule->uid);
	if (rule->flags & CLEAT_RULE_GID)
		fprintf(to, ", gid: %" PRIu32, rule->gid);
	fputs(" }\n", to);
}

static int print_workloads(const struct policy_image *p, FILE *to)
{
	const struct policy_workload *w = policy_at(p, &p->workloads);
	owned(index_drop) struct index x = { 0 };
	int err = index_open(p, &x);

	if (err < 0)
		return err;
	fputs(p->workloads.count ? "workloads:\n" : "workloads: []\n", to);
	for (uint32_t i = 0; i < p->workloads.count; i++) {
		const struct policy_rule *rule = x.rule_of[i];
		const char *place = rule ? place_name(p, &x, rule) : NULL;

		if (!place)
			return -EBADMSG;
		fputs("  - id: ", to);
		print_id(p, to, w[i].id);
		fputc('\n', to);
		print_match(to, place, rule);
		if (w[i].flags & POLICY_WORKLOAD_NETNS)
			fputs("    netns: foreign-ok\n", to);
		if (w[i].flags & POLICY_WORKLOAD_DEBUG)
			fputs("    debug: allow\n", to);
		if (w[i].accepted_by) {
			fputs("    accepted_by: ", to);
			print_label(p, to, w[i].accepted_by);
			fputc('\n', to);
		}
	}
	return 0;
}

/* ---- rules: pairs that say the same of one workload are printed as one ---- */

static bool calls_alike(const struct policy_call *a, const struct policy_call *b)
{
	return a->from == b->from && a->as == b->as && a->life_s == b->life_s;
}

static int print_calls(const struct policy_image *p, FILE *to)
{
	const struct policy_call *c = policy_at(p, &p->calls);
	uint32_t n = p->calls.count;
	owned_mem bool *printed = calloc(n + 1, sizeof(*printed));

	if (!printed)
		return -ENOMEM;
	fputs(n ? "call:\n" : "call: []\n", to);
	for (uint32_t i = 0; i < n; i++) {
		if (printed[i])
			continue;
		fputs("  - { from: ", to);
		print_label(p, to, c[i].from);
		fputs(", to: [ ", to);
		print_id(p, to, c[i].to);
		for (uint32_t k = i + 1; k < n && k < i + AHEAD && c[k].from == c[i].from; k++)
			if (!printed[k] && calls_alike(&c[i], &c[k])) {
				printed[k] = true;
				fputs(", ", to);
				print_id(p, to, c[k].to);
			}
		fprintf(to, " ], life: %" PRIu32 "s, as: %s }\n", c[i].life_s, role_word(c[i].as));
	}
	return 0;
}

static const uint32_t *hosts_of(const struct policy_image *p, const struct policy_accept *a)
{
	return (const uint32_t *)policy_at(p, &p->hosts) + a->hosts.at;
}

static bool accepts_alike(const struct policy_image *p, const struct policy_accept *a,
			  const struct policy_accept *b)
{
	if (a->to != b->to || a->as != b->as || a->level != b->level ||
	    a->hosts.count != b->hosts.count)
		return false;
	for (uint32_t i = 0; i < a->hosts.count; i++)
		if (strcmp(policy_string(p, hosts_of(p, a)[i]),
			   policy_string(p, hosts_of(p, b)[i])) != 0)
			return false;
	return true;
}

static void print_accept_end(const struct policy_image *p, FILE *to, const struct policy_accept *a)
{
	if (a->hosts.count)
		fputs("    hosts: [ ", to);
	for (uint32_t i = 0; i < a->hosts.count; i++) {
		fputs(i ? ", " : "", to);
		print_quoted(to, policy_string(p, hosts_of(p, a)[i]));
	}
	if (a->hosts.count)
		fputs(" ]\n", to);
	fprintf(to, "    level: %s\n    as: %s\n", level_word(a->level), role_word(a->as));
}

static int print_accepts(const struct policy_image *p, FILE *to)
{
	const struct policy_accept *a = policy_at(p, &p->accepts);
	uint32_t n = p->accepts.count;
	owned_mem bool *printed = calloc(n + 1, sizeof(*printed));

	if (!printed)
		return -ENOMEM;
	fputs(n ? "accept:\n" : "accept: []\n", to);
	for (uint32_t i = 0; i < n; i++) {
		if (printed[i])
			continue;
		fputs("  - to: ", to);
		print_label(p, to, a[i].to);
		fputs("\n    from: [ ", to);
		print_id(p, to, a[i].from);
		for (uint32_t k = i + 1; k < n && k < i + AHEAD && a[k].to == a[i].to; k++)
			if (!printed[k] && a[k].from != a[i].from &&
			    accepts_alike(p, &a[i], &a[k])) {
				printed[k] = true;
				fputs(", ", to);
				print_id(p, to, a[k].from);
			}
		fputs(" ]\n", to);
		print_accept_end(p, to, &a[i]);
	}
	return 0;
}

static void print_main(const struct policy_image *p, FILE *to)
{
	fputs("version: 1\ntrust_domain: ", to);
	print_quoted(to, policy_string(p, p->trust_domain));
	fputs("\nhost: ", to);
	print_quoted(to, policy_string(p, p->host));
	fprintf(to, "\nclock: %s\n",
		p->flags & POLICY_CLOCK_UNSYNC_OK ? "unsynchronised-ok" : "synchronised");
	fprintf(to, "leeway: %" PRIu32 "s\n", p->leeway_s);
	fprintf(to, "est_tolerance: %" PRIu32 "ms\n", p->est_tolerance_ms);
	fprintf(to, "syn_cookie: %s\n", p->flags & POLICY_COOKIE_REFUSE ? "refuse" : "accept");
	fprintf(to, "audit: %s\n", p->flags & POLICY_AUDIT_SYNC ? "sync" : "write");
}

int policy_print(const struct policy_image *p, FILE *to)
{
	int err;

	print_main(p, to);
	err = print_workloads(p, to);
	if (err == 0)
		err = print_calls(p, to);
	if (err == 0)
		err = print_accepts(p, to);
	return err == 0 && ferror(to) ? -EIO : err;
}
