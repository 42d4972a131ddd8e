/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision against a reference that reads the rules one by one, on random policies; the
 * questions' edges as tables; and policy_check() on images of which each is wrong in one field.
 */
#include "../bpf/abi.h"
#include "model/policy.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- an image, made by hand: rules as written here, sorted when it is closed ---- */
#define MANY 64

struct rule_text {
	uint32_t owner; /* label: from of a call, to of an accept */
	const char *other;
	uint32_t as;
	uint32_t level; /* or life_s */
	const char *hosts[4];
};

struct spec {
	uint32_t workloads;
	struct rule_text calls[MANY];
	size_t call_count;
	struct rule_text accepts[MANY];
	size_t accept_count;
	struct policy_rule rules[MANY];
	size_t rule_count;
	const char *places[MANY]; /* sorted; the i-th is place i + 1 */
	size_t place_count;
};

static _Alignas(8) char image[256 << 10];

static struct policy_image *head(void)
{
	return (struct policy_image *)(void *)image;
}

static uint32_t append(const void *bytes, size_t len)
{
	uint32_t at = (uint32_t)head()->size;

	cr_assert(at + len <= sizeof(image));
	memcpy(image + at, bytes, len);
	head()->size += len;
	return at;
}

/* Strings come last; until then an offset is that of a scratch list. */
static char strings[64 << 10];
static size_t strings_len;
static uint32_t strings_at;

static uint32_t text(const char *s)
{
	size_t len = strlen(s) + 1;
	uint32_t at = strings_at + (uint32_t)strings_len;

	if (len == 1)
		return 0;
	cr_assert(strings_len + len <= sizeof(strings));
	memcpy(strings + strings_len, s, len);
	strings_len += len;
	return at;
}

static int order_rules(const void *a, const void *b)
{
	const struct rule_text *x = a, *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (strcmp(x->other, y->other) != 0)
		return strcmp(x->other, y->other);
	return x->as < y->as ? -1 : x->as > y->as;
}

static size_t host_count(const struct rule_text *r)
{
	size_t n = 0;

	while (n < 4 && r->hosts[n])
		n++;
	return n;
}

static void put_workloads(const struct spec *s)
{
	head()->workloads = (struct policy_span){ (uint32_t)head()->size, s->workloads };
	for (uint32_t i = 1; i <= s->workloads; i++) {
		char id[64];
		struct policy_workload w = { .label = i, .file = text("cleat.yaml"), .line = i };

		snprintf(id, sizeof(id), "spiffe://td.example/w%u", i);
		w.id = text(id);
		append(&w, sizeof(w));
	}
}

static void put_rules(struct spec *s)
{
	uint32_t hosts = 0;

	qsort(s->calls, s->call_count, sizeof(s->calls[0]), order_rules);
	qsort(s->accepts, s->accept_count, sizeof(s->accepts[0]), order_rules);
	head()->calls = (struct policy_span){ (uint32_t)head()->size, (uint32_t)s->call_count };
	for (size_t i = 0; i < s->call_count; i++) {
		const struct rule_text *r = &s->calls[i];
		struct policy_call c = { r->owner, text(r->other), r->as, r->level, text("f"), 1 };

		append(&c, sizeof(c));
	}
	head()->accepts = (struct policy_span){ (uint32_t)head()->size, (uint32_t)s->accept_count };
	for (size_t i = 0; i < s->accept_count; i++) {
		const struct rule_text *r = &s->accepts[i];
		uint32_t n = (uint32_t)host_count(r);
		struct policy_accept a = { .to = r->owner,
					   .from = text(r->other),
					   .as = r->as,
					   .level = r->level,
					   .hosts = { hosts, n },
					   .file = text("f"),
					   .line = (uint32_t)i };

		append(&a, sizeof(a));
		hosts += n;
	}
	head()->hosts = (struct policy_span){ (uint32_t)head()->size, hosts };
	for (size_t i = 0; i < s->accept_count; i++)
		for (size_t k = 0; k < host_count(&s->accepts[i]); k++) {
			uint32_t at = text(s->accepts[i].hosts[k]);

			append(&at, sizeof(at));
		}
}

static void put_places(const struct spec *s)
{
	head()->places = (struct policy_span){ (uint32_t)head()->size, (uint32_t)s->place_count };
	for (size_t i = 0; i < s->place_count; i++) {
		struct policy_place p = { text(s->places[i]), (uint32_t)i + 1 };

		append(&p, sizeof(p));
	}
	head()->rules = (struct policy_span){ append(s->rules, s->rule_count * sizeof(s->rules[0])),
					      (uint32_t)s->rule_count };
}

static void put_domains(void)
{
	struct policy_domain d = { .name = text("td.example"), .keys = { 0, 2 } };
	struct policy_key keys[2] = {
		{ .kid = text("kid-a"),
		  .issuer = text("spiffe://td.example/host/a"),
		  .scopes = { 0, 1 } },
		{ .kid = text("kid-b"),
		  .issuer = text("spiffe://td.example/host/b"),
		  .scopes = { 1, 2 } },
	};
	uint32_t scopes[3] = { text("/ns/prod"), text("/"), text("/x") };

	head()->domains = (struct policy_span){ append(&d, sizeof(d)), 1 };
	head()->keys = (struct policy_span){ append(keys, sizeof(keys)), 2 };
	head()->scopes = (struct policy_span){ append(scopes, sizeof(scopes)), 3 };
	head()->tombstones = (struct policy_span){ (uint32_t)head()->size, 0 };

	uint32_t revoked[2] = { text("spiffe://td.example/gone"),
				text("spiffe://td.example/host/b") };

	head()->revoked = (struct policy_span){ append(revoked, sizeof(revoked)), 2 };
}

/* Twice: the first time only to learn where the strings begin. */
static const struct policy_image *close_spec(struct spec *s)
{
	strings_at = 0;
	for (int pass = 0; pass < 2; pass++) {
		memset(image, 0, sizeof(struct policy_image));
		memcpy(head()->magic, POLICY_MAGIC, 8);
		head()->version = POLICY_VERSION;
		head()->size = sizeof(struct policy_image);
		head()->generation = 1;
		head()->next_label = s->workloads + 1;
		head()->next_place = (uint32_t)s->place_count + 1;
		strings_len = 0;
		head()->trust_domain = text("td.example");
		head()->host = text("a");
		put_workloads(s);
		put_rules(s);
		put_places(s);
		put_domains();
		strings_at = (uint32_t)head()->size;
	}
	head()->strings =
		(struct policy_span){ append(strings, strings_len), (uint32_t)strings_len };
	return head();
}

/* ---- the reference: every rule is read, in any order ---- */
static enum reason reference_accept(const struct spec *s, uint32_t to, const char *from,
				    uint32_t role, const char *host, uint32_t level)
{
	enum reason best = REASON_POLICY;

	for (size_t i = 0; i < s->accept_count; i++) {
		const struct rule_text *r = &s->accepts[i];
		bool listed = r->hosts[0] == NULL;

		for (size_t k = 0; k < host_count(r); k++)
			listed = listed || strcmp(r->hosts[k], host) == 0;
		if (r->owner != to || strcmp(r->other, from) != 0 || r->as != role || !listed)
			continue;
		if (level >= r->level)
			return REASON_OK;
		best = REASON_LEVEL;
	}
	return best;
}

static bool reference_call(const struct spec *s, uint32_t from, const char *to, uint32_t role)
{
	for (size_t i = 0; i < s->call_count; i++)
		if (s->calls[i].owner == from && s->calls[i].as == role &&
		    strcmp(s->calls[i].other, to) == 0)
			return true;
	return false;
}

static uint32_t reference_label(const struct spec *s, const uint32_t *places, size_t depth,
				uint32_t uid, uint32_t gid)
{
	for (size_t d = 0; d < depth && d < CLEAT_ANCESTORS; d++)
		for (uint32_t slot = 0; slot < CLEAT_RULES_MAX; slot++)
			for (size_t i = 0; i < s->rule_count; i++) {
				const struct policy_rule *r = &s->rules[i];

				if (r->place != places[d] || r->slot != slot || places[d] == 0)
					continue;
				if ((r->flags & CLEAT_RULE_UID) && r->uid != uid)
					continue;
				if ((r->flags & CLEAT_RULE_GID) && r->gid != gid)
					continue;
				return r->label;
			}
	return 0;
}

static uint32_t seed = 1;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Names that are each other's prefixes, so that a comparison cut short shows. */
static const char *const ids[] = { "spiffe://td.example/w1", "spiffe://td.example/w11",
				   "spiffe://td.example/w2", "spiffe://td.example/w1/a",
				   "spiffe://td.exampl/w1",  "spiffe://other.example/w1" };
static const char *const hosts[] = { "a", "aa", "ab", "b" };

static void spec_random(struct spec *s)
{
	static const char *const places[] = { "/a",  "/a/b",	  "/a/b.service",
					      "/ab", "b.service", "c.service" };

	memset(s, 0, sizeof(*s));
	s->workloads = 1 + below(4);
	s->call_count = below(12);
	for (size_t i = 0; i < s->call_count; i++)
		s->calls[i] = (struct rule_text){ 1 + below(s->workloads),
						  ids[below(6)],
						  1 + below(2),
						  1 + below(60),
						  { NULL } };
	s->accept_count = below(24);
	for (size_t i = 0; i < s->accept_count; i++) {
		struct rule_text *r = &s->accepts[i];
		size_t n = 0;

		*r = (struct rule_text){
			1 + below(s->workloads), ids[below(6)], 1 + below(2), 1 + below(2), { NULL }
		};
		for (size_t k = 0; k < 4; k++)
			if (below(3) == 0)
				r->hosts[n++] = hosts[k];
	}
	for (size_t i = 0; i < 6; i++)
		if (below(2))
			s->places[s->place_count++] = places[i];
	for (uint32_t place = 1; place <= s->place_count; place++) {
		uint32_t n = below(5);

		for (uint32_t slot = 0; slot < n; slot++) /* both, one, none: narrowest first */
			s->rules[s->rule_count++] = (struct policy_rule){
				place,
				slot,
				1 + below(s->workloads),
				below(3),
				below(3),
				slot == 0 ? CLEAT_RULE_UID | CLEAT_RULE_GID : slot == n - 1 ? 0 : CLEAT_RULE_UID
			};
	}
}

struct walk {
	const uint32_t *places;
	size_t depth;
};

static uint32_t place_at(void *ctx, unsigned depth)
{
	const struct walk *w = ctx;

	return depth < w->depth ? w->places[depth] : UINT32_MAX;
}

static void compare_once(const struct spec *s, const struct policy_image *p)
{
	uint32_t label = below(s->workloads + 2), role = below(4), level = below(3);
	const char *id = ids[below(6)], *host = hosts[below(4)];
	const struct policy_accept *rule;
	uint32_t places[20];
	struct walk walk = { places, below(20) };

	cr_assert_eq(policy_accept(p, label, id, role, host, level, &rule),
		     reference_accept(s, label, id, role, host, level));
	cr_assert_eq(policy_call(p, label, id, role) != NULL, reference_call(s, label, id, role));
	for (size_t i = 0; i < walk.depth; i++)
		places[i] = below(4) ? 0 : below((uint32_t)s->place_count + 2);
	label = below(3);
	role = below(3);
	cr_assert_eq(policy_label_of(p, place_at, &walk, label, role),
		     reference_label(s, places, walk.depth, label, role));
}

/* A question asked twice is refused when policy is compiled; the image has none. */
static void calls_unique(struct spec *s)
{
	size_t n = 0;

	qsort(s->calls, s->call_count, sizeof(s->calls[0]), order_rules);
	for (size_t i = 0; i < s->call_count; i++)
		if (n == 0 || order_rules(&s->calls[n - 1], &s->calls[i]) != 0)
			s->calls[n++] = s->calls[i];
	s->call_count = n;
}

Test(policy, attack_136_decides_as_the_reference_does)
{
	static struct spec s;

	for (int policies = 0; policies < 2000; policies++) {
		const struct policy_image *p;

		spec_random(&s);
		calls_unique(&s);
		p = close_spec(&s);
		cr_assert_eq(policy_check(p, p->size), 0, "policy %d", policies);
		for (int questions = 0; questions < 100; questions++)
			compare_once(&s, p);
	}
}

/* One rule: w1 takes spiffe://td.example/w2 as client from hosts a and b at level full. Each row
 * changes one thing. */
Test(policy, accept_table)
{
	static struct spec s = { .workloads = 2,
				 .accepts = { { 1, "spiffe://td.example/w2", 1, 2, { "a", "b" } } },
				 .accept_count = 1 };
	static const struct {
		const char *what;
		uint32_t to;
		const char *from;
		uint32_t role;
		const char *host;
		uint32_t level;
		enum reason want;
	} rows[] = {
		{ "good", 1, "spiffe://td.example/w2", 1, "a", 2, REASON_OK },
		{ "the other host", 1, "spiffe://td.example/w2", 1, "b", 2, REASON_OK },
		{ "host not listed", 1, "spiffe://td.example/w2", 1, "c", 2, REASON_POLICY },
		{ "host a prefix", 1, "spiffe://td.example/w2", 1, "", 2, REASON_POLICY },
		{ "level reduced", 1, "spiffe://td.example/w2", 1, "a", 1, REASON_LEVEL },
		{ "level none", 1, "spiffe://td.example/w2", 1, "a", 0, REASON_LEVEL },
		{ "as server", 1, "spiffe://td.example/w2", 2, "a", 2, REASON_POLICY },
		{ "no role", 1, "spiffe://td.example/w2", 0, "a", 2, REASON_POLICY },
		{ "another id", 1, "spiffe://td.example/w3", 1, "a", 2, REASON_POLICY },
		{ "a longer id", 1, "spiffe://td.example/w22", 1, "a", 2, REASON_POLICY },
		{ "nobody", 1, "", 1, "a", 2, REASON_POLICY },
		{ "another service", 2, "spiffe://td.example/w2", 1, "a", 2, REASON_POLICY },
		{ "no service", 0, "spiffe://td.example/w2", 1, "a", 2, REASON_POLICY },
	};
	const struct policy_image *p = close_spec(&s);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy_accept *rule = NULL;
		enum reason got = policy_accept(p, rows[i].to, rows[i].from, rows[i].role,
						rows[i].host, rows[i].level, &rule);

		if (rows[i].want != REASON_OK)
			cr_expect(got != REASON_OK, "accepted: twin=%s: %s",
				  rows[i].want == REASON_LEVEL ? "policy_level" : "policy_hosts",
				  rows[i].what);
		cr_expect_eq(got, rows[i].want, "%s: %s", rows[i].what, reason_word(got));
		cr_expect_eq(rule != NULL, got != REASON_POLICY, "%s: rule", rows[i].what);
	}
}

/* Revoked: /gone and host b. An id is revoked as a whole, not by its beginning. */
Test(policy, revoked_is_exact)
{
	static const struct {
		const char *id;
		bool want;
	} rows[] = {
		{ "spiffe://td.example/gone", true },	   { "spiffe://td.example/host/b", true },
		{ "spiffe://td.example/gone/too", false }, { "spiffe://td.example/gon", false },
		{ "spiffe://td.example/host/a", false },   { "spiffe://td.example/host/bb", false },
		{ "spiffe://other.example/gone", false },  { "", false },
	};
	static struct spec s = { .workloads = 1 };
	const struct policy_image *p = close_spec(&s);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(policy_revoked(p, rows[i].id), rows[i].want, "%s", rows[i].id);
}

Test(policy, empty_image_denies)
{
	static struct spec s = { .workloads = 1 };
	const struct policy_image *p = close_spec(&s);
	const struct policy_accept *rule;

	cr_assert_eq(policy_check(p, p->size), 0);
	cr_assert_eq(policy_accept(p, 1, "spiffe://td.example/w1", 1, "a", 2, &rule),
		     REASON_POLICY);
	cr_assert_null(rule);
	cr_assert_null(policy_call(p, 1, "spiffe://td.example/w1", 1));
	cr_assert_eq(policy_place_of(p, "/a"), 0);
}

Test(policy, attack_137_places)
{
	static struct spec s = { .workloads = 1,
				 .places = { "/a.slice/x.service", "/usr/app", "app.service",
					     "good@x.service" },
				 .place_count = 4 };
	static const struct {
		const char *path;
		uint32_t want;
	} rows[] = {
		{ "/usr/app", 2 },
		{ "/usr/app2", 0 },
		{ "/usr/ap", 0 },
		{ "/usr/app/", 0 },
		{ "usr/app", 0 },
		{ "/usr/app/child", 0 }, /* a subtree is the ancestor walk's */
		{ "/x/usr/app", 0 },
		{ "", 0 },
		{ "/", 0 },
		{ "/a.slice/x.service", 1 },
		{ "/app.service", 3 }, /* right below the root slice */
		{ "/system.slice/app.service", 3 },
		{ "/a.slice/a-b.slice/app.service", 3 },
		{ "app.service", 0 },
		{ "/system.slice/app.service2", 0 },
		{ "/system.slice/myapp.service", 0 },
		{ "/system.slice/app.service/app.service", 0 }, /* below a unit */
		{ "/user.slice/user-1.slice/user@1.service/app.slice/app.service", 0 },
		{ "/.slice/app.service", 0 },
		{ "/systemslice/app.service", 0 },
		{ "//app.service", 0 },
		{ "/system.slice/good@x.service", 4 },
		{ "/system.slice/good@.service", 0 },
		{ "/system.slice/good@xx.service", 0 },
		{ "/usr", 0 },
	};
	const struct policy_image *p = close_spec(&s);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t place = policy_place_of(p, rows[i].path);

		if (rows[i].want == 0)
			cr_expect(place == 0, "accepted: twin=place_exact: %s", rows[i].path);
		cr_expect_eq(place, rows[i].want, "%s", rows[i].path);
	}
}

Test(policy, domain_and_key_table)
{
	static struct spec s = { .workloads = 1 };
	const struct policy_image *p = close_spec(&s);
	const struct policy_domain *d = policy_domain(p, "td.example/rest", 10);
	const struct policy_key *a, *b;

	cr_assert_not_null(d);
	cr_expect_null(policy_domain(p, "td.example", 9));
	cr_expect_null(policy_domain(p, "td.examplf", 10));
	cr_expect_null(policy_domain(p, "td.example.", 11));
	cr_expect_null(policy_domain(p, "", 0));
	a = policy_key(p, d, "kid-a");
	b = policy_key(p, d, "kid-b");
	cr_assert(a && b && a != b);
	cr_expect_null(policy_key(p, d, "kid-"));
	cr_expect_null(policy_key(p, d, "kid-aa"));
	cr_expect_null(policy_key(p, d, ""));
	cr_expect(policy_key_allows(p, a, "/ns/prod/x", 10));
	cr_expect(!policy_key_allows(p, a, "/ns/production", 14));
	cr_expect(!policy_key_allows(p, a, "/ns", 3));
	cr_expect(policy_key_allows(p, b, "/ns", 3));
	cr_expect(!policy_key_allows(p, b, "/host/a", 7), "a host's id is in no scope");
}

/* Each row breaks one 32-bit word of a good image. */
Test(policy, check_refuses_each_broken_field)
{
	static struct spec s = { .workloads = 3,
				 .calls = { { 1, "spiffe://td.example/w2", 1, 30, { NULL } },
					    { 2, "spiffe://td.example/w2", 1, 30, { NULL } } },
				 .call_count = 2,
				 .accepts = { { 1, "spiffe://td.example/w2", 1, 2, { "a", "b" } } },
				 .accept_count = 1,
				 .rules = { { 1, 0, 1, 5, 6, CLEAT_RULE_UID },
					    { 1, 1, 2, 0, 0, 0 } },
				 .rule_count = 2,
				 .places = { "/a", "/b" },
				 .place_count = 2 };
	const struct policy_image *p = close_spec(&s);
	const struct policy_image good = *p;
	size_t size = p->size;
	struct row {
		const char *what;
		void *word;
		uint32_t value;
	};
#define AT(span, type, i, member) (&((struct type *)(void *)(image + good.span.at))[i].member)
	const struct row rows[] = {
		{ "magic", &head()->magic, 0 },
		{ "version", &head()->version, 2 },
		{ "generation", &head()->generation, 0 },
		{ "zero", &head()->zero, 1 },
		{ "size", &head()->size, (uint32_t)size - 1 },
		{ "trust domain outside", &head()->trust_domain, (uint32_t)size },
		{ "trust domain none", &head()->trust_domain, 0 },
		{ "trust domain no name", &head()->trust_domain, good.strings.at + 10 },
		{ "host none", &head()->host, 0 },
		{ "flags", &head()->flags, 1 << 9 },
		{ "leeway", &head()->leeway_s, 61 },
		{ "tolerance", &head()->est_tolerance_ms, 5001 },
		{ "next label", &head()->next_label, 3 },
		{ "next label past the last", &head()->next_label, POLICY_LABEL_MAX + 1 },
		{ "next label, far", &head()->next_label, UINT32_MAX },
		{ "next place", &head()->next_place, 2 },
		{ "span before", &head()->calls.at, 4 },
		{ "span odd", &head()->calls.at, good.calls.at + 1 },
		{ "span behind", &head()->calls.at, UINT32_MAX - 3 },
		{ "span long", &head()->calls.count, UINT32_MAX },
		{ "strings cut", &head()->strings.count, good.strings.count - 1 },
		{ "strings none", &head()->strings.count, 0 },
		{ "label zero", AT(workloads, policy_workload, 0, label), 0 },
		{ "label twice", AT(workloads, policy_workload, 1, label), 1 },
		{ "id outside", AT(workloads, policy_workload, 0, id), 8 },
		{ "id no id", AT(workloads, policy_workload, 0, id), good.trust_domain },
		{ "workload flags", AT(workloads, policy_workload, 0, flags), 4 },
		{ "accepted_by", AT(workloads, policy_workload, 0, accepted_by), 9 },
		{ "call of nobody", AT(calls, policy_call, 0, from), 7 },
		{ "call unsorted", AT(calls, policy_call, 0, from), 3 },
		{ "call twice", AT(calls, policy_call, 0, from), 2 },
		{ "call role", AT(calls, policy_call, 0, as), 3 },
		{ "call life", AT(calls, policy_call, 0, life_s), 61 },
		{ "call no life", AT(calls, policy_call, 0, life_s), 0 },
		{ "accept of nobody", AT(accepts, policy_accept, 0, to), 4 },
		{ "accept anybody", AT(accepts, policy_accept, 0, from), 0 },
		{ "accept level", AT(accepts, policy_accept, 0, level), 0 },
		{ "accept level high", AT(accepts, policy_accept, 0, level), 3 },
		{ "accept hosts", AT(accepts, policy_accept, 0, hosts.count), 3 },
		{ "accept hosts at", AT(accepts, policy_accept, 0, hosts.at), 1 },
		{ "accept hosts far", AT(accepts, policy_accept, 0, hosts.at), UINT32_MAX },
		{ "place name", AT(places, policy_place, 0, name), 0 },
		{ "place order", AT(places, policy_place, 1, name),
		  *AT(places, policy_place, 0, name) },
		{ "place zero", AT(places, policy_place, 0, place), 0 },
		{ "place high", AT(places, policy_place, 0, place), 3 },
		{ "rule place", AT(rules, policy_rule, 0, place), 3 },
		{ "rule slot gap", AT(rules, policy_rule, 1, slot), 2 },
		{ "rule slot first", AT(rules, policy_rule, 0, slot), 1 },
		{ "rule label", AT(rules, policy_rule, 0, label), 0 },
		{ "rule flags", AT(rules, policy_rule, 0, flags), 8 },
		{ "rule wide first", AT(rules, policy_rule, 1, flags),
		  CLEAT_RULE_UID | CLEAT_RULE_GID },
		{ "domain name", AT(domains, policy_domain, 0, name), 0 },
		{ "domain not ours", AT(domains, policy_domain, 0, name), good.trust_domain + 1 },
		{ "domain keys", AT(domains, policy_domain, 0, keys.count), 3 },
		{ "kid none", AT(keys, policy_key, 0, kid), 0 },
		{ "kid twice", AT(keys, policy_key, 0, kid), *AT(keys, policy_key, 1, kid) },
		{ "issuer no host", AT(keys, policy_key, 0, issuer),
		  *AT(workloads, policy_workload, 0, id) },
		{ "no scope", AT(keys, policy_key, 0, scopes.count), 0 },
		{ "scopes far", AT(keys, policy_key, 0, scopes.at), 3 },
		{ "scope no path", (uint32_t *)(void *)(image + good.scopes.at),
		  good.trust_domain },
		{ "revoked no id", (uint32_t *)(void *)(image + good.revoked.at),
		  good.trust_domain },
		{ "revoked twice", (uint32_t *)(void *)(image + good.revoked.at),
		  ((uint32_t *)(void *)(image + good.revoked.at))[1] },
		{ "revoked far", &head()->revoked.count, UINT32_MAX },
	};

	cr_assert_eq(policy_check(image, size), 0);
	cr_expect_lt(policy_check(image, size - 1), 0);
	cr_expect_lt(policy_check(image, size + 1), 0);
	cr_expect_lt(policy_check(image, 0), 0);
	cr_expect_lt(policy_check(image + 4, size), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t kept_word;

		memcpy(&kept_word, rows[i].word, sizeof(kept_word));
		memcpy(rows[i].word, &rows[i].value, sizeof(kept_word));
		cr_expect_lt(policy_check(image, size), 0, "%s", rows[i].what);
		memcpy(rows[i].word, &kept_word, sizeof(kept_word));
		cr_assert_eq(policy_check(image, size), 0, "after %s", rows[i].what);
	}
}

/* good: generation 8 with 3 workloads and 2 places, 21 after 20, 11 after 10. Each row changes one thing. */
Test(policy, what_follows)
{
	static const struct {
		const char *what;
		uint32_t generation, next_label, next_place;
		uint32_t was, was_label, was_place; /* 0: there was none */
		bool follows;
	} rows[] = {
		{ "good", 8, 21, 11, 7, 20, 10, true },
		{ "nothing is new", 8, 20, 10, 7, 20, 10, true },
		{ "all is new", 8, 23, 12, 7, 20, 10, true },
		{ "the same again", 7, 21, 11, 7, 20, 10, false },
		{ "an older one", 6, 21, 11, 7, 20, 10, false },
		{ "one is left out", 9, 21, 11, 7, 20, 10, false },
		{ "the last there is", UINT32_MAX, 21, 11, 7, 20, 10, false },
		{ "none comes after the last", 0, 21, 11, UINT32_MAX, 20, 10, false },
		{ "labels are given away", 8, 24, 11, 7, 20, 10, false },
		{ "all labels", 8, UINT32_MAX, 11, 7, 20, 10, false },
		{ "a label is given again", 8, 19, 11, 7, 20, 10, false },
		{ "places are given away", 8, 21, 13, 7, 20, 10, false },
		{ "a place is given again", 8, 21, 9, 7, 20, 10, false },
		{ "the first", 1, 4, 3, 0, 0, 0, true },
		{ "the first, and all are given away", 1, 5, 3, 0, 0, 0, false },
		{ "the first is none", 2, 4, 3, 0, 0, 0, false },
		{ "nor is the last", UINT32_MAX, 4, 3, 0, 0, 0, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy_image is = { .generation = rows[i].generation,
						 .next_label = rows[i].next_label,
						 .next_place = rows[i].next_place,
						 .workloads.count = 3,
						 .places.count = 2 };
		const struct policy_image was = { .generation = rows[i].was,
						  .next_label = rows[i].was_label,
						  .next_place = rows[i].was_place };

		cr_expect_eq(policy_follows(&is, rows[i].was ? &was : NULL), rows[i].follows, "%s",
			     rows[i].what);
	}
}
