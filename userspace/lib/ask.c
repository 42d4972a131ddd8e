/* SPDX-License-Identifier: MIT */
/* One question to the daemon. See ask.h. */
#include "lib/ask.h"

#include "base/twin.h"
#include "cleat.h"
#include "model/request.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RUNTIME_DIR "/run/cleat"
#define OK	    1u /* the one reason that is none */

_Static_assert(CLEAT_TIMEOUT_DEFAULT_MS > 0, "there is always a limit");

/* The last refusal of this thread: its word came with it, so no list is needed here. */
static __thread struct {
	int reason;
	char word[32];
} last;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Ours to trust: root's, or, in a directory the process itself names, of its own user. */
static int check_server(int fd, bool named)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0)
		return -errno;
	if (kept(server_uid) && c.uid != 0 && !(named && c.uid == geteuid()))
		return -EACCES;
	return 0;
}

const char *cleat_runtime_dir(const struct cleat_where *where, bool *ret_named)
{
	const char *dir = where ? where->runtime_dir : NULL;

	if (!dir)
		dir = secure_getenv("CLEAT_RUNTIME_DIR");
	*ret_named = dir && *dir;
	return *ret_named ? dir : RUNTIME_DIR;
}

static int open_socket(const struct cleat_question *q, int timeout_ms)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	bool named;
	int err, n, fd;

	n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", cleat_runtime_dir(q->where, &named),
		     q->socket);
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0) {
		err = -errno;
	} else {
		do
			err = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
		while (err == -EINTR);
		if (err == -EAGAIN)
			err = -ETIMEDOUT; /* its queue stayed full */
	}
	if (err == 0)
		err = check_server(fd, named);
	if (err < 0) {
		close(fd);
		return err;
	}
	return fd;
}

static int send_ask(int fd, const struct cleat_question *q)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec ask[3] = { q->ask[0], q->ask[1], q->ask[2] };
	struct msghdr msg = { .msg_iov = ask, .msg_iovlen = q->asks };
	ssize_t n;

	if (q->pass_fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &q->pass_fd, sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* a full daemon answers busy and closes at once: that answer may be waiting */
	return n < 0 && errno != EPIPE ? -errno : 0;
}

/* recv() of one answer, and of the descriptor with it where one is expected. */
static ssize_t take_answer(int fd, struct cleat_question *q)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = q->answer, .iov_len = q->answer_cap };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (!q->ret_fd)
		return recv(fd, q->answer, q->answer_cap, MSG_DONTWAIT | MSG_TRUNC);
	msg.msg_control = control.bytes;
	msg.msg_controllen = sizeof(control.bytes);
	n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	c = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(q->ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

static int read_answer(int fd, struct cleat_question *q, int64_t until_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until_ms - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n == 0)
			return -ETIMEDOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		ssize_t got = take_answer(fd, q);

		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ECONNRESET;
		q->got = (size_t)got;
		return q->got > q->answer_cap ? -EPROTO : 0;
	}
}

/* An answer to this question, whole, its strings terminated. A refusal that stands alone (the daemon could not
 * even read the question) has type 0. */
static int check_answer(const struct cleat_question *q)
{
	const struct cleat_ask_head *ask = q->ask[0].iov_base;
	const struct cleat_answer_head *h = q->answer;

	if (q->got < sizeof(*h) || h->protocol != CLEAT_PROTOCOL || !h->reason ||
	    h->reason > INT32_MAX || !memchr(h->word, 0, sizeof(h->word)) ||
	    !memchr(h->detail, 0, sizeof(h->detail)))
		return -EPROTO;
	if (h->reason != OK && h->type == 0)
		return 0;
	if (h->type != ask->type || h->serial != ask->serial || q->got < q->answer_len)
		return -EPROTO;
	return 0;
}

int cleat_ask(struct cleat_question *q)
{
	int timeout_ms = q->where && q->where->timeout_ms > 0 ? q->where->timeout_ms
							      : CLEAT_TIMEOUT_DEFAULT_MS;
	int64_t until_ms = now_ms() + timeout_ms;
	const struct cleat_answer_head *h = q->answer;

	if (q->ret_fd)
		*q->ret_fd = -1;
	int fd = open_socket(q, timeout_ms), err;

	if (fd < 0)
		return fd;
	err = send_ask(fd, q);
	if (err == 0)
		err = read_answer(fd, q, until_ms);
	close(fd);
	if (err == 0)
		err = check_answer(q);
	if (err < 0 || h->reason == OK)
		return err;
	last.reason = (int)h->reason;
	memcpy(last.word, h->word, sizeof(last.word));
	return last.reason;
}

const char *cleat_ask_word(int reason)
{
	return reason == last.reason ? last.word : "refused";
}
