/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of values. Each complaint says what was found, what is meant, and so the way out. */
#include "edge/policy_value.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct place_in_file place_of_value(const struct file_reading *r, const struct tree_node *n)
{
	return (struct place_in_file){ r->file, r->name, n->line, n->column };
}

struct place_in_file place_of_key(const struct file_reading *r, const struct tree_node *n)
{
	return (struct place_in_file){ r->file, r->name, n->key_line, n->key_column };
}

int value_complain(struct file_reading *r, const struct tree_node *n, const char *format, ...)
{
	const struct place_in_file at = place_of_value(r, n);
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return draft_complain(r->d, &at, "%s", what);
}

void quote(const char *s, char ret[QUOTED_MAX])
{
	const size_t longest = 40; /* six characters a byte at most */
	struct text t;

	text_init(&t, ret, QUOTED_MAX);
	text_json(&t, s, strnlen(s, longest));
	if (strlen(s) > longest)
		text_puts(&t, "...");
}

unsigned edits_between(const char *a, const char *b)
{
	unsigned row[32];
	size_t la = strlen(a), lb = strlen(b);

	if (la > 30 || lb > 30)
		return 3;
	for (unsigned k = 0; k <= lb; k++)
		row[k] = k;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned k = 1; k <= lb; k++) {
			unsigned best = diagonal + (a[i - 1] != b[k - 1]);

			if (row[k] + 1 < best)
				best = row[k] + 1;
			if (row[k - 1] + 1 < best)
				best = row[k - 1] + 1;
			diagonal = row[k];
			row[k] = best;
		}
	}
	return row[lb] < 3 ? row[lb] : 3;
}

/* The text of a scalar that says something. */
static int scalar(struct file_reading *r, const struct tree_node *n, const char *meant,
		  const char **ret)
{
	if (n->kind != TREE_SCALAR) {
		value_complain(r, n, "a %s where %s is meant",
			       n->kind == TREE_LIST ? "list" : "map", meant);
		return -EBADMSG;
	}
	if (n->text[0] == '\0') {
		value_complain(r, n, "nothing where %s is meant: write it, or remove the key",
			       meant);
		return -EBADMSG;
	}
	*ret = n->text;
	return 0;
}

/* Complains that the scalar is not what is meant. */
static int not_meant(struct file_reading *r, const struct tree_node *n, const char *meant)
{
	char found[QUOTED_MAX];

	quote(n->text, found);
	return value_complain(r, n, "%s where %s is meant", found, meant);
}

int value_number(struct file_reading *r, const struct tree_node *n, uint32_t max, uint32_t *ret)
{
	char meant[96];
	const char *text;
	uint64_t number;
	int err;

	snprintf(meant, sizeof(meant), "a decimal number from 0 to %u (digits alone, no quotes)",
		 max);
	err = scalar(r, n, meant, &text);
	if (err < 0)
		return err;
	if (!n->plain || decimal_parse(text, strlen(text), max, &number) < 0)
		return not_meant(r, n, meant);
	*ret = (uint32_t)number;
	return 0;
}

/* Decimal digits and then exactly @unit. */
static bool with_unit(const char *text, const char *unit, uint64_t *ret)
{
	size_t digits = strspn(text, "0123456789");

	return strcmp(text + digits, unit) == 0 &&
	       decimal_parse(text, digits, UINT32_MAX, ret) == 0;
}

int value_seconds(struct file_reading *r, const struct tree_node *n, uint32_t min, uint32_t max,
		  uint32_t *ret)
{
	char meant[64];
	const char *text;
	uint64_t number;
	int err;

	snprintf(meant, sizeof(meant), "seconds from %us to %us", min, max);
	err = scalar(r, n, meant, &text);
	if (err < 0)
		return err;
	if (!n->plain || !with_unit(text, "s", &number) || number < min || number > max)
		return not_meant(r, n, meant);
	*ret = (uint32_t)number;
	return 0;
}

int value_milliseconds(struct file_reading *r, const struct tree_node *n, uint32_t max,
		       uint32_t *ret)
{
	char meant[80];
	const char *text;
	uint64_t number;
	int err;

	snprintf(meant, sizeof(meant), "a time from 0s to %us, as 2s or 1500ms", max / 1000);
	err = scalar(r, n, meant, &text);
	if (err < 0)
		return err;
	if (n->plain && with_unit(text, "s", &number) && number <= max / 1000)
		number *= 1000;
	else if (!n->plain || !with_unit(text, "ms", &number) || number > max)
		return not_meant(r, n, meant);
	*ret = (uint32_t)number;
	return 0;
}

int value_trust_domain(struct file_reading *r, const struct tree_node *n, const char **ret)
{
	static const char meant[] = "a trust domain (lower case letters, digits, dots, dashes and "
				    "underscores, without spiffe://)";
	const char *text;
	int err = scalar(r, n, meant, &text);

	if (err < 0)
		return err;
	if (!spiffe_trust_domain_valid(text, strlen(text)))
		return not_meant(r, n, meant);
	*ret = text;
	return 0;
}

int value_host(struct file_reading *r, const struct tree_node *n, const char **ret)
{
	static const char meant[] = "the name of a host (letters, digits, dots, dashes and "
				    "underscores, as after /host/ in its id)";
	char path[1 + 256];
	const char *text;
	int err = scalar(r, n, meant, &text);

	if (err < 0)
		return err;
	if (strlen(text) > 255 || strchr(text, '/'))
		return not_meant(r, n, meant);
	snprintf(path, sizeof(path), "/%s", text);
	if (!spiffe_path_valid(path, strlen(path)))
		return not_meant(r, n, meant);
	*ret = text;
	return 0;
}

/* A workload's id, full: a SPIFFE ID with a path that is not a host's. */
static int workload_id(struct file_reading *r, const struct tree_node *n, const char *full,
		       const char *meant)
{
	struct spiffe_id id;

	if (!spiffe_id_parse(full, strlen(full), &id) || id.path_len == 0)
		return not_meant(r, n, meant);
	if (spiffe_path_is_host(id.path, id.path_len))
		return value_complain(r, n,
				      "an id below /host is a host's, never a workload's: "
				      "choose another path");
	return 0;
}

int value_own_path(struct file_reading *r, const struct tree_node *n, const char **ret)
{
	static const char meant[] = "a path of this trust domain (\"/payments\": letters, digits, "
				    "dots, dashes, underscores)";
	const char *path;
	struct text full;
	size_t cap;
	char *at;
	int err = scalar(r, n, meant, &path);

	if (err < 0)
		return err;
	if (!spiffe_path_valid(path, strlen(path)))
		return not_meant(r, n, meant);
	cap = sizeof("spiffe://") + strlen(r->d->trust_domain) + strlen(path);
	at = arena_get(&r->d->arena, cap);
	if (!at)
		return -ENOMEM;
	text_init(&full, at, cap);
	text_puts(&full, "spiffe://");
	text_puts(&full, r->d->trust_domain);
	text_puts(&full, path);
	err = workload_id(r, n, at, meant);
	if (err == 0)
		*ret = at;
	return err;
}

int value_id(struct file_reading *r, const struct tree_node *n, const char **ret)
{
	static const char meant[] = "a workload (\"/path\" of this trust domain, or a full SPIFFE "
				    "ID spiffe://domain/path)";
	const char *text;
	int err = scalar(r, n, meant, &text);

	if (err < 0)
		return err;
	if (text[0] == '/')
		return value_own_path(r, n, ret);
	err = workload_id(r, n, text, meant);
	if (err == 0)
		*ret = text;
	return err;
}

/* Components without "", "." and "..", no control characters, room for the NUL. */
static bool cgroup_good(const char *path)
{
	if (path[0] != '/' || path[1] == '\0' || strlen(path) >= CLEAT_PATH_MAX)
		return false;
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	for (const char *at = path; *at;) {
		size_t len = strcspn(at + 1, "/");

		if (len == 0 || (len == 1 && at[1] == '.') ||
		    (len == 2 && memcmp(at + 1, "..", 2) == 0))
			return false;
		at += 1 + len;
	}
	return true;
}

int value_cgroup(struct file_reading *r, const struct tree_node *n, const char **ret)
{
	static const char meant[] = "the absolute path of a cgroup below the root, as in "
				    "/proc/PID/cgroup after 0:: (whole components, under 256 "
				    "bytes, no / at the end, no patterns)";
	const char *text;
	int err = scalar(r, n, meant, &text);

	if (err < 0)
		return err;
	if (!cgroup_good(text))
		return not_meant(r, n, meant);
	*ret = text;
	return 0;
}

/* The kinds of unit that have processes. A slice is named by its path. */
static bool unit_good(const char *unit)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
	static const char *const kinds[] = { ".service", ".scope", ".socket", ".mount", ".swap" };
	const char *kind = strrchr(unit, '.');

	if (!kind || kind == unit || kind[-1] == '@' || unit[0] == '@' || unit[0] == '.' ||
	    strlen(unit) + 1 >= CLEAT_PATH_MAX || unit[strspn(unit, letters)] != '\0')
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	return false;
}

bool unit_needs_escape(const char *unit)
{
	static const char *const controllers[] = {
		"cgroup", "cpu",     "cpuacct", "cpuset",	"io",	       "blkio",
		"memory", "devices", "pids",	"bpf-firewall", "bpf-devices", "bpf-foreign",
	};
	size_t word = strcspn(unit, ".");

	if (unit[0] == '_' || unit[0] == '.')
		return true;
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
		if (strlen(controllers[i]) == word && memcmp(unit, controllers[i], word) == 0)
			return true;
	return false;
}

int value_unit(struct file_reading *r, const struct tree_node *n, const char **ret)
{
	static const char meant[] = "the name of one unit (x.service, x@1.service, x.scope, "
				    "x.socket, x.mount, x.swap; a slice is named by its cgroup; no "
				    "patterns, no template)";
	const char *text;
	char *escaped;
	int err = scalar(r, n, meant, &text);

	if (err < 0)
		return err;
	if (!unit_good(text))
		return not_meant(r, n, meant);
	if (unit_needs_escape(text)) {
		escaped = arena_get(&r->d->arena, strlen(text) + 2);
		if (!escaped)
			return -ENOMEM;
		escaped[0] = '_';
		memcpy(escaped + 1, text, strlen(text));
		text = escaped;
	}
	*ret = text;
	return 0;
}

int value_word(struct file_reading *r, const struct tree_node *n, const struct word *words,
	       size_t count, uint32_t *flags)
{
	char meant[128];
	const char *text;
	struct text t;
	int err;

	text_init(&t, meant, sizeof(meant));
	for (size_t i = 0; i < count; i++) {
		text_puts(&t, i ? " or " : "");
		text_puts(&t, words[i].word);
	}
	err = scalar(r, n, meant, &text);
	if (err < 0)
		return err;
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i].word, text) == 0) {
			*flags |= words[i].bits;
			return 0;
		}
	return not_meant(r, n, meant);
}
