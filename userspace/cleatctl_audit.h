/* SPDX-License-Identifier: Apache-2.0 */
/* What cleatctl's verbs read from the audit log. */
#ifndef CLEAT_CLEATCTL_AUDIT_H
#define CLEAT_CLEATCTL_AUDIT_H

#include "cleatctl.h"

#define DEFAULT_AUDIT "/var/log/cleat/audit.jsonl"

/* Which refusal: the last line that has all of these; NULL: any. */
struct refusal_wanted {
	const char *reason;
	const char *workload; /* who asked, or whose socket or assertion it was */
	const char *audit;    /* the file; NULL: the daemon's, or the default */
};

/* Says in words why it was refused, by which rule, and the way out. */
int refusal_explain(const struct ctl *c, const struct refusal_wanted *w);

#endif
