/* SPDX-License-Identifier: Apache-2.0 */
/* policy check, policy print: the reader's own compiler, without a daemon. */
#include "cleatctl.h"

#include "base/cleanup.h"
#include "edge/policy_yaml.h"
#include "edge/sig.h"
#include <inttypes.h>
#include <string.h>

/* Compiles what the options name. An exit code; *ret_image only with 0. */
static int compile(const struct ctl *c, int argc, char **argv, void **ret_image)
{
	struct policy_source source = { 0 };
	const struct option_of options[] = {
		{ .name = "--dir", .into = &source.config_dir },
		{ .name = "--state-dir", .into = &source.state_dir },
		{ .name = "--any-owner", .flag = &source.any_owner },
	};
	struct words rest = { 0 };
	char error[1024];
	size_t size;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0))
		return EXIT_USAGE;
	/* Where root asks about the policy of this host, the bundles must not be older than those seen here. */
	if (!source.config_dir && !source.state_dir && geteuid() == 0)
		source.state_dir = DEFAULT_STATE;
	if (!source.config_dir)
		source.config_dir = DEFAULT_CONFIG;
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	if (policy_compile(&source, ret_image, &size, error, sizeof(error)) < 0)
		return fail(c, "%s", error);
	return EXIT_SUCCESS;
}

int verb_policy_check(const struct ctl *c, int argc, char **argv)
{
	owned_mem void *image = NULL;
	const struct policy_image *p;
	int code = compile(c, argc, argv, &image);

	if (code != EXIT_SUCCESS)
		return code;
	p = image;
	printf(c->json ? "{\"ok\":true,\"workloads\":%u,\"call\":%u,\"accept\":%u,\"bundles\":%u,"
			 "\"keys\":%u}\n"
		       : "ok: %u workloads, %u call pairs, %u accept pairs, %u bundles with %u keys\n",
	       p->workloads.count, p->calls.count, p->accepts.count, p->domains.count,
	       p->keys.count);
	return EXIT_SUCCESS;
}

/* ---- print ---- */

static void put_label(const struct policy_image *p, const char *name, uint32_t label)
{
	put_member(name, policy_string(p, policy_workload(p, label)->id));
}

static void json_workloads(const struct policy_image *p)
{
	const struct policy_workload *w = policy_at(p, &p->workloads);

	fputs(",\"workloads\":[", stdout);
	for (uint32_t i = 0; i < p->workloads.count; i++) {
		printf("%s{\"label\":%u", i ? ",\n" : "\n", w[i].label);
		put_member("id", policy_string(p, w[i].id));
		if (w[i].accepted_by)
			put_label(p, "accepted_by", w[i].accepted_by);
		printf(",\"debug\":%s,\"netns_foreign\":%s",
		       w[i].flags & POLICY_WORKLOAD_DEBUG ? "true" : "false",
		       w[i].flags & POLICY_WORKLOAD_NETNS ? "true" : "false");
		put_member("file", policy_string(p, w[i].file));
		printf(",\"line\":%u}", w[i].line);
	}
	fputs("]", stdout);
}

static void json_matches(const struct policy_image *p)
{
	const struct policy_rule *rules = policy_at(p, &p->rules);
	const struct policy_place *places = policy_at(p, &p->places);

	fputs(",\"places\":[", stdout);
	for (uint32_t i = 0; i < p->places.count; i++) {
		printf("%s{\"place\":%u", i ? ",\n" : "\n", places[i].place);
		put_member("name", policy_string(p, places[i].name));
		fputs("}", stdout);
	}
	fputs("],\"matches\":[", stdout);
	for (uint32_t i = 0; i < p->rules.count; i++) {
		printf("%s{\"place\":%u,\"slot\":%u,\"label\":%u", i ? ",\n" : "\n", rules[i].place,
		       rules[i].slot, rules[i].label);
		if (rules[i].flags & CLEAT_RULE_UID)
			printf(",\"uid\":%u", rules[i].uid);
		if (rules[i].flags & CLEAT_RULE_GID)
			printf(",\"gid\":%u", rules[i].gid);
		fputs("}", stdout);
	}
	fputs("]", stdout);
}

static void json_rules(const struct policy_image *p)
{
	const struct policy_call *c = policy_at(p, &p->calls);
	const struct policy_accept *a = policy_at(p, &p->accepts);
	const uint32_t *hosts = policy_at(p, &p->hosts);

	fputs(",\"call\":[", stdout);
	for (uint32_t i = 0; i < p->calls.count; i++) {
		printf("%s{\"life_s\":%u", i ? ",\n" : "\n", c[i].life_s);
		put_label(p, "from", c[i].from);
		put_member("to", policy_string(p, c[i].to));
		put_member("as", role_word(c[i].as));
		fputs("}", stdout);
	}
	fputs("],\"accept\":[", stdout);
	for (uint32_t i = 0; i < p->accepts.count; i++) {
		printf("%s{\"hosts\":%s", i ? ",\n" : "\n", a[i].hosts.count ? "[" : "null");
		for (uint32_t k = 0; k < a[i].hosts.count; k++) {
			fputs(k ? "," : "", stdout);
			put_json(policy_string(p, hosts[a[i].hosts.at + k]));
		}
		fputs(a[i].hosts.count ? "]" : "", stdout);
		put_label(p, "to", a[i].to);
		put_member("from", policy_string(p, a[i].from));
		put_member("level", level_word(a[i].level));
		put_member("as", role_word(a[i].as));
		fputs("}", stdout);
	}
	fputs("]", stdout);
}

static void json_policy(const struct policy_image *p)
{
	fputs("{\"version\":1", stdout);
	put_member("trust_domain", policy_string(p, p->trust_domain));
	put_member("host", policy_string(p, p->host));
	printf(",\"clock\":\"%s\",\"leeway_s\":%u,\"est_tolerance_ms\":%u,\"syn_cookie\":\"%s\","
	       "\"audit\":\"%s\"",
	       p->flags & POLICY_CLOCK_UNSYNC_OK ? "unsynchronised-ok" : "synchronised",
	       p->leeway_s, p->est_tolerance_ms,
	       p->flags & POLICY_COOKIE_REFUSE ? "refuse" : "accept",
	       p->flags & POLICY_AUDIT_SYNC ? "sync" : "write");
	json_workloads(p);
	json_matches(p);
	json_rules(p);
	fputs("}\n", stdout);
}

int verb_policy_print(const struct ctl *c, int argc, char **argv)
{
	owned_mem void *image = NULL;
	int code = compile(c, argc, argv, &image);

	if (code != EXIT_SUCCESS)
		return code;
	if (c->json) {
		json_policy(image);
		return EXIT_SUCCESS;
	}
	return policy_print(image, stdout) < 0 ? fail(c, "cannot print") : EXIT_SUCCESS;
}
