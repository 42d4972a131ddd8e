// SPDX-License-Identifier: Apache-2.0
/*
 * A client of cleatd written from userspace/PROTOCOL.md alone: no libcleat, no header of the daemon, only the byte
 * layouts, read and written at their offsets.
 *
 *	protocol_client whoami
 *	protocol_client call ADDRESS PORT AUDIENCE	connect, sign, send "WIT~WPT\n", print the service's line
 *	protocol_client serve PORT			accept one connection, read a line, verify, say who it was
 *
 * Exit: 0 done, 1 refused, 2 usage.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { SIGN = 1, WHOAMI = 2, VERIFY = 3, WHOIS = 4 };
enum { ANSWER_HEAD = 248, TOKEN_MAX = 16384 };

static uint8_t question[96 + 2 * TOKEN_MAX], answer[65536];
static size_t answer_len;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void put32(size_t at, uint32_t v)
{
	memcpy(question + at, &v, sizeof(v));
}

static uint32_t get32(size_t at)
{
	uint32_t v;

	memcpy(&v, answer + at, sizeof(v));
	return v;
}

static uint64_t get64(size_t at)
{
	uint64_t v;

	memcpy(&v, answer + at, sizeof(v));
	return v;
}

static int daemon_connect(const char *name)
{
	const char *dir = getenv("CLEAT_RUNTIME_DIR");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 2 };
	struct ucred server;
	socklen_t len = sizeof(server);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.80s/%s", dir && *dir ? dir : "/run/cleat",
		 name);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die(sa.sun_path);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &len) < 0 ||
	    (server.uid != 0 && server.uid != geteuid())) {
		fputs("not the daemon's socket\n", stderr);
		exit(1);
	}
	return fd;
}

/* The head, one message with the descriptor, one answer. False: refused, and said so. */
static int ask(const char *name, uint32_t type, size_t len, int pass_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { question, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = daemon_connect(name);

	put32(0, 1);
	put32(4, type);
	put32(8, 4711);
	if (pass_fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
	ssize_t n = recv(fd, answer, sizeof(answer), 0);

	if (n < ANSWER_HEAD || get32(0) != 1)
		die("answer");
	answer_len = (size_t)n;
	close(fd);
	if (get32(16) != 1) {
		printf("refused %.32s: %.192s\n", answer + 24, answer + 56);
		return 0;
	}
	if (get32(4) != type || get32(8) != 4711)
		die("answer to something else");
	return 1;
}

static int whoami(void)
{
	if (!ask("sign.sock", WHOAMI, 16, -1))
		return 1;
	printf("%s label=%u level=%u pid=%u uid=%u\n",
	       answer[264] ? (char *)answer + 264 : "nobody", get32(248), get32(252), get32(256),
	       get32(260));
	return 0;
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(ip);
	return a;
}

/* One line of the stream, without its newline. */
static size_t read_line(int fd, char *to, size_t cap)
{
	size_t n = 0;

	while (n < cap - 1 && read(fd, to + n, 1) == 1 && to[n] != '\n')
		n++;
	to[n] = '\0';
	return n;
}

static int call(const char *ip, const char *port, const char *audience)
{
	struct sockaddr_in a = address(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[4096];

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	put32(20, (uint32_t)strlen(audience));
	memcpy(question + 88, audience, strnlen(audience, 2048));
	if (!ask("sign.sock", SIGN, 2136, fd))
		return 1;
	uint32_t wit_len = get32(248), wpt_len = get32(252);

	if (answer_len != 264 + (size_t)wit_len + wpt_len)
		die("lengths");
	dprintf(fd, "%.*s~%.*s\n", (int)wit_len, answer + 264, (int)wpt_len,
		answer + 264 + wit_len);
	read_line(fd, line, sizeof(line));
	puts(line);
	return strncmp(line, "accepted", 8) != 0;
}

static int verify(int fd, const char *line)
{
	const char *wave = strchr(line, '~');
	size_t wit_len = wave ? (size_t)(wave - line) : 0, wpt_len = wave ? strlen(wave + 1) : 0;

	if (!wave || wit_len > TOKEN_MAX || wpt_len > TOKEN_MAX)
		return 0;
	memset(question, 0, sizeof(question));
	put32(20, 1); /* the client should have signed */
	put32(24, (uint32_t)wit_len);
	put32(28, (uint32_t)wpt_len);
	memcpy(question + 96, line, wit_len);
	memcpy(question + 96 + wit_len, wave + 1, wpt_len);
	return ask("check.sock", VERIFY, 96 + wit_len + wpt_len, fd);
}

static int serve(const char *port)
{
	struct sockaddr_in a = address(strcmp(port, "0") ? "0.0.0.0" : "127.0.0.1", port);
	static char line[2 * TOKEN_MAX + 2];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 8) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0)
		die("listen");
	printf("listening %u\n", ntohs(a.sin_port));
	fflush(stdout);
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	read_line(fd, line, sizeof(line));
	if (!verify(fd, line)) {
		dprintf(fd, "refused\n"); /* the far end learns no more */
		return 1;
	}
	char subject[2056];

	snprintf(subject, sizeof(subject), "%.2055s", answer + 368);
	printf("accepted %s by %s level=%s seq=%llu", subject, answer + 2424,
	       get32(304) == 2 ? "full" : "reduced", (unsigned long long)get64(328));
	memset(question, 0, 96);
	if (!ask("check.sock", WHOIS, 16, fd))
		return 1;
	if (get32(304) != 1 || strcmp((char *)answer + 2376, subject)) {
		puts(" but whois knows another peer");
		return 1;
	}
	printf(" for %s\n", answer + 320);
	dprintf(fd, "accepted %s\n", subject);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "whoami") == 0)
		return whoami();
	if (argc == 5 && strcmp(argv[1], "call") == 0)
		return call(argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	fputs("usage: protocol_client whoami | call ADDRESS PORT AUDIENCE | serve PORT\n", stderr);
	return 2;
}
