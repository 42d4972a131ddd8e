/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy file as a tree with positions: what the YAML says, before anybody asks what it means. The
 * subset: one document, maps, lists, plain and quoted scalars. Refused with their place: anchors, aliases, tags,
 * merge keys, duplicate keys, directives, block scalars, a second document, an empty file, depth over 32, and
 * bytes that two readers could read differently (BOM, CR, NUL, UTF-16, the exotic line ends).
 */
#ifndef CLEAT_EDGE_POLICY_TREE_H
#define CLEAT_EDGE_POLICY_TREE_H

#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>

#define TREE_BYTES_MAX (4u << 20) /* of a file */
#define TREE_DEPTH_MAX 32
#define TREE_NODES_MAX (1u << 20) /* of a file */
#define TREE_KEYS_MAX  64	  /* of a map: none of ours has half as many */

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree_node {
	enum tree_kind kind;
	bool plain;    /* a scalar without quotes */
	unsigned line; /* from 1 */
	unsigned column;
	const char *text; /* of a scalar; NUL-terminated, no NUL inside */
	const char *key;  /* where the parent is a map */
	unsigned key_line;
	unsigned key_column;
	unsigned count; /* children */
	struct tree_node *parent;
	struct tree_node *first;
	struct tree_node *last;
	struct tree_node *next;
};

struct tree_error {
	unsigned line;
	unsigned column;
	char what[192];
};

/* All nodes and strings live in @arena. *@ret is never NULL on success. 0, -EBADMSG with *@ret_error, or
 * -ENOMEM. */
int tree_parse(struct arena *arena, const char *bytes, size_t len, struct tree_node **ret,
	       struct tree_error *ret_error);

/* The child of a map by its key, or NULL. */
struct tree_node *tree_get(const struct tree_node *map, const char *key);

#endif
