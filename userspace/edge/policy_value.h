/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of values in policy files, each read by strict code of our own: what YAML would guess (no,
 * 010, 1e3, ~, 22:22) stays a string here and is refused where a number or a name is meant.
 */
#ifndef CLEAT_EDGE_POLICY_VALUE_H
#define CLEAT_EDGE_POLICY_VALUE_H

#include "edge/policy_draft.h"
#include "edge/policy_read.h"
#include "edge/policy_tree.h"

/* One file while it is read. */
struct file_reading {
	struct draft *d;
	enum policy_file_kind kind;
	const char *file;
	const char *name;
};

struct place_in_file place_of_value(const struct file_reading *r, const struct tree_node *n);
struct place_in_file place_of_key(const struct file_reading *r, const struct tree_node *n);

/* A complaint about a value; returns -EBADMSG. */
int value_complain(struct file_reading *r, const struct tree_node *n, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* @s as it may stand in a message: in quotes, escaped, cut. */
#define QUOTED_MAX 256
void quote(const char *s, char ret[QUOTED_MAX]);
/* Letters to add, drop or change to get from one word to the other; 3 stands for more. */
unsigned edits_between(const char *a, const char *b);

/* All of these write *ret on success only. Strings live in the draft's arena. */
int value_number(struct file_reading *r, const struct tree_node *n, uint32_t max, uint32_t *ret);
/* "30s" */
int value_seconds(struct file_reading *r, const struct tree_node *n, uint32_t min, uint32_t max,
		  uint32_t *ret);
/* "2s" or "1500ms" */
int value_milliseconds(struct file_reading *r, const struct tree_node *n, uint32_t max,
		       uint32_t *ret);
int value_trust_domain(struct file_reading *r, const struct tree_node *n, const char **ret);
/* The name of a host: one component. */
int value_host(struct file_reading *r, const struct tree_node *n, const char **ret);
/* A path of the own trust domain ("/payments"), as the full SPIFFE ID. */
int value_own_path(struct file_reading *r, const struct tree_node *n, const char **ret);
/* The same, or a full SPIFFE ID of a workload. */
int value_id(struct file_reading *r, const struct tree_node *n, const char **ret);
int value_cgroup(struct file_reading *r, const struct tree_node *n, const char **ret);
/* A unit's name, as its cgroup is called. */
int value_unit(struct file_reading *r, const struct tree_node *n, const char **ret);

/* One of a few words: its bits are added to *flags. */
struct word {
	const char *word;
	uint32_t bits;
};
int value_word(struct file_reading *r, const struct tree_node *n, const struct word *words,
	       size_t count, uint32_t *flags);
#define VALUE_WORD(r, n, words, flags)                                                             \
	value_word(r, n, words, sizeof(words) / sizeof((words)[0]), flags)

/* systemd calls the cgroup of io.service _io.service (cg_escape()): the name as a cgroup's. */
bool unit_needs_escape(const char *unit);

#endif
