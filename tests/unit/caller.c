/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room/caller at level reduced: a message is its caller's only if the kernel says that the process which connected sent it,
 * with the ids it had then, and while that one lives. Real processes, and credentials as the kernel writes them.
 */
#include "room/caller.h"

#include "base/cleanup.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what is not asked here ---- */

int kern_config_look(const struct cleat_config *view, struct cleat_config *ret)
{
	*ret = *view;
	return 0;
}

enum reason facts_caller(const struct facts_maps *maps, const struct policy_image *p, int api_fd,
			 struct cleat_caller *ret, uint32_t *ret_level)
{
	(void)maps, (void)p, (void)api_fd, (void)ret, (void)ret_level;
	return REASON_INTERNAL;
}

enum reason facts_caller_now(const struct facts_maps *maps, const struct cleat_caller *c,
			     uint32_t *ret_level)
{
	(void)maps, (void)c, (void)ret_level;
	return REASON_INTERNAL;
}

uint32_t policy_label_at(const struct policy_image *p, const char *path, uint32_t uid, uint32_t gid)
{
	(void)p, (void)path, (void)uid, (void)gid;
	return 1;
}

/* ---- two processes, one connection ---- */

static struct client {
	pid_t pid;
	int pidfd;
	int tell; /* a byte to it: it sends one message */
} one, other;
static int ends[2];
static struct caller caller; /* who connected is one */

static struct client client_new(void)
{
	struct client c;
	int orders[2];
	char byte;

	cr_assert_eq(pipe(orders), 0);
	c.pid = fork();
	cr_assert_geq(c.pid, 0);
	if (c.pid == 0) {
		close(orders[1]);
		while (read(orders[0], &byte, 1) == 1)
			if (send(ends[0], "m", 1, 0) != 1)
				break;
		_exit(0);
	}
	close(orders[0]);
	c.tell = orders[1];
	c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	cr_assert_geq(c.pidfd, 0);
	return c;
}

static void client_end(struct client *c)
{
	kill(c->pid, SIGKILL);
	cr_assert_eq(waitpid(c->pid, NULL, 0), c->pid);
}

/* The credentials of a message that @c sends. */
static struct ucred message_of(const struct client *c)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct ucred cred;

	cr_assert_eq(write(c->tell, "x", 1), 1);
	cr_assert_eq(recvmsg(ends[1], &msg, 0), 1);
	cr_assert_neq(CMSG_FIRSTHDR(&msg), NULL);
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(cred));
	return cred;
}

static void connected(void)
{
	const int on = 1;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	cr_assert_eq(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	one = client_new();
	other = client_new();
	caller = (struct caller){ .pidfd = one.pidfd,
				  .tag = { .owner = { .uid = getuid() },
					   .gid = getgid(),
					   .proc = { .tgid = (uint32_t)one.pid } } };
}

static void ended(void)
{
	client_end(&other);
}

TestSuite(caller, .init = connected, .fini = ended, .timeout = 30);

Test(caller, who_sends_for_whom)
{
	const struct ucred mine = message_of(&one), others = message_of(&other);
	const struct {
		const char *what;
		struct ucred sender;
		bool expect;
		const char *twin;
	} table[] = {
		{ "who connected", mine, true, "-" },
		{ "another process", others, false, "api_sender" },
		{ "who connected, as another user",
		  { mine.pid, mine.uid + 1, mine.gid },
		  false,
		  "sender_ids" },
		{ "who connected, in another group",
		  { mine.pid, mine.uid, mine.gid + 1 },
		  false,
		  "sender_ids" },
		{ "somebody of another pid namespace",
		  { 0, mine.uid, mine.gid },
		  false,
		  "api_sender" },
		{ "nobody: no credentials", { 0 }, false, "api_sender" },
		{ "who connected, again", mine, true, "-" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bool got = caller_sent(&caller, &table[i].sender);

		cr_expect_eq(got, table[i].expect, "%s=%s: %s", got ? "accepted: twin" : "refused",
			     table[i].twin, table[i].what);
	}
	client_end(&one);
}

/* Its number may be the next one's by then: what that one sends has the same credentials. */
Test(caller, the_number_of_a_dead_process)
{
	const struct ucred mine = message_of(&one);

	cr_expect(caller_sent(&caller, &mine) && caller_alive(&caller), "alive");
	client_end(&one);
	cr_expect(caller_sent(&caller, &mine), "the same number");
	cr_expect(!caller_alive(&caller), "accepted: twin=caller_alive: after its death");
	cr_expect_eq(caller_asker(&caller).pidfd, caller.pidfd,
		     "facts_connection() asks that, too");
}

Test(caller, level_full_has_asked_the_kernel)
{
	const struct ucred others = message_of(&other);

	caller.pidfd = -1;
	cr_expect(caller_sent(&caller, &others) && caller_alive(&caller));
	client_end(&one);
}
