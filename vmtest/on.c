// SPDX-License-Identifier: Apache-2.0
// The client of the control channel between the guests.
//   on [-i] [-d] [-w SECONDS] HOST CMD...   run CMD as root on guest HOST (a, b or c)
//   vm-reboot HOST                          reboot a guest, return when its agent answers again
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire.h"

enum { CANNOT = 125 };   // the command could not be run, or its end was not seen

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
		return reboot_host(host[0], 150);
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
