/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rooms may say to each other is a table: type, exact length, phase, descriptor or none. Good: TELL_DONE with four
 * bytes while reloading. Each row changes one thing, and every one of them would end the daemon.
 */
#include "room/channel.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int served, got_fd;
static char got_body[64];

static int serve(void *room, const void *body, int *fd)
{
	cr_assert_eq(room, &served);
	served++;
	memcpy(got_body, body, 4);
	got_fd = *fd;
	return 0;
}

static const struct channel_entry table[] = {
	{ TELL_DONE, 4, DURING(RELOAD), false, serve },
	{ TELL_IMAGE, 4, DURING(START) | DURING(RUN), true, serve },
	{ TELL_READY, 0, DURING(START), false, serve },
};

Test(channel, attack_128_only_what_the_table_says)
{
	static const struct {
		const char *what;
		uint32_t type, len;
		bool fd;
		enum channel_phase phase;
		int expect;
	} rows[] = {
		{ "good", TELL_DONE, 4, false, PHASE_RELOAD, 0 },
		{ "another phase", TELL_DONE, 4, false, PHASE_RUN, -EPROTO },
		{ "a byte less", TELL_DONE, 3, false, PHASE_RELOAD, -EPROTO },
		{ "a byte more", TELL_DONE, 5, false, PHASE_RELOAD, -EPROTO },
		{ "no body", TELL_DONE, 0, false, PHASE_RELOAD, -EPROTO },
		{ "the longest body", TELL_DONE, 512, false, PHASE_RELOAD, -EPROTO },
		{ "a descriptor nobody wants", TELL_DONE, 4, true, PHASE_RELOAD, -EPROTO },
		{ "good with a descriptor", TELL_IMAGE, 4, true, PHASE_RUN, 0 },
		{ "the descriptor is missing", TELL_IMAGE, 4, false, PHASE_RUN, -EPROTO },
		{ "good without a body", TELL_READY, 0, false, PHASE_START, 0 },
		{ "a question that is the other side's", ASK_STOP, 0, false, PHASE_RUN, -EPROTO },
		{ "type 0", 0, 4, false, PHASE_RELOAD, -EPROTO },
		{ "an unknown type", 77, 4, false, PHASE_RELOAD, -EPROTO },
	};
	char body[512] = "abc";

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int pair[2], before = served;

		cr_assert_eq(channel_pair(pair), 0);
		cr_assert_eq(channel_send(pair[0], rows[i].type, body, rows[i].len,
					  rows[i].fd ? STDIN_FILENO : -1),
			     0);
		int got = channel_serve(pair[1], table, 3, rows[i].phase, &served);

		cr_expect_eq(got, rows[i].expect, "%s%s: %d",
			     got == 0 ? "accepted: twin=channel_exact: " : "", rows[i].what, got);
		cr_expect_eq(served - before, rows[i].expect == 0, "%s", rows[i].what);
		if (rows[i].fd && served > before)
			cr_assert_eq(fcntl(got_fd, F_GETFD), -1, "not taken, so closed");
		close(pair[0]);
		cr_assert_eq(channel_serve(pair[1], table, 3, rows[i].phase, &served), -EPIPE);
		close(pair[1]);
	}
}

/* One control message with @count descriptors: more than the table's one, and not too many for its buffer. */
static void send_fds(int channel, uint32_t type, int count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = { 0 };
	struct {
		uint32_t type;
		char body[4];
	} bytes = { type, "" };
	struct iovec iov = { &bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	const int fds[3] = { 0, 0, 0 };

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
	cr_assert_eq(sendmsg(channel, &msg, 0), sizeof(bytes));
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(channel, attack_128_foreign_descriptors)
{
	for (int count = 2; count <= 3; count++)
		for (int wanted = 0; wanted < 2; wanted++) {
			int pair[2], before, after;

			cr_assert_eq(channel_pair(pair), 0);
			before = open_fds();
			send_fds(pair[0], wanted ? TELL_IMAGE : TELL_DONE, count);
			int got = channel_serve(pair[1], table, 3,
						wanted ? PHASE_RUN : PHASE_RELOAD, &served);

			cr_expect_eq(got, -EPROTO, "accepted: twin=channel_fds: %d descriptors: %d",
				     count, got);
			after = open_fds();
			cr_expect_eq(after, before, "%d were left open", after - before);
			close(pair[0]);
			close(pair[1]);
		}
}

/* What the kernel does not let in, of an LSM as of a limit, is told before it is sent; nothing stays open. */
Test(channel, passes_or_not)
{
	struct rlimit limit;
	int before = open_fds();
	int pair[2];

	cr_expect_eq(channel_passes(STDIN_FILENO), 0);
	cr_expect_eq(channel_passes(1023), -EBADF, "no descriptor at all");
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	/* The number after those of a pair, whatever else is open: room for the pair, and none for what it passes. */
	cr_assert_eq(channel_pair(pair), 0);
	limit.rlim_cur = (rlim_t)dup(STDIN_FILENO);
	close((int)limit.rlim_cur);
	close(pair[0]);
	close(pair[1]);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_eq(channel_passes(STDIN_FILENO), -EMFILE);
	limit.rlim_cur++;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_eq(channel_passes(STDIN_FILENO), 0);
	cr_expect_eq(open_fds(), before);
}

/* What channel_send() itself would never send. */
Test(channel, raw_bytes)
{
	char long_one[4096] = { TELL_DONE };
	int pair[2];

	cr_assert_eq(channel_pair(pair), 0);
	for (size_t len = 1; len < 4; len++) {
		cr_assert_eq(send(pair[0], long_one, len, 0), (ssize_t)len);
		cr_assert_eq(channel_serve(pair[1], table, 3, PHASE_RELOAD, &served), -EPROTO);
	}
	cr_assert_eq(send(pair[0], long_one, sizeof(long_one), 0), sizeof(long_one));
	cr_assert_eq(channel_serve(pair[1], table, 3, PHASE_RELOAD, &served), -EPROTO);
	cr_assert_eq(served, 0);
}
