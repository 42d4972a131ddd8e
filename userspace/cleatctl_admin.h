/* SPDX-License-Identifier: Apache-2.0 */
/* What several of cleatctl's verbs ask the kernel room. Each says its own failure and gives an exit code. */
#ifndef CLEAT_CLEATCTL_ADMIN_H
#define CLEAT_CLEATCTL_ADMIN_H

#include "cleatctl.h"
#include "lib/ask.h"
#include "lib/cleat.h"
#include "model/admin.h"
#include "model/policy.h"

struct admin_question {
	uint32_t type; /* enum cleat_admin_type */
	struct cleat_ask_head *ask;
	size_t ask_len;
	void *answer;
	size_t answer_len;
	int *ret_fd;	/* as in cleat_question */
	int timeout_ms; /* 0: the library's */
};

/* 0, a reason > 0, or -errno; nothing is said. */
int admin_ask(const struct ctl *c, struct admin_question *q);
/* Says what admin_ask() or the daemon answered instead of yes: EXIT_FAILURE. */
int admin_refused(const struct ctl *c, int result, const struct cleat_answer_head *h);

/* The policy in force; *ret for free(). */
int admin_policy(const struct ctl *c, void **ret);
/* 0, a reason > 0, or -errno; nothing is said. */
int admin_status_ask(const struct ctl *c, struct cleat_admin_answer_status *ret);
/* After -ENOENT or -ECONNREFUSED of the above: 1 where a daemon lives that does not answer yet, or no more; 0 where
 * none does; -errno. */
int admin_lives(const struct ctl *c);
int admin_status(const struct ctl *c, struct cleat_admin_answer_status *ret);
/* Reads everything anew and waits for the outcome. */
int admin_reload(const struct ctl *c, uint32_t *ret_generation);

/* What a number of the answer STATUS is called: by the kernel side's count, by the place in rooms[], and by the
 * part of a door's places that was full. */
#define ADMIN_ROOMS 2
const char *count_word(enum cleat_count which);
extern const char *const admin_rooms[ADMIN_ROOMS];
extern const char *const admin_parts[SHARE_PART_COUNT];

/* "/payments" or the full id: the workload of the image, or NULL. */
const struct policy_workload *workload_named(const struct policy_image *p, const char *name);

#endif
