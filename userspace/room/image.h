/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy image as a descriptor: a memfd that can no longer change (write, grow, shrink and the seals
 * themselves are sealed), and its copy on disk for a restart within the same boot, because labels are
 * never reused within a boot.
 */
#ifndef CLEAT_ROOM_IMAGE_H
#define CLEAT_ROOM_IMAGE_H

#include "model/policy.h"
#include <stddef.h>

int image_seal(const void *bytes, size_t size, int *ret_fd);
/* Maps a sealed image read-only. -EPERM unless all four seals are there (others may be as well),
 * -EBADMSG unless policy_check() holds. */
int image_map(int fd, const struct policy_image **ret);
void image_unmap(const struct policy_image *p);

/* Keeps it in @dirfd under a name of this boot. */
int image_keep(int dirfd, const struct policy_image *p);
/* The one kept in this boot, or *ret_fd = -1 where there is none. */
int image_kept(int dirfd, int *ret_fd);

/* Whose labels they are: a number of the run-time directory's own, made anew unless @kept, an image of this boot to go on
 * from, was there. Pins of another lineage hold labels that mean something else. One that is there and cannot be read is an
 * error, and stays. */
int image_lineage(int dirfd, bool kept, uint8_t *ret, size_t len);

#endif
