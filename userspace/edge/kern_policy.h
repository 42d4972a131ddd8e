/* SPDX-License-Identifier: Apache-2.0 */
/* A policy generation into the kernel side's maps; kern_policy_set() without libbpf. */
#ifndef CLEAT_EDGE_KERN_POLICY_H
#define CLEAT_EDGE_KERN_POLICY_H

#include "model/policy.h"

struct kern_policy_maps {
	int places;
	int cgroups;
	int rules;
	int config;
};

/* See kern_policy_set(). 0 or -errno with a line in @error; on failure the generation in force stays. */
int kern_policy_write(const struct kern_policy_maps *maps, const struct policy_image *p,
		      char *error, size_t error_cap);
/* Gives every existing cgroup that the image names its place. At level reduced the kernel room calls it when a cgroup
 * was made: no hook does it there. */
int kern_policy_scan(const struct kern_policy_maps *maps, const struct policy_image *p);

#endif
