/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bench: ratios of design.md section 9, each beside a baseline of the same run. What is compared is measured in
 * alternating blocks, so that a machine that slows down slows both; the figure of a series is its median. Nothing here
 * is a test: a budget that is missed is shown as missed, and what could not be measured says why.
 */
#ifndef CLEAT_BENCH_H
#define CLEAT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bench {
	const char *build;	 /* where cleatd is */
	const char *scratch;	 /* a directory of this run's own */
	const char *cgroup;	 /* a cgroup2 directory of this run's own */
	const char *cgroup_path; /* the same, as policy names it */
	const char *json;
	const char *level; /* of the daemons */
	bool icount; /* a guest whose processor runs one instruction in a nanosecond: time counts instructions */
	const char *only; /* a part's name, or NULL: all */
};

/* ---- report.c ---- */

enum budget_kind {
	BUDGET_RATIO_MIN, /* value / baseline, at least */
	BUDGET_RATIO_MAX, /* value / baseline, at most */
	BUDGET_VALUE_MAX, /* value itself, at most; the baseline is for orientation */
};

struct row {
	const char *name;
	const char *unit;
	const char *against; /* what the baseline is */
	const char *method;
	enum budget_kind kind;
	double budget;
	double value;
	double baseline;
	double ratio; /* of pairs taken side by side; 0: value / baseline */
};

void report_row(const struct row *row);
/* A row that could not be measured: shown as missed, with the reason. */
void report_missing(const struct row *row, const char *why);
/* Raw numbers, as they come. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct series;
void report_series(const char *what, const struct series *s); /* a note: microseconds */
void report_table(void);
int report_write(const char *path);

/* ---- series.c: numbers of many blocks, and the clocks ---- */

#define SERIES_MAX 4096

struct series {
	double at[SERIES_MAX];
	size_t count;
};

void series_add(struct series *s, double value);
double series_at(const struct series *s, double part); /* 0.5: the median; 0 when empty */
double series_median(const struct series *s);
/* The median of a's blocks each divided by its neighbour in b: what slows the machine for a while slows both. */
double series_ratio(const struct series *a, const struct series *b);
/* "median 12.3, p10 11.9, p90 14.0 (40 blocks)" */
const char *series_text(const struct series *s, char *ret, size_t cap);

uint64_t wall_ns(void);
uint64_t cpu_ns(void);	       /* of this thread */
uint64_t cpu_all_ns(void);     /* of this process */
uint64_t cpu_of_ns(pid_t pid); /* of another process, all threads; 0 when it is gone */

/* ---- bare.c: P-256 as OpenSSL does it, and a socket pair that does nothing else ---- */

int bare_open(void);
/* CPU nanoseconds per operation over @n of them. */
double bare_sign_ns(unsigned n);
double bare_verify_ns(unsigned n);
/* What the openssl command says of itself, in operations a second. */
int bare_openssl_speed(double *ret_sign, double *ret_verify);

/* Another process that answers each message (and its descriptor) after one bare signature. */
struct echo {
	int fd;
	pid_t pid;
};
int echo_start(struct echo *ret);
int echo_ask(const struct echo *e, int pass_fd);
void echo_stop(struct echo *e);

/* The floor under a room: a process that takes a message of a request's size with a descriptor, closes that, does the bare
 * operation, writes one line to a file, answers with as many bytes as the room does, and nothing else. No record of the
 * kernel's is looked at, nothing is parsed, no stranger's close is bounded. */
struct floor_shape {
	bool verify; /* else sign */
	size_t ask, answer;
	int audit;
};
int floor_start(const struct floor_shape *shape, struct echo *ret);
/* CPU nanoseconds of that process per request, over @n of them with as many under way as the room has. */
double floor_ns(const struct echo *e, const struct floor_shape *shape, int pass_fd, unsigned n);

/* ---- tcp.c: loopback connections ---- */

struct pair {
	int client;
	int server;
};

/* @addr in host order, e.g. 127.0.0.1; the port is chosen by the kernel. */
int tcp_listen(uint32_t addr);
int tcp_pair(int listener, struct pair *ret);
/* Resets it: no TIME_WAIT stays behind. */
void tcp_pair_close(struct pair *p);

/* Children that hold connections until they are told to end. */
struct crowd {
	pid_t pids[16];
	int ends[16]; /* closing one ends the child */
	unsigned children;
	unsigned sockets; /* both ends */
};
int crowd_gather(unsigned sockets, struct crowd *ret);
void crowd_dismiss(struct crowd *c);

/* ---- tls.c ---- */

int tls_open(void);
/* A full mutual TLS 1.3 handshake over @p, both ends in this thread. */
int tls_handshake(const struct pair *p);

/* ---- host.c: a daemon of the bench's own ---- */

#define HOST_CLIENTS 8
#define HOST_PAIRS   4
#define HOST_ID	     "spiffe://bench.example/w"

/* One workload, /w, that calls itself: both ends of every connection are this process. */
struct host {
	char dir[256];	  /* config, state, runtime */
	char inside[256]; /* directory of the workload's cgroup */
	pid_t pid, sign_room, check_room;
	int listener;
	int keeper;		/* cgroup.procs of the daemon, at level full; -1: none */
	int sign[HOST_CLIENTS]; /* API connections */
	int check[HOST_CLIENTS];
	struct pair pairs[HOST_PAIRS];
};

/* Writes config and keys for @workloads and @keys below scratch/@name; starts nothing. */
int host_write(const struct bench *b, const char *name, unsigned workloads, unsigned keys,
	       struct host *ret);
/* Starts the daemon, enters the workload's cgroup, connects. */
int host_start(const struct bench *b, struct host *h);
/* Moves this process into the workload's cgroup. */
int host_enter(const struct host *h);
/* And to where the daemon may be signalled and its rooms traced, at level full; else it stays where it is. */
void host_leave(const struct host *h);
void host_stop(struct host *h);
/* Bytes, of all its processes: proportional and resident set. */
int host_memory(const struct host *h, double *ret_pss, double *ret_rss);

/* ---- ask.c: the protocol, without libcleat so that requests can overlap ---- */

struct token {
	uint32_t wit_len;
	uint32_t wpt_len;
	char text[4096]; /* WIT, then WPT */
};

int ask_connect(const char *path);
int ask_sign(int api, int tcp, struct token *ret);
int ask_verify(int api, int tcp, const struct token *t);
/* @n requests by all of the host's clients at once, each with one under way, over its pairs in turn. */
int ask_sign_many(const struct host *h, struct token *tokens, unsigned n);
int ask_verify_many(const struct host *h, const struct token *tokens, unsigned n);

/* ---- the parts ---- */

void part_requests(const struct bench *b); /* verify, sign, sign one at a time, TLS */
void part_connect(
	const struct bench *b); /* connect + accept with and without programs; memory of a socket */
void part_scale(const struct bench *b);
void part_fair(const struct bench *b); /* one client beside sixteen that flood */
void part_cost(const struct bench *b); /* workloads, keys, sockets; memory of the daemon */

#endif
