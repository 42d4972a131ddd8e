/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation becomes the kernel side's in an order that never shows half of it: the new rules (nobody asks
 * for their generation yet), the places, the cgroups that exist, then one word in cleat_config; only when no
 * program can be looking at the old rules any more are they erased. See kern_policy.h.
 */
#include "edge/kern_policy.h"

#include "../bpf/abi.h"
#include "base/cleanup.h"
#include "edge/cgroup_places.h"
#include "edge/cgroupfs.h"
#include "edge/kern_map.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int complain(char *error, size_t cap, int err, const char *what)
{
	snprintf(error, cap, "%s: %s", what, strerror(-err));
	return err;
}

static int place_key(const struct policy_image *p, const struct policy_place *place,
		     struct cleat_place_key *ret)
{
	const char *name = policy_string(p, place->name);

	if (strlen(name) >= sizeof(ret->name))
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof(*ret));
	strcpy(ret->name, name);
	return 0;
}

static int places_put(int map, const struct policy_image *p)
{
	const struct policy_place *places = policy_at(p, &p->places);

	for (uint32_t i = 0; i < p->places.count; i++) {
		struct cleat_place_key key;
		int err = place_key(p, &places[i], &key);

		if (err == 0)
			err = kern_map_put(map, &key, &places[i].place, BPF_ANY);
		if (err < 0)
			return err;
	}
	return 0;
}

static int rules_put(int map, const struct policy_image *p)
{
	const struct policy_rule *rules = policy_at(p, &p->rules);

	for (uint32_t i = 0; i < p->rules.count; i++) {
		const struct cleat_rule_key key = { .gen = p->generation,
						    .place = rules[i].place,
						    .slot = rules[i].slot };
		const struct cleat_rule rule = { .label = rules[i].label,
						 .uid = rules[i].uid,
						 .gid = rules[i].gid,
						 .flags = rules[i].flags };
		int err = kern_map_put(map, &key, &rule, BPF_ANY);

		if (err < 0)
			return err;
	}
	return 0;
}

/* Erases the elements of a hash that @goes says so of. Bounded: a key that somebody else erases under the walk
 * makes it begin anew. */
static int sweep(int map, void *key, void *next, size_t key_size,
		 bool (*goes)(int map, const void *key, const void *ctx), const void *ctx)
{
	int err = kern_map_next(map, NULL, key);

	for (unsigned i = 0; err == 0 && i < 4 * CLEAT_RULES_TOTAL; i++) {
		err = kern_map_next(map, key, next);
		if (goes(map, key, ctx))
			kern_map_drop(map, key);
		memcpy(key, next, key_size);
	}
	return err == -ENOENT ? 0 : err;
}

static bool rule_is_of(int map, const void *key, const void *ctx)
{
	(void)map;
	return ((const struct cleat_rule_key *)key)->gen == *(const uint32_t *)ctx;
}

static bool rule_is_not_of(int map, const void *key, const void *ctx)
{
	return !rule_is_of(map, key, ctx);
}

static void rules_sweep(int map, bool (*goes)(int, const void *, const void *), uint32_t gen)
{
	struct cleat_rule_key key, next;

	sweep(map, &key, &next, sizeof(key), goes, &gen);
}

/* Programs run under RCU: after this none is left that read the old generation's number. Where the kernel
 * cannot (nohz_full), label.bpf.h looks at the number again after its walk and then says nobody. */
static void wait_for_programs(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

static bool place_is_gone(int map, const void *key, const void *ctx)
{
	const struct policy_image *p = ctx;
	const struct policy_place *places = policy_at(p, &p->places);
	uint32_t low = 0, high = p->places.count;

	(void)map;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strncmp(key, policy_string(p, places[middle].name), CLEAT_PATH_MAX);

		if (order == 0)
			return false;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return true;
}

struct numbers {
	uint32_t count;
	uint32_t *at; /* sorted */
};

static int order_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool cgroup_is_gone(int map, const void *key, const void *ctx)
{
	const struct numbers *n = ctx;
	struct cleat_cgroup c;

	return kern_map_get(map, key, &c, 0) == 0 &&
	       !bsearch(&c.place, n->at, n->count, sizeof(*n->at), order_numbers);
}

/* What policy names no longer: first the names, so that nothing is born by them, then what was. */
static void places_sweep(const struct kern_policy_maps *maps, const struct policy_image *p)
{
	const struct policy_place *places = policy_at(p, &p->places);
	struct numbers n = { .count = p->places.count };
	struct cleat_place_key key, next;
	uint64_t id, next_id;

	sweep(maps->places, &key, &next, sizeof(key), place_is_gone, p);
	n.at = calloc(n.count + 1, sizeof(*n.at));
	if (!n.at)
		return; /* their rules are gone: without a rule a place labels nothing */
	for (uint32_t i = 0; i < n.count; i++)
		n.at[i] = places[i].place;
	qsort(n.at, n.count, sizeof(*n.at), order_numbers);
	sweep(maps->cgroups, &id, &next_id, sizeof(id), cgroup_is_gone, &n);
	free(n.at);
}

static int cgroup_put(void *ctx, uint32_t place, int dirfd, const char *path)
{
	const struct kern_policy_maps *maps = ctx;
	const struct cleat_cgroup named = { .place = place };
	uint64_t id;
	int err = cgroupfs_id(dirfd, path, &id);

	if (err == -ENOENT || err == -ENODEV || err == -ENOTDIR)
		return 0; /* not there, or not yet */
	return err < 0 ? err : kern_map_put(maps->cgroups, &id, &named, BPF_ANY);
}

int kern_policy_scan(const struct kern_policy_maps *maps, const struct policy_image *p)
{
	struct kern_policy_maps into = *maps;
	owned_fd int root = -1;
	char mount[4096];
	int err = cgroupfs_find(mount, sizeof(mount));

	if (err < 0)
		return err;
	root = cgroupfs_open(mount);
	return root < 0 ? root : cgroup_places(root, p, cgroup_put, &into);
}

static int flip(int map, struct cleat_config *config, uint32_t generation)
{
	uint32_t zero = 0;

	config->policy_gen = generation;
	return kern_map_put(map, &zero, config, BPF_ANY);
}

static int fill(const struct kern_policy_maps *maps, const struct policy_image *p, char *error,
		size_t cap)
{
	int err;

	if (p->generation == 0 || p->places.count > CLEAT_PLACES_MAX ||
	    p->rules.count > CLEAT_RULES_TOTAL)
		return complain(error, cap, -E2BIG,
				"more places or rules than the kernel side holds");
	err = rules_put(maps->rules, p);
	if (err < 0)
		return complain(error, cap, err, "cannot store the policy's rules (cleat_rules)");
	err = places_put(maps->places, p);
	if (err < 0)
		return complain(error, cap, err, "cannot store the policy's places (cleat_places)");
	err = kern_policy_scan(maps, p);
	if (err < 0)
		return complain(error, cap, err,
				"cannot look through the unified cgroup hierarchy");
	return 0;
}

int kern_policy_write(const struct kern_policy_maps *maps, const struct policy_image *p,
		      char *error, size_t error_cap)
{
	struct cleat_config config;
	uint32_t zero = 0;
	int err = kern_map_get(maps->config, &zero, &config, 0);

	if (err < 0)
		return complain(error, error_cap, err, "cannot read cleat_config");
	if (config.policy_gen == p->generation)
		return complain(error, error_cap, -EEXIST, "this policy generation");
	err = fill(maps, p, error, error_cap);
	if (err == 0) {
		err = flip(maps->config, &config, p->generation);
		if (err < 0)
			complain(error, error_cap, err, "cannot switch the generation");
	}
	if (err < 0) {
		rules_sweep(maps->rules, rule_is_of, p->generation);
		return err;
	}
	wait_for_programs();
	rules_sweep(maps->rules, rule_is_not_of, p->generation);
	places_sweep(maps, p);
	return 0;
}
