/* SPDX-License-Identifier: Apache-2.0 */
/* Children of the kernel room. See rooms.h. */
#include "room/rooms.h"

#include "base/cleanup.h"
#include "room/channel.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ARGS_MAX 16

/* Between fork and exec: only async-signal-safe calls. */
static _Noreturn void child_exec(char *const *argv, const int *fds, unsigned count, pid_t parent)
{
	static char *const nothing[] = { NULL };
	int high[ROOM_FDS];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* out of the way first: a source may have a target's number */
	for (unsigned i = 0; i < count; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ROOM_FD_END + 1);
		if (high[i] < 0)
			_exit(1);
	}
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(1);
	for (unsigned i = 0; i < count; i++)
		if (dup2(high[i], ROOM_FD_CHANNEL + (int)i) < 0)
			_exit(1);
	if (syscall(SYS_close_range, ROOM_FD_CHANNEL + count, ~0u, 0) < 0)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, nothing);
	_exit(1);
}

int room_spawn(const char *name, const char *const *args, const int *fds, unsigned count,
	       struct room_child *ret)
{
	int all[ROOM_FDS], pair[2];
	char room[32];
	char *argv[ARGS_MAX] = { (char[]){ "cleatd" }, room };
	pid_t parent = getpid();
	int err;

	snprintf(room, sizeof(room), "--room=%s", name);
	for (unsigned i = 0; args && args[i]; i++) {
		if (i + 3 >= ARGS_MAX)
			return -E2BIG;
		argv[i + 2] = (char *)(uintptr_t)args[i]; /* execve's own missing const */
	}
	if (count >= ROOM_FDS)
		return -E2BIG;
	err = channel_pair(pair);
	if (err < 0)
		return err;
	owned_fd int ours = pair[0], theirs = pair[1];

	all[0] = theirs;
	for (unsigned i = 0; i < count; i++)
		all[i + 1] = fds[i];
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_exec(argv, all, count + 1, parent);
	/* not reaped yet, so the number is still this child's */
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0) {
		err = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err;
	}
	*ret = (struct room_child){ name, pid, pidfd, take_fd(&ours) };
	return 0;
}

void room_end(struct room_child *child)
{
	struct pollfd p = { .fd = child->pidfd, .events = POLLIN };
	int n;

	if (child->pid <= 0)
		return;
	syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
	do
		n = poll(&p, 1, ROOM_END_MS);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		waitpid(child->pid, NULL, 0);
	else
		log_error("room", "room=%s pid=%d error=\"" ROOM_STAYS "\"", child->name,
			  child->pid);
	close(child->pidfd);
	close(child->channel);
	child->pid = 0;
}

int room_begin(const char *name, enum log_format format)
{
	struct rlimit files;
	static char title[16]; /* the log keeps it */

	snprintf(title, sizeof(title), "cleatd-%s", name);
	log_open(title, format);
	signal(SIGINT, SIG_IGN); /* a terminal's ^C goes to all; the kernel room stops us */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_NAME, title) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	/* root may raise its own bound; where it may not, the bound is what there is */
	if (files.rlim_max < ROOM_NOFILE &&
	    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ ROOM_NOFILE, ROOM_NOFILE }) == 0)
		return 0;
	files.rlim_cur = files.rlim_max < ROOM_NOFILE ? files.rlim_max : ROOM_NOFILE;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}
