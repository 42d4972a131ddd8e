/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A draft: what the files say, taken apart and checked one by one, before it becomes an image. Names are
 * strings still; who refers to whom is settled by draft_build(), where every complaint has its place in a
 * file. All strings live in the draft's arena.
 */
#ifndef CLEAT_EDGE_POLICY_DRAFT_H
#define CLEAT_EDGE_POLICY_DRAFT_H

#include "../bpf/abi.h"
#include "base/arena.h"
#include "edge/bundle.h"
#include "model/policy.h"

#define DRAFT_WORKLOADS_MAX  32768 /* as many places and rules as the kernel side holds twice */
#define DRAFT_RULES_MAX	     (1u << 18) /* (from, to) pairs of call, and of accept */
#define DRAFT_TOMBSTONES_MAX 65536	/* older ones are forgotten; their numbers are not reused */

/* Where something was written. @file as the administrator would open it, @name below the config_dir. */
struct place_in_file {
	const char *file;
	const char *name;
	unsigned line; /* from 1 */
	unsigned column;
};

struct draft_workload {
	const char *id;		 /* full SPIFFE ID */
	const char *accepted_by; /* full SPIFFE ID or NULL */
	const char *place;	 /* "/a/b" or "x.service" as the cgroup is called */
	uint32_t flags;		 /* enum policy_workload_flag */
	uint32_t rule_flags;	 /* enum cleat_rule_flag */
	uint32_t uid;
	uint32_t gid;
	uint32_t label; /* these three are settled by draft_build() */
	uint32_t accepted_by_label;
	uint32_t place_number;
	struct place_in_file at;
	struct place_in_file accepted_by_at;
};

struct draft_call {
	const char *from;
	const char *to;
	uint32_t as;
	uint32_t life_s;
	uint32_t from_label;
	struct place_in_file at;
};

/* The hosts one rule lists; shared by the (from, to) pairs it makes. */
struct draft_hosts {
	const char **names; /* sorted */
	uint32_t count;
	uint32_t at; /* settled by draft_lay_out() */
	bool laid_out;
};

struct draft_accept {
	const char *to;
	const char *from; /* "": anybody (policy_compile_single) */
	uint32_t as;
	uint32_t level;
	struct draft_hosts *hosts; /* NULL: any host */
	uint32_t to_label;
	struct place_in_file at;
};

struct draft {
	struct arena arena;
	const char *trust_domain;
	const char *host;
	uint32_t flags;
	uint32_t leeway_s;
	uint32_t est_tolerance_ms;
	struct draft_workload *workloads;
	size_t workload_count, workload_cap;
	struct draft_call *calls;
	size_t call_count, call_cap;
	struct draft_accept *accepts;
	size_t accept_count, accept_cap;
	struct bundle **bundles; /* owned */
	size_t bundle_count, bundle_cap;
	const char **revoked; /* ids, sorted, each once */
	size_t revoked_count, revoked_cap;
	char *error; /* one line, when something returned -EBADMSG */
	size_t error_cap;
};

/* A complaint about a place: fills the draft's error, returns -EBADMSG. */
int draft_complain(struct draft *d, const struct place_in_file *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Room for one more at *@array (of *@count, growing *@cap); zeroed, counted; NULL when memory is out. */
void *draft_more(void *array, size_t *count, size_t *cap, size_t size);
void draft_sort(void *array, size_t count, size_t size, int (*order)(const void *, const void *));
void draft_drop(struct draft *d);

/* Sorts calls and accepts, whose labels are settled; refuses what is said twice. */
int draft_rules_sort(struct draft *d);

/* Settles names, overlaps and numbers (those of @previous stay) and lays out the image. -EBADMSG with the
 * draft's error, or -errno. */
int draft_build(struct draft *d, const struct policy_image *previous, void **ret_image,
		size_t *ret_size);

/* A name and the number it has for this boot. */
struct draft_name {
	const char *name;
	uint32_t number;
};

/* What draft_build() settled, for the layout. */
struct draft_numbers {
	uint32_t generation;
	uint32_t next_label;
	uint32_t next_place;
	struct draft_workload **by_place; /* by (place number, narrowest first) */
	const struct draft_name *places;  /* by name */
	size_t place_count;
	const struct draft_name *tombstones; /* by number */
	size_t tombstone_count;
};

/* Everything is settled and sorted: lays out the bytes (policy_layout.c). */
int draft_lay_out(struct draft *d, const struct draft_numbers *numbers, void **ret_image,
		  size_t *ret_size);

#endif
