/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatctl's verbs and what they share: options, output for people or as JSON, exit codes. Each group of
 * verbs has a file of its own; cleatctl.c has the table.
 */
#ifndef CLEAT_CLEATCTL_H
#define CLEAT_CLEATCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXIT_USAGE 2

#define DEFAULT_CONFIG "/etc/cleat"
#define DEFAULT_STATE  "/var/lib/cleat"

/* What every verb is told. */
struct ctl {
	bool json;
	const char *runtime_dir; /* NULL: the library's default */
};

struct verb {
	const char *name; /* one word or two */
	const char *args;
	const char *what;					/* one line */
	int (*run)(const struct ctl *c, int argc, char **argv); /* an exit code */
};

/* An option of a verb: one of into (a value), many (values) and flag. */
struct option_of {
	const char *name; /* "--dir" */
	const char **into;
	struct words *many;
	bool *flag;
};

#define WORDS_MAX 64
struct words {
	const char *at[WORDS_MAX];
	size_t count;
};

/* Takes the options out of the arguments; what is left goes to @rest, at most @rest_max words. False after a
 * complaint on stderr: the verb then returns EXIT_USAGE. */
bool options_take(int argc, char **argv, const struct option_of *options, size_t count,
		  struct words *rest, size_t rest_max);
#define OPTIONS_TAKE(argc, argv, options, rest, rest_max)                                          \
	options_take(argc, argv, options, sizeof(options) / sizeof((options)[0]), rest, rest_max)
/* A descriptor number given on the command line that is open. */
bool option_fd(const char *text, int *ret);

/* The whole of a file or, for "-", of standard input, with a NUL behind it; *ret for free(). 0 or -errno. */
int stream_read(const char *path, size_t max, char **ret, size_t *ret_len);

/* "cleatctl: ..." on stderr; returns @code. */
int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a refusal or failure that --json reports on stdout too. */
int fail(const struct ctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes. */
void put_json(const char *s);
/* ,"name":"s" */
void put_member(const char *name, const char *s);

/* "10.0.0.1:80" or "[::1]:80", in @ret. */
const char *endpoint(const uint8_t addr[16], uint16_t port, char ret[64]);

int verb_status(const struct ctl *c, int argc, char **argv);
int verb_metrics(const struct ctl *c, int argc, char **argv);
int verb_reload(const struct ctl *c, int argc, char **argv);
int verb_sockets(const struct ctl *c, int argc, char **argv);
int verb_explain(const struct ctl *c, int argc, char **argv);
int verb_events(const struct ctl *c, int argc, char **argv);
int verb_revoke_host(const struct ctl *c, int argc, char **argv);
int verb_revoke_workload(const struct ctl *c, int argc, char **argv);
int verb_revoke_list(const struct ctl *c, int argc, char **argv);
int verb_keys_rotate(const struct ctl *c, int argc, char **argv);
int verb_keys_list(const struct ctl *c, int argc, char **argv);
int verb_doctor(const struct ctl *c, int argc, char **argv);
int verb_sign(const struct ctl *c, int argc, char **argv);
int verb_verify(const struct ctl *c, int argc, char **argv);
int verb_whoami(const struct ctl *c, int argc, char **argv);
int verb_whois(const struct ctl *c, int argc, char **argv);
int verb_policy_check(const struct ctl *c, int argc, char **argv);
int verb_policy_print(const struct ctl *c, int argc, char **argv);
int verb_host_init(const struct ctl *c, int argc, char **argv);
int verb_host_entry(const struct ctl *c, int argc, char **argv);
int verb_trust_add(const struct ctl *c, int argc, char **argv);
int verb_trust_remove(const struct ctl *c, int argc, char **argv);
int verb_trust_list(const struct ctl *c, int argc, char **argv);
int verb_trust_check(const struct ctl *c, int argc, char **argv);

#endif
