// SPDX-License-Identifier: Apache-2.0
/* The protocol of model/request.h, spoken so that many requests can be under way. */
#include "bench.h"

#include "model/request.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_LIMIT_S 10

int ask_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int send_with(int to, struct iovec *iov, size_t count, int pass_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr m = { .msg_iov = iov,
			    .msg_iovlen = count,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	return sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The reason word of a refusal, once: the bench goes on without what was refused. */
static int refused(const char *ask, const struct cleat_answer_head *h, ssize_t n)
{
	static bool said;

	if (!said)
		report_note("%s: %s", ask, n < (ssize_t)sizeof(*h) ? strerror(errno) : h->detail);
	said = true;
	return -1;
}

/* ---- sign ---- */

static int sign_send(int api, int tcp)
{
	struct cleat_ask_sign ask = {
		.head = { .protocol = CLEAT_PROTOCOL, .type = CLEAT_ASK_SIGN },
		.audience_len = sizeof(HOST_ID) - 1,
		.audience = HOST_ID,
	};
	struct iovec iov = { &ask, sizeof(ask) };

	return send_with(api, &iov, 1, tcp);
}

static int sign_take(int api, struct token *ret)
{
	struct cleat_answer_sign answer = { 0 };
	struct iovec iov[] = { { &answer, sizeof(answer) }, { ret->text, sizeof(ret->text) } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n = recvmsg(api, &m, 0);

	if (n < (ssize_t)sizeof(answer.head) || answer.head.reason != 1)
		return refused("sign", &answer.head, n);
	ret->wit_len = answer.wit_len;
	ret->wpt_len = answer.wpt_len;
	return n == (ssize_t)(sizeof(answer) + ret->wit_len + ret->wpt_len) ? 0 : -1;
}

int ask_sign(int api, int tcp, struct token *ret)
{
	return sign_send(api, tcp) < 0 ? -1 : sign_take(api, ret);
}

int ask_sign_many(const struct host *h, struct token *tokens, unsigned n)
{
	for (unsigned i = 0; i < n + HOST_CLIENTS; i++) {
		int api = h->sign[i % HOST_CLIENTS];

		if (i >= HOST_CLIENTS && sign_take(api, &tokens[i - HOST_CLIENTS]) < 0)
			return -1;
		if (i < n && sign_send(api, h->pairs[i % HOST_PAIRS].client) < 0)
			return -1;
	}
	return 0;
}

/* ---- verify ---- */

static int verify_send(int api, int tcp, const struct token *t)
{
	struct cleat_ask_verify ask = {
		.head = { .protocol = CLEAT_PROTOCOL, .type = CLEAT_ASK_VERIFY },
		.expect_role = 1,
		.wit_len = t->wit_len,
		.wpt_len = t->wpt_len,
	};
	union {
		const char *from;
		void *base;
	} text = { .from = t->text };
	struct iovec iov[] = { { &ask, sizeof(ask) }, { text.base, t->wit_len + t->wpt_len } };

	return send_with(api, iov, 2, tcp);
}

static int verify_take(int api)
{
	struct cleat_answer_verify answer = { 0 };
	ssize_t n = recv(api, &answer, sizeof(answer), 0);

	if (n != sizeof(answer) || answer.head.reason != 1)
		return refused("verify", &answer.head, n);
	return 0;
}

int ask_verify(int api, int tcp, const struct token *t)
{
	return verify_send(api, tcp, t) < 0 ? -1 : verify_take(api);
}

int ask_verify_many(const struct host *h, const struct token *tokens, unsigned n)
{
	for (unsigned i = 0; i < n + HOST_CLIENTS; i++) {
		int api = h->check[i % HOST_CLIENTS];

		if (i >= HOST_CLIENTS && verify_take(api) < 0)
			return -1;
		if (i < n && verify_send(api, h->pairs[i % HOST_PAIRS].server, &tokens[i]) < 0)
			return -1;
	}
	return 0;
}
