// SPDX-License-Identifier: Apache-2.0
// The control channel between the guests: one program, three names.
//   on [-i] [-d] [-w SECONDS] HOST CMD...   run CMD as root on guest HOST (a, b or c)
//   vm-reboot HOST                          reboot a guest, return when its agent answers again
//   vm-agent [CMD...]                       pid 1 of every guest: serves `on`, reaps, runs CMD first
// It runs over the network "ctl0" (10.78.0.0/24), apart from the one under test.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { PORT = 1078, MAX_REQUEST = 1 << 20, CHUNK = 1 << 16, MAX_ARGS = 4096 };
enum { CANNOT = 125 };   // exit status of `on` itself, when the command could not be run or ended unseen

// Client to agent: REQUEST once, then STDIN frames (an empty one is its end).  Agent to client: the rest.
enum frame { REQUEST = 'r', STDIN = 'i', STDOUT = 'o', STDERR = 'e', EXIT = 'x' };
enum mode { PLAIN = 'p', INPUT = 'i', DETACHED = 'd', REBOOT = 'R' };

struct head {
	uint32_t type;
	uint32_t len;
};

static bool read_all(int fd, void *buf, size_t len)
{
	for (char *p = buf; len;) {
		ssize_t n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const void *buf, size_t len)
{
	for (const char *p = buf; len;) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_frame(int fd, enum frame type, const void *data, size_t len)
{
	char buf[sizeof(struct head) + CHUNK];
	struct head head = { .type = type, .len = (uint32_t)len };

	memcpy(buf, &head, sizeof head);
	if (len <= CHUNK) {
		if (len)
			memcpy(buf + sizeof head, data, len);
		return write_all(fd, buf, sizeof head + len);
	}
	return write_all(fd, &head, sizeof head) && write_all(fd, data, len);
}

static bool send_exit(int fd, int status)
{
	int32_t code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

	return send_frame(fd, EXIT, &code, sizeof code);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(void)   // between two tries of something that has a limit
{
	nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
}

static void no_delay(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ 5 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){ 2 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){ 5 }, sizeof(int));
}

/* ---- agent ---- */

static void unmask(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static _Noreturn void exec_command(char **argv)
{
	// one word with shell characters is a shell line, as with ssh
	if (!argv[1] && strpbrk(argv[0], " \t\n|&;<>()$`\\\"'*?[#~="))
		execl("/bin/sh", "sh", "-c", argv[0], NULL);
	else
		execvp(argv[0], argv);
	dprintf(2, "on: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static pid_t start(char **argv, int in, int out, int err)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	unmask();
	exec_command(argv);
}

// Its output goes to a file; its parent is pid 1 once this handler is gone.
static void run_detached(int client, char **argv)
{
	char path[64], text[128];
	static const char dir[] = "/out/bg";

	mkdir(dir, 0755);
	snprintf(path, sizeof path, "%s/.%d", dir, getpid());
	int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid = start(argv, null, log, log);

	snprintf(text, sizeof text, "%s/%d.log", dir, pid);
	rename(path, text);
	send_frame(client, STDOUT, text, (size_t)snprintf(text, sizeof text, "%d\n", pid));
	send_exit(client, 0);
}

// One pipe's bytes to the client; false at its end.
static bool relay(int client, enum frame type, int fd)
{
	char buf[CHUNK];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && send_frame(client, type, buf, (size_t)n);
}

static bool feed(int client, int *in)   // false: the client is gone
{
	struct head head;
	char buf[CHUNK];

	if (!read_all(client, &head, sizeof head) || head.type != STDIN || head.len > sizeof buf ||
	    !read_all(client, buf, head.len))
		return false;
	if (*in >= 0 && (!head.len || !write_all(*in, buf, head.len))) {
		close(*in);
		*in = -1;
	}
	return true;
}

static void run_attached(int client, char **argv, bool input)
{
	int in[2], out[2], err[2], status;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	int ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return;
	pid_t pid = start(argv, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	if (!input) {
		close(in[1]);
		in[1] = -1;
	}
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);

	struct pollfd p[] = {
		{ .fd = client, .events = POLLIN },
		{ .fd = out[0], .events = POLLIN },
		{ .fd = err[0], .events = POLLIN },
		{ .fd = ended, .events = POLLIN },
	};
	for (;;) {
		if (poll(p, 4, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents && !feed(client, &in[1])) {   // nobody waits for the answer any more
			kill(-pid, SIGKILL);
			return;
		}
		if (p[1].revents && !relay(client, STDOUT, out[0]))
			p[1].fd = -1;
		if (p[2].revents && !relay(client, STDERR, err[0]))
			p[2].fd = -1;
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		struct signalfd_siginfo info;
		while (read(ended, &info, sizeof info) > 0)
			;
	}
	// what it wrote before it ended; what its background children write later is theirs
	for (struct pollfd q = { .fd = out[0], .events = POLLIN };
	     p[1].fd >= 0 && poll(&q, 1, 0) > 0 && relay(client, STDOUT, out[0]);)
		;
	for (struct pollfd q = { .fd = err[0], .events = POLLIN };
	     p[2].fd >= 0 && poll(&q, 1, 0) > 0 && relay(client, STDERR, err[0]);)
		;
	send_exit(client, status);
}

// mode, working directory, number of arguments, the arguments, the environment: each ends with NUL
static void serve(int client)
{
	struct head head;
	char *argv[MAX_ARGS + 1];
	size_t argc = 0;

	no_delay(client);
	if (!read_all(client, &head, sizeof head) || head.type != REQUEST || head.len < 4 ||
	    head.len > MAX_REQUEST)
		return;
	char *p = malloc(head.len + 1);
	if (!p || !read_all(client, p, head.len))
		return;
	char *end = p + head.len;
	*end = '\0';

	char mode = *p;
	p += strlen(p) + 1;
	if ((p >= end || chdir(p)) && chdir("/"))
		return;
	p += strlen(p) + 1;
	size_t count = p < end ? strtoul(p, NULL, 10) : 0;
	p += strlen(p) + 1;
	for (; argc < count && argc < MAX_ARGS && p < end; p += strlen(p) + 1)
		argv[argc++] = p;
	argv[argc] = NULL;

	char *host = getenv("HOST");
	for (; p < end; p += strlen(p) + 1)
		if (*p)
			putenv(p);
	if (host)
		setenv("HOST", host, 1);

	if (mode == REBOOT) {
		send_exit(client, 0);
		shutdown(client, SHUT_WR);
		sync();
		reboot(LINUX_REBOOT_CMD_RESTART);
	} else if (!argc) {
		return;
	} else if (mode == DETACHED) {
		run_detached(client, argv);
	} else {
		run_attached(client, argv, mode == INPUT);
	}
}

static int agent(char **first)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const char *ip = getenv("CTL_IP");
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (!ip || !inet_aton(ip, &own.sin_addr) || bind(listener, (struct sockaddr *)&own, sizeof own) || listen(listener, 64)) {
		perror("agent: listen");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);

	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	int ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

	if (*first && fork() == 0) {
		setsid();
		unmask();
		execvp(first[0], first);
		_exit(127);
	}
	for (;;) {
		struct signalfd_siginfo info;
		struct pollfd p[] = { { .fd = listener, .events = POLLIN }, { .fd = ended, .events = POLLIN } };

		poll(p, 2, -1);
		while (read(ended, &info, sizeof info) > 0)
			;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!(p[0].revents & POLLIN))
			continue;
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			continue;
		if (fork() == 0) {
			close(listener);
			close(ended);
			serve(client);
			_exit(0);
		}
		close(client);
	}
}

/* ---- on, vm-reboot ---- */

static int dial(char host, double limit)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT),
				  .sin_addr.s_addr = htonl(0x0a4e0001u + (uint32_t)(host - 'a')) };
	double deadline = now() + limit;

	do {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		int err = ETIMEDOUT;

		// a SYN lost while the other side boots must not cost the kernel's whole second
		if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ||
		    (errno == EINPROGRESS && poll(&p, 1, 300) == 1 &&
		     getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){ sizeof err }) == 0 && !err)) {
			fcntl(fd, F_SETFL, 0);
			no_delay(fd);
			return fd;
		}
		close(fd);
		nap();
	} while (now() < deadline);
	return -1;
}

static void append(char *buf, size_t *len, const char *text)
{
	size_t n = strlen(text) + 1;

	if (*len + n > MAX_REQUEST) {
		fprintf(stderr, "on: the command is too long\n");
		exit(CANNOT);
	}
	memcpy(buf + *len, text, n);
	*len += n;
}

static bool request(int fd, enum mode mode, char **argv)
{
	static char buf[MAX_REQUEST];
	char cwd[4096], count[16];
	size_t len = 0;
	int argc = 0;

	while (argv[argc])
		argc++;
	snprintf(count, sizeof count, "%d", argc);
	append(buf, &len, (char[]){ (char)mode, 0 });
	append(buf, &len, getcwd(cwd, sizeof cwd) ? cwd : "/");
	append(buf, &len, count);
	for (; *argv; argv++)
		append(buf, &len, *argv);
	for (char **e = environ; *e; e++)
		append(buf, &len, *e);
	return send_frame(fd, REQUEST, buf, len);
}

static int converse(int fd, bool input)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = input ? 0 : -1, .events = POLLIN } };
	static char buf[CHUNK];
	struct head head;
	int32_t code;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents) {
			ssize_t n = read(0, buf, sizeof buf);
			if (n <= 0)
				p[1].fd = -1;
			send_frame(fd, STDIN, buf, n > 0 ? (size_t)n : 0);
		}
		if (!p[0].revents)
			continue;
		if (!read_all(fd, &head, sizeof head) || head.len > sizeof buf || !read_all(fd, buf, head.len))
			return -1;
		switch (head.type) {
		case STDOUT: write_all(1, buf, head.len); break;
		case STDERR: write_all(2, buf, head.len); break;
		case EXIT:
			memcpy(&code, buf, sizeof code);
			return code;
		}
	}
}

static bool boot_id(char host, char id[64], double limit)
{
	char *argv[] = { "cat", "/proc/sys/kernel/random/boot_id", NULL };
	struct head head = { 0 };
	int fd = dial(host, limit);
	bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 5 },
					sizeof(struct timeval)) == 0 &&
		  request(fd, PLAIN, argv) && read_all(fd, &head, sizeof head) && head.type == STDOUT &&
		  head.len < 64 && read_all(fd, id, head.len);

	if (ok)
		id[head.len] = '\0';
	if (fd >= 0)
		close(fd);
	return ok;
}

static int reboot_host(char host, double limit)
{
	char before[64], after[64];
	double deadline = now() + limit;
	int fd;

	if (!boot_id(host, before, 10) || (fd = dial(host, 10)) < 0 ||
	    !request(fd, REBOOT, (char *[]){ NULL }))
		goto gone;
	converse(fd, false);
	while (now() < deadline) {
		if (boot_id(host, after, 1) && strcmp(before, after) != 0)
			return 0;
		nap();
	}
gone:
	fprintf(stderr, "vm-reboot: guest %c does not answer\n", host);
	return CANNOT;
}

static int usage(void)
{
	fprintf(stderr, "usage: on [-i] [-d] [-w SECONDS] a|b|c CMD...\n"
			"       vm-reboot a|b|c\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	enum mode mode = PLAIN;
	double limit = 10;
	int opt;

	name = name ? name + 1 : argv[0];
	if (!strcmp(name, "vm-agent"))
		return agent(argv + 1);

	while ((opt = getopt(argc, argv, "+idw:")) != -1) {
		switch (opt) {
		case 'i': mode = INPUT; break;
		case 'd': mode = DETACHED; break;
		case 'w': limit = atof(optarg); break;
		default: return usage();
		}
	}
	if (optind >= argc)
		return usage();
	const char *host = argv[optind];
	if (!strncmp(host, "host-", 5))
		host += 5;
	if (host[0] < 'a' || host[0] > 'c' || host[1])
		return usage();
	if (!strcmp(name, "vm-reboot"))
		return reboot_host(host[0], 60);
	if (optind + 1 >= argc)
		return usage();

	int fd = dial(host[0], limit);
	if (fd < 0 || !request(fd, mode, argv + optind + 1)) {
		fprintf(stderr, "on: guest %c does not answer\n", host[0]);
		return CANNOT;
	}
	int code = converse(fd, mode == INPUT);
	if (code < 0)
		fprintf(stderr, "on: guest %c went away\n", host[0]);
	return code < 0 ? CANNOT : code;
}
