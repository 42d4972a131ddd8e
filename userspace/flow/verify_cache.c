// SPDX-License-Identifier: Apache-2.0
/*
 * The cache of verify: see verify_cache.h. Sets of a few places each, the least recently used makes room. A cache
 * that was filled under another generation than the one asked about is emptied first, told or not.
 */
#include "flow/verify_cache.h"
#include "base/twin.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS	  4
#define HOST_KEYS 256

struct way {
	struct verify_known *known;
	uint64_t used;
};

struct host_key {
	uint32_t index;
	struct sig_key *key;
};

struct verify_cache {
	unsigned sets;
	uint64_t tick;
	uint32_t generation;
	struct host_key keys[HOST_KEYS];
	struct way ways[];
};

int verify_cache_new(unsigned capacity, struct verify_cache **ret)
{
	unsigned sets = capacity / WAYS ? capacity / WAYS : 1;
	struct verify_cache *c = calloc(1, sizeof(*c) + (size_t)sets * WAYS * sizeof(c->ways[0]));

	if (!c)
		return -ENOMEM;
	c->sets = sets;
	*ret = c;
	return 0;
}

static void way_drop(struct way *w)
{
	if (w->known)
		sig_key_free(w->known->proof);
	free(w->known);
	*w = (struct way){ 0 };
}

void verify_cache_drop(struct verify_cache *c)
{
	for (unsigned i = 0; i < c->sets * WAYS; i++)
		way_drop(&c->ways[i]);
	for (unsigned i = 0; i < HOST_KEYS; i++) {
		sig_key_free(c->keys[i].key);
		c->keys[i].key = NULL;
	}
}

void verify_cache_free(struct verify_cache *c)
{
	if (!c)
		return;
	verify_cache_drop(c);
	free(c);
}

static void same_generation(struct verify_cache *c, const struct policy_image *p)
{
	if (c->generation == p->generation || !kept(cache_generation))
		return;
	verify_cache_drop(c);
	c->generation = p->generation;
}

static struct way *set_of(struct verify_cache *c, const uint8_t hash[32])
{
	uint32_t n;

	memcpy(&n, hash, sizeof(n));
	return &c->ways[(size_t)(n % c->sets) * WAYS];
}

const struct verify_known *verify_known(struct verify_cache *c, const struct policy_image *p,
					const uint8_t hash[32], double now_s)
{
	struct way *set;

	same_generation(c, p);
	set = set_of(c, hash);
	for (unsigned i = 0; i < WAYS; i++) {
		struct verify_known *known = set[i].known;

		if (!known || memcmp(known->hash, hash, 32) != 0)
			continue;
		if (now_s >= known->wit.exp + p->leeway_s) {
			way_drop(&set[i]);
			return NULL;
		}
		set[i].used = ++c->tick;
		return known;
	}
	return NULL;
}

void verify_remember(struct verify_cache *c, const struct policy_image *p, const uint8_t hash[32],
		     uint32_t key, const struct wit *wit, struct sig_key *proof)
{
	struct verify_known *known = malloc(sizeof(*known));
	struct way *set, *at;

	if (!known)
		return;
	same_generation(c, p);
	set = at = set_of(c, hash);
	for (unsigned i = 1; i < WAYS; i++)
		if (set[i].used < at->used)
			at = &set[i];
	way_drop(at);
	memcpy(known->hash, hash, 32);
	known->key = key;
	known->wit = *wit;
	known->proof = sig_key_share(proof);
	*at = (struct way){ known, ++c->tick };
}

struct sig_key *verify_host_key(struct verify_cache *c, const struct policy_image *p,
				uint32_t index)
{
	const struct policy_key *keys = policy_at(p, &p->keys);
	struct host_key *at = &c->keys[index % HOST_KEYS];

	same_generation(c, p);
	if (at->key && at->index == index)
		return at->key;
	sig_key_free(at->key);
	at->key = NULL;
	if (sig_key_of_point(&keys[index].point, &at->key) < 0)
		at->key = NULL;
	at->index = index;
	return at->key;
}
