/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image from one bundle and one service that takes presentations of anybody the bundle's scopes allow:
 * the world of the test vectors. policy_check() refuses such an image, so no room ever decides by it.
 */
#include "edge/policy_draft.h"
#include "edge/policy_yaml.h"

#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

static int rules_add(struct draft *d, const char *service_id, uint32_t level)
{
	static const struct place_in_file nowhere = { "-", "-", 1, 1 };
	struct draft_workload *w =
		draft_more(&d->workloads, &d->workload_count, &d->workload_cap, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->id = service_id;
	w->place = "/service";
	w->at = nowhere;
	for (uint32_t role = CLEAT_ROLE_CLIENT; role <= CLEAT_ROLE_SERVER; role++) {
		struct draft_accept *a =
			draft_more(&d->accepts, &d->accept_count, &d->accept_cap, sizeof(*a));

		if (!a)
			return -ENOMEM;
		a->to = service_id;
		a->from = "";
		a->as = role;
		a->level = level;
		a->at = nowhere;
	}
	return 0;
}

int policy_compile_single(const char *trust_domain, const char *bundle_json, size_t len,
			  const char *service_id, uint32_t level, unsigned leeway_s,
			  unsigned tolerance_ms, void **ret_image, size_t *ret_size, char *error,
			  size_t error_cap)
{
	owned(draft_drop) struct draft d = { .trust_domain = trust_domain,
					     .host = "here",
					     .leeway_s = leeway_s,
					     .est_tolerance_ms = tolerance_ms,
					     .error = error,
					     .error_cap = error_cap };
	struct bundle **bundle =
		draft_more(&d.bundles, &d.bundle_count, &d.bundle_cap, sizeof(*d.bundles));
	int r;

	if (!bundle)
		return -ENOMEM;
	r = bundle_parse(trust_domain, bundle_json, len, bundle, error, error_cap);
	if (r == 0)
		r = rules_add(&d, service_id, level);
	if (r == 0)
		r = draft_build(&d, NULL, ret_image, ret_size);
	return r;
}
