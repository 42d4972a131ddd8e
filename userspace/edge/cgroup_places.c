/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroups that a policy image names. A path is asked for as it is. A unit's name may be anywhere below slices, and
 * nowhere else (policy_place_of), so slices are looked through and nothing that is none is entered: below a service or a
 * scope is whatever a user, a user's manager or a container makes there, without limit.
 */
#include "edge/cgroup_places.h"

#include "../bpf/abi.h"
#include "edge/cgroupfs.h"
#include <string.h>

struct look {
	const struct policy_image *p;
	cgroup_places_each each;
	void *ctx;
};

static int paths(int root, const struct look *l, bool *ret_units)
{
	const struct policy_place *places = policy_at(l->p, &l->p->places);
	int err = 0;

	*ret_units = false;
	for (uint32_t i = 0; i < l->p->places.count && err >= 0; i++) {
		const char *name = policy_string(l->p, places[i].name);

		if (name[0] == '/')
			err = l->each(l->ctx, places[i].place, root, name + 1);
		else
			*ret_units = true;
	}
	return err;
}

static int unit(void *ctx, int dirfd, const char *path)
{
	const struct look *l = ctx;
	uint32_t place = policy_place_of(l->p, path);
	int err = place ? l->each(l->ctx, place, dirfd, strrchr(path, '/') + 1) : 0;

	return err < 0 ? err : policy_is_slice(path);
}

int cgroup_places(int root, const struct policy_image *p, cgroup_places_each each, void *ctx)
{
	struct look l = { p, each, ctx };
	bool units;
	int err = paths(root, &l, &units);

	/* as deep as the hook of births looks for slices */
	return err < 0 || !units ? err : cgroupfs_walk(root, CLEAT_ANCESTORS, unit, &l);
}
