// SPDX-License-Identifier: Apache-2.0
/*
 * Strict JSON: see json.h. jansson reads UTF-8 strictly, refuses lone surrogates, a BOM, NUL in names, bytes behind
 * the value and, told so, duplicates (compared after unescaping). Two things are looked at before it: our depth, by counting
 * brackets outside of strings, and raw NUL bytes, which jansson (2.14) loses behind a number.
 */
#include "edge/json.h"
#include "base/bytes.h"
#include "base/twin.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What a parser makes of a second member of the same name is a parser's taste; nobody may depend on it. */
#define DUPLICATES (kept(duplicates) ? JSON_REJECT_DUPLICATES : 0)
#define DATE_MAX   ((double)(1ULL << 40))

/* Goes over one string; @at is behind its opening quote. Returns where it ends (behind the quote, or @end). */
static const char *string_end(const char *at, const char *end)
{
	while (at < end && *at != '"')
		at += *at == '\\' && end - at > 1 ? 2 : 1;
	return at < end ? at + 1 : end;
}

/* What is looked at before anything is stored. */
struct shape {
	const char *deep; /* where the depth first exceeds the limit, or NULL */
	size_t values;	  /* members and elements, and a little more */
};

static struct shape shape_of(const char *s, size_t len)
{
	const char *end = s + len;
	struct shape shape = { 0 };
	unsigned depth = 0;

	while (s < end) {
		char c = *s++;

		if (c == '"')
			s = string_end(s, end);
		else if (c == '[' || c == '{') {
			shape.values++;
			if (++depth > JSON_DEPTH_MAX && !shape.deep)
				shape.deep = s - 1;
		} else if (c == ',')
			shape.values++;
		else if ((c == ']' || c == '}') && depth)
			depth--;
	}
	return shape;
}

static struct json_place place_of(const char *s, const char *at)
{
	struct json_place place = { .line = 1, .column = 1 };

	for (; s < at; s++) {
		place.column++;
		if (*s == '\n')
			place = (struct json_place){ place.line + 1, 1 };
	}
	return place;
}

int json_open(void)
{
	json_t *first;

	json_object_seed(0);
	first = json_object();
	json_decref(first);
	return first ? 0 : -ENOMEM;
}

/* Everything but the first look; @ret_error as json_parse()'s. */
static json_t *load(const char *s, size_t len, enum json_top top, char *ret_error, size_t error_cap)
{
	json_error_t why;
	json_t *j;

	j = json_loadb(s, len, DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
	if (!j) {
		/* the text quotes the file, which a stranger may have written, byte by byte */
		if (ret_error)
			snprintf(ret_error, error_cap, "%d:%d: %s", why.line > 0 ? why.line : 1,
				 why.column > 0 ? why.column : 1, line_clean(why.text));
		return NULL;
	}
	if (top == JSON_TOP_OBJECT && !json_is_object(j)) {
		json_decref(j);
		if (ret_error)
			snprintf(ret_error, error_cap, "1:1: not a JSON object");
		return NULL;
	}
	return j;
}

json_t *json_parse(const char *s, size_t len, enum json_top top, char *ret_error, size_t error_cap)
{
	const char *deep = shape_of(s, len).deep;
	const char *nul = memchr(s, '\0', len);

	if (nul) {
		struct json_place at = place_of(s, nul);

		if (ret_error)
			snprintf(ret_error, error_cap, "%u:%u: a NUL byte", at.line, at.column);
		return NULL;
	}
	if (deep) {
		struct json_place at = place_of(s, deep);

		if (ret_error)
			snprintf(ret_error, error_cap, "%u:%u: nested deeper than %d", at.line,
				 at.column, JSON_DEPTH_MAX);
		return NULL;
	}
	return load(s, len, top, ret_error, error_cap);
}

json_t *json_parse_small(const char *s, size_t len, size_t values)
{
	struct shape shape = shape_of(s, len);

	if (shape.values > values || shape.deep || memchr(s, '\0', len))
		return NULL;
	return load(s, len, JSON_TOP_OBJECT, NULL, 0);
}

/* The next byte that is not white space. */
static const char *skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* Behind one value; @at is at its first byte. */
static const char *value_end(const char *at, const char *end)
{
	unsigned depth = 0;

	while (at < end) {
		char c = *at;

		if (depth == 0 && (c == ',' || c == ']' || c == '}'))
			break;
		at++;
		if (c == '"')
			at = string_end(at, end);
		else if (c == '[' || c == '{')
			depth++;
		else if (c == ']' || c == '}')
			depth--;
	}
	return at;
}

/* The value of member @name of the object that begins at @at, or NULL. Names are compared as they are written. */
static const char *member_of(const char *at, const char *end, const char *name)
{
	size_t name_len = strlen(name);

	at = skip_space(at, end);
	while (at < end && *at != '}') {
		const char *key = skip_space(at + 1, end);
		const char *key_end = key < end && *key == '"' ? string_end(key + 1, end) : key;

		at = skip_space(key_end, end);
		if (at >= end || *at != ':')
			return NULL;
		at = skip_space(at + 1, end);
		if ((size_t)(key_end - key) == name_len + 2 && !memcmp(key + 1, name, name_len))
			return at;
		at = skip_space(value_end(at, end), end);
	}
	return NULL;
}

struct json_place json_find(const char *s, size_t len, const char *member, size_t index)
{
	const char *end = s + len;
	const char *array = member_of(s, end, member);
	const char *at;

	if (!array || array >= end || *array != '[')
		return place_of(s, array ? array : s);
	at = skip_space(array + 1, end);
	for (size_t i = 0; i < index && at < end && *at != ']'; i++) {
		at = value_end(at, end);
		at = skip_space(at < end && *at == ',' ? at + 1 : at, end);
	}
	return place_of(s, at);
}

bool json_get_string(const json_t *object, const char *name, char *ret, size_t cap)
{
	const json_t *j = json_object_get(object, name);
	size_t len = json_is_string(j) ? json_string_length(j) : cap;

	if (len >= cap || memchr(json_string_value(j), '\0', len))
		return false;
	memcpy(ret, json_string_value(j), len + 1);
	return true;
}

bool json_string_is(const json_t *object, const char *name, const char *value)
{
	const json_t *j = json_object_get(object, name);
	size_t len = strlen(value);

	return json_is_string(j) && json_string_length(j) == len &&
	       !memcmp(json_string_value(j), value, len);
}

bool json_get_date(const json_t *object, const char *name, double *ret)
{
	const json_t *j = json_object_get(object, name);
	double at = json_is_number(j) ? json_number_value(j) : -1;

	if (!isfinite(at) || at < 0 || at > DATE_MAX)
		return false;
	*ret = at;
	return true;
}

bool json_get_integer(const json_t *object, const char *name, uint64_t min, uint64_t max,
		      uint64_t *ret)
{
	const json_t *j = json_object_get(object, name);
	json_int_t n = json_is_integer(j) ? json_integer_value(j) : -1;

	if (n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		return false;
	*ret = (uint64_t)n;
	return true;
}

bool json_get_bytes(const json_t *object, const char *name, void *ret, size_t n)
{
	const json_t *j = json_object_get(object, name);
	size_t len;

	if (!json_is_string(j) || json_string_length(j) != B64URL_LEN(n))
		return false;
	return b64url_decode(json_string_value(j), json_string_length(j), ret, n, &len) == 0 &&
	       len == n;
}
