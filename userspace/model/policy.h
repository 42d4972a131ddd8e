/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy image and the decision. The reader compiles YAML and bundles into one sealed,
 * position-independent block of bytes (one generation); every room maps it read-only and asks it
 * pure questions. Deny wins; nothing matched = deny. A verdict names the generation it was made by.
 *
 * All offsets are from the image's first byte; strings are NUL-terminated, offset 0 is "". Arrays
 * are sorted as said at each, so that every question is a binary search.
 */
#ifndef CLEAT_MODEL_POLICY_H
#define CLEAT_MODEL_POLICY_H

#include "model/assertion.h"
#include "model/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_MAGIC	"cleatpol"
#define POLICY_VERSION	1
#define POLICY_MAX	(64u << 20) /* bytes of an image */
#define POLICY_PATH_MAX 4096	    /* a cgroup's path with its NUL */

/* Every label is below it: there are so many in a boot, and who counts by label has so many places at most. */
#define POLICY_LABEL_MAX (1u << 22)

/* Accept rules may share (to, from, as) with other hosts or another level, but only so many, so that
 * a decision stays a binary search and a short walk. */
#define POLICY_ACCEPTS_SAME 32

struct policy_span {
	uint32_t at;	/* offset of the first element */
	uint32_t count; /* elements */
};

enum policy_flag {
	POLICY_CLOCK_UNSYNC_OK = 1 << 0, /* clock: unsynchronised-ok */
	POLICY_AUDIT_SYNC = 1 << 1,	 /* audit: sync */
	POLICY_COOKIE_REFUSE = 1 << 2,	 /* syn_cookie: refuse */
};

struct policy_image {
	char magic[8];
	uint32_t version;
	uint32_t generation; /* counts loads from 1; stamped by the kernel room before sealing */
	uint64_t size;	     /* bytes of the whole image */
	uint32_t trust_domain;
	uint32_t host; /* name, the last component of spiffe://<td>/host/<name> */
	uint32_t flags;
	uint32_t leeway_s;
	uint32_t est_tolerance_ms;
	uint32_t next_label; /* one more than the highest label ever given in this boot */
	uint32_t next_place; /* the same of places */
	uint32_t zero;
	struct policy_span workloads; /* struct policy_workload, by label */
	struct policy_span calls;     /* struct policy_call, by (from, to id, as) */
	/* struct policy_accept, by (to, from id, as); POLICY_ACCEPTS_SAME of a kind at most */
	struct policy_span accepts;
	struct policy_span hosts;      /* uint32_t string offsets, used by accepts */
	struct policy_span places;     /* struct policy_place, by name */
	struct policy_span rules;      /* struct policy_rule, by (place, slot) */
	struct policy_span domains;    /* struct policy_domain, by name */
	struct policy_span keys;       /* struct policy_key, by (domain, kid) */
	struct policy_span scopes;     /* uint32_t string offsets of path prefixes, used by keys */
	struct policy_span tombstones; /* struct policy_label: labels of removed workloads */
	struct policy_span
		revoked; /* uint32_t string offsets of ids, hosts' and workloads', by id */
	struct policy_span strings; /* bytes */
};

enum policy_workload_flag {
	POLICY_WORKLOAD_DEBUG = 1 << 0, /* debug: allow */
	POLICY_WORKLOAD_NETNS = 1 << 1, /* netns: foreign-ok */
};

struct policy_workload {
	uint32_t label; /* never 0 */
	uint32_t id;	/* full SPIFFE ID */
	uint32_t flags;
	uint32_t accepted_by; /* label of the workload allowed to accept for it, 0 = itself only */
	uint32_t file;
	uint32_t line;
};

struct policy_label {
	uint32_t label;
	uint32_t id;
};

struct policy_call {
	uint32_t from; /* label */
	uint32_t to;   /* full SPIFFE ID of the audience */
	uint32_t as;   /* enum cleat_role */
	uint32_t life_s;
	uint32_t file;
	uint32_t line;
};

struct policy_accept {
	uint32_t to; /* label of the receiving workload */
	uint32_t
		from; /* full SPIFFE ID of the presenter; 0 (any) only in policy_compile_single() */
	uint32_t as;  /* the presenter's end, enum cleat_role */
	uint32_t level; /* least level, enum cleat_level */
	struct policy_span
		hosts; /* indexes into hosts; count 0: any host whose scope allows the id */
	uint32_t file;
	uint32_t line;
};

/* A cgroup path or unit name that policy names. Numbers are never reused within a boot either. */
struct policy_place {
	uint32_t name; /* "/a/b" or "x.service" */
	uint32_t place;
};

struct policy_rule {
	uint32_t place;
	uint32_t slot;
	uint32_t label;
	uint32_t uid;
	uint32_t gid;
	uint32_t flags; /* enum cleat_rule_flag of bpf/abi.h */
};

struct policy_domain {
	uint32_t name;
	uint32_t sequence_lo; /* spiffe_sequence */
	uint32_t sequence_hi;
	struct policy_span keys; /* indexes into keys, sorted by kid */
};

struct policy_key {
	struct point point;
	uint32_t kid;		   /* RFC 7638 thumbprint, base64url */
	uint32_t issuer;	   /* cleat_issuer */
	struct policy_span scopes; /* indexes into scopes; at least one */
};

/* Checks magic, version, size, that every span and string lies inside and every array is sorted. Must
 * be called once on bytes that came from elsewhere; afterwards the questions below cannot read
 * outside. 0 or -EBADMSG. */
int policy_check(const void *image, size_t size);
/* May @p come after @before (NULL: the first)? The next generation, and of labels and places no more are given away than it
 * has itself. Both are checked images; what nobody could compile would leave no number for those to come. */
bool policy_follows(const struct policy_image *p, const struct policy_image *before);

const char *policy_string(const struct policy_image *p, uint32_t at);
/* First element of a span of the image's header. */
const void *policy_at(const struct policy_image *p, const struct policy_span *span);

/* The workload of a label, or NULL. */
const struct policy_workload *policy_workload(const struct policy_image *p, uint32_t label);
/* The workload of a full SPIFFE ID, or NULL (linear: for tools and messages). */
const struct policy_workload *policy_workload_by_id(const struct policy_image *p, const char *id);
/* The rule by which @from may obtain an assertion for @audience as @role, or NULL. */
const struct policy_call *policy_call(const struct policy_image *p, uint32_t from,
				      const char *audience, uint32_t role);
/* REASON_OK when @to takes presentations of @from (id), signed at end @role, on host @host (name),
 * claiming @level; REASON_POLICY or REASON_LEVEL else. *ret_rule is the rule that said yes (or, for
 * LEVEL, the one that would have), NULL else. */
enum reason policy_accept(const struct policy_image *p, uint32_t to, const char *from,
			  uint32_t role, const char *host, uint32_t level,
			  const struct policy_accept **ret_rule);
const struct policy_domain *policy_domain(const struct policy_image *p, const char *name,
					  size_t len);
/* kid is compared as bytes with its length; NULL when unknown. */
const struct policy_key *policy_key(const struct policy_image *p, const struct policy_domain *d,
				    const char *kid);
/* The workload's path lies inside one of the key's scopes, and not below /host. */
bool policy_key_allows(const struct policy_image *p, const struct policy_key *k, const char *path,
		       size_t path_len);
/* The administrator of this host revoked this id (a workload's or a host's), whatever rules and bundles say. */
bool policy_revoked(const struct policy_image *p, const char *id);
/* The place of the cgroup at @path ("/a/b.service"; below the root of the unified hierarchy): the one
 * whose cgroup path is exactly this, or whose unit name is the last component while every ancestor is
 * a slice. 0: not named by policy. */
uint32_t policy_place_of(const struct policy_image *p, const char *path);
/* The last component of a cgroup's path when every ancestor is a slice (then it may be a unit of the
 * system's manager), else NULL. */
const char *policy_unit_of(const char *path);
/* A slice whose every ancestor is one, by its path: only below such a cgroup, or below the root, a unit may be. */
bool policy_is_slice(const char *path);
/* The label a task has: @place_of(ctx, depth) gives the place of the task's cgroup and then of each
 * ancestor (0: not named, UINT32_MAX: no more), CLEAT_ANCESTORS at most. The nearest place with a rule
 * that fits decides. Same evaluation as label.bpf.h; used at level reduced and by tools. 0 =
 * unlabelled. */
uint32_t policy_label_of(const struct policy_image *p,
			 uint32_t (*place_of)(void *ctx, unsigned depth), void *ctx, uint32_t uid,
			 uint32_t gid);
/* The same by the cgroup's path ("/a/b", below the root of the unified hierarchy). */
uint32_t policy_label_at(const struct policy_image *p, const char *path, uint32_t uid,
			 uint32_t gid);

#endif
