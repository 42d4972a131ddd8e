// SPDX-License-Identifier: Apache-2.0
/* Loopback connections, one at a time and by the ten thousand. */
#include "bench.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CROWD_FDS_APART	  200 /* descriptors a child needs for other things */
#define CROWD_LIMIT_S	  60
#define CROWD_CONNECTIONS 20000 /* to one address: below the range of local ports */

int tcp_listen(uint32_t addr)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int tcp_pair(int listener, struct pair *ret)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int client, server;

	if (getsockname(listener, (struct sockaddr *)&at, &len) < 0)
		return -1;
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0)
		return -1;
	if (connect(client, (struct sockaddr *)&at, len) < 0)
		goto fail;
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0)
		goto fail;
	ret->client = client;
	ret->server = server;
	return 0;
fail:
	close(client);
	return -1;
}

/* However the client's end is closed, it is by a reset. */
static void end_by_reset(const struct pair *p)
{
	const struct linger reset = { .l_onoff = 1 };

	setsockopt(p->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void tcp_pair_close(struct pair *p)
{
	end_by_reset(p);
	close(p->client);
	close(p->server);
}

/* ---- many ---- */

static int crowd_child(uint32_t addr, unsigned connections, int tell, int end)
{
	int listener = tcp_listen(addr);
	struct pair p;
	char byte = 'y';

	alarm(CROWD_LIMIT_S); /* then there is no crowd, and its rows say so */
	for (unsigned i = 0; i < connections; i++) {
		if (listener < 0 || tcp_pair(listener, &p) < 0)
			return 1;
		end_by_reset(&p); /* both stay open until the child ends */
	}
	alarm(0);
	if (write(tell, &byte, 1) != 1)
		return 1;
	return read(end, &byte, 1) < 0; /* until the parent closes its side */
}

static int crowd_child_start(unsigned number, unsigned connections, struct crowd *c)
{
	int told[2], end[2];
	char byte;
	pid_t pid;

	if (pipe2(told, 0) < 0 || pipe2(end, 0) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		for (unsigned i = 0; i < c->children; i++)
			close(c->ends[i]);
		close(told[0]);
		close(end[1]);
		_exit(crowd_child(0x7f000100 + number, connections, told[1], end[0]));
	}
	close(told[1]);
	close(end[0]);
	c->pids[c->children] = pid;
	c->ends[c->children++] = end[1];
	if (read(told[0], &byte, 1) != 1) {
		close(told[0]);
		return -1;
	}
	close(told[0]);
	return 0;
}

int crowd_gather(unsigned sockets, struct crowd *ret)
{
	struct rlimit files;
	unsigned each, left = sockets / 2, n;

	memset(ret, 0, sizeof(*ret));
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	each = (unsigned)(files.rlim_cur - CROWD_FDS_APART) / 2;
	if (each > CROWD_CONNECTIONS)
		each = CROWD_CONNECTIONS;
	while (left && ret->children < 16) {
		n = left < each ? left : each;
		if (crowd_child_start(ret->children + 1, n, ret) < 0) {
			crowd_dismiss(ret);
			return -1;
		}
		ret->sockets += 2 * n;
		left -= n;
	}
	return 0;
}

void crowd_dismiss(struct crowd *c)
{
	for (unsigned i = 0; i < c->children; i++)
		close(c->ends[i]);
	for (unsigned i = 0; i < c->children; i++)
		waitpid(c->pids[i], NULL, 0);
	c->children = 0;
}
