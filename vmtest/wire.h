// SPDX-License-Identifier: Apache-2.0
// What on.c and agent.c say to each other over the control network 10.78.0.0/24.
#ifndef VMTEST_WIRE_H
#define VMTEST_WIRE_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 1078, MAX_REQUEST = 1 << 20, CHUNK = 1 << 16, MAX_ARGS = 4096 };

// Client to agent: REQUEST once, then STDIN frames (an empty one is its end).  Agent to client: the rest.
enum frame { REQUEST = 'r', STDIN = 'i', STDOUT = 'o', STDERR = 'e', EXIT = 'x' };
enum mode { PLAIN = 'p', INPUT = 'i', DETACHED = 'd', REBOOT = 'R' };

struct head {
	uint32_t type;
	uint32_t len;
};

static inline bool read_all(int fd, void *buf, size_t len)
{
	for (char *p = buf; len;) {
		ssize_t n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static inline bool write_all(int fd, const void *buf, size_t len)
{
	for (const char *p = buf; len;) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static inline bool send_frame(int fd, enum frame type, const void *data, size_t len)
{
	char buf[sizeof(struct head) + CHUNK];
	struct head head = { .type = type, .len = (uint32_t)len };

	memcpy(buf, &head, sizeof head);
	if (len <= CHUNK) {
		if (len)
			memcpy(buf + sizeof head, data, len);
		return write_all(fd, buf, sizeof head + len);
	}
	return write_all(fd, &head, sizeof head) && write_all(fd, data, len);
}

static inline void no_delay(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ 5 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){ 2 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){ 5 }, sizeof(int));
}

#endif
