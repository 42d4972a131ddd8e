/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the socket layer says of a descriptor: questions only, nothing is changed on it and no lock of it is waited for. And, at level
 * reduced only, who the caller of an API socket is (SO_PEERPIDFD, kernel 6.5 or newer).
 */
#ifndef CLEAT_EDGE_PEER_H
#define CLEAT_EDGE_PEER_H

#include "../bpf/abi.h"
#include "model/reason.h"
#include <stdbool.h>
#include <stddef.h>

/* REASON_OK: an inet or inet6 SOCK_STREAM IPPROTO_TCP socket, with its cookie. NOT_TCP, UNSUPPORTED (MPTCP, SMC, SCTP)
 * else. Takes no lock that the socket's owner could hold. */
enum reason peer_tcp(int fd, uint64_t *ret_cookie);
/* The cookie alone, of whatever socket; false: it is none. Takes no lock, either. */
bool peer_cookie(int fd, uint64_t *ret_cookie);
/* Two questions in one system call. PEER_GONE: peer_alive() says no of @pidfd (-1: not asked). NOT_ESTABLISHED: the TCP socket
 * @fd, whose tag says that it was, is so no longer. For level reduced, where no hook sees the end of a
 * connection. By poll(2) and whether it listens, which take no lock: TCP_INFO waits for the socket's, and a thread that sends
 * from memory of its own file system holds that for as long as it likes. So what the end of only our own side leaves
 * (FIN_WAIT1, FIN_WAIT2) is established here; CLOSE, LAST_ACK, CLOSING and TIME_WAIT are not. */
enum reason peer_stands(int fd, int pidfd);

struct peer_facts {
	uint32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint64_t cgroup_id;
	uint64_t netns; /* cookie */
};

/* Level reduced. The cgroup is read between two liveness checks of the peer's pidfd. -ENOPROTOOPT on kernels before
 * 6.5, -ESRCH when the peer is gone. @ret_pidfd (caller closes) where not NULL. */
int peer_reduced(int api_fd, struct peer_facts *ret, char *ret_cgroup_path, size_t path_cap,
		 int *ret_pidfd);
/* The same of any process, for tools: nothing is decided by it. -EPERM: its ids are not all equal, so it is nobody. */
int peer_process(int pidfd, struct peer_facts *ret, char *ret_cgroup_path, size_t path_cap);
/* Is it neither ended nor waited for? Its pid is nobody else's so long. */
bool peer_alive(int pidfd);

/* Where the two of them look from now on: descriptors of a procfs and of the unified hierarchy's root, which stay open.
 * For a room, whose own root is empty; else the host's own are looked up each time. */
void peer_windows(int proc, int cgroups);

#endif
