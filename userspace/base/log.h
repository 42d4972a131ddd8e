/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines of the daemon and the tools: an event with fields, on stderr. Only main programs and rooms
 * log; libraries and the layers below return. Untrusted bytes are escaped.
 */
#ifndef CLEAT_BASE_LOG_H
#define CLEAT_BASE_LOG_H

enum log_format { LOG_TEXT, LOG_JSON };

void log_open(const char *program, enum log_format format);
/* "<event> key=value ..."; @format makes the fields of the line. */
void log_event(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for trouble: the line starts with "error". */
void log_error(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
