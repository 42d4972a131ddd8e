/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON line per decision, in the file before the answer leaves (write(2) returned; audit: sync adds fdatasync).
 * Kernel facts first; what is not verified stands under claimed_. Never a token or a key.
 */
#ifndef CLEAT_EDGE_AUDIT_H
#define CLEAT_EDGE_AUDIT_H

#include "base/bytes.h"
#include "model/reason.h"
#include <time.h>

#define AUDIT_LINE_MAX 8192

/* Zero-initialise once; then one line after the other. */
struct audit_line {
	struct text t;
	bool cut;      /* a member did not fit */
	time_t second; /* that time is of */
	char time[24];
	bool torn; /* the last write(2) put only a part of its line */
	char bytes[AUDIT_LINE_MAX];
};

/* {"time":"2026-...Z","room":@room,"ask":@ask,"reason":word,"why":sentence */
void audit_begin(struct audit_line *l, const char *room, const char *ask, enum reason reason);
/* {"time":"...","room":@room,"event":@event: what no request asked for. */
void audit_event(struct audit_line *l, const char *room, const char *event);
void audit_str(struct audit_line *l, const char *name, const char *s);
void audit_u64(struct audit_line *l, const char *name, uint64_t n);
void audit_i64(struct audit_line *l, const char *name, int64_t n);
void audit_hex(struct audit_line *l, const char *name, const void *bytes, size_t len);
/* "ip:port" of a 16-byte address. */
void audit_endpoint(struct audit_line *l, const char *name, const uint8_t addr[16], uint16_t port);
/* Closes the line and writes it in one write(2). A member that does not fit is left out and the line says
 * "cut":true. 0 only when all of it is in the file. */
int audit_end(struct audit_line *l, int fd, bool sync);

#endif
