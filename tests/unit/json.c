// SPDX-License-Identifier: Apache-2.0
/* edge/json: strict in every way token.md 2.8 and 2.9 name, and messages that point at the place. */
#include "edge/json.h"
#include <criterion/criterion.h>
#include <string.h>

static json_t *parse(const char *s, size_t len)
{
	return json_parse(s, len, JSON_TOP_OBJECT, NULL, 0);
}

/* good: {"a":1}. Each row changes one thing. */
Test(json, refusals)
{
	static const char *const rows[] = {
		"",
		" ",
		"[1]",
		"1",
		"null",
		"{\"a\":1}x",
		"{\"a\":1}{}",
		"{\"a\":1,}",
		"{\"a\":1,\"a\":1}",
		"{\"a\":1,\"\\u0061\":2}",
		"{\"b\":{\"a\":1,\"a\":1}}",
		"{\"b\":[{\"a\":1,\"\\u0061\":1}]}",
		"\xef\xbb\xbf{\"a\":1}",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\\ud800\"}",
		"{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xc0\x80\"}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\n\"}",
		"{'a':1}",
		"{a:1}",
		"{\"a\":01}",
		"{\"a\":+1}",
		"{\"a\":1.}",
		"{\"a\":NaN}",
		"{\"a\":Infinity}",
		"{\"a\":1e400}",
		"{\"a\":-1e400}",
		"{\"a\":9223372036854775808}",
		"{\"a\":18446744073709551616}",
		"{\"a\\u0000\":1}",
		"{\"a\":1 /* x */}",
		"{\"a\":\"\\x41\"}",
		"{\"a\"",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned(json_owned) json_t *j = parse(rows[i], strlen(rows[i]));

		cr_assert_null(j, "%s", rows[i]);
	}
	for (size_t cut = 0; cut < 7; cut++)
		cr_assert_null(parse("{\"a\":1}", cut));
}

/* jansson 2.14 loses a NUL that ends a number. */
Test(json, raw_nul)
{
	cr_assert_null(parse("{\"a\":1\0}", 8));
	cr_assert_null(parse("{\"a\":1}\0", 8));
	cr_assert_null(parse("{\"a\":\"\0\"}", 9));
	cr_assert_null(parse("\0", 1));
}

Test(json, good)
{
	static const char *const rows[] = { "{}", " {\"a\":1}\n", "{\"a\":\"\\u0000\"}",
					    "{\"a\":\"\\ud83d\\ude00\xf0\x9f\x98\x80\"}",
					    "{\"a\":-0,\"b\":1e3,\"c\":[null,true,false]}" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned(json_owned) json_t *j = parse(rows[i], strlen(rows[i]));

		cr_assert_not_null(j, "%s", rows[i]);
	}
}

/* 32 are good, 33 are not, and brackets within strings are none. */
Test(json, depth)
{
	char at[128] = "{\"a\":";
	size_t len = strlen(at);

	for (unsigned depth = 1; depth < 40; depth++) {
		owned(json_owned) json_t *j = NULL;

		memset(at + len, '[', depth);
		memset(at + len + depth, ']', depth);
		at[len + 2 * depth] = '}';
		j = parse(at, len + 2 * depth + 1);
		cr_assert_eq(j != NULL, depth + 1 <= JSON_DEPTH_MAX, "%u", depth);
	}
	strcpy(at, "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"}");
	owned(json_owned) json_t *j = parse(at, strlen(at));
	cr_assert_not_null(j);
}

Test(json, messages_point_at_the_place)
{
	static const char text[] =
		"{\n \"x\": [\"keys\", {\"keys\": []}],\n \"keys\": [\n  {\"a\": [1, 2]},\n"
		"  \"],\", {\"b\": 2}\n ]\n}";
	static const char orders[] = "{\"\302\2332J\":1,\"\302\2332J\":1}";
	char error[128];
	struct json_place at;

	cr_assert_null(json_parse("{\n  \"a\": x}", 11, JSON_TOP_OBJECT, error, sizeof(error)));
	cr_assert_eq(strncmp(error, "2:", 2), 0, "%s", error);
	cr_assert_null(json_parse("[]", 2, JSON_TOP_OBJECT, error, sizeof(error)));
	cr_assert_str_eq(error, "1:1: not a JSON object");
	/* it quotes the file, and U+009B begins a sequence that a terminal obeys */
	cr_assert_null(json_parse(orders, strlen(orders), JSON_TOP_OBJECT, error, sizeof(error)));
	for (const char *c = error; *c; c++)
		cr_expect(*c >= ' ' && *c <= '~', "%02x in %s", (unsigned char)*c, error);
	at = json_find(text, strlen(text), "keys", 0);
	cr_assert(at.line == 4 && at.column == 3, "%u:%u", at.line, at.column);
	at = json_find(text, strlen(text), "keys", 1);
	cr_assert(at.line == 5 && at.column == 3, "%u:%u", at.line, at.column);
	at = json_find(text, strlen(text), "keys", 2);
	cr_assert(at.line == 5 && at.column == 9, "%u:%u", at.line, at.column);
	at = json_find(text, strlen(text), "none", 0);
	cr_assert(at.line == 1 && at.column == 1);
}

Test(json, getters)
{
	static const char text[] =
		"{\"s\":\"abc\",\"n\":\"a\\u0000c\",\"i\":9007199254740991,\"r\":1.5,\"m\":-1,\"z\":0,"
		"\"big\":1099511627776,\"over\":1099511627777,\"e\":1e3,\"b\":\"AAE\",\"b2\":\"AAF\",\"t\":true}";
	owned(json_owned) json_t *j = parse(text, strlen(text));
	uint8_t bytes[2];
	uint64_t n;
	double d;
	char s[4];

	cr_assert_not_null(j);
	cr_assert(json_get_string(j, "s", s, 4) && !strcmp(s, "abc"));
	cr_assert(!json_get_string(j, "s", s, 3), "no room for the NUL");
	cr_assert(!json_get_string(j, "n", s, 4), "NUL inside");
	cr_assert(!json_get_string(j, "i", s, 4) && !json_get_string(j, "none", s, 4));
	cr_assert(json_get_integer(j, "i", 0, (1ULL << 53) - 1, &n) && n == (1ULL << 53) - 1);
	cr_assert(!json_get_integer(j, "i", 0, (1ULL << 53) - 2, &n));
	cr_assert(!json_get_integer(j, "z", 1, 5, &n) && json_get_integer(j, "z", 0, 5, &n));
	cr_assert(!json_get_integer(j, "r", 0, 5, &n) && !json_get_integer(j, "m", 0, 5, &n));
	cr_assert(!json_get_integer(j, "e", 0, 5000, &n) && !json_get_integer(j, "s", 0, 5, &n));
	cr_assert(json_get_date(j, "r", &d) && d > 1.4 && json_get_date(j, "e", &d));
	cr_assert(json_get_date(j, "big", &d) && !json_get_date(j, "over", &d));
	cr_assert(!json_get_date(j, "m", &d) && !json_get_date(j, "s", &d) &&
		  !json_get_date(j, "t", &d) && !json_get_date(j, "none", &d));
	cr_assert(json_get_bytes(j, "b", bytes, 2) && bytes[1] == 1);
	cr_assert(!json_get_bytes(j, "b2", bytes, 2), "unused bits");
	cr_assert(!json_get_bytes(j, "b", bytes, 1) && !json_get_bytes(j, "i", bytes, 2));
	cr_assert(json_string_is(j, "s", "abc") && !json_string_is(j, "s", "ab"));
	cr_assert(!json_string_is(j, "n", "a") && !json_string_is(j, "i", "9"));
}
