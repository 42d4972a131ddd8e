/* SPDX-License-Identifier: Apache-2.0 */
/* What the players share. See play.h. */
#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 131072
#define FDS_MAX	   253

/* ---- answers ---- */

void play_say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void play_ok(void)
{
	play_say("{\"ok\":true}");
}

void play_fail(const char *what)
{
	play_say("{\"ok\":false,\"error\":\"%s: %s\",\"errno\":%d}", what, strerror(errno), errno);
}

/* ---- words ---- */

const char *play_after(char **argv, const char *word)
{
	for (int i = 0; argv[i]; i++)
		if (strcmp(argv[i], word) == 0)
			return argv[i + 1];
	return NULL;
}

bool play_has(char **argv, const char *word)
{
	for (int i = 0; argv[i]; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

/* ---- the daemon ---- */

int play_door(const char *door)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *dir = getenv("CLEAT_RUNTIME_DIR");
	struct timeval limit = { 60, 0 }; /* 256 questions at once, in an emulated guest */
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s.sock", dir ? dir : "/run/cleat", door);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int play_send(int door, const void *bytes, size_t len, const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(int) * count);
	}
	return sendmsg(door, &m, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* ---- mailboxes ---- */

int play_mailbox(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len;

	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "cleat-test-%s", name);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(un.sun_path + 1));
	if (fd >= 0 && bind(fd, (struct sockaddr *)&un, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int play_mail(int box)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	struct pollfd p = { .fd = box, .events = POLLIN };
	int fd;

	if (poll(&p, 1, 20000) != 1 || recvmsg(box, &m, MSG_CMSG_CLOEXEC) < 0)
		return -1;
	if (!CMSG_FIRSTHDR(&m) || CMSG_FIRSTHDR(&m)->cmsg_type != SCM_RIGHTS) {
		errno = EBADMSG;
		return -1;
	}
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

uint64_t play_ns(int clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the loop ---- */

/* --netns NAME --cgroup /PATH --uid UID --gid GID, in this order, as root. CLEAT_TEST_CGROUPS is where the
 * cgroups stand: the unified hierarchy, or a test's own part of it. */
static void take_place(char **argv)
{
	const char *netns = play_after(argv, "--netns"), *cgroup = play_after(argv, "--cgroup");
	const char *uid = play_after(argv, "--uid"), *gid = play_after(argv, "--gid");
	const char *base = getenv("CLEAT_TEST_CGROUPS");
	char path[512];
	uid_t u;
	gid_t g;

	if (netns) {
		snprintf(path, sizeof(path), "/run/netns/%s", netns);
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
			exit(3);
		close(fd);
	}
	if (cgroup) {
		snprintf(path, sizeof(path), "%s%s/cgroup.procs", base ? base : "/sys/fs/cgroup",
			 cgroup);
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1)
			exit(4);
		close(fd);
	}
	if (!uid)
		return;
	u = (uid_t)atoi(uid);
	g = (gid_t)atoi(gid ? gid : uid);
	if (setgroups(0, NULL) < 0 || setresgid(g, g, g) < 0 || setresuid(u, u, u) < 0)
		exit(5);
	prctl(PR_SET_DUMPABLE, 1);
}

static void obey(char *line, const struct play_command *commands, size_t count)
{
	char *argv[64], *save = NULL;
	int argc = 0;

	for (char *w = strtok_r(line, " ", &save); w && argc < 63; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	for (size_t i = 0; argc && i < count; i++)
		if (strcmp(argv[0], commands[i].name) == 0 && argc >= commands[i].least)
			return commands[i].run(argv);
	if (argc && strcmp(argv[0], "pid") == 0)
		return play_say("{\"ok\":true,\"pid\":%d,\"uid\":%d}", getpid(), (int)geteuid());
	errno = EINVAL;
	play_fail("command");
}

int play(char **argv, const struct play_command *commands, size_t count)
{
	static char line[LINE_BYTES];

	take_place(argv);
	if (play_has(
		    argv,
		    "--again")) /* a fresh program of the same place: its instance begins after the move */
		execv("/proc/self/exe", (char *[]){ argv[0], NULL });
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdin, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		obey(line, commands, count);
	}
	return 0;
}
