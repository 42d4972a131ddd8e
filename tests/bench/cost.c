// SPDX-License-Identifier: Apache-2.0
/*
 * What one request costs a room, counted instead of timed: its system calls, by strace, and its instructions, kernel
 * and user, where the machine's time is an instruction's (`make bench-guest` boots such a guest; this machine's own
 * counters are asked by nobody, since few virtual machines have them).
 */
#include "bench.h"

#include "base/cleanup.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define REQUESTS       200
#define ATTACH_LIMIT_S 20

enum { SIGN, VERIFY, KINDS };

static struct token tokens[REQUESTS];

static const char *const kinds[KINDS] = { "sign", "verify" };

static int ask_all(const struct host *h, int kind)
{
	for (unsigned i = 0; i < REQUESTS; i++) {
		const struct pair *p = &h->pairs[0];
		int err = kind == SIGN ? ask_sign(h->sign[0], p->client, &tokens[i])
				       : ask_verify(h->check[0], p->server, &tokens[i]);

		if (err < 0)
			return -1;
	}
	return 0;
}

/* ---- instructions ---- */

static int instructions(const struct host *h, int kind)
{
	pid_t room = kind == SIGN ? h->sign_room : h->check_room;
	uint64_t cpu = cpu_of_ns(room), bare;

	if (ask_all(h, kind) < 0)
		return -1;
	cpu = (cpu_of_ns(room) - cpu) / REQUESTS;
	bare = (uint64_t)(kind == SIGN ? bare_sign_ns(REQUESTS) : bare_verify_ns(REQUESTS));
	report_note("%-6s %llu instructions in the room, %llu of the bare P-256 operation: %.2f",
		    kinds[kind], (unsigned long long)cpu, (unsigned long long)bare,
		    cpu ? (double)bare / (double)cpu : 0);
	return 0;
}

/* The row sign-alone: of both ends and the kernel, for nothing else runs on the only processor. */
static int instructions_alone(const struct host *h)
{
	struct echo e;
	int err = echo_start(&e);
	uint64_t ours = wall_ns(), bare;

	for (unsigned i = 0; i < REQUESTS && err == 0; i++)
		err = ask_sign(h->sign[0], h->pairs[0].client, &tokens[i]);
	bare = wall_ns();
	ours = bare - ours;
	for (unsigned i = 0; i < REQUESTS && err == 0; i++)
		err = echo_ask(&e, h->pairs[0].client);
	bare = wall_ns() - bare;
	echo_stop(&e);
	if (err == 0)
		report_note(
			"one sign at a time: %llu instructions, %llu of a bare signature behind a round trip: %.2f",
			(unsigned long long)ours / REQUESTS, (unsigned long long)bare / REQUESTS,
			(double)ours / (double)bare);
	return err;
}

/* ---- system calls ---- */

static bool traced(pid_t pid)
{
	owned_file FILE *f = NULL;
	char path[64], line[256];
	int tracer = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	return tracer > 0;
}

/* strace on @room, when it has attached; -1 with nothing left behind when it cannot. */
static pid_t tracer_start(const struct host *h, pid_t room, const char *file)
{
	uint64_t limit = wall_ns() + ATTACH_LIMIT_S * 1000000000ull;
	char pid[16];
	pid_t child;

	snprintf(pid, sizeof(pid), "%d", room);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		host_leave(h);
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execlp("strace", "strace", "-f", "-c", "-U", "calls,name", "-o", file, "-p", pid,
		       NULL);
		_exit(127);
	}
	while (child > 0 && wall_ns() < limit) {
		if (traced(room))
			return child;
		if (waitpid(child, NULL, WNOHANG) == child)
			return -1;
	}
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return -1;
}

/* Lines "  1200 bpf" between two rules; the last is the total. */
static void calls_print(int kind, const char *file)
{
	owned_file FILE *f = fopen(file, "re");
	char line[256], name[64], list[512] = "";
	unsigned long n, total = 0;

	while (f && fgets(line, sizeof(line), f)) {
		size_t len = strlen(list);

		if (sscanf(line, " %lu %63s", &n, name) != 2)
			continue;
		if (strcmp(name, "total") == 0)
			total = n;
		else if (n * 10 >= REQUESTS) /* not what a timer does now and then */
			snprintf(list + len, sizeof(list) - len, "%s%s %.1f", len ? ", " : "", name,
				 (double)n / REQUESTS);
	}
	if (!total)
		report_note("%-6s system calls: not counted: strace wrote nothing", kinds[kind]);
	else
		report_note("%-6s %.1f system calls in the room, its other threads too: %s",
			    kinds[kind], (double)total / REQUESTS, list);
}

static int system_calls(const struct bench *b, const struct host *h, int kind)
{
	pid_t room = kind == SIGN ? h->sign_room : h->check_room, tracer;
	char file[300];
	int err;

	snprintf(file, sizeof(file), "%s/calls.%s", b->scratch, kinds[kind]);
	tracer = tracer_start(h, room, file);
	if (tracer < 0) {
		report_note("%-6s system calls: not counted: strace cannot attach to the room",
			    kinds[kind]);
		return ask_all(h, kind); /* the other room needs the tokens */
	}
	err = ask_all(h, kind);
	kill(tracer, SIGINT); /* it detaches, and prints */
	waitpid(tracer, NULL, 0);
	if (err == 0)
		calls_print(kind, file);
	return err;
}

void part_cost(const struct bench *b)
{
	struct host h;
	int err = host_write(b, "cost", 10, 1, &h);

	if (err == 0)
		err = host_start(b, &h);
	if (err < 0) {
		report_note("the daemon did not start");
		host_stop(&h);
		return;
	}
	for (int kind = 0; kind < KINDS && err == 0; kind++)
		err = system_calls(b, &h, kind);
	for (int kind = 0; kind < KINDS && err == 0 && b->icount; kind++)
		err = instructions(&h, kind);
	if (err == 0 && b->icount)
		err = instructions_alone(&h);
	if (!b->icount)
		report_note("instructions: make bench-guest counts them");
	if (err < 0)
		report_note("a request was refused");
	host_stop(&h);
}
