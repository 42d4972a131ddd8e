/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a block of bytes a policy image? Every span inside, every string inside and ended, every array
 * sorted as its questions need it, every number within its bounds and naming something that is there.
 * The order matters: a check may rely on those above it and on nothing else, so that hostile bytes
 * are never followed outside.
 */
#include "../bpf/abi.h"
#include "model/policy.h"
#include <errno.h>
#include <string.h>

#define STRING_MAX 4096 /* longest that anything here may say */
#define LIST_MAX   4096 /* hosts of a rule, scopes of a key: hostile bytes cost linear time */

/* One image while it is checked: the strings' bounds once they are known. */
struct checked {
	const struct policy_image *p;
	uint32_t strings_at;
	uint32_t strings_end;
};

static bool span_inside(const struct policy_image *p, const struct policy_span *span,
			size_t element)
{
	if (span->at % 4 != 0 || span->at < sizeof(*p) || span->at > p->size)
		return false;
	return (uint64_t)span->count * element <= p->size - span->at;
}

static bool header_good(const void *image, size_t size)
{
	const struct policy_image *p = image;

	if (size < sizeof(*p) || size > POLICY_MAX ||
	    (uintptr_t)image % _Alignof(struct policy_image) != 0)
		return false;
	if (memcmp(p->magic, POLICY_MAGIC, sizeof(p->magic)) != 0)
		return false;
	return p->version == POLICY_VERSION && p->size == size && p->zero == 0;
}

static bool spans_good(const struct policy_image *p)
{
	const char *bytes = (const char *)p;

	if (!span_inside(p, &p->workloads, sizeof(struct policy_workload)) ||
	    !span_inside(p, &p->calls, sizeof(struct policy_call)) ||
	    !span_inside(p, &p->accepts, sizeof(struct policy_accept)) ||
	    !span_inside(p, &p->hosts, sizeof(uint32_t)) ||
	    !span_inside(p, &p->places, sizeof(struct policy_place)) ||
	    !span_inside(p, &p->rules, sizeof(struct policy_rule)) ||
	    !span_inside(p, &p->domains, sizeof(struct policy_domain)) ||
	    !span_inside(p, &p->keys, sizeof(struct policy_key)) ||
	    !span_inside(p, &p->scopes, sizeof(uint32_t)) ||
	    !span_inside(p, &p->tombstones, sizeof(struct policy_label)) ||
	    !span_inside(p, &p->revoked, sizeof(uint32_t)) || !span_inside(p, &p->strings, 1))
		return false;
	return p->strings.count > 0 && bytes[p->strings.at + p->strings.count - 1] == '\0';
}

/* A string that is there; the NUL behind the last one ends every one. */
static bool string_inside(const struct checked *c, uint32_t at)
{
	const char *s = (const char *)c->p + at;

	return at >= c->strings_at && at < c->strings_end &&
	       strnlen(s, STRING_MAX + 1) <= STRING_MAX;
}

static const char *string(const struct checked *c, uint32_t at)
{
	return policy_string(c->p, at);
}

/* A sub-array of @of, counted in elements. */
static bool range_inside(const struct policy_span *range, const struct policy_span *of)
{
	return range->at <= of->count && range->count <= of->count - range->at;
}

/* A SPIFFE ID with a path that is (@host) or is not a host's, of @domain where given. */
static bool id_good(const struct checked *c, uint32_t at, bool host, const char *domain)
{
	struct spiffe_id id;

	if (!string_inside(c, at) || !spiffe_id_parse(string(c, at), strlen(string(c, at)), &id))
		return false;
	if (id.path_len == 0 || spiffe_path_is_host(id.path, id.path_len) != host)
		return false;
	return !domain || (strlen(domain) == id.trust_domain_len &&
			   memcmp(domain, id.trust_domain, id.trust_domain_len) == 0);
}

/* One component, as the last of a host's id. */
static bool host_name_good(const struct checked *c, uint32_t at)
{
	char path[1 + 256];
	size_t len;

	if (!string_inside(c, at))
		return false;
	len = strlen(string(c, at));
	if (len == 0 || len > 255 || memchr(string(c, at), '/', len))
		return false;
	path[0] = '/';
	memcpy(path + 1, string(c, at), len);
	return spiffe_path_valid(path, len + 1);
}

static bool main_good(const struct checked *c)
{
	const struct policy_image *p = c->p;
	const uint32_t known = POLICY_CLOCK_UNSYNC_OK | POLICY_AUDIT_SYNC | POLICY_COOKIE_REFUSE;

	if (!string_inside(c, p->trust_domain) || !host_name_good(c, p->host))
		return false;
	if (!spiffe_trust_domain_valid(string(c, p->trust_domain),
				       strlen(string(c, p->trust_domain))))
		return false;
	return (p->flags & ~known) == 0 && p->leeway_s <= LEEWAY_MAX_S &&
	       p->est_tolerance_ms <= EST_TOLERANCE_MAX_MS && p->next_label > 0 &&
	       p->next_label <= POLICY_LABEL_MAX && p->next_place > 0 && p->generation > 0;
}

static bool workloads_good(const struct checked *c)
{
	const struct policy_workload *w = policy_at(c->p, &c->p->workloads);
	const char *domain = string(c, c->p->trust_domain);
	uint32_t n = c->p->workloads.count;

	for (uint32_t i = 0; i < n; i++) {
		if (w[i].label <= (i ? w[i - 1].label : 0) || w[i].label >= c->p->next_label)
			return false;
		if (!id_good(c, w[i].id, false, domain) || !string_inside(c, w[i].file))
			return false;
		if (w[i].flags & ~(uint32_t)(POLICY_WORKLOAD_DEBUG | POLICY_WORKLOAD_NETNS))
			return false;
	}
	for (uint32_t i = 0; i < n; i++) /* sorted by now: the search may be used */
		if (w[i].accepted_by && !policy_workload(c->p, w[i].accepted_by))
			return false;
	return true;
}

static bool tombstones_good(const struct checked *c)
{
	const struct policy_label *t = policy_at(c->p, &c->p->tombstones);

	for (uint32_t i = 0; i < c->p->tombstones.count; i++) {
		if (t[i].label <= (i ? t[i - 1].label : 0) || t[i].label >= c->p->next_label)
			return false;
		if (!string_inside(c, t[i].id) || policy_workload(c->p, t[i].label))
			return false;
	}
	return true;
}

static bool revoked_good(const struct checked *c)
{
	const uint32_t *ids = policy_at(c->p, &c->p->revoked);

	for (uint32_t i = 0; i < c->p->revoked.count; i++) {
		if (!id_good(c, ids[i], false, NULL) && !id_good(c, ids[i], true, NULL))
			return false;
		if (i && strcmp(string(c, ids[i - 1]), string(c, ids[i])) >= 0)
			return false;
	}
	return true;
}

static bool role_good(uint32_t role)
{
	return role == CLEAT_ROLE_CLIENT || role == CLEAT_ROLE_SERVER;
}

/* Sort keys (label, id, role): below 0 when a comes before b. */
static int order(const struct checked *c, const uint32_t a[3], const uint32_t b[3])
{
	int ids;

	if (a[0] != b[0])
		return a[0] < b[0] ? -1 : 1;
	ids = strcmp(string(c, a[1]), string(c, b[1]));
	if (ids)
		return ids;
	return a[2] < b[2] ? -1 : a[2] > b[2];
}

static bool calls_good(const struct checked *c)
{
	const struct policy_call *r = policy_at(c->p, &c->p->calls);

	for (uint32_t i = 0; i < c->p->calls.count; i++) {
		if (!policy_workload(c->p, r[i].from) || !id_good(c, r[i].to, false, NULL) ||
		    !role_good(r[i].as) || !string_inside(c, r[i].file))
			return false;
		if (r[i].life_s < 1 || r[i].life_s > WPT_LIFE_MAX_S)
			return false;
		if (i && order(c, (uint32_t[]){ r[i - 1].from, r[i - 1].to, r[i - 1].as },
			       (uint32_t[]){ r[i].from, r[i].to, r[i].as }) >= 0)
			return false;
	}
	return true;
}

static bool hosts_of_accept_good(const struct checked *c, const struct policy_accept *r)
{
	const uint32_t *hosts = policy_at(c->p, &c->p->hosts);

	if (!range_inside(&r->hosts, &c->p->hosts) || r->hosts.count > LIST_MAX)
		return false;
	hosts += r->hosts.at;
	for (uint32_t i = 0; i < r->hosts.count; i++) {
		if (!host_name_good(c, hosts[i]))
			return false;
		if (i && strcmp(string(c, hosts[i - 1]), string(c, hosts[i])) >= 0)
			return false;
	}
	return true;
}

static bool accepts_good(const struct checked *c)
{
	const struct policy_accept *r = policy_at(c->p, &c->p->accepts);
	uint32_t same = 1;

	for (uint32_t i = 0; i < c->p->accepts.count; i++) {
		int before;

		if (!policy_workload(c->p, r[i].to) || !id_good(c, r[i].from, false, NULL) ||
		    !role_good(r[i].as) || !string_inside(c, r[i].file))
			return false;
		if (r[i].level != CLEAT_LEVEL_REDUCED && r[i].level != CLEAT_LEVEL_FULL)
			return false;
		if (!hosts_of_accept_good(c, &r[i]))
			return false;
		before = i == 0 ? -1
				: order(c, (uint32_t[]){ r[i - 1].to, r[i - 1].from, r[i - 1].as },
					(uint32_t[]){ r[i].to, r[i].from, r[i].as });
		same = before == 0 ? same + 1 : 1;
		if (before > 0 || same > POLICY_ACCEPTS_SAME)
			return false;
	}
	return true;
}

static bool places_good(const struct checked *c)
{
	const struct policy_place *places = policy_at(c->p, &c->p->places);

	if (c->p->places.count > CLEAT_PLACES_MAX)
		return false;
	for (uint32_t i = 0; i < c->p->places.count; i++) {
		size_t len;

		if (!string_inside(c, places[i].name))
			return false;
		len = strlen(string(c, places[i].name));
		if (len == 0 || len >= CLEAT_PATH_MAX)
			return false;
		if (i && strcmp(string(c, places[i - 1].name), string(c, places[i].name)) >= 0)
			return false;
		if (places[i].place == 0 || places[i].place >= c->p->next_place)
			return false;
	}
	return true;
}

/* How many of uid and gid a rule asks for. */
static unsigned narrowness(const struct policy_rule *r)
{
	return !!(r->flags & CLEAT_RULE_UID) + !!(r->flags & CLEAT_RULE_GID);
}

static bool rules_good(const struct checked *c)
{
	const struct policy_rule *r = policy_at(c->p, &c->p->rules);
	const uint32_t known = CLEAT_RULE_UID | CLEAT_RULE_GID | CLEAT_RULE_DEBUG;

	for (uint32_t i = 0; i < c->p->rules.count; i++) {
		bool first = i == 0 || r[i].place != r[i - 1].place;

		if (r[i].place == 0 || r[i].place >= c->p->next_place || (r[i].flags & ~known))
			return false;
		if (i && r[i].place < r[i - 1].place)
			return false;
		if (r[i].slot != (first ? 0 : r[i - 1].slot + 1) || r[i].slot >= CLEAT_RULES_MAX)
			return false;
		if (!first && narrowness(&r[i]) > narrowness(&r[i - 1]))
			return false;
		if (!policy_workload(c->p, r[i].label))
			return false;
	}
	return true;
}

static bool key_good(const struct checked *c, const struct policy_key *key, const char *domain)
{
	const uint32_t *scopes = policy_at(c->p, &c->p->scopes);

	if (!string_inside(c, key->kid) || string(c, key->kid)[0] == '\0' ||
	    strlen(string(c, key->kid)) > JTI_MAX)
		return false;
	if (!id_good(c, key->issuer, true, domain))
		return false;
	if (key->scopes.count == 0 || key->scopes.count > LIST_MAX ||
	    !range_inside(&key->scopes, &c->p->scopes))
		return false;
	scopes += key->scopes.at;
	for (uint32_t i = 0; i < key->scopes.count; i++) {
		const char *scope = string_inside(c, scopes[i]) ? string(c, scopes[i]) : "";
		size_t len = strlen(scope);

		if (strcmp(scope, "/") != 0 && !spiffe_path_valid(scope, len))
			return false;
		if (spiffe_path_is_host(scope, len))
			return false;
	}
	return true;
}

static bool domains_good(const struct checked *c)
{
	const struct policy_domain *d = policy_at(c->p, &c->p->domains);
	const struct policy_key *keys = policy_at(c->p, &c->p->keys);
	const char *own = string(c, c->p->trust_domain);
	uint32_t next = 0; /* each key is of one domain */

	for (uint32_t i = 0; i < c->p->domains.count; i++) {
		const char *name = string_inside(c, d[i].name) ? string(c, d[i].name) : "";

		if (!spiffe_trust_domain_valid(name, strlen(name)))
			return false;
		if (i && strcmp(string(c, d[i - 1].name), name) >= 0)
			return false;
		if (!range_inside(&d[i].keys, &c->p->keys) || d[i].keys.at != next)
			return false;
		next += d[i].keys.count;
		for (uint32_t k = d[i].keys.at; k < next; k++) {
			if (!key_good(c, &keys[k], name))
				return false;
			if (k > d[i].keys.at &&
			    strcmp(string(c, keys[k - 1].kid), string(c, keys[k].kid)) >= 0)
				return false;
		}
	}
	return policy_domain(c->p, own, strlen(own)) != NULL;
}

int policy_check(const void *image, size_t size)
{
	struct checked c = { .p = image };

	if (!header_good(image, size) || !spans_good(image))
		return -EBADMSG;
	c.strings_at = c.p->strings.at;
	c.strings_end = c.p->strings.at + c.p->strings.count;

	if (!main_good(&c) || !workloads_good(&c) || !tombstones_good(&c) || !calls_good(&c) ||
	    !accepts_good(&c) || !places_good(&c) || !rules_good(&c) || !domains_good(&c) ||
	    !revoked_good(&c))
		return -EBADMSG;
	return 0;
}

/* @next comes after @was, and as many numbers were given as something new can have got. */
static bool numbers_follow(uint32_t next, uint32_t was, uint32_t count)
{
	return next >= was && next - was <= count;
}

bool policy_follows(const struct policy_image *p, const struct policy_image *before)
{
	const uint64_t generation = before ? before->generation : 0;

	return p->generation == generation + 1 &&
	       numbers_follow(p->next_label, before ? before->next_label : 1, p->workloads.count) &&
	       numbers_follow(p->next_place, before ? before->next_place : 1, p->places.count);
}
