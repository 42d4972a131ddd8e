/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages with any number of descriptors, and messages that are no messages: what the daemon answers to each, once
 * and very often. Every descriptor sent is a duplicate of one TCP socket that is not connected.
 */
#include "play.h"

#include "model/request.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 253

/* The ways to send a whois with descriptors: how many, in how many control messages, with credentials or not. */
static const struct way {
	const char *name;
	unsigned fds[2];
	bool credentials;
} ways[] = {
	{ "0", { 0, 0 }, false },      { "1", { 1, 0 }, false },
	{ "2", { 2, 0 }, false },      { "16", { 16, 0 }, false },
	{ "253", { 253, 0 }, false },  { "254", { 254, 0 }, false },
	{ "1+1", { 1, 1 }, false },    { "200+200", { 200, 200 }, false },
	{ "creds+1", { 1, 0 }, true }, { "creds+2", { 2, 0 }, true },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

struct control {
	_Alignas(struct cmsghdr) char bytes[2048];
	size_t len;
};

static void control_add(struct control *c, int type, const void *value, size_t len)
{
	struct cmsghdr head = { .cmsg_len = CMSG_LEN(len),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = type };

	memcpy(c->bytes + c->len, &head, sizeof(head));
	memcpy(c->bytes + c->len + CMSG_LEN(0), value, len);
	c->len += CMSG_SPACE(len);
}

static void control_fill(struct control *c, const struct way *w, int fd)
{
	struct ucred me = { getpid(), geteuid(), getegid() };
	int fds[256];

	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < 256; i++)
		fds[i] = fd;
	if (w->credentials)
		control_add(c, SCM_CREDENTIALS, &me, sizeof(me));
	for (unsigned k = 0; k < 2; k++)
		if (w->fds[k])
			control_add(c, SCM_RIGHTS, fds, w->fds[k] * sizeof(int));
}

/* 0 and the word of the answer, or -1 and errno where the kernel refused to send it. */
static int ask(int door, const struct way *w, int fd, char word[32])
{
	struct cleat_ask_whois m = { .head = { CLEAT_PROTOCOL, CLEAT_ASK_WHOIS, 7 } };
	struct cleat_answer_whois answer;
	struct iovec iov = { &m, sizeof(m) };
	struct control c;
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	control_fill(&c, w, fd);
	h.msg_control = c.len ? c.bytes : NULL;
	h.msg_controllen = c.len;
	if (sendmsg(door, &h, MSG_NOSIGNAL) < 0)
		return -1;
	if (recv(door, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.head)) {
		errno = EPROTO;
		return -1;
	}
	memcpy(word, answer.head.word, 32);
	return 0;
}

/* ways: each once */
static void cmd_ways(char **a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), door = play_door("check");
	char word[32];

	(void)a;
	if (fd < 0 || door < 0)
		return play_fail("door");
	printf("{\"ok\":true");
	for (size_t i = 0; i < WAYS; i++) {
		if (ask(door, &ways[i], fd, word) == 0)
			printf(",\"%s\":\"%s\"", ways[i].name, word);
		else
			printf(",\"%s\":\"errno %d\"", ways[i].name, errno);
	}
	play_say("}");
	close(fd);
	close(door);
}

/* many N: the ways in turn, N messages; how many were answered malformed, otherwise, and not sent */
static void cmd_many(char **a)
{
	unsigned long n = strtoul(a[1], NULL, 10), malformed = 0, other = 0, unsent = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), door = play_door("check");
	char word[32];

	if (fd < 0 || door < 0)
		return play_fail("door");
	for (unsigned long i = 0; i < n; i++) {
		/* the short ones more often: 253 descriptors cost a thousand times one */
		const struct way *w = &ways[i % 64 ? i % 4 : i / 64 % WAYS];

		if (ask(door, w, fd, word) < 0) {
			if (errno != EINVAL && errno != ETOOMANYREFS)
				return play_fail(w->name);
			unsent++;
		} else if (strcmp(word, "malformed") == 0) {
			malformed++;
		} else {
			other++;
		}
	}
	close(fd);
	close(door);
	play_say("{\"ok\":true,\"malformed\":%lu,\"other\":%lu,\"unsent\":%lu}", malformed, other,
		 unsent);
}

/* stream DOOR: a SOCK_STREAM and a SOCK_DGRAM client */
static void cmd_stream(char **a)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *dir = getenv("CLEAT_RUNTIME_DIR");
	int errnos[2];

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s.sock", dir ? dir : "/run/cleat", a[1]);
	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);

		errnos[i] = connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? errno : 0;
		close(fd);
	}
	play_say("{\"ok\":%s,\"stream\":%d,\"dgram\":%d}",
		 errnos[0] && errnos[1] ? "false" : "true", errnos[0], errnos[1]);
}

static int word_of(int door, char word[32])
{
	struct cleat_answer_whois answer;

	if (recv(door, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.head))
		return -1;
	memcpy(word, answer.head.word, 32);
	return 0;
}

/* split AT: one sign request cut in two messages at byte AT, the descriptor with the first; both answers */
static void cmd_split(char **a)
{
	struct cleat_ask_sign m = { .head = { CLEAT_PROTOCOL, CLEAT_ASK_SIGN, 7 },
				    .audience_len = 1 };
	size_t at = strtoul(a[1], NULL, 10);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), door = play_door("sign");
	char one[32], two[32];

	if (door < 0 || at >= sizeof(m))
		return play_fail("door");
	m.audience[0] = 'x';
	if (play_send(door, &m, at, &fd, 1) < 0 || word_of(door, one) < 0 ||
	    play_send(door, (char *)&m + at, sizeof(m) - at, NULL, 0) < 0 || word_of(door, two) < 0)
		return play_fail("split");
	close(fd);
	close(door);
	play_say("{\"ok\":true,\"first\":\"%s\",\"second\":\"%s\"}", one, two);
}

static const struct play_command commands[] = {
	{ "ways", 1, cmd_ways },
	{ "many", 2, cmd_many },
	{ "stream", 2, cmd_stream },
	{ "split", 2, cmd_split },
};

int main(int argc, char **argv)
{
	(void)argc;
	return play(argv, commands, sizeof(commands) / sizeof(commands[0]));
}
