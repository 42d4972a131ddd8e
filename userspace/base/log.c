// SPDX-License-Identifier: Apache-2.0
/*
 * Log lines: see log.h. One write(2) per line, so that lines of several rooms on one stderr never mix; a line too
 * long is cut and says so. In JSON the fields stay one string: splitting them again would let a value forge a field.
 */
#include "base/log.h"
#include "base/bytes.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static const char *log_program = "cleat";
static enum log_format log_form = LOG_TEXT;

void log_open(const char *program, enum log_format format)
{
	log_program = program;
	log_form = format;
}

/* Everything that is not printable ASCII as \xNN: an event is one line whatever a tenant chose. */
static void text_plain(struct text *t, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c >= 0x7f)
			text_printf(t, "\\x%02x", c);
		else
			text_put(t, s, 1);
	}
}

static void text_line(struct text *t, bool trouble, const char *event, const char *fields)
{
	if (log_form == LOG_JSON) {
		text_puts(t, "{\"program\":");
		text_json(t, log_program, __builtin_strlen(log_program));
		text_puts(t, trouble ? ",\"level\":\"error\",\"event\":"
				     : ",\"level\":\"info\",\"event\":");
		text_json(t, event, __builtin_strlen(event));
		text_puts(t, ",\"fields\":");
		text_json(t, fields, __builtin_strlen(fields));
		text_puts(t, "}\n");
		return;
	}
	text_puts(t, log_program);
	text_puts(t, trouble ? ": error " : ": ");
	text_plain(t, event);
	if (*fields)
		text_puts(t, " ");
	text_plain(t, fields);
	text_puts(t, "\n");
}

static void log_line(bool trouble, const char *event, const char *format, va_list args)
{
	char fields[1024], line[6 * sizeof(fields) + 512];
	ssize_t gone __attribute__((unused));
	struct text t;
	int n;

	n = vsnprintf(fields, sizeof(fields), format, args);
	if (n < 0)
		fields[0] = '\0';
	if (n >= (int)sizeof(fields))
		snprintf(fields + sizeof(fields) - 5, 5, " ...");
	text_init(&t, line, sizeof(line));
	text_line(&t, trouble, event, fields);
	gone = write(STDERR_FILENO, line, t.len); /* nowhere to tell that telling failed */
}

void log_event(const char *event, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(false, event, format, args);
	va_end(args);
}

void log_error(const char *event, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(true, event, format, args);
	va_end(args);
}
