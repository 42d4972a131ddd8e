/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml's part: events become a tree (policy_tree.h), one event at a time and without recursion. libyaml
 * 0.2.5 has no bound on depth, so the first event that is too deep ends the reading. Nothing here knows
 * what a policy is.
 */
#include "edge/policy_tree.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/twin.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reading {
	struct arena *arena;
	struct tree_error *error;
	struct tree_node *root;
	struct tree_node *in; /* the list or map that is open, NULL at the top */
	const char *key;      /* a map's key that waits for its value */
	yaml_mark_t key_at;
	unsigned depth;
	unsigned nodes;
	unsigned documents;
	bool braced; /* the outermost map is written in braces: its end is visible */
};

static int complain(struct reading *r, const yaml_mark_t *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int complain(struct reading *r, const yaml_mark_t *at, const char *format, ...)
{
	va_list args;

	r->error->line = (unsigned)at->line + 1;
	r->error->column = (unsigned)at->column + 1;
	va_start(args, format);
	vsnprintf(r->error->what, sizeof(r->error->what), format, args);
	va_end(args);
	return -EBADMSG;
}

/* ---- bytes that two readers could read differently are refused before anybody parses ---- */

static const struct {
	const char *bytes;
	size_t len;
	bool first; /* only where the file begins */
	const char *what;
} refused[] = {
	{ "\xef\xbb\xbf", 3, false, "a byte order mark: save the file as UTF-8 without BOM" },
	{ "\xff\xfe", 2, true, "UTF-16: save the file as UTF-8" },
	{ "\xfe\xff", 2, true, "UTF-16: save the file as UTF-8" },
	{ "\0", 1, false, "a NUL byte: the file is damaged or UTF-16; save it as UTF-8" },
	{ "\r", 1, false, "a carriage return: end lines with LF alone (dos2unix)" },
	{ "\xc2\x85", 2, false, "a NEL character: end lines with LF alone" },
	{ "\xe2\x80\xa8", 3, false, "a line separator character: end lines with LF alone" },
	{ "\xe2\x80\xa9", 3, false, "a paragraph separator character: end lines with LF alone" },
};

static yaml_mark_t mark_of(const char *bytes, size_t offset)
{
	yaml_mark_t at = { 0 };

	for (size_t i = 0; i < offset; i++) {
		at.column = bytes[i] == '\n' ? 0 : at.column + 1;
		at.line += bytes[i] == '\n';
	}
	return at;
}

static int bytes_check(struct reading *r, const char *bytes, size_t len)
{
	static const yaml_mark_t top = { 0 };

	if (len > TREE_BYTES_MAX)
		return complain(r, &top, "larger than %u bytes: split it into drop-ins",
				TREE_BYTES_MAX);
	for (size_t i = 0; i < len; i++) {
		if ((bytes[i] >= ' ' && bytes[i] <= '~') || bytes[i] == '\n')
			continue;
		for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); k++) {
			yaml_mark_t at;

			if (len - i < refused[k].len || (i > 0 && refused[k].first) ||
			    memcmp(bytes + i, refused[k].bytes, refused[k].len) != 0)
				continue;
			at = mark_of(bytes, i);
			return complain(r, &at, "%s", refused[k].what);
		}
	}
	return 0;
}

/* A file that was cut off between two lines may still parse. One that ends within a line cannot be whole,
 * unless its outermost brace was closed. */
static int end_check(struct reading *r, const char *bytes, size_t len)
{
	yaml_mark_t at;

	if (!kept(policy_cut) || len == 0 || bytes[len - 1] == '\n' ||
	    (r->braced && bytes[len - 1] == '}'))
		return 0;
	at = mark_of(bytes, len);
	return complain(r, &at,
			"the last line does not end: the file looks cut off; end it with a "
			"newline");
}

/* ---- events ---- */

static int properties_check(struct reading *r, const yaml_event_t *e, const yaml_char_t *anchor,
			    const yaml_char_t *tag)
{
	if (anchor)
		return complain(r, &e->start_mark,
				"an anchor: they are not read; write the value out");
	if (tag)
		return complain(r, &e->start_mark, "a tag: they are not read; remove it");
	return 0;
}

static struct tree_node *node_new(struct reading *r, enum tree_kind kind, const yaml_mark_t *at)
{
	struct tree_node *n = arena_get(r->arena, sizeof(*n));

	if (!n)
		return NULL;
	n->kind = kind;
	n->line = (unsigned)at->line + 1;
	n->column = (unsigned)at->column + 1;
	n->key = take_ptr(r->key);
	n->key_line = (unsigned)r->key_at.line + 1;
	n->key_column = (unsigned)r->key_at.column + 1;
	return n;
}

/* Puts a node where the reading stands. */
static int node_add(struct reading *r, enum tree_kind kind, const yaml_mark_t *at,
		    struct tree_node **ret)
{
	struct tree_node *n;

	if (++r->nodes > TREE_NODES_MAX)
		return complain(r, at, "more than %u values: split the file into drop-ins",
				TREE_NODES_MAX);
	if (r->in && r->in->kind == TREE_MAP && !r->key)
		return complain(r, at, "a list or map as a key: a key is one word");
	n = node_new(r, kind, at);
	if (!n)
		return -ENOMEM;
	n->parent = r->in;
	if (!r->in) {
		r->root = n;
	} else {
		if (r->in->last)
			r->in->last->next = n;
		else
			r->in->first = n;
		r->in->last = n;
		r->in->count++;
	}
	*ret = n;
	return 0;
}

static int on_open(struct reading *r, enum tree_kind kind, const yaml_mark_t *at)
{
	struct tree_node *n;
	int err;

	if (kept(policy_depth) && r->depth == TREE_DEPTH_MAX)
		return complain(r, at, "nested deeper than %d", TREE_DEPTH_MAX);
	err = node_add(r, kind, at, &n);
	if (err < 0)
		return err;
	r->depth++;
	r->in = n;
	return 0;
}

static void on_close(struct reading *r)
{
	r->depth--;
	r->in = r->in->parent;
}

static int on_key(struct reading *r, const yaml_event_t *e, const char *text)
{
	char quoted[80];
	struct text t;

	text_init(&t, quoted, sizeof(quoted));
	text_json(&t, text, strnlen(text, 12)); /* six characters a byte at most */
	if (strcmp(text, "<<") == 0)
		return complain(r, &e->start_mark,
				"a merge key: they are not read; write the keys out");
	if (tree_get(r->in, text))
		return complain(r, &e->start_mark, "%s stands here twice: remove one", quoted);
	if (r->in->count == TREE_KEYS_MAX)
		return complain(r, &e->start_mark, "more than %d keys in one map", TREE_KEYS_MAX);
	r->key = text;
	r->key_at = e->start_mark;
	return 0;
}

static int on_scalar(struct reading *r, const yaml_event_t *e)
{
	const yaml_scalar_style_t style = e->data.scalar.style;
	const char *value = (const char *)e->data.scalar.value;
	struct tree_node *n;
	char *text;
	int err = properties_check(r, e, e->data.scalar.anchor, e->data.scalar.tag);

	if (err < 0)
		return err;
	if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE)
		return complain(r, &e->start_mark, "a block scalar: write the value on one line");
	if (memchr(value, '\0', e->data.scalar.length))
		return complain(r, &e->start_mark, "a NUL inside a value");
	text = arena_text(r->arena, value, e->data.scalar.length);
	if (!text)
		return -ENOMEM;
	if (r->in && r->in->kind == TREE_MAP && !r->key)
		return on_key(r, e, text);

	err = node_add(r, TREE_SCALAR, &e->start_mark, &n);
	if (err < 0)
		return err;
	n->text = text;
	n->plain = style == YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static int on_document(struct reading *r, const yaml_event_t *e)
{
	if (e->data.document_start.version_directive ||
	    e->data.document_start.tag_directives.start !=
		    e->data.document_start.tag_directives.end)
		return complain(r, &e->start_mark, "a directive: they are not read; remove it");
	if (r->documents++)
		return complain(r, &e->start_mark,
				"a second document: put it into a file of its own");
	return 0;
}

static int on_event(struct reading *r, const yaml_event_t *e)
{
	int err;

	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(r, e);
	case YAML_SCALAR_EVENT:
		return on_scalar(r, e);
	case YAML_SEQUENCE_START_EVENT:
		err = properties_check(r, e, e->data.sequence_start.anchor,
				       e->data.sequence_start.tag);
		return err < 0 ? err : on_open(r, TREE_LIST, &e->start_mark);
	case YAML_MAPPING_START_EVENT:
		err = properties_check(r, e, e->data.mapping_start.anchor,
				       e->data.mapping_start.tag);
		if (!r->root)
			r->braced = e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
		return err < 0 ? err : on_open(r, TREE_MAP, &e->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_close(r);
		return 0;
	case YAML_ALIAS_EVENT:
		return complain(r, &e->start_mark,
				"an alias: they are not read; write the value out");
	default:
		return 0;
	}
}

static int parser_complain(struct reading *r, const yaml_parser_t *parser, const char *bytes,
			   size_t len)
{
	yaml_mark_t at = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR) /* that one knows only the offset */
		at = mark_of(bytes, parser->problem_offset < len ? parser->problem_offset : len);
	return complain(r, &at, "%s%s%s", parser->problem ? parser->problem : "not YAML",
			parser->context ? " " : "", parser->context ? parser->context : "");
}

static int events_read(struct reading *r, yaml_parser_t *parser, const char *bytes, size_t len)
{
	yaml_event_type_t type;

	do {
		yaml_event_t e;
		int err;

		if (!yaml_parser_parse(parser, &e))
			return parser_complain(r, parser, bytes, len);
		type = e.type;
		err = on_event(r, &e);
		yaml_event_delete(&e);
		if (err < 0)
			return err;
	} while (type != YAML_STREAM_END_EVENT);
	return 0;
}

static bool says_nothing(const struct tree_node *root)
{
	return !root || (root->kind == TREE_SCALAR && root->plain && root->text[0] == '\0');
}

int tree_parse(struct arena *arena, const char *bytes, size_t len, struct tree_node **ret,
	       struct tree_error *ret_error)
{
	static const yaml_mark_t top = { 0 };
	owned(yaml_parser_delete) yaml_parser_t parser;
	struct reading r = { .arena = arena, .error = ret_error };
	int err;

	memset(&parser, 0, sizeof(parser)); /* so that it may be deleted whatever happens */
	err = bytes_check(&r, bytes, len);
	if (err < 0)
		return err;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, len);
	err = events_read(&r, &parser, bytes, len);
	if (err < 0)
		return err;

	if (says_nothing(r.root)) {
		if (kept(policy_empty))
			return complain(&r, &top,
					"the file is empty: it never means allow all; "
					"write a policy or remove the file");
		r.key = NULL;
		r.in = NULL;
		err = node_add(&r, TREE_MAP, &top, &r.root);
		if (err < 0)
			return err;
	}
	err = end_check(&r, bytes, len);
	if (err < 0)
		return err;
	*ret = r.root;
	return 0;
}

struct tree_node *tree_get(const struct tree_node *map, const char *key)
{
	for (struct tree_node *n = map->first; n; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}
