/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs about a host's keys share: options, the entry others believe it by. */
#ifndef CLEAT_CLEATCTL_HOST_H
#define CLEAT_CLEATCTL_HOST_H

#include "cleatctl.h"

#include "edge/bundle.h"

struct host_options {
	const char *dir;
	const char *name;
	const char *trust_domain;
	struct words scopes;
};

bool host_options_take(int argc, char **argv, struct host_options *o);
/* The public part of host.key, or of the next one. An exit code, as of all below. */
int host_key_point(const struct ctl *c, const char *dir, bool next, struct point *ret);
/* A bundle of this one key, as the options say. */
int host_entry_make(const struct ctl *c, const struct host_options *o, const struct point *point,
		    struct bundle **ret);
int host_entry_print(const struct ctl *c, const struct bundle *b);

#endif
