/* SPDX-License-Identifier: Apache-2.0 */
/* The unified cgroup hierarchy: where it is mounted, and a walk over what is in it. */
#ifndef CLEAT_EDGE_CGROUPFS_H
#define CLEAT_EDGE_CGROUPFS_H

#include <stddef.h>
#include <stdint.h>

/* The mount point of cgroup2 whose root is "/", from /proc/self/mountinfo. -ENOENT where there is none. */
int cgroupfs_find(char *ret, size_t cap);
/* Id of a cgroup directory (the kernel's 64-bit id, name_to_handle_at). */
int cgroupfs_id(int dirfd, const char *path, uint64_t *ret);
/* Calls @each for every cgroup below @mount, parents first; @path is as the kernel says it ("/a/b"). */
int cgroupfs_walk(const char *mount, int (*each)(void *ctx, const char *path, uint64_t id),
		  void *ctx);

#endif
