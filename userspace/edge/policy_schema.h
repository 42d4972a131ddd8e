/* SPDX-License-Identifier: Apache-2.0 */
/* How a map of a policy file is described: one row per key, one function per kind of value. */
#ifndef CLEAT_EDGE_POLICY_SCHEMA_H
#define CLEAT_EDGE_POLICY_SCHEMA_H

#include "edge/policy_value.h"

#define SCHEMA_LIST_MAX 4096 /* ids or hosts in one rule */

struct key {
	const char *name;
	unsigned flags;
	int (*read)(struct file_reading *r, const struct tree_node *value, void *into);
};

enum key_flag {
	KEY_MUST = 1 << 0,	/* the map says nothing without it */
	KEY_MAIN = 1 << 1,	/* only in cleat.yaml */
	KEY_MAIN_MUST = 1 << 2, /* cleat.yaml must have it */
};

/* Reads @map by @keys, in the order of the table, into @into. @what names the map in complaints. */
int schema_map(struct file_reading *r, const struct tree_node *map, const char *what,
	       const struct key *keys, size_t count, void *into);
#define MAP_READ(r, map, what, keys, into)                                                         \
	schema_map(r, map, what, keys, sizeof(keys) / sizeof((keys)[0]), into)
/* Calls @read for each element of a list. */
int schema_list(struct file_reading *r, const struct tree_node *list,
		int (*read)(struct file_reading *, const struct tree_node *, void *), void *into);
/* A list of strings, each read by @read; sorted, none twice, at least one. */
int schema_strings(struct file_reading *r, const struct tree_node *n,
		   int (*read)(struct file_reading *, const struct tree_node *, const char **),
		   const char ***ret, size_t *ret_count);

#endif
