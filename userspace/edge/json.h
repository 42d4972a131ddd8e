/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict JSON (RFC 8259 and token.md 2.8) on top of jansson: one value and nothing behind it, UTF-8 without
 * BOM or lone surrogates, no duplicate member at any level, depth at most 32.
 */
#ifndef CLEAT_EDGE_JSON_H
#define CLEAT_EDGE_JSON_H

#include "base/cleanup.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32

enum json_top {
	JSON_TOP_ANY,	 /* the syntax layer alone (tests, JSONTestSuite) */
	JSON_TOP_OBJECT, /* what every token, bundle and file here is */
};

/* jansson's random seed is taken now, not at the first parse, when a room can open nothing any more. */
int json_open(void);
/* NULL on any violation; where @ret_error is given it gets one line for people ("line:column: what is wrong"). */
json_t *json_parse(const char *s, size_t len, enum json_top top, char *ret_error, size_t error_cap);
/* An object of at most @values members and elements, counted before anything is stored. */
json_t *json_parse_small(const char *s, size_t len, size_t values);
static inline void json_owned(json_t **j)
{
	json_decref(*j);
}

/* Where, in text that json_parse() took as an object, element @index of the top-level array @member begins (for
 * messages; the nearest enclosing place where there is none). Counted from 1. */
struct json_place {
	unsigned line;
	unsigned column;
};
struct json_place json_find(const char *s, size_t len, const char *member, size_t index);

/* A string member without NUL inside and at most @cap - 1 bytes, copied with its NUL. False: absent,
 * another type, too long, NUL inside. */
bool json_get_string(const json_t *object, const char *name, char *ret, size_t cap);
/* The member is a string of exactly these bytes. */
bool json_string_is(const json_t *object, const char *name, const char *value);
/* A NumericDate: finite number 0 ... 2^40, integer or real. */
bool json_get_date(const json_t *object, const char *name, double *ret);
/* An integer (no fraction, no exponent) within [min, max]. */
bool json_get_integer(const json_t *object, const char *name, uint64_t min, uint64_t max,
		      uint64_t *ret);
/* base64url of exactly @n bytes. */
bool json_get_bytes(const json_t *object, const char *name, void *ret, size_t n);

#endif
