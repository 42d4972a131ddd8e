// SPDX-License-Identifier: Apache-2.0
/*
 * Strict JSON text -> jansson's values: see json.h. The grammar of RFC 8259 by recursive descent, at most
 * JSON_DEPTH_MAX deep; jansson's own reader is five times slower and loses a NUL byte that ends a number (2.14). Held
 * against JSONTestSuite, and by fuzzing against jansson's reader.
 */
#include "base/twin.h"
#include "edge/json.h"
#include <errno.h>
#include <math.h>
#include <string.h>

#define NUMBER_MAX 512 /* characters of a number with a fraction or an exponent */

struct reader {
	const char *start;
	const char *at;
	const char *end;
	char *scratch;	 /* unescaped strings; made when the first one comes */
	const char *why; /* set once: what is wrong at @at */
};

static json_t *read_value(struct reader *r, unsigned depth);

static void *wrong(struct reader *r, const char *why)
{
	if (!r->why)
		r->why = why;
	return NULL;
}

static void skip_space(struct reader *r)
{
	while (r->at < r->end &&
	       (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool next_is(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* Bytes of one well-formed UTF-8 sequence that is not ASCII (RFC 3629), or 0. */
static size_t utf8_len(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;

	if (u[0] < 0xc2 || u[0] > 0xf4 || len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f))
		return 0; /* overlong; a surrogate */
	if ((u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0; /* overlong; beyond U+10FFFF */
	return n;
}

static size_t utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* Four hex digits at @at, or -1. */
static int32_t hex4(const struct reader *r, const char *at)
{
	uint8_t two[2];

	if (r->end - at < 4 || hex_decode(at, 4, two, 2) < 0)
		return -1;
	return two[0] << 8 | two[1];
}

/* Behind a backslash: what is meant, into @to; 0 where it means nothing. Never longer than its spelling. */
static size_t read_escape(struct reader *r, char *to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *simple = r->at < r->end && *r->at ? strchr(from, *r->at) : NULL;
	int32_t c, low;

	if (simple) {
		*to = into[simple - from];
		r->at++;
		return 1;
	}
	if (!next_is(r, 'u'))
		return 0;
	c = hex4(r, r->at);
	if (c < 0 || (c >= 0xdc00 && c < 0xe000))
		return 0;
	r->at += 4;
	if (c < 0xd800 || c >= 0xe000)
		return utf8_put(to, (uint32_t)c);
	low = r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u' ? hex4(r, r->at + 2) : -1;
	if (low < 0xdc00 || low >= 0xe000)
		return 0;
	r->at += 6;
	return utf8_put(to, 0x10000 + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
}

/* The bytes at @at that stand for themselves in a string: up to a quote, a backslash or the end. */
static bool skip_plain(struct reader *r)
{
	while (r->at < r->end && *r->at != '"' && *r->at != '\\') {
		unsigned char c = (unsigned char)*r->at;
		size_t n = c < 0x80 ? 1 : utf8_len(r->at, (size_t)(r->end - r->at));

		if (c < 0x20)
			return wrong(r, "a control character in a string");
		if (n == 0)
			return wrong(r, "not UTF-8");
		r->at += n;
	}
	return r->at < r->end || wrong(r, "a string without an end");
}

/* Behind the opening quote: the string's bytes, in the text itself or in the scratch. NULL where it is wrong. */
static const char *read_string(struct reader *r, size_t *ret_len)
{
	const char *from = r->at;
	size_t len = 0;

	if (!skip_plain(r))
		return NULL;
	if (next_is(r, '"')) {
		*ret_len = (size_t)(r->at - 1 - from);
		return from;
	}
	if (!r->scratch)
		r->scratch = malloc((size_t)(r->end - r->start));
	if (!r->scratch)
		return wrong(r, "no memory");
	for (;;) {
		size_t plain = (size_t)(r->at - from), n;

		memcpy(r->scratch + len, from, plain);
		len += plain;
		if (next_is(r, '"'))
			break;
		r->at++;
		n = read_escape(r, r->scratch + len);
		if (n == 0)
			return wrong(r, "a backslash that means nothing, or half a surrogate pair");
		len += n;
		from = r->at;
		if (!skip_plain(r))
			return NULL;
	}
	*ret_len = len;
	return r->scratch;
}

static size_t skip_digits(struct reader *r)
{
	const char *from = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return (size_t)(r->at - from);
}

static json_t *read_integer(struct reader *r, const char *from)
{
	bool negative = *from == '-';
	int64_t n = 0;

	for (const char *at = from + negative; at < r->at; at++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, *at - '0', &n)) /* downwards: INT64_MIN fits */
			return wrong(r, "an integer that does not fit");
	if (!negative && __builtin_sub_overflow(0, n, &n))
		return wrong(r, "an integer that does not fit");
	return json_integer(n);
}

static json_t *read_real(struct reader *r, const char *from)
{
	size_t len = (size_t)(r->at - from);
	char text[NUMBER_MAX + 1];
	double d;

	if (len > NUMBER_MAX)
		return wrong(r, "a number that is too long");
	memcpy(text, from, len);
	text[len] = '\0';
	d = strtod(text, NULL);
	return isfinite(d) ? json_real(d) : wrong(r, "a number that does not fit");
}

static json_t *read_number(struct reader *r)
{
	const char *from = r->at;
	bool real = false;

	next_is(r, '-');
	if (!next_is(r, '0') && skip_digits(r) == 0)
		return wrong(r, "not a value");
	if (next_is(r, '.')) {
		real = true;
		if (skip_digits(r) == 0)
			return wrong(r, "a number without digits behind its point");
	}
	if (next_is(r, 'e') || next_is(r, 'E')) {
		real = true;
		if (!next_is(r, '+'))
			next_is(r, '-');
		if (skip_digits(r) == 0)
			return wrong(r, "an exponent without digits");
	}
	return real ? read_real(r, from) : read_integer(r, from);
}

/* One "name": value into @object. A second one of the same name is refused: what parsers make of it is their taste. */
static bool read_member(struct reader *r, json_t *object, unsigned depth)
{
	size_t before = json_object_size(object), len;
	owned_mem char *copy = NULL;
	const char *name, *place;
	json_t *value;

	skip_space(r);
	place = r->at;
	if (!next_is(r, '"'))
		return wrong(r, "a name is missing");
	name = read_string(r, &len);
	if (!name)
		return false;
	if (memchr(name, '\0', len))
		return wrong(r, "a NUL in a name");
	if (name == r->scratch) { /* the value will use the scratch too */
		name = copy = strndup(name, len);
		if (!copy)
			return wrong(r, "no memory");
	}
	skip_space(r);
	if (!next_is(r, ':'))
		return wrong(r, "a colon is missing");
	value = read_value(r, depth);
	if (!value)
		return false;
	if (json_object_setn_new_nocheck(object, name, len, value) < 0)
		return wrong(r, "no memory");
	if (kept(duplicates) && json_object_size(object) == before) {
		r->at = place;
		return wrong(r, "a second member of this name");
	}
	return true;
}

static json_t *read_object(struct reader *r, unsigned depth)
{
	owned(json_owned) json_t *object = json_object();

	if (!object)
		return wrong(r, "no memory");
	skip_space(r);
	if (next_is(r, '}'))
		return take_ptr(object);
	do {
		if (!read_member(r, object, depth))
			return NULL;
		skip_space(r);
	} while (next_is(r, ','));
	return next_is(r, '}') ? take_ptr(object) : wrong(r, "a comma or } is missing");
}

static json_t *read_array(struct reader *r, unsigned depth)
{
	owned(json_owned) json_t *array = json_array();

	if (!array)
		return wrong(r, "no memory");
	skip_space(r);
	if (next_is(r, ']'))
		return take_ptr(array);
	do {
		json_t *value = read_value(r, depth);

		if (!value)
			return NULL;
		if (json_array_append_new(array, value) < 0)
			return wrong(r, "no memory");
		skip_space(r);
	} while (next_is(r, ','));
	return next_is(r, ']') ? take_ptr(array) : wrong(r, "a comma or ] is missing");
}

static json_t *read_text(struct reader *r)
{
	size_t len;
	const char *s = read_string(r, &len);

	return s ? json_stringn_nocheck(s, len) : NULL;
}

static json_t *read_word(struct reader *r, const char *word, json_t *value)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return wrong(r, "not a value");
	r->at += len;
	return value;
}

/* @depth: how many arrays and objects are open around it. */
static json_t *read_value(struct reader *r, unsigned depth)
{
	skip_space(r);
	if (r->at == r->end)
		return wrong(r, "a value is missing");
	if ((*r->at == '{' || *r->at == '[') && depth == JSON_DEPTH_MAX)
		return wrong(r, "nested too deep");
	if (next_is(r, '{'))
		return read_object(r, depth + 1);
	if (next_is(r, '['))
		return read_array(r, depth + 1);
	if (next_is(r, '"'))
		return read_text(r);
	if (*r->at == 't')
		return read_word(r, "true", json_true());
	if (*r->at == 'f')
		return read_word(r, "false", json_false());
	if (*r->at == 'n')
		return read_word(r, "null", json_null());
	return read_number(r);
}

json_t *json_parse(const char *s, size_t len, enum json_top top, char *ret_error, size_t error_cap)
{
	struct reader r = { .start = s, .at = s, .end = s + len };
	owned(json_owned) json_t *j = read_value(&r, 0);
	struct json_place at;

	skip_space(&r);
	if (j && r.at != r.end)
		wrong(&r, "bytes behind the value");
	if (j && !r.why && top == JSON_TOP_OBJECT && !json_is_object(j)) {
		r.at = s;
		wrong(&r, "not a JSON object");
	}
	free(r.scratch);
	if (j && !r.why)
		return take_ptr(j);
	at = json_place_of(s, r.at);
	if (ret_error)
		snprintf(ret_error, error_cap, "%u:%u: %s", at.line, at.column,
			 r.why ? r.why : "no memory");
	return NULL;
}
