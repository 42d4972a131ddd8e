/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A settled draft becomes bytes: header, arrays in the order of the header, strings at the end, each
 * string once. Sizes are counted first, so the arrays never move; only the strings grow.
 */
#include "edge/policy_draft.h"

#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

/* Strings by content, open addressing: slot -> offset in the image, 0 = free. */
struct layout {
	char *bytes;
	size_t used;
	size_t cap;
	uint32_t *slots;
	size_t slot_count; /* a power of two */
	size_t taken;
	bool failed;
};

static void layout_drop(struct layout *l)
{
	free(l->bytes);
	free(l->slots);
}

static uint32_t hash(const char *s)
{
	uint32_t h =
		2166136261u; /* FNV-1a: names of our own files, no adversary gains by collisions */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static uint32_t *slot_of(struct layout *l, const char *s)
{
	size_t i = hash(s) & (l->slot_count - 1);

	while (l->slots[i] && strcmp(l->bytes + l->slots[i], s) != 0)
		i = (i + 1) & (l->slot_count - 1);
	return &l->slots[i];
}

static bool slots_grow(struct layout *l)
{
	uint32_t *old = l->slots;
	size_t old_count = l->slot_count;

	if (l->taken * 2 < l->slot_count)
		return true;
	l->slot_count = old_count ? old_count * 2 : 1024;
	l->slots = calloc(l->slot_count, sizeof(*l->slots));
	if (!l->slots) {
		l->slots = old;
		l->slot_count = old_count;
		return false;
	}
	for (size_t i = 0; i < old_count; i++)
		if (old[i])
			*slot_of(l, l->bytes + old[i]) = old[i];
	free(old);
	return true;
}

/* Offset of @s in the image. Failure is remembered, and asked for once at the end. */
static uint32_t put(struct layout *l, const char *s)
{
	size_t len = strlen(s) + 1;
	uint32_t *slot;

	if (len == 1)
		return 0;
	if (l->failed || !slots_grow(l)) {
		l->failed = true;
		return 0;
	}
	slot = slot_of(l, s);
	if (*slot)
		return *slot;
	if (l->cap - l->used < len) {
		size_t cap = l->cap * 2 + len;
		char *grown = cap <= POLICY_MAX ? realloc(l->bytes, cap) : NULL;

		if (!grown) {
			l->failed = true;
			return 0;
		}
		l->bytes = grown;
		l->cap = cap;
	}
	memcpy(l->bytes + l->used, s, len);
	*slot = (uint32_t)l->used;
	l->used += len;
	l->taken++;
	return *slot;
}

/* The arrays' element of index @i; they lie where span_take() put them, whatever the strings do. */
static void *element(struct layout *l, const struct policy_span *span, size_t size, size_t i)
{
	return l->bytes + span->at + i * size;
}

static void span_take(struct policy_span *span, size_t count, size_t size, size_t *end)
{
	span->at = (uint32_t)*end;
	span->count = (uint32_t)count;
	*end += count * size;
}

static size_t hosts_number(struct draft *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->accept_count; i++) {
		struct draft_hosts *hosts = d->accepts[i].hosts;

		if (!hosts || hosts->laid_out)
			continue;
		hosts->laid_out = true;
		hosts->at = (uint32_t)n;
		n += hosts->count;
	}
	return n;
}

/* Where every array begins; returns where the strings begin, 0 when it is too much. */
static size_t header_plan(struct policy_image *h, struct draft *d, const struct draft_numbers *n)
{
	size_t end = sizeof(*h), keys = 0, scopes = 0;

	for (size_t i = 0; i < d->bundle_count; i++) {
		keys += d->bundles[i]->key_count;
		for (size_t k = 0; k < d->bundles[i]->key_count; k++)
			scopes += d->bundles[i]->keys[k].scope_count;
	}
	if (keys > POLICY_MAX / sizeof(struct policy_key) || scopes > POLICY_MAX / sizeof(uint32_t))
		return 0;
	span_take(&h->workloads, d->workload_count, sizeof(struct policy_workload), &end);
	span_take(&h->calls, d->call_count, sizeof(struct policy_call), &end);
	span_take(&h->accepts, d->accept_count, sizeof(struct policy_accept), &end);
	span_take(&h->hosts, hosts_number(d), sizeof(uint32_t), &end);
	span_take(&h->places, n->place_count, sizeof(struct policy_place), &end);
	span_take(&h->rules, d->workload_count, sizeof(struct policy_rule), &end);
	span_take(&h->domains, d->bundle_count, sizeof(struct policy_domain), &end);
	span_take(&h->keys, keys, sizeof(struct policy_key), &end);
	span_take(&h->scopes, scopes, sizeof(uint32_t), &end);
	span_take(&h->tombstones, n->tombstone_count, sizeof(struct policy_label), &end);
	span_take(&h->revoked, d->revoked_count, sizeof(uint32_t), &end);
	return end < POLICY_MAX ? end : 0;
}

static void header_put(struct layout *l, struct policy_image *h, const struct draft *d,
		       const struct draft_numbers *n)
{
	memcpy(h->magic, POLICY_MAGIC, sizeof(h->magic));
	h->version = POLICY_VERSION;
	h->generation = n->generation;
	h->trust_domain = put(l, d->trust_domain);
	h->host = put(l, d->host);
	h->flags = d->flags;
	h->leeway_s = d->leeway_s;
	h->est_tolerance_ms = d->est_tolerance_ms;
	h->next_label = n->next_label;
	h->next_place = n->next_place;
}

static void workloads_put(struct layout *l, const struct policy_image *h, const struct draft *d)
{
	for (size_t i = 0; i < d->workload_count; i++) {
		const struct draft_workload *w = &d->workloads[i];
		const struct policy_workload is = { .label = w->label,
						    .id = put(l, w->id),
						    .flags = w->flags,
						    .accepted_by = w->accepted_by_label,
						    .file = put(l, w->at.name),
						    .line = w->at.line };

		memcpy(element(l, &h->workloads, sizeof(is), i), &is, sizeof(is));
	}
}

static void calls_put(struct layout *l, const struct policy_image *h, const struct draft *d)
{
	for (size_t i = 0; i < d->call_count; i++) {
		const struct draft_call *c = &d->calls[i];
		const struct policy_call is = { .from = c->from_label,
						.to = put(l, c->to),
						.as = c->as,
						.life_s = c->life_s,
						.file = put(l, c->at.name),
						.line = c->at.line };

		memcpy(element(l, &h->calls, sizeof(is), i), &is, sizeof(is));
	}
}

static void accepts_put(struct layout *l, const struct policy_image *h, const struct draft *d)
{
	for (size_t i = 0; i < d->accept_count; i++) {
		const struct draft_accept *a = &d->accepts[i];
		struct policy_accept is = { .to = a->to_label,
					    .from = put(l, a->from),
					    .as = a->as,
					    .level = a->level,
					    .file = put(l, a->at.name),
					    .line = a->at.line };

		if (a->hosts)
			is.hosts = (struct policy_span){ a->hosts->at, a->hosts->count };
		memcpy(element(l, &h->accepts, sizeof(is), i), &is, sizeof(is));
		for (uint32_t k = 0; k < is.hosts.count; k++) {
			const uint32_t host = put(l, a->hosts->names[k]);

			memcpy(element(l, &h->hosts, sizeof(host), is.hosts.at + k), &host,
			       sizeof(host));
		}
	}
}

static void places_put(struct layout *l, const struct policy_image *h, const struct draft *d,
		       const struct draft_numbers *n)
{
	uint32_t slot = 0;

	for (size_t i = 0; i < n->place_count; i++) {
		const struct policy_place is = { .name = put(l, n->places[i].name),
						 .place = n->places[i].number };

		memcpy(element(l, &h->places, sizeof(is), i), &is, sizeof(is));
	}
	for (size_t i = 0; i < d->workload_count; i++) {
		const struct draft_workload *w = n->by_place[i];
		struct policy_rule is = { .place = w->place_number,
					  .label = w->label,
					  .uid = w->uid,
					  .gid = w->gid,
					  .flags = w->rule_flags };

		slot = i && n->by_place[i - 1]->place_number == w->place_number ? slot + 1 : 0;
		is.slot = slot;
		memcpy(element(l, &h->rules, sizeof(is), i), &is, sizeof(is));
	}
}

static int order_keys(const void *a, const void *b)
{
	const struct bundle_key *const *x = a, *const *y = b;

	return strcmp((*x)->kid, (*y)->kid);
}

static void key_put(struct layout *l, const struct policy_image *h, const struct bundle_key *key,
		    size_t at, size_t *scope_at)
{
	const struct policy_key is = { .point = key->point,
				       .kid = put(l, key->kid),
				       .issuer = put(l, key->issuer),
				       .scopes = { (uint32_t)*scope_at,
						   (uint32_t)key->scope_count } };

	memcpy(element(l, &h->keys, sizeof(is), at), &is, sizeof(is));
	for (size_t i = 0; i < key->scope_count; i++) {
		const uint32_t scope = put(l, key->scopes[i]);

		memcpy(element(l, &h->scopes, sizeof(scope), (*scope_at)++), &scope, sizeof(scope));
	}
}

/* The draft's bundles are sorted by name; each one's keys are sorted here, by kid. */
static void domains_put(struct layout *l, const struct policy_image *h, const struct draft *d)
{
	size_t key_at = 0, scope_at = 0;

	for (size_t i = 0; i < d->bundle_count; i++) {
		const struct bundle *b = d->bundles[i];
		owned_mem const struct bundle_key **keys = calloc(b->key_count + 1, sizeof(*keys));
		const struct policy_domain is = { .name = put(l, b->trust_domain),
						  .sequence_lo = (uint32_t)b->sequence,
						  .sequence_hi = (uint32_t)(b->sequence >> 32),
						  .keys = { (uint32_t)key_at,
							    (uint32_t)b->key_count } };

		if (!keys) {
			l->failed = true;
			return;
		}
		for (size_t k = 0; k < b->key_count; k++)
			keys[k] = &b->keys[k];
		draft_sort(keys, b->key_count, sizeof(*keys), order_keys);
		memcpy(element(l, &h->domains, sizeof(is), i), &is, sizeof(is));
		for (size_t k = 0; k < b->key_count; k++)
			key_put(l, h, keys[k], key_at++, &scope_at);
	}
}

static void tombstones_put(struct layout *l, const struct policy_image *h,
			   const struct draft_numbers *n)
{
	for (size_t i = 0; i < n->tombstone_count; i++) {
		const struct policy_label is = { .label = n->tombstones[i].number,
						 .id = put(l, n->tombstones[i].name) };

		memcpy(element(l, &h->tombstones, sizeof(is), i), &is, sizeof(is));
	}
}

static void revoked_put(struct layout *l, const struct policy_image *h, const struct draft *d)
{
	for (size_t i = 0; i < d->revoked_count; i++) {
		const uint32_t is = put(l, d->revoked[i]);

		memcpy(element(l, &h->revoked, sizeof(is), i), &is, sizeof(is));
	}
}

int draft_lay_out(struct draft *d, const struct draft_numbers *n, void **ret_image,
		  size_t *ret_size)
{
	owned(layout_drop) struct layout l = { 0 };
	struct policy_image h = { 0 };
	size_t strings_at = header_plan(&h, d, n);

	if (!strings_at)
		return -EFBIG;
	l.cap = strings_at + 4096;
	l.used = strings_at;
	l.bytes = calloc(1, l.cap);
	if (!l.bytes)
		return -ENOMEM;

	header_put(&l, &h, d, n);
	workloads_put(&l, &h, d);
	calls_put(&l, &h, d);
	accepts_put(&l, &h, d);
	places_put(&l, &h, d, n);
	domains_put(&l, &h, d);
	tombstones_put(&l, &h, n);
	revoked_put(&l, &h, d);
	if (l.failed)
		return -ENOMEM;

	h.strings = (struct policy_span){ (uint32_t)strings_at, (uint32_t)(l.used - strings_at) };
	h.size = l.used;
	memcpy(l.bytes, &h, sizeof(h));
	*ret_image = take_ptr(l.bytes);
	*ret_size = l.used;
	return 0;
}
