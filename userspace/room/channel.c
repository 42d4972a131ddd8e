/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms say to each other. See channel.h. */
#include "room/channel.h"

#include "base/cleanup.h"
#include "base/twin.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int channel_pair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int channel_send(int channel, uint32_t type, const void *body, uint32_t len, int pass_fd)
{
	char empty = 0;
	struct iovec iov[2] = {
		{ .iov_base = &type, .iov_len = sizeof(type) },
		{ .iov_base = &empty, .iov_len = len },
	};
	union fd_control control = { 0 };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	char copy[CHANNEL_BODY_MAX];

	if (len > sizeof(copy))
		return -EMSGSIZE;
	if (len) {
		memcpy(copy, body, len);
		iov[1].iov_base = copy;
	}
	if (pass_fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	}
	return sendmsg(channel, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The one descriptor of a message, or -1. Anything else that came along is closed, and false. (The padding behind one
 * descriptor has room for a second.) */
static bool fd_of(struct msghdr *msg, int *ret_fd)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	size_t count;
	int fds[2];

	*ret_fd = -1;
	if (!c)
		return true;
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return false;
	count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (count > 2)
		return false; /* more than there was room for */
	memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	if (count == 1) {
		*ret_fd = fds[0];
		return true;
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return false;
}

int channel_serve(int channel, const struct channel_entry *table, size_t count,
		  enum channel_phase phase, void *room)
{
	struct {
		uint32_t type;
		char body[CHANNEL_BODY_MAX];
	} m;
	struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
	union fd_control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(channel, &msg, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EINTR ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
	owned_fd int fd = -1;
	bool one_or_none = fd_of(&msg, &fd) || !kept(channel_fds);

	if (n == 0)
		return -EPIPE;
	if (!one_or_none || (size_t)n < sizeof(m.type) || msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EPROTO;
	for (size_t i = 0; i < count; i++) {
		const struct channel_entry *e = &table[i];

		if (e->type != m.type)
			continue;
		if (kept(channel_exact) && ((size_t)n != sizeof(m.type) + e->len ||
					    !(e->phases & 1u << phase) || e->with_fd != (fd >= 0)))
			return -EPROTO;
		return e->serve(room, m.body, &fd);
	}
	return -EPROTO;
}

int channel_passes(int fd)
{
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	union fd_control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	owned_fd int got = -1;
	int ends[2];
	int err = channel_pair(ends);

	if (err < 0)
		return err;
	err = channel_send(ends[0], 0, NULL, 0, fd);
	if (err == 0 && recvmsg(ends[1], &msg, MSG_CMSG_CLOEXEC) < 0)
		err = -errno;
	if (err == 0 && (!fd_of(&msg, &got) || got < 0)) {
		/* cut off by the kernel, which does not say why: no place, or not allowed */
		owned_fd int place = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);

		err = place < 0 ? -errno : -EACCES;
	}
	close(ends[0]);
	close(ends[1]);
	return err;
}
