/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image of any bytes: refused, or every question about it stays inside. The size field is put right first: what is
 * interesting lies behind it.
 */
#include "base/cleanup.h"
#include "edge/policy_yaml.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint32_t place_of(void *ctx, unsigned depth)
{
	const struct policy_image *p = ctx;

	return depth > 3 ? UINT32_MAX : policy_place_of(p, depth % 2 ? "/a" : "/a.slice/x.service");
}

static void ask_labels(const struct policy_image *p)
{
	const struct policy_workload *w = policy_at(p, &p->workloads);
	const struct policy_accept *rule;

	for (uint32_t i = 0; i < p->workloads.count; i++) {
		const char *id = policy_string(p, w[i].id);

		policy_workload_by_id(p, id);
		policy_call(p, w[i].label, id, 1);
		policy_accept(p, w[i].label, id, 1 + i % 2, "a", i % 3, &rule);
	}
	policy_label_of(p, place_of, (void *)(uintptr_t)p, 0, 0);
	policy_label_of(p, place_of, (void *)(uintptr_t)p, 1001, 1002);
}

static void ask_keys(const struct policy_image *p)
{
	const struct policy_domain *d = policy_at(p, &p->domains);
	const struct policy_key *keys = policy_at(p, &p->keys);

	for (uint32_t i = 0; i < p->domains.count; i++) {
		const char *name = policy_string(p, d[i].name);

		policy_domain(p, name, strlen(name));
		for (uint32_t k = 0; k < d[i].keys.count; k++) {
			const struct policy_key *key = &keys[d[i].keys.at + k];

			if (policy_key(p, &d[i], policy_string(p, key->kid)) != key)
				abort();
			policy_key_allows(p, key, "/payments", 9);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	owned_mem void *image = malloc(len + 1);
	owned_mem char *text = NULL;
	struct policy_image *p = image;
	size_t text_len;
	FILE *f;

	if (!image || len < sizeof(*p))
		return 0;
	memcpy(image, bytes, len);
	p->size = len;
	p->version = POLICY_VERSION;
	if (policy_check(image, len) < 0)
		return 0;
	ask_labels(p);
	ask_keys(p);
	f = open_memstream(&text, &text_len);
	if (f) {
		policy_print(p, f); /* -EBADMSG where a workload has no place: a print needs one */
		fclose(f);
	}
	return 0;
}
