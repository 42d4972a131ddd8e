/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files and bundles -> image. YAML 1.2 subset read with libyaml events: no anchors, aliases, merge
 * keys, tags or duplicate keys; depth at most 32; unknown keys refuse the whole generation.
 */
#ifndef CLEAT_EDGE_POLICY_YAML_H
#define CLEAT_EDGE_POLICY_YAML_H

#include "model/policy.h"
#include <stdio.h>

/* Below the state directory: one SPIFFE ID a line, a workload's or a host's, which this host believes no longer. */
#define POLICY_REVOKED_FILE "revoked"

struct policy_source {
	const char *config_dir; /* cleat.yaml, policies.d/ *.yaml, trust/ *.json */
	const char *
		state_dir; /* trust/<td>.sequence: the highest spiffe_sequence seen; NULL: not checked */
	const void *
		previous; /* image of the generation before (labels, places, tombstones), or NULL */
	bool any_owner;	  /* do not demand root-owned files and directories (tools, tests) */
	const struct policy_files *
		files; /* what policy_gather() read, and no file is opened; NULL: it is read here */
};

struct policy_files;

/* The first half of policy_compile(): everything below the source, judged and read whole, nothing of it looked into.
 * -EBADMSG with a line in @error. */
int policy_gather(const struct policy_source *source, struct policy_files **ret, char *error,
		  size_t error_cap);
void policy_files_free(struct policy_files *f);

/* Compiles everything below the source into a fresh image (malloc), or one line "file:line:column: what
 * is wrong and what to do" in @error and -EBADMSG (any other failure leaves a line there too). The
 * generation is previous + 1; @previous must have passed policy_check(). */
int policy_compile(const struct policy_source *source, void **ret_image, size_t *ret_size,
		   char *error, size_t error_cap);
/* Keeps the highest spiffe_sequence of each bundle below state_dir/trust, so that none goes back after a
 * restart. Called by who may write there, before the image is used. */
int policy_sequences_store(const struct policy_image *p, const char *state_dir);
/* The highest one that was kept; 0 where none was. -EBADMSG: what is kept is no number. */
int policy_sequence_seen(const char *state_dir, const char *trust_domain, uint64_t *ret);
/* Canonical YAML of the image (the files, not the bundles): parses again to the same policy. */
int policy_print(const struct policy_image *p, FILE *to);

/* For tests and the vectors: an image from one bundle and generous rules: any subject of its scopes
 * may present to @service (label 1) as either role at level @level. */
int policy_compile_single(const char *trust_domain, const char *bundle_json, size_t len,
			  const char *service_id, uint32_t level, unsigned leeway_s,
			  unsigned tolerance_ms, void **ret_image, size_t *ret_size, char *error,
			  size_t error_cap);

#endif
