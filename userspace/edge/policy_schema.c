/* SPDX-License-Identifier: Apache-2.0 */
/* Maps by their tables of keys, and lists. What is no key of the table refuses the whole generation. */
#include "edge/policy_schema.h"

#include "base/twin.h"
#include <errno.h>
#include <string.h>

/* Keys of later versions, wherever they stand. */
static const char *const later[] = { "guard",	"gate",	 "exe",	 "exe_sha256", "process", "deny",
				     "require", "ip",	 "port", "ports",      "nonce",	  "tls",
				     "nat",	"proxy", "tpm",	 "metrics",    "rate" };

static int order_strings(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* ---- maps by their table ---- */

static const struct key *key_find(const struct key *keys, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* Something is wrong with a key: say what would be right. */
static int complain_unknown(struct file_reading *r, const struct tree_node *n,
			    const struct key *keys, size_t count)
{
	const struct place_in_file at = place_of_key(r, n);
	const char *near = NULL;
	char name[QUOTED_MAX];
	unsigned best = 3; /* a suggestion further away is none */

	quote(n->key, name);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (strcmp(later[i], n->key) == 0)
			return draft_complain(r->d, &at,
					      "%s is not in this version: remove it (what is not "
					      "enforced is refused, never ignored)",
					      name);
	for (size_t i = 0; i < count; i++) {
		unsigned distance = edits_between(n->key, keys[i].name);

		if (distance < best) {
			best = distance;
			near = keys[i].name;
		}
	}
	if (near)
		return draft_complain(r->d, &at, "%s is no key here: did you mean \"%s\"?", name,
				      near);
	return draft_complain(
		r->d, &at, "%s is no key here: remove it (cleat.policy(5) lists the keys)", name);
}

static int keys_check(struct file_reading *r, const struct tree_node *map, const struct key *keys,
		      size_t count)
{
	for (const struct tree_node *n = map->first; n; n = n->next) {
		const struct key *key = key_find(keys, count, n->key);
		const struct place_in_file at = place_of_key(r, n);

		if (kept(policy_unknown_key) && !key)
			return complain_unknown(r, n, keys, count);
		if (key && (key->flags & KEY_MAIN) && r->kind != POLICY_FILE_MAIN)
			return draft_complain(r->d, &at,
					      "%s stands only in cleat.yaml: move it there",
					      key->name);
	}
	return 0;
}

int schema_map(struct file_reading *r, const struct tree_node *map, const char *what,
	       const struct key *keys, size_t count, void *into)
{
	int err;

	if (map->kind != TREE_MAP)
		return value_complain(r, map, "%s is written as a map of keys", what);
	err = keys_check(r, map, keys, count);
	for (size_t i = 0; err == 0 && i < count; i++) {
		const struct tree_node *value = tree_get(map, keys[i].name);

		if (value)
			err = keys[i].read(r, value, into);
		else if ((keys[i].flags & KEY_MUST) ||
			 ((keys[i].flags & KEY_MAIN_MUST) && r->kind == POLICY_FILE_MAIN))
			return value_complain(r, map, "%s without \"%s\": add it", what,
					      keys[i].name);
	}
	return err;
}

int schema_list(struct file_reading *r, const struct tree_node *list,
		int (*read)(struct file_reading *, const struct tree_node *, void *), void *into)
{
	int err = 0;

	if (list->kind != TREE_LIST)
		return value_complain(r, list,
				      "\"%s\" is a list: write - before each of its "
				      "elements, or [ a, b ]",
				      list->key);
	for (const struct tree_node *n = list->first; err == 0 && n; n = n->next)
		err = read(r, n, into);
	return err;
}

int schema_strings(struct file_reading *r, const struct tree_node *n,
		   int (*read)(struct file_reading *, const struct tree_node *, const char **),
		   const char ***ret, size_t *ret_count)
{
	const char **strings;
	size_t i = 0;

	if (n->kind != TREE_LIST)
		return value_complain(r, n, "\"%s\" is a list: write [ a, b ]", n->key);
	if (n->count == 0)
		return value_complain(r, n,
				      "\"%s\" is empty and would name nobody: remove the rule, "
				      "or say who",
				      n->key);
	if (n->count > SCHEMA_LIST_MAX)
		return value_complain(r, n, "\"%s\" has more than %u elements: make two rules",
				      n->key, SCHEMA_LIST_MAX);
	strings = arena_get(&r->d->arena, n->count * sizeof(*strings));
	if (!strings)
		return -ENOMEM;
	for (const struct tree_node *e = n->first; e; e = e->next) {
		int err = read(r, e, &strings[i++]);

		if (err < 0)
			return err;
	}
	draft_sort(strings, i, sizeof(*strings), order_strings);
	for (size_t k = 1; k < i; k++)
		if (strcmp(strings[k - 1], strings[k]) == 0)
			return value_complain(r, n, "\"%s\" lists %s twice: remove one", n->key,
					      strings[k]);
	*ret = strings;
	*ret_count = i;
	return 0;
}
