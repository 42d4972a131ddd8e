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
/* The hierarchy's root as a descriptor; -EINVAL: no cgroup2 is mounted there. */
int cgroupfs_open(const char *mount);
/* Told of a cgroup: @path is as the kernel says it ("/a/b"), its last component lies in @dirfd. 1: its children, too;
 * 0: not them; negative ends the walk. */
typedef int (*cgroupfs_each)(void *ctx, int dirfd, const char *path);
/* Calls @each for every child of @root, and of each cgroup that it wants the children of, parents first, no deeper than
 * @depth_max. What @each says 0 of is not so much as opened: whoever it is delegated to cannot make the walk longer. */
int cgroupfs_walk(int root, unsigned depth_max, cgroupfs_each each, void *ctx);

#endif
