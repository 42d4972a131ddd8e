/* SPDX-License-Identifier: MIT */
/* One question to the daemon: connect, check who is there, ask, wait for the one answer, close. */
#ifndef CLEAT_LIB_ASK_H
#define CLEAT_LIB_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct cleat_where;

/* One question: what goes out and what comes back. */
struct cleat_question {
	const struct cleat_where *where;
	const char *socket;
	struct iovec ask[3];
	size_t asks;
	int pass_fd; /* -1: none */
	int *ret_fd; /* NULL: an answer brings no descriptor; else the caller owns it, -1 without one */
	void *answer;
	size_t answer_len; /* of the fixed part */
	size_t answer_cap;
	size_t got;
};

/* Where the daemon's sockets are; *ret_named: the process itself said so. */
const char *cleat_runtime_dir(const struct cleat_where *where, bool *ret_named);
/* 0: an answer of reason ok with at least its fixed part; > 0 the reason of a refusal; -errno. */
int cleat_ask(struct cleat_question *q);
/* The word of this thread's last refusal, or "refused" where it was for another reason. */
const char *cleat_ask_word(int reason);

#endif
