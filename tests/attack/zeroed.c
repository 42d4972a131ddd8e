/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that uses libcleat and ignores what its functions return: every result is filled with 0xA5 before, and what
 * is in it afterwards is told. The library is opened by name, so that a broken twin of it can be shown too.
 */
#include "play.h"

#include "lib/cleat.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	int (*sign)(int fd, const char *audience, const struct cleat_sign_options *opt,
		    struct cleat_assertion *ret);
	int (*verify)(int fd, const char *wit, const char *wpt,
		      const struct cleat_verify_options *opt, struct cleat_verdict *ret);
	int (*verify_string)(int fd, const char *assertion, const struct cleat_verify_options *opt,
			     struct cleat_verdict *ret);
	int (*whoami)(const struct cleat_where *where, struct cleat_self *ret);
	int (*whois)(int fd, const struct cleat_where *where, struct cleat_peer *ret);
} cleat;

static int box = -1, sock = -1;

/* library PATH */
static void cmd_library(char **a)
{
	void *so = dlopen(a[1], RTLD_NOW);

	if (!so) {
		errno = ENOENT;
		return play_fail(a[1]);
	}
	*(void **)&cleat.sign = dlsym(so, "cleat_sign");
	*(void **)&cleat.verify = dlsym(so, "cleat_verify");
	*(void **)&cleat.verify_string = dlsym(so, "cleat_verify_string");
	*(void **)&cleat.whoami = dlsym(so, "cleat_whoami");
	*(void **)&cleat.whois = dlsym(so, "cleat_whois");
	if (!cleat.sign || !cleat.verify || !cleat.verify_string || !cleat.whoami || !cleat.whois) {
		errno = ENOSYS;
		return play_fail("a function is missing");
	}
	play_ok();
}

static void cmd_mailbox(char **a)
{
	box = play_mailbox(a[1]);
	if (box < 0)
		return play_fail("mailbox");
	play_ok();
}

static void cmd_take(char **a)
{
	(void)a;
	if (sock >= 0)
		close(sock);
	sock = play_mail(box);
	if (sock < 0)
		return play_fail("take");
	play_ok();
}

/* Bytes of a result that are not zero once its reason, word and detail are left out. */
static size_t left(void *result, size_t len, int *reason, char word[32], char detail[192])
{
	const unsigned char *b = result;
	size_t n = 0;

	*reason = 0;
	memset(word, 0, 32);
	memset(detail, 0, 192);
	for (size_t i = 0; i < len; i++)
		n += b[i] != 0;
	return n;
}

/* One line: what was returned, what the struct says, and how much of it would be believed. */
#define TELL(rc, result)                                                                           \
	do {                                                                                       \
		int reason_ = (result).reason, rc_ = (rc);                                         \
		char word_[33] = { 0 };                                                            \
		memcpy(word_, (result).word, 32);                                                  \
		size_t left_ = left(&(result), sizeof(result), &(result).reason, (result).word,    \
				    (result).detail);                                              \
		play_say("{\"ok\":%s,\"rc\":%d,\"in\":%d,\"reason\":\"%s\",\"left\":%zu}",         \
			 rc_ == 0 ? "true" : "false", rc_, reason_, word_, left_);                 \
	} while (0)

/* The socket a command speaks of: the one that was sent, none, a pipe, or a number that is none. */
static int socket_of(const char *word, int pipes[2])
{
	if (strcmp(word, "pipe") == 0 && pipe(pipes) == 0)
		return pipes[0];
	if (strcmp(word, "closed") == 0)
		return 1000;
	if (strcmp(word, "none") == 0)
		return -1;
	return sock;
}

static const char *text_of(const char *word)
{
	static char long_one[20000];

	if (strcmp(word, "NULL") == 0)
		return NULL;
	if (strcmp(word, "EMPTY") == 0)
		return "";
	if (strcmp(word, "LONG") == 0) {
		memset(long_one, 'A', sizeof(long_one) - 1);
		return long_one;
	}
	return word;
}

static void pipes_close(const int pipes[2])
{
	if (pipes[0] >= 0) {
		close(pipes[0]);
		close(pipes[1]);
	}
}

/* verify SOCKET client|server WIT WPT [elsewhere] */
static void cmd_verify(char **a)
{
	struct cleat_verify_options o = { .expect = strcmp(a[2], "server") == 0
							    ? CLEAT_END_SERVER
							    : CLEAT_END_CLIENT };
	struct cleat_verdict v;
	int pipes[2] = { -1, -1 }, rc;

	if (play_has(a, "elsewhere"))
		o.where.runtime_dir = "/nonexistent";
	memset(&v, 0xa5, sizeof(v));
	rc = cleat.verify(socket_of(a[1], pipes), text_of(a[3]), text_of(a[4]), &o, &v);
	TELL(rc, v);
	pipes_close(pipes);
}

/* string SOCKET WIT~WPT */
static void cmd_string(char **a)
{
	struct cleat_verdict v;
	int pipes[2] = { -1, -1 }, rc;

	memset(&v, 0xa5, sizeof(v));
	rc = cleat.verify_string(socket_of(a[1], pipes), text_of(a[2]), NULL, &v);
	TELL(rc, v);
	pipes_close(pipes);
}

/* sign SOCKET AUDIENCE [elsewhere] */
static void cmd_sign(char **a)
{
	struct cleat_sign_options o = { 0 };
	struct cleat_assertion s;
	int pipes[2] = { -1, -1 }, rc;

	if (play_has(a, "elsewhere"))
		o.where.runtime_dir = "/nonexistent";
	memset(&s, 0xa5, sizeof(s));
	rc = cleat.sign(socket_of(a[1], pipes), text_of(a[2]), &o, &s);
	TELL(rc, s);
	pipes_close(pipes);
}

/* whois SOCKET [elsewhere] */
static void cmd_whois(char **a)
{
	struct cleat_where w = { .runtime_dir = play_has(a, "elsewhere") ? "/nonexistent" : NULL };
	struct cleat_peer p;
	int pipes[2] = { -1, -1 }, rc;

	memset(&p, 0xa5, sizeof(p));
	rc = cleat.whois(socket_of(a[1], pipes), &w, &p);
	TELL(rc, p);
	pipes_close(pipes);
}

/* whoami [elsewhere] */
static void cmd_whoami(char **a)
{
	struct cleat_where w = { .runtime_dir = play_has(a, "elsewhere") ? "/nonexistent" : NULL };
	struct cleat_self s;
	int rc;

	memset(&s, 0xa5, sizeof(s));
	rc = cleat.whoami(&w, &s);
	TELL(rc, s);
}

static const struct play_command commands[] = {
	{ "library", 2, cmd_library }, { "mailbox", 2, cmd_mailbox }, { "take", 1, cmd_take },
	{ "verify", 5, cmd_verify },   { "string", 3, cmd_string },   { "sign", 3, cmd_sign },
	{ "whois", 2, cmd_whois },     { "whoami", 1, cmd_whoami },
};

int main(int argc, char **argv)
{
	(void)argc;
	return play(argv, commands, sizeof(commands) / sizeof(commands[0]));
}
