// SPDX-License-Identifier: Apache-2.0
/*
 * Does it stay flat? Daemons with few and with many workloads and bundle keys run side by side and are asked in turn;
 * a crowd of tagged sockets comes and goes around one of them. And what a daemon with 10 000 workloads weighs.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#define FEW		10
#define MANY		10000
#define CROWD		100000
#define BLOCKS		12
#define BATCH		300
#define CONNECT_BATCHES 100
#define CONNECT_BATCH	5
#define CROWDS		4

#define FLAT "CPU of the room per request, daemons side by side asked in turn"

static const struct row rows[] = {
	{ "scale-workloads-sign", "us", "10 workloads", "10000 workloads: " FLAT, BUDGET_RATIO_MAX,
	  1.2, 0, 0, 0 },
	{ "scale-workloads-verify", "us", "10 workloads", "10000 workloads: " FLAT,
	  BUDGET_RATIO_MAX, 1.2, 0, 0, 0 },
	{ "scale-keys-verify", "us", "1 key", "10000 bundle keys: " FLAT, BUDGET_RATIO_MAX, 1.2, 0,
	  0, 0 },
	{ "scale-sockets-sign", "us", "no other tagged socket",
	  "100000 tagged sockets: CPU of the room per sign, the crowd there and not there in turn",
	  BUDGET_RATIO_MAX, 1.2, 0, 0, 0 },
	{ "scale-sockets-verify", "us", "no other tagged socket",
	  "100000 tagged sockets: CPU of the room per verify, likewise", BUDGET_RATIO_MAX, 1.2, 0,
	  0, 0 },
	{ "scale-sockets-connect", "us", "no other tagged socket",
	  "100000 tagged sockets: socket + connect + accept + close, likewise", BUDGET_RATIO_MAX,
	  1.2, 0, 0, 0 },
	{ "memory-daemon", "MB", "10 workloads",
	  "10000 workloads: proportional set size of its three processes", BUDGET_VALUE_MAX, 20, 0,
	  0, 0 },
};

enum {
	WORKLOADS_SIGN,
	WORKLOADS_VERIFY,
	KEYS_VERIFY,
	SOCKETS_SIGN,
	SOCKETS_VERIFY,
	SOCKETS_CONNECT,
	MEMORY
};

static struct token tokens[BATCH];

struct asked {
	struct series sign, verify, connect;
};

static int ask(const struct host *h, struct asked *a)
{
	uint64_t cpu;

	if (host_enter(h) < 0)
		return -1;
	cpu = cpu_of_ns(h->sign_room);
	if (ask_sign_many(h, tokens, BATCH) < 0)
		return -1;
	series_add(&a->sign, (double)(cpu_of_ns(h->sign_room) - cpu) / BATCH / 1000);
	cpu = cpu_of_ns(h->check_room);
	if (ask_verify_many(h, tokens, BATCH) < 0)
		return -1;
	series_add(&a->verify, (double)(cpu_of_ns(h->check_room) - cpu) / BATCH / 1000);
	return 0;
}

static void compare(unsigned which, const struct series *many, const struct series *few)
{
	struct row r = rows[which];
	char what[64];

	r.value = series_median(many);
	r.baseline = series_median(few);
	snprintf(what, sizeof(what), "%s, many", r.name);
	report_series(what, many);
	snprintf(what, sizeof(what), "%s, few", r.name);
	report_series(what, few);
	report_row(&r);
}

static int policies(const struct host *few, const struct host *workloads, const struct host *keys)
{
	static struct asked f, w, k, warm;

	if (ask(few, &warm) < 0 || ask(workloads, &warm) < 0 || ask(keys, &warm) < 0)
		return -1;
	for (unsigned i = 0; i < BLOCKS; i++)
		if (ask(few, &f) < 0 || ask(workloads, &w) < 0 || ask(keys, &k) < 0)
			return -1;
	compare(WORKLOADS_SIGN, &w.sign, &f.sign);
	compare(WORKLOADS_VERIFY, &w.verify, &f.verify);
	compare(KEYS_VERIFY, &k.verify, &f.verify);
	return 0;
}

static int weigh(const struct host *few, const struct host *many)
{
	double pss, rss, few_pss, few_rss;
	struct row r = rows[MEMORY];

	if (host_memory(many, &pss, &rss) < 0 || host_memory(few, &few_pss, &few_rss) < 0)
		return -1;
	report_note(
		"daemon, 10000 workloads: %.1f MB proportional, %.1f MB resident, shared pages counted thrice",
		pss / 1e6, rss / 1e6);
	report_note("daemon, 10 workloads: %.1f MB proportional, %.1f MB resident", few_pss / 1e6,
		    few_rss / 1e6);
	r.value = pss / 1e6;
	r.baseline = few_pss / 1e6;
	report_row(&r);
	return 0;
}

/* ---- sockets ---- */

static int ask_and_connect(const struct host *h, struct asked *a)
{
	for (unsigned i = 0; i < BLOCKS / 3; i++) {
		if (ask(h, a) < 0)
			return -1;
		for (unsigned j = 0; j < CONNECT_BATCHES; j++) {
			uint64_t start = wall_ns();

			for (unsigned n = 0; n < CONNECT_BATCH; n++) {
				struct pair p;

				if (tcp_pair(h->listener, &p) < 0)
					return -1;
				tcp_pair_close(&p);
			}
			series_add(&a->connect, (double)(wall_ns() - start) / CONNECT_BATCH / 1000);
		}
	}
	return 0;
}

static int sockets(const struct host *h)
{
	static struct asked alone, crowded;
	unsigned size = 0;
	int err = host_enter(h);

	for (unsigned i = 0; i < CROWDS && err == 0; i++) {
		struct crowd c;

		err = ask_and_connect(h, &alone);
		if (err == 0)
			err = crowd_gather(CROWD, &c);
		if (err < 0)
			break;
		size = c.sockets;
		err = ask_and_connect(h, &crowded);
		crowd_dismiss(&c);
	}
	if (err < 0)
		return -1;
	report_note("the crowd: %u tagged sockets", size);
	compare(SOCKETS_SIGN, &crowded.sign, &alone.sign);
	compare(SOCKETS_VERIFY, &crowded.verify, &alone.verify);
	compare(SOCKETS_CONNECT, &crowded.connect, &alone.connect);
	return 0;
}

static void missing(unsigned from, unsigned to, const char *why)
{
	for (unsigned i = from; i <= to; i++)
		report_missing(&rows[i], why);
}

void part_scale(const struct bench *b)
{
	struct host few = { .listener = -1 }, workloads = few, keys = few;

	if (host_write(b, "few", FEW, 1, &few) < 0 ||
	    host_write(b, "workloads", MANY, 1, &workloads) < 0 ||
	    host_write(b, "keys", FEW, MANY, &keys) < 0 || host_start(b, &few) < 0 ||
	    host_start(b, &workloads) < 0 || host_start(b, &keys) < 0) {
		missing(WORKLOADS_SIGN, MEMORY, "a daemon did not start");
	} else {
		if (policies(&few, &workloads, &keys) < 0)
			missing(WORKLOADS_SIGN, KEYS_VERIFY, "a request was refused");
		if (sockets(&few) < 0)
			missing(SOCKETS_SIGN, SOCKETS_CONNECT,
				"a request was refused, or no crowd");
		if (weigh(&few, &workloads) < 0)
			missing(MEMORY, MEMORY, "smaps_rollup cannot be read");
	}
	host_stop(&few);
	host_stop(&workloads);
	host_stop(&keys);
}
