/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE IDs by the grammar of token.md section 3 (SPIFFE-ID.md 2.1 ... 2.3). Never normalised: it
 * matches the grammar or is refused.
 */
#ifndef CLEAT_MODEL_SPIFFE_ID_H
#define CLEAT_MODEL_SPIFFE_ID_H

#include <stdbool.h>
#include <stddef.h>

#define SPIFFE_ID_MAX		2048
#define SPIFFE_TRUST_DOMAIN_MAX 255

/* Parts of the parsed string, not terminated; they live as long as it does. */
struct spiffe_id {
	const char *trust_domain;
	size_t trust_domain_len;
	const char *path; /* with its leading slash; empty: the id of the trust domain itself */
	size_t path_len;
};

/* False and *ret untouched unless all @len bytes of @s are a SPIFFE ID. */
bool spiffe_id_parse(const char *s, size_t len, struct spiffe_id *ret);
bool spiffe_trust_domain_valid(const char *s, size_t len);
/* "/a/b": every segment of the grammar, at least one. */
bool spiffe_path_valid(const char *s, size_t len);
/* @path is @prefix or lies below it by whole components. @prefix "/" holds every path. */
bool spiffe_path_within(const char *path, size_t path_len, const char *prefix, size_t prefix_len);
/* @path is "/host" or below: ids of hosts, never a workload's. */
bool spiffe_path_is_host(const char *path, size_t path_len);

#endif
