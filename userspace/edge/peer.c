/* SPDX-License-Identifier: Apache-2.0 */
/* The socket layer's word. See peer.h. */
#include "edge/peer.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/twin.h"
#include "edge/cgroupfs.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IPPROTO_SMC
#define IPPROTO_SMC 256
#endif

static bool option(int fd, int level, int name, void *ret, socklen_t len)
{
	socklen_t got = len;

	return getsockopt(fd, level, name, ret, &got) == 0 && got == len;
}

enum reason peer_stands(int fd, int pidfd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLOUT }, /* HUP and ERR are told unasked */
			       { .fd = pidfd, .events = POLLIN } };
	int listens;

	if (poll(p, 2, 0) < 0)
		return REASON_NOT_ESTABLISHED;
	if (kept(sender_alive) && p[1].revents)
		return REASON_PEER_GONE;
	if (p[0].revents & (POLLHUP | POLLNVAL))
		return REASON_NOT_ESTABLISHED;
	/* a listener is never told to be writable; neither is who has more to send than the other end takes */
	if (p[0].revents & POLLOUT ||
	    (option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, sizeof(listens)) && !listens))
		return REASON_OK;
	return REASON_NOT_ESTABLISHED;
}

bool peer_cookie(int fd, uint64_t *ret_cookie)
{
	return option(fd, SOL_SOCKET, SO_COOKIE, ret_cookie, sizeof(*ret_cookie));
}

enum reason peer_tcp(int fd, uint64_t *ret_cookie)
{
	int domain, type, protocol;

	/* Never fstat(2): on a FUSE file that asks a stranger's program, and waits for it. This one says ENOTSOCK. */
	if (!option(fd, SOL_SOCKET, SO_DOMAIN, &domain, sizeof(domain)) ||
	    !option(fd, SOL_SOCKET, SO_TYPE, &type, sizeof(type)) ||
	    !option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, sizeof(protocol)))
		return REASON_NOT_TCP;
	if (domain == AF_SMC || protocol == IPPROTO_SMC || protocol == IPPROTO_MPTCP ||
	    protocol == IPPROTO_SCTP)
		return REASON_UNSUPPORTED;
	if ((domain != AF_INET && domain != AF_INET6) || type != SOCK_STREAM ||
	    protocol != IPPROTO_TCP)
		return REASON_NOT_TCP;
	return peer_cookie(fd, ret_cookie) ? REASON_OK : REASON_NOT_TCP;
}

/* "Name:\t..." of a /proc file that is all in @text. */
static const char *line_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at && (at == text || at[-1] == '\n') ? at + strlen(name) : NULL;
}

static int proc_window = -1, cgroup_window = -1;

void peer_windows(int proc, int cgroups)
{
	proc_window = proc;
	cgroup_window = cgroups;
}

/* A file of procfs, its path without "/proc/". */
static int read_text(const char *name, char *ret, size_t cap)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s", proc_window < 0 ? "/proc/" : "", name);
	owned_fd int fd =
		openat(proc_window < 0 ? AT_FDCWD : proc_window, path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, ret + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return -errno;
	if (len == cap - 1)
		return -EFBIG;
	ret[len] = '\0';
	return 0;
}

/* The pid in our pid namespace; -ESRCH once the process is gone (the kernel says -1). */
static int pidfd_pid(int pidfd, uint32_t *ret)
{
	char path[64], text[1024];
	const char *at;
	int pid, err;

	if (proc_window < 0)
		snprintf(path, sizeof(path), "self/fdinfo/%d", pidfd);
	else /* no link is followed there, and "self" is one */
		snprintf(path, sizeof(path), "%d/fdinfo/%d", getpid(), pidfd);
	err = read_text(path, text, sizeof(text));
	if (err < 0)
		return err;
	at = line_of(text, "Pid:\t");
	if (!at || sscanf(at, "%d", &pid) != 1)
		return -EINVAL;
	if (pid <= 0)
		return -ESRCH;
	*ret = (uint32_t)pid;
	return 0;
}

bool peer_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

/* Ids that are not all equal are nobody's (bpf/label.bpf.h says the same): refused. */
static int ids_of(uint32_t pid, struct peer_facts *ret)
{
	char path[64], text[8192];
	const char *uids, *gids;
	unsigned u[3], g[3];
	int err;

	snprintf(path, sizeof(path), "%u/status", pid);
	err = read_text(path, text, sizeof(text));
	if (err < 0)
		return err;
	uids = line_of(text, "Uid:\t");
	gids = line_of(text, "Gid:\t");
	if (!uids || sscanf(uids, "%u %u %u", &u[0], &u[1], &u[2]) != 3)
		return -EINVAL;
	if (!gids || sscanf(gids, "%u %u %u", &g[0], &g[1], &g[2]) != 3)
		return -EINVAL;
	if (u[0] != u[1] || u[1] != u[2] || g[0] != g[1] || g[1] != g[2])
		return -EPERM;
	ret->uid = u[1];
	ret->gid = g[1];
	return 0;
}

/* The line "0::/path". A removed cgroup's path ends in " (deleted)": nobody lives there. */
static int cgroup_of(uint32_t pid, char *ret, size_t cap)
{
	char path[64], text[16384];
	const char *at;
	size_t len;
	int err;

	snprintf(path, sizeof(path), "%u/cgroup", pid);
	err = read_text(path, text, sizeof(text));
	if (err < 0)
		return err;
	at = line_of(text, "0::");
	if (!at || !strchr(at, '\n'))
		return -ENOENT;
	len = (size_t)(strchr(at, '\n') - at);
	if (len >= cap)
		return -ENAMETOOLONG;
	memcpy(ret, at, len);
	ret[len] = '\0';
	if (ret[0] != '/' || (len > 10 && strcmp(ret + len - 10, " (deleted)") == 0))
		return -ENOENT;
	return 0;
}

static int cgroup_id_of(const char *cgroup, uint64_t *ret)
{
	char path[8192];
	size_t len;
	int err;

	if (cgroup_window >= 0)
		return cgroupfs_id(cgroup_window, cgroup + strspn(cgroup, "/"), ret);
	err = cgroupfs_find(path, sizeof(path) / 2);
	if (err < 0)
		return err;
	len = strlen(path);
	if (len + strlen(cgroup) >= sizeof(path))
		return -ENAMETOOLONG;
	strcpy(path + len, cgroup);
	return cgroupfs_id(AT_FDCWD, path, ret);
}

static int facts_of(int pidfd, struct peer_facts *ret, char *ret_path, size_t cap)
{
	int err = pidfd_pid(pidfd, &ret->pid);

	if (err == 0)
		err = ids_of(ret->pid, ret);
	if (err == 0)
		err = cgroup_of(ret->pid, ret_path, cap);
	return err < 0 ? err : cgroup_id_of(ret_path, &ret->cgroup_id);
}

int peer_process(int pidfd, struct peer_facts *ret, char *ret_cgroup_path, size_t path_cap)
{
	struct peer_facts f = { 0 };
	int err = facts_of(pidfd, &f, ret_cgroup_path, path_cap);

	if (!peer_alive(pidfd))
		return -ESRCH;
	if (err == 0)
		*ret = f;
	return err;
}

int peer_reduced(int api_fd, struct peer_facts *ret, char *ret_cgroup_path, size_t path_cap,
		 int *ret_pidfd)
{
	owned_fd int pidfd = -1;
	struct peer_facts f = { 0 };
	struct ucred cred;
	int err;

	if (!option(api_fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, sizeof(pidfd)))
		return -errno;
	/* An accepted Unix socket is born in the namespace of the socket that connected. */
	if (!option(api_fd, SOL_SOCKET, SO_NETNS_COOKIE, &f.netns, sizeof(f.netns)) ||
	    !option(api_fd, SOL_SOCKET, SO_PEERCRED, &cred, sizeof(cred)))
		return -errno;
	if (!peer_alive(pidfd))
		return -ESRCH;
	err = facts_of(pidfd, &f, ret_cgroup_path, path_cap);
	if (!peer_alive(pidfd))
		return -ESRCH; /* what was read may be a later process's */
	if (err < 0)
		return err;
	if (cred.uid != f.uid || cred.gid != f.gid)
		return -EPERM; /* another identity now than when it connected */
	*ret = f;
	if (ret_pidfd)
		*ret_pidfd = take_fd(&pidfd);
	return 0;
}
