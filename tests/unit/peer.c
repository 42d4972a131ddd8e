/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/peer's word on whether a connection still is one, over real sockets in each state that a tagged one can be in: what
 * level reduced asks, without waiting for a lock of the socket.
 */
#include "edge/peer.h"

#include "base/cleanup.h"
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ESTABLISHED = 1,
	SYN_SENT,
	SYN_RECV,
	FIN_WAIT1,
	FIN_WAIT2,
	TIME_WAIT,
	CLOSE,
	CLOSE_WAIT,
	LAST_ACK,
	LISTEN
};

static int listener, one, other; /* the two ends of a connection */
static struct sockaddr_in at;

static int state_of(int fd)
{
	struct tcp_info i = { 0 };
	socklen_t len = sizeof(i);

	cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	return i.tcpi_state;
}

/* The state, once it is there; and peer_stands()'s word. */
static void judge(int fd, int state, bool expect, const char *what)
{
	for (int i = 0; i < 2000 && state_of(fd) != state; i++)
		poll(NULL, 0, 1);
	cr_assert_eq(state_of(fd), state, "%s: state %d", what, state_of(fd));
	cr_expect_eq(peer_stands(fd, -1) == REASON_OK, expect, "%s", what);
}

static void connected(void)
{
	socklen_t len = sizeof(at);

	at = (struct sockaddr_in){ .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(listen(listener, 0), 0);
	getsockname(listener, (struct sockaddr *)&at, &len);
	one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(one, (struct sockaddr *)&at, sizeof(at)), 0);
	other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(other, 0);
}

static void disconnect(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	cr_assert_eq(connect(fd, &none, sizeof(none)), 0);
}

TestSuite(peer, .init = connected, .timeout = 30);

Test(peer, an_open_one_whatever_waits_in_it)
{
	static const char bytes[65536];

	judge(one, ESTABLISHED, true, "established");
	cr_assert_gt(send(other, "x", 1, 0), 0);
	judge(one, ESTABLISHED, true, "with something to read");
	while (send(one, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	judge(one, ESTABLISHED, true, "with nothing more to write");
	shutdown(one, SHUT_RD);
	judge(one, ESTABLISHED, true, "that reads no more");
}

Test(peer, ended_by_the_other)
{
	shutdown(other, SHUT_WR);
	judge(one, CLOSE_WAIT, true, "the other has said all");
	judge(other, FIN_WAIT2, true,
	      "this one has said all, and is asked: no lock-free answer tells");
	shutdown(one, SHUT_WR);
	judge(one, CLOSE, false, "both have");
	judge(other, CLOSE, false, "both have, TIME_WAIT is no socket's");
}

Test(peer, reset)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(other, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(other);
	judge(one, CLOSE, false, "reset by the other");
}

Test(peer, last_ack)
{
	static const char bytes[65536]; /* what cannot be delivered stays in front of the FIN */

	shutdown(other, SHUT_WR);
	judge(one, CLOSE_WAIT, true, "close wait");
	while (send(one, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	shutdown(one, SHUT_WR);
	judge(one, LAST_ACK, false, "both have said all, not all is delivered");
}

Test(peer, used_for_something_else)
{
	disconnect(one);
	judge(one, CLOSE, false, "disconnected");
	cr_assert_eq(listen(one, 1), 0);
	judge(one, LISTEN, false, "listening");
	judge(listener, LISTEN, false, "a listener");
	cr_assert_eq(connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&at,
			     sizeof(at)),
		     0);
	judge(listener, LISTEN, false, "a listener with somebody waiting");
}

/* Connecting has a state of its own in the tag (its hook is one of level reduced's): nothing here tells it, and nothing asks. */
Test(peer, connecting)
{
	int more[8];

	for (int i = 0; i < 8; i++) { /* the queue of one is full soon: SYNs are dropped */
		more[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(more[i], (struct sockaddr *)&at, sizeof(at));
	}
	judge(more[7], SYN_SENT, true, "connecting");
}

Test(peer, nothing_that_could_be_asked)
{
	cr_expect_eq(peer_stands(-1, -1), REASON_NOT_ESTABLISHED);
	cr_expect_eq(peer_stands(STDIN_FILENO, -1), REASON_NOT_ESTABLISHED);
}

/* The connection is judged of one process: once that has ended, its number may be the next one's. */
Test(peer, who_asks_must_live)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	owned_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	siginfo_t info;

	cr_assert_geq(pidfd, 0);
	cr_expect_eq(peer_stands(one, pidfd), REASON_OK);
	cr_expect_eq(peer_stands(listener, pidfd), REASON_NOT_ESTABLISHED);
	kill(pid, SIGKILL);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	cr_expect_eq(peer_stands(one, pidfd), REASON_PEER_GONE,
		     "accepted: twin=sender_alive: before it was waited for");
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	cr_expect_eq(peer_stands(one, pidfd), REASON_PEER_GONE,
		     "accepted: twin=sender_alive: after its death");
	cr_expect_eq(peer_stands(listener, pidfd), REASON_PEER_GONE,
		     "accepted: twin=sender_alive: and no connection");
	cr_expect_eq(peer_stands(one, -1), REASON_OK, "of nobody");
}
