// SPDX-License-Identifier: Apache-2.0
/*
 * sign and verify through a daemon of our own, with 10 workloads and one key: CPU of the room per request when it is
 * never idle; the time of one request at a time; and a whole connection against a TLS handshake.
 */
#include "bench.h"

#include "base/cleanup.h"
#include "lib/cleat.h"
#include "model/request.h"
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCKS	     30
#define BATCH	     400 /* requests of a block */
#define BARE_SIGN    400
#define BARE_VERIFY  400
#define ALONE_BLOCKS 20
#define ALONE	     150
#define WHOLE_BLOCKS 16
#define WHOLE	     40
#define SETTLE_MS    20

static const struct row verify_row = {
	.name = "verify",
	.unit = "op/s",
	.against = "EVP_PKEY_verify of P-256, one prepared context, as openssl speed does it",
	.method =
		"CPU of the check room per verify, 8 clients with one request under way each; ratio: median of blocks side by side",
	.kind = BUDGET_RATIO_MIN,
	.budget = 0.85,
};

static const struct row sign_row = {
	.name = "sign",
	.unit = "op/s",
	.against = "EVP_PKEY_sign of P-256, one prepared context, as openssl speed does it",
	.method =
		"CPU of the sign room per sign, 8 clients with one request under way each; ratio: median of blocks side by side",
	.kind = BUDGET_RATIO_MIN,
	.budget = 0.6,
};

static const struct row alone_row = {
	.name = "sign-alone",
	.unit = "us",
	.against =
		"another process that answers 64 bytes and a descriptor after one bare signature",
	.method =
		"median of single requests on one API connection, in turn with the other; client and the answering thread on one processor",
	.kind = BUDGET_RATIO_MAX,
	.budget = 1.5,
};

static const struct row across_row = {
	.name = "sign-alone-across",
	.unit = "us",
	.against = "the same process as in sign-alone",
	.method = "as sign-alone, the client on another processor than who answers",
	.kind = BUDGET_RATIO_MAX,
	.budget = 1.5,
};

static const struct row whole_row = {
	.name = "connection",
	.unit = "us",
	.against = "connect, accept, mutual TLS 1.3 handshake (P-256, one authority), close: CPU",
	.method =
		"connect, accept, sign, send, verify, close: CPU of both ends and both rooms; ratio: median of blocks side by side",
	.kind = BUDGET_RATIO_MAX,
	.budget = 0.25,
};

static struct token tokens[BATCH];

/* ---- saturated ---- */

struct saturated {
	struct series sign, verify; /* CPU of the room, us */
	struct series sign_wall, verify_wall;
	struct series bare_sign, bare_verify;
	struct series floor_sign, floor_verify;
	struct floor_shape sign_shape, verify_shape;
	struct echo sign_floor, verify_floor;
};

/* What is left out nowhere: of the sizes that this run's tokens have. */
static int floors(const struct bench *b, const struct host *h, struct saturated *s)
{
	char path[512];
	size_t text;

	if (ask_sign_many(h, tokens, BATCH) < 0)
		return -1;
	text = tokens[0].wit_len + tokens[0].wpt_len;
	snprintf(path, sizeof(path), "%s/floor", b->scratch);
	s->sign_shape = (struct floor_shape){
		.ask = sizeof(struct cleat_ask_sign),
		.answer = sizeof(struct cleat_answer_sign) + text,
		.audit = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
	};
	s->verify_shape = (struct floor_shape){
		.verify = true,
		.ask = sizeof(struct cleat_ask_verify) + text,
		.answer = sizeof(struct cleat_answer_verify),
		.audit = s->sign_shape.audit,
	};
	if (s->sign_shape.audit < 0 || floor_start(&s->sign_shape, &s->sign_floor) < 0)
		return -1;
	return floor_start(&s->verify_shape, &s->verify_floor);
}

static int block(const struct host *h, struct saturated *s)
{
	uint64_t cpu = cpu_of_ns(h->sign_room), wall = wall_ns();

	if (ask_sign_many(h, tokens, BATCH) < 0)
		return -1;
	series_add(&s->sign, (double)(cpu_of_ns(h->sign_room) - cpu) / BATCH / 1000);
	series_add(&s->sign_wall, (double)(wall_ns() - wall) / BATCH / 1000);
	series_add(&s->bare_sign, bare_sign_ns(BARE_SIGN) / 1000);
	series_add(&s->floor_sign,
		   floor_ns(&s->sign_floor, &s->sign_shape, h->pairs[0].client, BATCH) / 1000);

	cpu = cpu_of_ns(h->check_room);
	wall = wall_ns();
	if (ask_verify_many(h, tokens, BATCH) < 0)
		return -1;
	series_add(&s->verify, (double)(cpu_of_ns(h->check_room) - cpu) / BATCH / 1000);
	series_add(&s->verify_wall, (double)(wall_ns() - wall) / BATCH / 1000);
	series_add(&s->bare_verify, bare_verify_ns(BARE_VERIFY) / 1000);
	series_add(&s->floor_verify,
		   floor_ns(&s->verify_floor, &s->verify_shape, h->pairs[0].server, BATCH) / 1000);
	return 0;
}

static void rates(const struct row *shape, const struct series *room, const struct series *bare)
{
	struct row r = *shape;

	r.value = 1e6 / series_median(room);
	r.baseline = 1e6 / series_median(bare);
	r.ratio = series_ratio(bare, room);
	report_row(&r);
}

static void note_floor(const char *what, const struct series *room, const struct series *bare,
		       const struct series *floor)
{
	report_series(what, floor);
	report_note("    of the bare rate it leaves %.2f; the room has %.2f of what it leaves",
		    series_ratio(bare, floor), series_ratio(floor, room));
}

static int saturated(const struct bench *b, const struct host *h)
{
	static struct saturated s;
	double sign, verify;

	if (floors(b, h, &s) < 0)
		return -1;
	for (unsigned i = 0; i < BLOCKS; i++)
		if (block(h, &s) < 0)
			return -1;
	report_series("CPU of the sign room per sign", &s.sign);
	report_series("  wall time between answers", &s.sign_wall);
	report_series("bare P-256 sign", &s.bare_sign);
	report_series("CPU of the check room per verify", &s.verify);
	report_series("  wall time between answers", &s.verify_wall);
	report_series("bare P-256 verify", &s.bare_verify);
	note_floor("floor of sign: message, signature, line, answer", &s.sign, &s.bare_sign,
		   &s.floor_sign);
	note_floor("floor of verify: the same", &s.verify, &s.bare_verify, &s.floor_verify);
	echo_stop(&s.sign_floor);
	echo_stop(&s.verify_floor);
	close(s.sign_shape.audit);
	if (bare_openssl_speed(&sign, &verify) == 0)
		report_note("openssl speed says: %.1f us a sign, %.1f us a verify", 1e6 / sign,
			    1e6 / verify);
	rates(&verify_row, &s.verify, &s.bare_verify);
	rates(&sign_row, &s.sign, &s.bare_sign);
	return 0;
}

/* ---- one at a time ---- */

/* The @n-th processor that this process may run on, -1: there are not so many. */
static int processor(const cpu_set_t *may, int n)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, may) && n-- == 0)
			return i;
	return -1;
}

static int placed(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set);
}

/* Left to the scheduler the two meet on one processor or not, for seconds, by chance: 10 us of 60. */
static int alone_at(const struct host *h, const struct row *row, const cpu_set_t *may, int client,
		    int answerer)
{
	struct series ours = { 0 }, bare = { 0 };
	struct row r = *row;
	struct echo e;
	int err = echo_start(&e);

	if (err == 0)
		err = placed(0, client) | placed(h->sign_room, answerer) | placed(e.pid, answerer);
	for (unsigned i = 0; i < ALONE_BLOCKS && err == 0; i++) {
		for (unsigned j = 0; j < ALONE && err == 0; j++) {
			uint64_t start = wall_ns();

			err = ask_sign(h->sign[0], h->pairs[0].client, tokens);
			series_add(&ours, (double)(wall_ns() - start) / 1000);
		}
		for (unsigned j = 0; j < ALONE && err == 0; j++) {
			uint64_t start = wall_ns();

			err = echo_ask(&e, h->pairs[0].client);
			series_add(&bare, (double)(wall_ns() - start) / 1000);
		}
	}
	sched_setaffinity(0, sizeof(*may), may);
	sched_setaffinity(h->sign_room, sizeof(*may), may);
	echo_stop(&e);
	if (err < 0)
		return -1;
	report_series("one sign at a time", &ours);
	report_series("bare signature behind a round trip", &bare);
	r.value = series_median(&ours);
	r.baseline = series_median(&bare);
	report_row(&r);
	return 0;
}

static int alone(const struct host *h)
{
	cpu_set_t may;

	if (sched_getaffinity(0, sizeof(may), &may) < 0)
		return -1;
	int one = processor(&may, 0), two = processor(&may, 1);

	if (alone_at(h, &alone_row, &may, one, one) < 0)
		return -1;
	if (two >= 0)
		return alone_at(h, &across_row, &may, one, two);
	report_missing(&across_row, "there is one processor");
	return 0;
}

/* What a program sees that uses the library as it comes: a new API connection for each call. */
static int by_library(const struct host *h)
{
	static struct series s;
	char dir[300];
	const struct cleat_sign_options o = { .where = { .runtime_dir = dir } };

	snprintf(dir, sizeof(dir), "%s/run", h->dir);
	for (unsigned i = 0; i < 10 * ALONE; i++) {
		struct cleat_assertion a;
		uint64_t start = wall_ns();

		if (cleat_sign(h->pairs[0].client, HOST_ID, &o, &a) != 0)
			return -1;
		series_add(&s, (double)(wall_ns() - start) / 1000);
		cleat_assertion_clear(&a);
	}
	report_series("one sign at a time by libcleat (no row)", &s);
	return 0;
}

/* ---- a whole connection ---- */

static uint64_t cpu_with_rooms(const struct host *h)
{
	return cpu_all_ns() + cpu_of_ns(h->sign_room) + cpu_of_ns(h->check_room);
}

static int whole_cleat(const struct host *h)
{
	struct token t, got;
	struct pair p;
	int err;

	if (tcp_pair(h->listener, &p) < 0)
		return -1;
	err = ask_sign(h->sign[0], p.client, &t);
	if (err == 0) {
		ssize_t len = (ssize_t)(t.wit_len + t.wpt_len);

		got.wit_len = t.wit_len;
		got.wpt_len = t.wpt_len;
		if (send(p.client, t.text, (size_t)len, 0) != len ||
		    recv(p.server, got.text, (size_t)len, MSG_WAITALL) != len)
			err = -1;
	}
	if (err == 0)
		err = ask_verify(h->check[0], p.server, &got);
	tcp_pair_close(&p);
	return err;
}

static int whole_tls(const struct host *h)
{
	struct pair p;
	int err;

	if (tcp_pair(h->listener, &p) < 0)
		return -1;
	err = tls_handshake(&p);
	tcp_pair_close(&p);
	return err;
}

static int whole(const struct host *h)
{
	static struct series ours, tls;
	struct row r = whole_row;

	if (tls_open() < 0)
		return -1;
	for (unsigned i = 0; i < WHOLE_BLOCKS; i++) {
		uint64_t start = cpu_with_rooms(h);

		for (unsigned j = 0; j < WHOLE; j++)
			if (whole_cleat(h) < 0)
				return -1;
		poll(NULL, 0, SETTLE_MS); /* what the rooms do afterwards is of these, too */
		series_add(&ours, (double)(cpu_with_rooms(h) - start) / WHOLE / 1000);
		start = cpu_all_ns();
		for (unsigned j = 0; j < WHOLE; j++)
			if (whole_tls(h) < 0)
				return -1;
		series_add(&tls, (double)(cpu_all_ns() - start) / WHOLE / 1000);
	}
	report_series("CPU of a connection with an assertion", &ours);
	report_series("CPU of a connection with mutual TLS 1.3", &tls);
	r.value = series_median(&ours);
	r.baseline = series_median(&tls);
	r.ratio = series_ratio(&ours, &tls);
	report_row(&r);
	return 0;
}

void part_requests(const struct bench *b)
{
	struct host h;

	if (host_write(b, "requests", 10, 1, &h) < 0 || host_start(b, &h) < 0) {
		const struct row *const all[] = { &verify_row, &sign_row, &alone_row, &across_row,
						  &whole_row };

		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
			report_missing(all[i], "the daemon did not start");
		host_stop(&h);
		return;
	}
	if (saturated(b, &h) < 0) {
		report_missing(&verify_row, "a request was refused");
		report_missing(&sign_row, "a request was refused");
	}
	if (alone(&h) < 0)
		report_missing(&alone_row, "a request was refused");
	if (by_library(&h) < 0)
		report_note("libcleat: refused");
	if (whole(&h) < 0)
		report_missing(&whole_row, "a request was refused, or a handshake failed");
	host_stop(&h);
}
