// SPDX-License-Identifier: Apache-2.0
/* Bytes: see bytes.h. Pure but for text_printf()'s vsnprintf(3). */
#include "base/bytes.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *t, char *at, size_t cap)
{
	*t = (struct text){ .at = at, .cap = cap, .overflown = cap == 0 };
	if (cap)
		at[0] = '\0';
}

void text_put(struct text *t, const char *s, size_t len)
{
	if (t->overflown || len >= t->cap - t->len) {
		t->overflown = true;
		return;
	}
	memcpy(t->at + t->len, s, len);
	t->len += len;
	t->at[t->len] = '\0';
}

void text_puts(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_u64(struct text *t, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	text_put(t, digits + at, sizeof(digits) - at);
}

void text_i64(struct text *t, int64_t n)
{
	if (n < 0)
		text_put(t, "-", 1);
	text_u64(t, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

void text_printf(struct text *t, const char *format, ...)
{
	va_list args;
	size_t room;
	int n;

	if (t->overflown)
		return;
	room = t->cap - t->len;
	va_start(args, format);
	n = vsnprintf(t->at + t->len, room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room) {
		t->at[t->len] = '\0';
		t->overflown = true;
		return;
	}
	t->len += (size_t)n;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void text_json(struct text *t, const char *s, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	text_put(t, "\"", 1);
	for (size_t i = 0, plain = 0; i < len; plain = 0) {
		unsigned char c;

		while (i + plain < len && is_plain((unsigned char)s[i + plain]))
			plain++;
		text_put(t, s + i, plain);
		i += plain;
		if (i == len)
			break;
		c = (unsigned char)s[i++];
		if (c == '"' || c == '\\')
			text_put(t, (char[]){ '\\', (char)c }, 2);
		else
			text_put(t, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
	}
	text_put(t, "\"", 1);
}

char *line_clean(char *line)
{
	for (char *at = line; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return line;
}

void text_b64url(struct text *t, const void *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t chars = B64URL_LEN(len);
	const uint8_t *in = bytes;
	char *out;

	if (t->overflown || chars >= t->cap - t->len) {
		t->overflown = true;
		return;
	}
	out = t->at + t->len;
	for (; len >= 3; len -= 3, in += 3) {
		*out++ = digits[in[0] >> 2];
		*out++ = digits[(in[0] & 3) << 4 | in[1] >> 4];
		*out++ = digits[(in[1] & 15) << 2 | in[2] >> 6];
		*out++ = digits[in[2] & 63];
	}
	if (len) {
		*out++ = digits[in[0] >> 2];
		*out++ = digits[(in[0] & 3) << 4 | (len == 2 ? in[1] >> 4 : 0)];
		if (len == 2)
			*out++ = digits[(in[1] & 15) << 2];
	}
	*out = '\0';
	t->len += chars;
}

void text_hex(struct text *t, const void *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *in = bytes;

	for (size_t i = 0; i < len; i++)
		text_put(t, (char[]){ hex[in[i] >> 4], hex[in[i] & 15] }, 2);
}

/* A base64url digit's value and one more, 0 for what is none. */
#define DIGIT(c, v) [c] = (v) + 1
#define DIGITS(c, v)                                                                               \
	DIGIT(c, v), DIGIT((c) + 1, (v) + 1), DIGIT((c) + 2, (v) + 2), DIGIT((c) + 3, (v) + 3)
static const uint8_t b64url_value[256] = {
	DIGITS('A', 0),	 DIGITS('E', 4),  DIGITS('I', 8),  DIGITS('M', 12), DIGITS('Q', 16),
	DIGITS('U', 20), DIGIT('Y', 24),  DIGIT('Z', 25),  DIGITS('a', 26), DIGITS('e', 30),
	DIGITS('i', 34), DIGITS('m', 38), DIGITS('q', 42), DIGITS('u', 46), DIGIT('y', 50),
	DIGIT('z', 51),	 DIGITS('0', 52), DIGITS('4', 56), DIGIT('8', 60),  DIGIT('9', 61),
	DIGIT('-', 62),	 DIGIT('_', 63),
};

/* @n digits, 2 to 4, as 24 bits from the top. False: one of them is none. */
static inline bool b64url_group(const char *s, size_t n, uint32_t *ret)
{
	uint32_t all = 0;
	bool digits = true;

	for (size_t i = 0; i < 4; i++) {
		uint32_t v = i < n ? b64url_value[(uint8_t)s[i]] : 1;

		digits &= v != 0;
		all = all << 6 | (v - 1);
	}
	*ret = all;
	return digits;
}

int b64url_decode(const char *s, size_t len, void *out, size_t cap, size_t *ret_len)
{
	size_t rest = len % 4, n = len / 4 * 3 + (rest ? rest - 1 : 0);
	const char *end = s + (len - rest);
	uint8_t *at = out;
	uint32_t group;

	if (rest == 1)
		return -EBADMSG;
	if (n > cap)
		return -ENOSPC;
	for (; s < end; s += 4) {
		if (!b64url_group(s, 4, &group))
			return -EBADMSG;
		*at++ = (uint8_t)(group >> 16);
		*at++ = (uint8_t)(group >> 8);
		*at++ = (uint8_t)group;
	}
	if (rest) {
		if (!b64url_group(s, rest, &group))
			return -EBADMSG;
		*at++ = (uint8_t)(group >> 16);
		if (rest == 3)
			*at++ = (uint8_t)(group >> 8);
		if (group & (rest == 3 ? 0xff : 0xffff))
			return -EBADMSG; /* unused bits: a second spelling of the same bytes */
	}
	*ret_len = n;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int hex_decode(const char *s, size_t len, void *out, size_t n)
{
	uint8_t *at = out;

	if (len != 2 * n)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(s[2 * i]);
		int low = hex_digit(s[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		at[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

void put_be16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

void put_be32(uint8_t *at, uint32_t v)
{
	put_be16(at, (uint16_t)(v >> 16));
	put_be16(at + 2, (uint16_t)v);
}

void put_be64(uint8_t *at, uint64_t v)
{
	put_be32(at, (uint32_t)(v >> 32));
	put_be32(at + 4, (uint32_t)v);
}

bool bytes_equal(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a;
	const volatile uint8_t *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= (uint8_t)(x[i] ^ y[i]);
	return differ == 0;
}

bool bytes_zero(const void *a, size_t n)
{
	const uint8_t *x = a;
	uint64_t word, any = 0;

	for (; n >= sizeof(word); n -= sizeof(word), x += sizeof(word)) {
		memcpy(&word, x, sizeof(word));
		any |= word;
	}
	for (size_t i = 0; i < n; i++)
		any |= x[i];
	return any == 0;
}

void bytes_wipe(void *a, size_t n)
{
	explicit_bzero(a, n);
}

int decimal_parse(const char *s, size_t len, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (len == 0 || (len > 1 && s[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(s[i] - '0');

		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, digit, &n))
			return -EINVAL;
	}
	if (n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}
