// SPDX-License-Identifier: Apache-2.0
/*
 * What one client waits for while sixteen others, each of a uid of its own and of no workload, ask as fast as they can
 * (attacks.md 118). Flooders run at the lowest priority of the host's own: what is measured is the room's turns, not the
 * scheduler's, as far as so few processors allow.
 */
#include "bench.h"

#include "model/request.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOODERS 16
#define ASKED	 3000

static const struct row fair_row = {
	.name = "p99-under-flood",
	.unit = "us",
	.against = "the same client when nobody else asks",
	.method =
		"99th of 3000 signs on one connection beside 16 uids that connect and ask without pause",
	.kind = BUDGET_VALUE_MAX,
	.budget = 20000,
};

/* In the run directory: sign.sock's parents need not be open to it. */
static _Noreturn void flood(uid_t uid)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "sign.sock" };
	struct cleat_ask_head ask = { CLEAT_PROTOCOL, CLEAT_ASK_WHOAMI, 1 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpriority(PRIO_PROCESS, 0, 19);
	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		_exit(1);
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		char answer[8192];

		if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0) {
			for (int i = 0; i < 8; i++)
				send(fd, &ask, sizeof(ask) - (i & 1), MSG_NOSIGNAL);
			recv(fd, answer, sizeof(answer), 0);
		}
		close(fd);
	}
}

static int flooders_start(const struct host *h, pid_t *pids)
{
	char run[300];

	snprintf(run, sizeof(run), "%s/run", h->dir);
	for (unsigned i = 0; i < FLOODERS; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return -1;
		if (pids[i] == 0) {
			if (chdir(run) < 0)
				_exit(1);
			flood(2000 + i);
		}
	}
	return 0;
}

static int flooders_stop(const pid_t *pids)
{
	int status, early = 0;

	for (unsigned i = 0; i < FLOODERS; i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], &status, 0);
		early += !WIFSIGNALED(status);
	}
	return early ? -1 : 0;
}

static int asked(const struct host *h, struct series *s)
{
	static struct token t;

	for (unsigned i = 0; i < ASKED; i++) {
		uint64_t start = wall_ns();

		if (ask_sign(h->sign[0], h->pairs[0].client, &t) < 0)
			return -1;
		series_add(s, (double)(wall_ns() - start) / 1000);
	}
	return 0;
}

void part_fair(const struct bench *b)
{
	static struct series calm, flooded;
	pid_t pids[FLOODERS] = { 0 };
	struct row r = fair_row;
	struct host h;
	int err;

	if (host_write(b, "fair", 10, 1, &h) < 0 || host_start(b, &h) < 0) {
		report_missing(&fair_row, "the daemon did not start");
		host_stop(&h);
		return;
	}
	err = asked(&h, &calm);
	if (err == 0)
		err = flooders_start(&h, pids);
	if (err == 0)
		err = asked(&h, &flooded);
	if (flooders_stop(pids) < 0 || err < 0) {
		report_missing(&fair_row, "a request was refused, or a flooder ended");
	} else {
		report_note("under flood: median %.0f, p99 %.0f us; calm: median %.0f, p99 %.0f us",
			    series_median(&flooded), series_at(&flooded, 0.99),
			    series_median(&calm), series_at(&calm, 0.99));
		r.value = series_at(&flooded, 0.99);
		r.baseline = series_at(&calm, 0.99);
		report_row(&r);
	}
	host_stop(&h);
}
