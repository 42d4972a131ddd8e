/* SPDX-License-Identifier: Apache-2.0 */
/* The files policy is made of: opened without following links, judged by what was opened, read when nobody
 * is writing them. */
#ifndef CLEAT_EDGE_POLICY_FILES_H
#define CLEAT_EDGE_POLICY_FILES_H

#include "edge/policy_draft.h"

/* Opens directory @name below @dirfd. -ENOENT where it is not there (no complaint); -EBADMSG with one. */
int files_open_dir(struct draft *d, int dirfd, const char *name, const char *shown, bool any_owner,
		   int *ret_fd);
/* Names below @dirfd that end in @suffix, sorted; hidden ones are left aside. In the draft's arena. */
int files_list(struct draft *d, int dirfd, const char *suffix, const char ***ret,
	       size_t *ret_count);
/* The whole of a regular file; *ret for free(). -ENOENT: not there; -EBADMSG with a complaint. */
int files_read(struct draft *d, int dirfd, const char *name, const char *shown, size_t max,
	       bool any_owner, char **ret, size_t *ret_len);
/* "a/b" in the draft's arena. */
const char *files_path(struct draft *d, const char *dir, const char *name);

#endif
