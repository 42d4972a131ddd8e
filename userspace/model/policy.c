/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision: pure questions to a policy image. Every question is a binary search over an array that
 * the compiler sorted and policy_check() found sorted; what is not found is denied. Nothing here
 * writes, allocates or remembers.
 */
#include "model/policy.h"

#include "../bpf/abi.h"
#include "base/twin.h"
#include <string.h>

const char *policy_string(const struct policy_image *p, uint32_t at)
{
	return at ? (const char *)p + at : "";
}

const void *policy_at(const struct policy_image *p, const struct policy_span *span)
{
	return (const char *)p + span->at;
}

/* What is looked for: the fields of the sort keys, as far as the array at hand has them. */
struct wanted {
	const struct policy_image *p;
	uint32_t number; /* label or place */
	const char *name;
	uint32_t as; /* role or slot */
};

/* Below 0: the element lies before what is wanted; 0: it is wanted; above 0: behind. */
typedef int (*order_fn)(const struct wanted *w, const void *element);

static int order_number(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

/* Index of the first of @count elements that does not lie before what is wanted. */
static uint32_t first_not_before(const struct wanted *w, const void *array, uint32_t count,
				 size_t size, order_fn order)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (order(w, (const char *)array + middle * size) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first element that is wanted, or NULL. */
static const void *find(const struct wanted *w, const void *array, uint32_t count, size_t size,
			order_fn order)
{
	uint32_t i = first_not_before(w, array, count, size, order);
	const char *element = (const char *)array + i * size;

	return i < count && order(w, element) == 0 ? element : NULL;
}

static int order_workload(const struct wanted *w, const void *element)
{
	const struct policy_workload *is = element;

	return order_number(is->label, w->number);
}

const struct policy_workload *policy_workload(const struct policy_image *p, uint32_t label)
{
	const struct wanted w = { .p = p, .number = label };

	return find(&w, policy_at(p, &p->workloads), p->workloads.count,
		    sizeof(struct policy_workload), order_workload);
}

const struct policy_workload *policy_workload_by_id(const struct policy_image *p, const char *id)
{
	const struct policy_workload *w = policy_at(p, &p->workloads);

	for (uint32_t i = 0; i < p->workloads.count; i++)
		if (strcmp(policy_string(p, w[i].id), id) == 0)
			return &w[i];
	return NULL;
}

static int order_call(const struct wanted *w, const void *element)
{
	const struct policy_call *is = element;
	int order = order_number(is->from, w->number);

	if (order == 0)
		order = strcmp(policy_string(w->p, is->to), w->name);
	return order ? order : order_number(is->as, w->as);
}

const struct policy_call *policy_call(const struct policy_image *p, uint32_t from,
				      const char *audience, uint32_t role)
{
	const struct wanted w = { .p = p, .number = from, .name = audience, .as = role };

	return find(&w, policy_at(p, &p->calls), p->calls.count, sizeof(struct policy_call),
		    order_call);
}

static int order_accept(const struct wanted *w, const void *element)
{
	const struct policy_accept *is = element;
	int order = order_number(is->to, w->number);

	if (order == 0)
		order = strcmp(policy_string(w->p, is->from), w->name);
	return order ? order : order_number(is->as, w->as);
}

static int order_host(const struct wanted *w, const void *element)
{
	const uint32_t *at = element;

	return strcmp(policy_string(w->p, *at), w->name);
}

/* A rule that lists no hosts leaves it to the scopes of the hosts' keys. */
static bool host_listed(const struct policy_image *p, const struct policy_accept *rule,
			const char *host)
{
	const uint32_t *hosts = (const uint32_t *)policy_at(p, &p->hosts) + rule->hosts.at;
	const struct wanted w = { .p = p, .name = host };

	if (rule->hosts.count == 0)
		return true;
	return find(&w, hosts, rule->hosts.count, sizeof(*hosts), order_host) != NULL;
}

enum reason policy_accept(const struct policy_image *p, uint32_t to, const char *from,
			  uint32_t role, const char *host, uint32_t level,
			  const struct policy_accept **ret_rule)
{
	const struct policy_accept *rules = policy_at(p, &p->accepts);
	const struct policy_accept *too_low = NULL;
	struct wanted w = { .p = p, .number = to, .name = from, .as = role };
	uint32_t i = first_not_before(&w, rules, p->accepts.count, sizeof(*rules), order_accept);

	/* Nobody named in particular: only what policy_compile_single() makes has such a rule. */
	if (i == p->accepts.count || order_accept(&w, &rules[i]) != 0) {
		w.name = "";
		i = first_not_before(&w, rules, p->accepts.count, sizeof(*rules), order_accept);
	}

	for (; i < p->accepts.count && order_accept(&w, &rules[i]) == 0; i++) {
		if (kept(policy_hosts) && !host_listed(p, &rules[i], host))
			continue;
		if (kept(policy_level) && level < rules[i].level) {
			too_low = &rules[i];
			continue;
		}
		*ret_rule = &rules[i];
		return REASON_OK;
	}
	*ret_rule = too_low;
	return too_low ? REASON_LEVEL : REASON_POLICY;
}

const struct policy_domain *policy_domain(const struct policy_image *p, const char *name,
					  size_t len)
{
	const struct policy_domain *domains = policy_at(p, &p->domains);
	uint32_t low = 0, high = p->domains.count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const char *is = policy_string(p, domains[middle].name);
		int order = strncmp(is, name, len);

		if (order == 0 && is[len] == '\0')
			return &domains[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int order_key(const struct wanted *w, const void *element)
{
	const struct policy_key *is = element;

	return strcmp(policy_string(w->p, is->kid), w->name);
}

const struct policy_key *policy_key(const struct policy_image *p, const struct policy_domain *d,
				    const char *kid)
{
	const struct policy_key *keys = policy_at(p, &p->keys);
	const struct wanted w = { .p = p, .name = kid };

	return find(&w, keys + d->keys.at, d->keys.count, sizeof(*keys), order_key);
}

bool policy_key_allows(const struct policy_image *p, const struct policy_key *k, const char *path,
		       size_t path_len)
{
	const uint32_t *scopes = (const uint32_t *)policy_at(p, &p->scopes) + k->scopes.at;

	if (spiffe_path_is_host(path, path_len))
		return false;
	for (uint32_t i = 0; i < k->scopes.count; i++) {
		const char *scope = policy_string(p, scopes[i]);

		if (spiffe_path_within(path, path_len, scope, strlen(scope)))
			return true;
	}
	return false;
}

/* The place named exactly @name, 0 = none. The last name not behind it is the only one that can be it,
 * or a prefix of it: the broken twin takes a prefix for the whole. */
static uint32_t place_of_name(const struct policy_image *p, const char *name)
{
	const struct policy_place *places = policy_at(p, &p->places);
	uint32_t low = 0, high = p->places.count;
	const char *is;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strcmp(policy_string(p, places[middle].name), name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return 0;
	is = policy_string(p, places[low - 1].name);
	if (strncmp(is, name, strlen(is)) != 0)
		return 0;
	if (kept(place_exact) && name[strlen(is)] != '\0')
		return 0;
	return places[low - 1].place;
}

/* Every component of the @len bytes of @path ends in ".slice"; none at all is the root slice. */
static bool all_slices(const char *path, size_t len)
{
	static const char slice[] = ".slice";

	for (size_t end = len; end > 0;) {
		size_t begin = end;

		while (begin > 0 && path[begin - 1] != '/')
			begin--;
		if (end - begin < sizeof(slice) ||
		    memcmp(path + end - (sizeof(slice) - 1), slice, sizeof(slice) - 1) != 0)
			return false;
		end = begin > 0 ? begin - 1 : 0;
	}
	return true;
}

bool policy_is_slice(const char *path)
{
	return path[0] == '/' && path[1] && all_slices(path, strlen(path));
}

const char *policy_unit_of(const char *path)
{
	const char *unit = path[0] == '/' ? strrchr(path, '/') : NULL;

	if (!unit || !unit[1] || !all_slices(path, (size_t)(unit - path)))
		return NULL;
	return unit + 1;
}

uint32_t policy_place_of(const struct policy_image *p, const char *path)
{
	uint32_t place = path[0] == '/' ? place_of_name(p, path) : 0;
	const char *unit = place ? NULL : policy_unit_of(path);

	return unit ? place_of_name(p, unit) : place;
}

static int order_rule(const struct wanted *w, const void *element)
{
	const struct policy_rule *is = element;
	int order = order_number(is->place, w->number);

	return order ? order : order_number(is->slot, w->as);
}

static bool rule_fits(const struct policy_rule *rule, uint32_t uid, uint32_t gid)
{
	if ((rule->flags & CLEAT_RULE_UID) && rule->uid != uid)
		return false;
	if ((rule->flags & CLEAT_RULE_GID) && rule->gid != gid)
		return false;
	return true;
}

uint32_t policy_label_of(const struct policy_image *p,
			 uint32_t (*place_of)(void *ctx, unsigned depth), void *ctx, uint32_t uid,
			 uint32_t gid)
{
	const struct policy_rule *rules = policy_at(p, &p->rules);

	for (unsigned depth = 0; depth < CLEAT_ANCESTORS; depth++) {
		const struct wanted w = { .p = p, .number = place_of(ctx, depth) };
		uint32_t i;

		if (w.number == UINT32_MAX)
			break;
		if (w.number == 0)
			continue;
		i = first_not_before(&w, rules, p->rules.count, sizeof(*rules), order_rule);
		for (; i < p->rules.count && rules[i].place == w.number; i++)
			if (rule_fits(&rules[i], uid, gid))
				return rules[i].label;
	}
	return 0;
}

/* The places of a cgroup path, nearest first, by cutting its last component. */
struct path_walk {
	const struct policy_image *p;
	char path[POLICY_PATH_MAX];
	unsigned at; /* depth the path stands at */
	bool ended;
};

static uint32_t place_on_path(void *ctx, unsigned depth)
{
	struct path_walk *w = ctx;

	while (w->at < depth && !w->ended) {
		char *slash = strrchr(w->path, '/');

		w->ended = !slash || !w->path[1];
		if (!w->ended)
			slash[slash == w->path] = '\0'; /* the root is "/" */
		w->at++;
	}
	return w->ended ? UINT32_MAX : policy_place_of(w->p, w->path);
}

uint32_t policy_label_at(const struct policy_image *p, const char *path, uint32_t uid, uint32_t gid)
{
	struct path_walk w = { .p = p };
	size_t len = strlen(path);

	if (len >= sizeof(w.path))
		return 0;
	memcpy(w.path, path, len + 1);
	return policy_label_of(p, place_on_path, &w, uid, gid);
}

bool policy_revoked(const struct policy_image *p, const char *id)
{
	const uint32_t *ids = policy_at(p, &p->revoked);
	uint32_t low = 0, high = p->revoked.count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(id, policy_string(p, ids[middle]));

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}
