// SPDX-License-Identifier: Apache-2.0
/* edge/bundle: what is printed parses again; each wrong entry refuses the whole bundle and says where. */
#include "edge/bundle.h"
#include "edge/jose.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Published P-256 points (RFC 9421, the WIMSE draft). */
#define X1   "qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA"
#define Y1   "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0"
#define X2   "kXqnA2Op7hgd4zRMbw0iFcc_hDxUxhojxOFVGjE2gks"
#define Y2   "n__VndPMR021-59UAs0b9qDTFT-EZtT6xSNs_xFskLo"
#define KID2 "-PTiuiMwpW_0dv_Y5tpXxsmMU-XmSZwUNdKRS79oyYk"
#define OWN  "\"cleat_issuer\":\"spiffe://d/host/h\",\"cleat_scope\":[\"spiffe://d/ns\"]"
#define KEY2                                                                                       \
	"\"use\":\"wit-svid\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X2 "\",\"y\":\"" Y2 "\""
#define GOOD "{" KEY2 ",\"kid\":\"" KID2 "\"," OWN "}"

static void setup(void)
{
	cr_assert_eq(sig_open(), 0);
}

TestSuite(bundle, .init = setup);

static int parse(const char *text, struct bundle **ret, char error[256])
{
	error[0] = '\0';
	return bundle_parse("d", text, strlen(text), ret, error, 256);
}

Test(bundle, good)
{
	owned(bundle_owned) struct bundle *b = NULL;
	char error[256];

	cr_assert_eq(
		parse("{\"spiffe_sequence\":7,\"spiffe_refresh_hint\":60,\"x\":1,\"keys\":[" GOOD
		      "]}",
		      &b, error),
		0, "%s", error);
	cr_assert_eq(b->sequence, 7);
	cr_assert_eq(b->refresh_hint_s, 60);
	cr_assert_eq(b->key_count, 1);
	cr_assert_eq(b->foreign_count, 0);
	cr_assert_str_eq(b->keys[0].kid, KID2);
	cr_assert_str_eq(b->keys[0].issuer, "spiffe://d/host/h");
	cr_assert_eq(b->keys[0].scope_count, 1);
	cr_assert_str_eq(b->keys[0].scopes[0], "/ns");
}

/* Each changes one thing of the good key. */
Test(bundle, refusals)
{
	static const struct {
		const char *key, *says;
	} rows[] = {
		{ "{" KEY2 "," OWN "}", "kid is missing" },
		{ "{" KEY2 ",\"kid\":\"\"," OWN "}", "kid is missing" },
		{ "{" KEY2 ",\"kid\":7," OWN "}", "kid is missing" },
		{ "{" KEY2 ",\"kid\":\"other\"," OWN "}", "thumbprint" },
		{ "{" KEY2 ",\"kid\":\"" KID2 "\",\"d\":\"AA\"," OWN "}", "private" },
		{ "{" KEY2 ",\"kid\":\"" KID2 "\",\"alg\":\"ES384\"," OWN "}", "P-256" },
		{ "{\"use\":\"wit-svid\",\"kty\":\"oct\",\"k\":\"AA\",\"kid\":\"" KID2 "\"," OWN
		  "}",
		  "symmetric" },
		{ "{\"use\":\"wit-svid\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X2
		  "\",\"y\":\"" X2 "\",\"kid\":\"" KID2 "\"," OWN "}",
		  "on the curve" },
		{ "{\"use\":\"wit-svid\",\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X2
		  "\",\"y\":\"" Y2 "\",\"kid\":\"" KID2 "\"," OWN "}",
		  "P-256" },
		{ "{" KEY2 ",\"kid\":\"" KID2 "\",\"cleat_scope\":[\"spiffe://d/ns\"]}",
		  "cleat_issuer" },
		{ "{" KEY2 ",\"kid\":\"" KID2 "\",\"cleat_issuer\":\"spiffe://d/host/h\"}",
		  "at least one" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://d/host/h\",\"cleat_scope\":[]}",
		  "at least one" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://e/host/h\",\"cleat_scope\":[\"spiffe://d/ns\"]}",
		  "cleat_issuer" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://d/host/h/x\",\"cleat_scope\":[\"spiffe://d/ns\"]}",
		  "cleat_issuer" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://d/ns/h\",\"cleat_scope\":[\"spiffe://d/ns\"]}",
		  "cleat_issuer" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://d/host/h\",\"cleat_scope\":[\"spiffe://e/ns\"]}",
		  "cleat_scope[0]" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://d/host/h\",\"cleat_scope\":[\"spiffe://d/ns/\"]}",
		  "cleat_scope[0]" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://d/host/h\",\"cleat_scope\":[\"spiffe://d/ns\",\"spiffe://d/host\"]}",
		  "/host" },
		{ "{" KEY2 ",\"kid\":\"" KID2
		  "\",\"cleat_issuer\":\"spiffe://d/host/h\",\"cleat_scope\":[\"spiffe://d/host/h\"]}",
		  "/host" },
		{ GOOD "," GOOD, "twice" },
		{ GOOD ",{\"use\":\"jwt-svid\",\"kty\":\"EC\",\"kid\":\"" KID2 "\"}",
		  "second key" },
		{ GOOD ",{\"use\":\"jwt-svid\",\"kty\":\"EC\"}", "kid is missing" },
		{ GOOD ",{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"a\",\"b\"]}", "x5c" },
		{ GOOD ",{\"use\":7,\"kty\":\"EC\",\"kid\":\"k\"}", "use" },
		{ GOOD ",7", "object" },
		{ "{\"use\":\"wit-svid\",\"kid\":\"k\"}", "kty" },
	};
	owned(bundle_owned) struct bundle *b = NULL;
	char text[2048], error[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "{\"keys\":[\n%s]}", rows[i].key);
		cr_assert_eq(parse(text, &b, error), -EBADMSG, "%s", rows[i].key);
		cr_assert(strstr(error, rows[i].says), "%s: %s", rows[i].says, error);
		cr_assert_eq(strncmp(error, "2:", 2), 0, "the place: %s", error);
	}
	cr_assert_null(b);
}

/* attack 3: keys of no length, cut, all zero, of low order; their kid right where there can be one. */
Test(bundle, attack_003_keys_that_are_none)
{
	static const char *const coordinates[][2] = {
		{ "", "" },
		{ X2, "" },
		{ "AA", "AA" },
		{ "kXqnA2Op7hgd4zRMbw0iFcc_hDxUxhojxOFVGjE2gg", Y2 },
		{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
		{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE" },
		{ "__________________________________________8",
		  "__________________________________________8" },
		{ "AAAAAJF6pwNjqe4YHeM0TG8NIhXHP4Q8VMYaI8ThVRoxNoJL", Y2 },
	};
	owned(bundle_owned) struct bundle *b = NULL;
	char text[2048], error[256], kid[44];
	struct point p;
	size_t n;

	for (size_t i = 0; i < sizeof(coordinates) / sizeof(coordinates[0]); i++) {
		const char *x = coordinates[i][0], *y = coordinates[i][1];

		strcpy(kid, KID2);
		if (b64url_decode(x, strlen(x), p.x, 32, &n) == 0 && n == 32 &&
		    b64url_decode(y, strlen(y), p.y, 32, &n) == 0 && n == 32)
			cr_assert_eq(jose_thumbprint(&p, kid), 0);
		snprintf(
			text, sizeof(text),
			"{\"keys\":[{\"use\":\"wit-svid\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\","
			"\"y\":\"%s\",\"kid\":\"%s\"," OWN "}]}",
			x, y, kid);
		cr_assert_eq(parse(text, &b, error), -EBADMSG, "accepted: twin=curve: row %zu", i);
	}
	cr_assert_null(b);
	cr_assert_eq(parse("{\"keys\":[" GOOD "]}", &b, error), 0, "%s", error);
}

Test(bundle, foreign_keys_are_left_aside)
{
	owned(bundle_owned) struct bundle *b = NULL;
	char error[256];

	cr_assert_eq(parse("{\"keys\":[{\"use\":\"jwt-svid\",\"kty\":\"RSA\",\"kid\":\"a\"},"
			   "{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"MII\"]},"
			   "{" KEY2 ",\"kid\":\"another issuer's\"}," GOOD "]}",
			   &b, error),
		     0, "%s", error);
	cr_assert_eq(b->foreign_count, 3);
	cr_assert_eq(b->key_count, 1);
}

Test(bundle, other_texts)
{
	static const char *const rows[] = { "",
					    "[]",
					    "{}",
					    "{\"keys\":7}",
					    "{\"keys\":{}}",
					    "{\"keys\":[],\"keys\":[]}",
					    "{\"keys\":[],\"spiffe_refresh_hint\":1.5}" };
	owned(bundle_owned) struct bundle *b = NULL;
	char error[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(parse(rows[i], &b, error), -EBADMSG, "%s", rows[i]);
		cr_assert(error[0]);
	}
	cr_assert_eq(bundle_parse("D", "{\"keys\":[]}", 11, &b, error, sizeof(error)), -EBADMSG);
	cr_assert_eq(parse("{\"keys\":[]}", &b, error), 0, "a domain without hosts");
}

/* spiffe_sequence: an integer of 63 bits, taken exactly, or the bundle is refused and the number named. */
Test(bundle, sequences)
{
	static const struct {
		const char *number;
		uint64_t is;
		const char *says;
	} rows[] = {
		{ "7", 7, NULL },
		{ "0", 0, NULL },
		{ "9007199254740991", (1ULL << 53) - 1, NULL },
		{ "9007199254740993", (1ULL << 53) + 1, NULL },
		{ "9223372036854775807", INT64_MAX, NULL },
		{ "9223372036854775808", 0, "too big integer" },
		{ "18446744073709551616", 0, "too big integer" },
		{ "-1", 0, "spiffe_sequence must be an integer, 0 to 9223372036854775807" },
		{ "-9223372036854775808", 0, "spiffe_sequence must be an integer" },
		{ "-9223372036854775809", 0, "too big negative integer" },
		{ "7.0", 0, "spiffe_sequence must be an integer" },
		{ "7e0", 0, "spiffe_sequence must be an integer" },
		{ "1e99", 0, "spiffe_sequence must be an integer" },
		{ "\"7\"", 0, "spiffe_sequence must be an integer" },
		{ "null", 0, "spiffe_sequence must be an integer" },
		{ "[7]", 0, "spiffe_sequence must be an integer" },
	};
	char text[128], error[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned(bundle_owned) struct bundle *b = NULL;

		snprintf(text, sizeof(text), "{\"keys\":[],\"spiffe_sequence\":%s}",
			 rows[i].number);
		cr_expect_eq(parse(text, &b, error), rows[i].says ? -EBADMSG : 0, "%s: %s", text,
			     error);
		if (rows[i].says)
			cr_expect(strstr(error, rows[i].says), "%s: %s", text, error);
		else
			cr_expect(b && b->sequence == rows[i].is, "%s", text);
	}
}

Test(bundle, print_and_parse)
{
	static const char *const scopes[] = { "/", "/ns/prod" }, *const bad[] = { "/host/x" };
	owned(bundle_owned) struct bundle *b = bundle_new("d"), *again = NULL;
	owned(sig_key_owned) struct sig_key *key = NULL;
	owned_mem char *text = NULL, *second = NULL;
	struct point p;
	char error[256];

	cr_assert_null(bundle_new("Not.A.Domain"));
	cr_assert_eq(sig_key_new(&key), 0);
	sig_key_point(key, &p);
	cr_assert_eq(bundle_add(b, &p, "spiffe://d/host/h1", bad, 1), -EINVAL);
	cr_assert_eq(bundle_add(b, &p, "spiffe://d/host/h1", scopes, 0), -EINVAL);
	cr_assert_eq(bundle_add(b, &p, "spiffe://e/host/h1", scopes, 2), -EINVAL);
	cr_assert_eq(bundle_add(b, &p, "spiffe://d/host/", scopes, 2), -EINVAL);
	cr_assert_eq(bundle_add(b, &p, "spiffe://d/host/h1", scopes, 2), 0);
	cr_assert_eq(bundle_add(b, &p, "spiffe://d/host/h2", scopes, 2), -EEXIST);
	b->sequence = 3;
	cr_assert_eq(bundle_print(b, &text), 0);
	cr_assert_eq(parse(text, &again, error), 0, "%s", error);
	cr_assert_eq(again->keys[0].scope_count, 2);
	cr_assert_str_eq(again->keys[0].scopes[0], "/");
	cr_assert_eq(bundle_print(again, &second), 0);
	cr_assert_str_eq(text, second);
}
