// SPDX-License-Identifier: Apache-2.0
/*
 * The baselines: a P-256 signature and its check as `openssl speed` does them (one prepared context, a digest that is
 * there already), and a SOCK_SEQPACKET round trip with a descriptor between two processes that does nothing else.
 */
#include "bench.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static EVP_PKEY *key;
static EVP_PKEY_CTX *signing, *verifying;
static unsigned char digest[32] = "a digest that is there already";
static unsigned char signature[80];
static size_t signature_len;

static int sign_once(unsigned char *ret, size_t *ret_len)
{
	*ret_len = sizeof(signature);
	return EVP_PKEY_sign(signing, ret, ret_len, digest, sizeof(digest)) == 1 ? 0 : -1;
}

static int verify_once(void)
{
	return EVP_PKEY_verify(verifying, signature, signature_len, digest, sizeof(digest)) == 1
		       ? 0
		       : -1;
}

int bare_open(void)
{
	key = EVP_EC_gen("P-256");
	if (!key)
		return -1;
	signing = EVP_PKEY_CTX_new(key, NULL);
	verifying = EVP_PKEY_CTX_new(key, NULL);
	if (!signing || !verifying || EVP_PKEY_sign_init(signing) != 1 ||
	    EVP_PKEY_verify_init(verifying) != 1)
		return -1;
	return sign_once(signature, &signature_len);
}

double bare_sign_ns(unsigned n)
{
	unsigned char sig[80];
	uint64_t start = cpu_ns();
	size_t len;

	for (unsigned i = 0; i < n; i++)
		if (sign_once(sig, &len) < 0)
			return 0;
	return (double)(cpu_ns() - start) / n;
}

double bare_verify_ns(unsigned n)
{
	uint64_t start = cpu_ns();

	for (unsigned i = 0; i < n; i++)
		if (verify_once() < 0)
			return 0;
	return (double)(cpu_ns() - start) / n;
}

int bare_openssl_speed(double *ret_sign, double *ret_verify)
{
	FILE *f = popen("openssl speed -seconds 2 ecdsap256 2>/dev/null", "re");
	double sign_rate = 0, verify_rate = 0;
	char line[256];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "nistp256"))
			sscanf(line, "%*[^)]) %*s %*s %lf %lf", &sign_rate, &verify_rate);
	pclose(f);
	if (!sign_rate || !verify_rate)
		return -1;
	*ret_sign = sign_rate;
	*ret_verify = verify_rate;
	return 0;
}

/* ---- the other process ---- */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_with(int to, int pass_fd, size_t len)
{
	static char text[4096] = "ask";
	struct iovec iov = { text, len };
	union control control = { .bytes = { 0 } };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* Receives one message; its descriptor is closed at once. */
static ssize_t take_with(int from)
{
	static char text[32768];
	struct iovec iov = { text, sizeof(text) };
	union control control;
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fd;

	if (c && c->cmsg_type == SCM_RIGHTS) {
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
		close(fd);
	}
	return n;
}

static _Noreturn void echo(int fd)
{
	unsigned char sig[80];
	size_t len;

	while (take_with(fd) > 0)
		if (sign_once(sig, &len) < 0 || send(fd, sig, 64, MSG_NOSIGNAL) != 64)
			break;
	_exit(0);
}

/* What no room that answers by message and keeps an audit log can leave out. */
static _Noreturn void floor_work(int fd, const struct floor_shape *shape)
{
	static const char line[512] = "one line of audit";
	static char answer[32768];

	while (take_with(fd) > 0) {
		size_t len;

		if ((shape->verify ? verify_once() : sign_once((unsigned char *)answer, &len)) < 0)
			break;
		if (write(shape->audit, line, sizeof(line)) != sizeof(line) ||
		    send(fd, answer, shape->answer, MSG_NOSIGNAL) != (ssize_t)shape->answer)
			break;
	}
	_exit(0);
}

static int child_start(const struct floor_shape *shape, struct echo *ret)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		close(ends[0]);
		if (shape)
			floor_work(ends[1], shape);
		echo(ends[1]);
	}
	close(ends[1]);
	ret->fd = ends[0];
	ret->pid = pid;
	return 0;
}

int echo_start(struct echo *ret)
{
	return child_start(NULL, ret);
}

int floor_start(const struct floor_shape *shape, struct echo *ret)
{
	return child_start(shape, ret);
}

double floor_ns(const struct echo *e, const struct floor_shape *shape, int pass_fd, unsigned n)
{
	static char answer[32768];
	uint64_t cpu = cpu_of_ns(e->pid);

	for (unsigned i = 0; i < n + HOST_CLIENTS; i++) {
		if (i >= HOST_CLIENTS &&
		    recv(e->fd, answer, sizeof(answer), 0) != (ssize_t)shape->answer)
			return 0;
		if (i < n && send_with(e->fd, pass_fd, shape->ask) < 0)
			return 0;
	}
	return (double)(cpu_of_ns(e->pid) - cpu) / n;
}

int echo_ask(const struct echo *e, int pass_fd)
{
	char answer[64];

	if (send_with(e->fd, pass_fd, sizeof(answer)) < 0)
		return -1;
	return recv(e->fd, answer, sizeof(answer), 0) == sizeof(answer) ? 0 : -1;
}

void echo_stop(struct echo *e)
{
	close(e->fd);
	kill(e->pid, SIGKILL); /* one that was forked later holds that end, too */
	waitpid(e->pid, NULL, 0);
}
