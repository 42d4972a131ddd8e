/* SPDX-License-Identifier: Apache-2.0 */
/* A room is traced, signalled and limited by nobody but the keeper (bpf/self.bpf.c). */
#include "world.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

void self_room_tests(void);

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

struct room {
	pid_t pid;
	int pidfd, asks, secret; /* asks: a byte comes back */
};

/* 'm': can it get a map? */
static _Noreturn void room_main(int asked)
{
	char byte;
	int map;

	while (read(asked, &byte, 1) == 1) {
		if (byte == 'm')
			byte = kern_map_fd(world.k, KERN_TAGS, false, &map) == 0 ? 'y' : 'n';
		if (write(asked, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static bool answers(const struct room *r)
{
	char byte = 'x';

	return write(r->asks, &byte, 1) == 1 && read(r->asks, &byte, 1) == 1;
}

static bool room_open(struct room *r)
{
	const struct timeval patience = { .tv_sec = 20 };
	int ends[2];

	/* a room that a broken twin lets die answers nothing, and its end of the pair is held here as well */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 ||
	    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return false;
	r->asks = ends[0];
	r->secret = ends[1];
	r->pid = fork();
	if (r->pid == 0)
		room_main(ends[1]);
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	return r->pidfd >= 0 && kern_room_set(world.k, r->pidfd) == 0 && answers(r);
}

static bool memory_checks(const struct room *r)
{
	char path[64], byte;
	struct iovec here = { &byte, 1 }, there = { &byte, 1 };

	bool refused = ptrace(PTRACE_ATTACH, r->pid, NULL, NULL) == -1 && errno == EPERM;

	check(refused, "  a room is not traced");
	if (!refused)
		return false;
	check(ptrace(PTRACE_SEIZE, r->pid, NULL, NULL) == -1 && errno == EPERM, "  nor seized");
	snprintf(path, sizeof(path), "/proc/%d/mem", r->pid);
	check(open(path, O_RDONLY) == -1 && errno == EACCES, "  nor its memory opened");
	check(process_vm_readv(r->pid, &here, 1, &there, 1, 0) == -1 && errno == EPERM,
	      "  nor read");
	check(syscall(SYS_pidfd_getfd, r->pidfd, r->secret, 0) == -1 && errno == EPERM,
	      "  nor its descriptors taken");
	return true;
}

/* SIGKILL by a pipe's owner, instead of by a process. */
static void sigio_check(const struct room *r)
{
	int ends[2];

	check(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_ASYNC) == 0 &&
		      fcntl(ends[0], F_SETSIG, SIGKILL) == 0 &&
		      fcntl(ends[0], F_SETOWN, r->pid) == 0 && write(ends[1], "x", 1) == 1 &&
		      answers(r),
	      "  nor by way of a descriptor's owner");
	close(ends[0]);
	close(ends[1]);
}

static void life_checks(const struct room *r)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGSTOP, SIGHUP, SIGCONT };
	siginfo_t info = { .si_code = SI_QUEUE };
	struct rlimit limit = { 1, 1 };
	bool refused = true;

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		refused = refused && kill(r->pid, signals[i]) == -1 && errno == EPERM;
	check(refused, "  no signal reaches it");
	check(kill(r->pid, 0) == 0, "  but it may be asked whether it lives");
	check(syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0) == -1 && errno == EPERM &&
		      syscall(SYS_tgkill, r->pid, r->pid, SIGKILL) == -1 && errno == EPERM &&
		      syscall(SYS_rt_sigqueueinfo, r->pid, SIGKILL, &info) == -1 && errno == EPERM,
	      "  nor by another call");
	sigio_check(r);
	check(prlimit(r->pid, RLIMIT_CPU, &limit, NULL) == -1 && errno == EPERM,
	      "  its limits stay");
	check(prlimit(r->pid, RLIMIT_CPU, NULL, &limit) == 0, "  but may be read");
	check(answers(r), "  it lives");
}

static int outsider(void *arg)
{
	if (!memory_checks(arg))
		return 1; /* a broken twin: the room is needed yet */
	life_checks(arg);
	return 0;
}

/* Nothing can refuse that; an event tells it. */
static int moves(void *arg)
{
	const struct room *r = arg;
	char path[400], pid[16], byte;
	int fd;

	snprintf(path, sizeof(path), "%s/plain/cgroup.procs", world.base);
	snprintf(pid, sizeof(pid), "%d", r->pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	check(write(fd, pid, strlen(pid)) == (ssize_t)strlen(pid) && answers(r),
	      "  a room is moved to another cgroup");
	close(fd);
	check(kill(r->pid, SIGKILL) == -1 && errno == EPERM, "  and is a room there as well");
	check(write(r->asks, "m", 1) == 1 && read(r->asks, &byte, 1) == 1 && byte == 'y',
	      "  that gets what is its own");
	return 0;
}

static int traceme(void *arg)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	pid_t pid;

	(void)arg;
	check(kern_room_set(world.k, pidfd) == 0, "a room below a stranger");
	pid = fork(); /* a room as well, but its parent is one: it asks for its grandparent's eyes */
	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0);
	waitpid(pid, &pidfd, 0);
	check(WEXITSTATUS(pidfd) == EPERM, "  is not traced by its own wish");
	return 0;
}

/* An ordinary process beside it. */
static int neighbour(void *arg)
{
	int status;
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		for (;;)
			pause();
	check(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0 && waitpid(pid, NULL, 0) == pid &&
		      ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0 && kill(pid, SIGKILL) == 0 &&
		      waitpid(pid, &status, 0) == pid,
	      "  what is no room is traced and killed as ever");
	return 0;
}

void self_room_tests(void)
{
	struct room r;
	int status;

	check(room_open(&r), "a room");
	check(child("plain", 0, outsider, &r) == 0, "root elsewhere, a room");
	check(child("keeper/below", 0, outsider, &r) == 0, "root below the keeper, a room");
	check(child("plain", 0, moves, &r) == 0, "root elsewhere, a room's cgroup");
	check(child("plain", 0, neighbour, NULL) == 0, "root elsewhere, no room");
	check(child("plain", 0, traceme, NULL) == 0, "traceme");
	check(ptrace(PTRACE_ATTACH, r.pid, NULL, NULL) == 0 && waitpid(r.pid, NULL, 0) == r.pid &&
		      ptrace(PTRACE_DETACH, r.pid, NULL, NULL) == 0 && answers(&r),
	      "the keeper may trace it");
	check(kill(r.pid, SIGKILL) == 0 && waitpid(r.pid, &status, 0) == r.pid &&
		      WTERMSIG(status) == SIGKILL,
	      "  and end it");
	close(r.asks);
	close(r.secret);
	close(r.pidfd);
}
