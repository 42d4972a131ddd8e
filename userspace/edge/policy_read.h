/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema: what the keys of a policy file mean and what they may be. policies/README.md is the same for people,
 * and a test holds that every key stands there.
 */
#ifndef CLEAT_EDGE_POLICY_READ_H
#define CLEAT_EDGE_POLICY_READ_H

#include "edge/policy_draft.h"
#include "edge/policy_tree.h"

enum policy_file_kind {
	POLICY_FILE_MAIN,    /* cleat.yaml: everything */
	POLICY_FILE_DROP_IN, /* policies.d: workloads and rules only */
};

/* Adds what one file says to the draft. -EBADMSG with the draft's error. */
int policy_read(struct draft *d, enum policy_file_kind kind, const char *file, const char *name,
		const struct tree_node *root);

/* Every key there is, one after another, for the test of the README; NULL behind the last. */
const char *policy_key_name(size_t i);

#endif
