/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vector programs share: reading a JSON file of cases, counting verdicts, the closing line. A file that
 * cannot be read, a set without a case and a set shorter than it must be are failures: a test that did not run has
 * not passed.
 */
#ifndef CLEAT_TESTS_VECTORS_H
#define CLEAT_TESTS_VECTORS_H

#include "base/bytes.h"
#include "base/cleanup.h"
#include "edge/json.h"
#include "edge/sig.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct tally {
	unsigned passed;
	unsigned failed;
};

/* One verdict; a wrong one is printed. */
__attribute__((format(printf, 3, 4))) static inline void judge(struct tally *t, bool right,
							       const char *format, ...)
{
	va_list args;

	if (right) {
		t->passed++;
		return;
	}
	t->failed++;
	va_start(args, format);
	fputs("wrong: ", stdout);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

/* The closing line, and the exit code. */
static inline int close_tally(const struct tally *t)
{
	printf("%u passed, %u failed\n", t->passed, t->failed);
	return t->failed == 0 && t->passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A file as JSON, or NULL with a line and a counted failure. */
static inline json_t *load(struct tally *t, const char *path)
{
	json_error_t why;
	json_t *j = json_load_file(path, JSON_ALLOW_NUL, &why);

	if (!j)
		judge(t, false, "%s: cannot be read: line %d: %s", path, why.line, why.text);
	return j;
}

/* A string member, or "". */
static inline const char *text_of(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s ? s : "";
}

/* A hex string, decoded into @out; its length, or (size_t)-1. */
static inline size_t hex_of(const json_t *object, const char *name, uint8_t *out, size_t cap)
{
	const char *s = text_of(object, name);
	size_t n = strlen(s) / 2;

	return n <= cap && hex_decode(s, strlen(s), out, n) == 0 ? n : (size_t)-1;
}

/* Runs @one over every file of the command line. */
static inline int run_files(int argc, char **argv, void (*one)(struct tally *, const char *path))
{
	struct tally t = { 0 };

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE...\n", argv[0]);
		return 2;
	}
	if (sig_open() < 0)
		return EXIT_FAILURE;
	for (int i = 1; i < argc; i++) {
		struct tally before = t;

		one(&t, argv[i]);
		if (t.passed == before.passed && t.failed == before.failed)
			judge(&t, false, "%s: no case in it", argv[i]);
	}
	return close_tally(&t);
}

#endif
