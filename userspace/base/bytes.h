/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes: bounded text building, base64url by RFC 4648 section 5 without padding, big-endian puts,
 * constant-time equality. Nothing here allocates; a text that ran out of room stays marked as
 * overflown and is never used half.
 */
#ifndef CLEAT_BASE_BYTES_H
#define CLEAT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string under construction in the caller's memory. at is NUL-terminated as long as cap > 0. */
struct text {
	char *at;
	size_t cap; /* bytes of at, with the NUL */
	size_t len; /* without the NUL */
	bool overflown;
};

void text_init(struct text *t, char *at, size_t cap);
void text_put(struct text *t, const char *s, size_t len);
void text_puts(struct text *t, const char *s);
void text_u64(struct text *t, uint64_t n);
void text_i64(struct text *t, int64_t n);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; control, DEL and non-ASCII bytes as \u00XX of the byte, so that
 * one event is one line whatever a tenant chose. */
void text_json(struct text *t, const char *s, size_t len);
/* For a terminal or a line of a log: what is no printable ASCII becomes '?', in place. Some of these bytes a stranger wrote. */
char *line_clean(char *line);
/* base64url of @len bytes, without padding. */
void text_b64url(struct text *t, const void *bytes, size_t len);
void text_hex(struct text *t, const void *bytes, size_t len);

#define B64URL_LEN(n) (((n)*4 + 2) / 3) /* characters for n bytes */

/* Decodes exactly @len characters. Refuses (-EBADMSG) padding, white space, any other character,
 * length mod 4 = 1 and unused bits that are not zero; -ENOSPC if more than @cap bytes would come.
 * Writes *ret_len on success only. @out may be written partly on failure. */
int b64url_decode(const char *s, size_t len, void *out, size_t cap, size_t *ret_len);

/* Lower or upper case hex, exactly 2 * @n digits; -EBADMSG else. */
int hex_decode(const char *s, size_t len, void *out, size_t n);

void put_be16(uint8_t *at, uint16_t v);
void put_be32(uint8_t *at, uint32_t v);
void put_be64(uint8_t *at, uint64_t v);

/* Equal, in time that depends on @n only. */
bool bytes_equal(const void *a, const void *b, size_t n);
/* Every byte zero. */
bool bytes_zero(const void *a, size_t n);
/* Zeroes memory in a way the compiler keeps. */
void bytes_wipe(void *a, size_t n);

/* Strict decimal: digits only, no sign, no leading zero but "0" itself, <= max; else -EINVAL. */
int decimal_parse(const char *s, size_t len, uint64_t max, uint64_t *ret);

#endif
