/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups that a policy image names, in the file system. */
#ifndef CLEAT_EDGE_CGROUP_PLACES_H
#define CLEAT_EDGE_CGROUP_PLACES_H

#include "model/policy.h"

/* Told of a cgroup that @place is the place of: @path below @dirfd. It may not be there (any more): no error. Negative ends
 * it. */
typedef int (*cgroup_places_each)(void *ctx, uint32_t place, int dirfd, const char *path);

/* Calls @each for every cgroup below @root, the unified hierarchy's, that the image names. What that takes depends on the
 * policy and on the slices of the system's manager, which are root's; on nothing that is delegated to anybody. */
int cgroup_places(int root, const struct policy_image *p, cgroup_places_each each, void *ctx);

#endif
