// SPDX-License-Identifier: Apache-2.0
/* base/bytes: texts never run over, base64url has one spelling only. */
#include "base/bytes.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(bytes, text_ends_marked_where_it_ran_out)
{
	char at[8];
	struct text t;

	text_init(&t, at, sizeof(at));
	text_puts(&t, "1234567");
	cr_assert(!t.overflown);
	cr_assert_str_eq(at, "1234567");
	text_puts(&t, "8");
	cr_assert(t.overflown);
	cr_assert_str_eq(at, "1234567");
	text_put(&t, "", 0);
	cr_assert(t.overflown, "once marked, always marked");
	text_init(&t, at, 0);
	cr_assert(t.overflown);
}

Test(bytes, numbers)
{
	char at[64];
	struct text t;

	text_init(&t, at, sizeof(at));
	text_u64(&t, 0);
	text_puts(&t, " ");
	text_u64(&t, UINT64_MAX);
	text_puts(&t, " ");
	text_i64(&t, INT64_MIN);
	cr_assert_str_eq(at, "0 18446744073709551615 -9223372036854775808");
}

/* Whatever a tenant chose, one event is one line of printable ASCII. */
Test(bytes, json_strings_are_escaped)
{
	static const char raw[] = "a\"b\\c\n\x7f\x80\xff\0d";
	char at[128];
	struct text t;

	text_init(&t, at, sizeof(at));
	text_json(&t, raw, sizeof(raw) - 1);
	cr_assert_str_eq(at, "\"a\\\"b\\\\c\\u000a\\u007f\\u0080\\u00ff\\u0000d\"");
}

Test(bytes, a_line_for_a_terminal_is_printable)
{
	char line[] = "a b~\x1b[2J\n\t\x7f\xc2\x9b";

	cr_assert_str_eq(line_clean(line), "a b~?[2J?????");
}

Test(bytes, printf_that_does_not_fit_changes_nothing)
{
	char at[6];
	struct text t;

	text_init(&t, at, sizeof(at));
	text_puts(&t, "ab");
	text_printf(&t, "%d", 12345);
	cr_assert(t.overflown);
	cr_assert_str_eq(at, "ab");
}

Test(bytes, b64url_both_ways)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{ "", "" },
		{ "f", "Zg" },
		{ "fo", "Zm8" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg" },
		{ "fooba", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfd", "__79" },
	};
	char at[32];
	uint8_t out[32];
	struct text t;
	size_t n;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].bytes);

		text_init(&t, at, sizeof(at));
		text_b64url(&t, rows[i].bytes, len);
		cr_assert_str_eq(at, rows[i].text);
		cr_assert_eq(t.len, B64URL_LEN(len));
		cr_assert_eq(b64url_decode(at, t.len, out, sizeof(out), &n), 0);
		cr_assert_eq(n, len);
		cr_assert_arr_eq(out, rows[i].bytes, len);
	}
}

/* good: "Zm8" = "fo". Each row is another spelling that decoders are known to take. */
Test(bytes, b64url_has_one_spelling)
{
	static const char *const rows[] = {
		"Zm8=", "Zm8 ",	 " Zm8", "Zm\n8", "Zm9",    "Zh",
		"Z",	"Zm9vY", "Zm+/", "Zm8.",  "Zm8%3d", "Zm\xc3\xb6"
	};
	uint8_t out[32];
	size_t n = 77;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(b64url_decode(rows[i], strlen(rows[i]), out, sizeof(out), &n),
			     -EBADMSG, "%s", rows[i]);
	cr_assert_eq(b64url_decode("Zm\0v", 4, out, sizeof(out), &n), -EBADMSG);
	cr_assert_eq(b64url_decode("Zm9v", 4, out, 2, &n), -ENOSPC);
	cr_assert_eq(n, 77, "written on success only");
	cr_assert_eq(b64url_decode("Zm8", 3, out, 2, &n), 0);
}

Test(bytes, hex_and_decimal)
{
	static const char *const bad[] = { "",
					   "01",
					   "+1",
					   "-1",
					   " 1",
					   "1 ",
					   "1.0",
					   "0x1",
					   "18446744073709551616",
					   "99999999999999999999" };
	uint8_t out[2];
	uint64_t n;

	cr_assert_eq(hex_decode("aBcD", 4, out, 2), 0);
	cr_assert_eq(out[0] << 8 | out[1], 0xabcd);
	cr_assert_eq(hex_decode("abc", 3, out, 2), -EBADMSG);
	cr_assert_eq(hex_decode("abcg", 4, out, 2), -EBADMSG);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(decimal_parse(bad[i], strlen(bad[i]), UINT64_MAX, &n), -EINVAL);
	cr_assert_eq(decimal_parse("18446744073709551615", 20, UINT64_MAX, &n), 0);
	cr_assert_eq(n, UINT64_MAX);
	cr_assert_eq(decimal_parse("60", 2, 60, &n), 0);
	cr_assert_eq(decimal_parse("61", 2, 60, &n), -EINVAL);
	cr_assert_eq(decimal_parse("0", 1, 60, &n), 0);
}

Test(bytes, big_endian_and_equality)
{
	uint8_t at[8];

	put_be64(at, 0x0102030405060708);
	cr_assert_arr_eq(at, "\1\2\3\4\5\6\7\10", 8);
	cr_assert(bytes_equal("abc", "abc", 3));
	cr_assert(!bytes_equal("abc", "abd", 3));
	cr_assert(bytes_equal("x", "y", 0));
	cr_assert(bytes_zero("\0\0", 2));
	cr_assert(!bytes_zero("\0\1", 2));
	bytes_wipe(at, sizeof(at));
	cr_assert(bytes_zero(at, sizeof(at)));
}
