/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log as it is read back: line by line, from near its end, on through rotation. A line is JSON that the rooms
 * wrote; one that is not (a torn write, another's hand) is passed on as what it is and never believed.
 */
#ifndef CLEAT_EDGE_AUDIT_READ_H
#define CLEAT_EDGE_AUDIT_READ_H

#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>

/* A line without its newline, NUL-terminated; not 0 ends the reading. */
typedef int (*audit_each)(void *ctx, const char *line, size_t len);

/* The lines that begin in the last @last bytes; with @follow what comes afterwards, too, until @each ends it. What @each
 * returned, 0 at the end, or -errno. */
int audit_read(const char *path, size_t last, bool follow, audit_each each, void *ctx);

/* "TIME ROOM WHAT REASON name=value ...": false where the line is not an audit line. */
bool audit_line_print(const char *line, size_t len, struct text *ret);
/* A member as text ("" where there is none), false where the line is no JSON object. */
bool audit_line_get(const char *line, size_t len, const char *name, char *ret, size_t cap);

#endif
