/* SPDX-License-Identifier: Apache-2.0 */
/* The files policy is made of: opened without following links, judged by what was opened, read when nobody
 * is writing them. */
#ifndef CLEAT_EDGE_POLICY_FILES_H
#define CLEAT_EDGE_POLICY_FILES_H

#include "base/cleanup.h"
#include "edge/policy_draft.h"
#include "edge/policy_yaml.h"

#define POLICY_DROP_INS "policies.d"
#define POLICY_TRUST	"trust"

/* A file that was read; nobody has looked into it. */
struct policy_file {
	const char *base;  /* its name in its directory */
	const char *name;  /* below the configuration's directory */
	const char *shown; /* for messages */
	char *bytes; /* owned; NUL behind them; NULL: not there (the list of what is revoked) */
	size_t len;
	uint64_t seen; /* bundles: the highest spiffe_sequence kept of this trust domain */
	int seen_err;
};

/* What policy_gather() gives. */
struct policy_files {
	struct arena arena; /* of the names */
	struct policy_file main, revoked;
	struct policy_file *drop_ins, *bundles; /* in name order */
	size_t drop_in_count, bundle_count;
};
DEFINE_OWNER(policy_files_owned, struct policy_files, policy_files_free)

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
