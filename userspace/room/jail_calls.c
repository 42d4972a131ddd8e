/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls each room may make once it is sealed: jail.h. One table per room, what is frequent first. What is in
 * no table kills the room, and the daemon ends with it.
 */
#include "room/jail.h"

#include "model/policy.h"
#include "room/rooms.h"
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define TABLE(t)                                                                                   \
	{                                                                                          \
		(t), sizeof(t) / sizeof((t)[0])                                                    \
	}

/* Questions about a socket that change nothing on it. TCP_ZEROCOPY_RECEIVE, which takes bytes, is none of them. */
#define ASKING(level, option) MAY_IF(getsockopt, IS(1, level), IS(2, option))

/* Memory that is never code; the end. */
#define EVERY_ROOM                                                                                 \
	MAY_IF(mmap, WITHOUT(2, PROT_EXEC)), MAY(munmap), MAY(brk), MAY(mremap),                   \
		MAY_IF(mprotect, WITHOUT(2, PROT_EXEC)), MAY_IF(madvise, IS(2, MADV_DONTNEED)),    \
		MAY(futex), MAY(close), MAY(getrandom), MAY(getpid), MAY(gettid),                  \
		MAY(rt_sigprocmask), MAY(rt_sigreturn), MAY_IF(tgkill, IS(2, SIGABRT)), MAY(exit), \
		MAY(exit_group)

/* What the sign room and the check room have in common: a loop, its connections, the reaper's threads, the account. */
#define PUBLIC_ROOM                                                                                \
	MAY(epoll_wait), MAY(recvmsg), MAY(sendmsg), MAY(write), MAY(read),                        \
		MAY(clock_gettime), /* where the vDSO has no clock to read */                      \
		ASKING(SOL_SOCKET, SO_DOMAIN), ASKING(SOL_SOCKET, SO_TYPE),                        \
		ASKING(SOL_SOCKET, SO_PROTOCOL), ASKING(SOL_SOCKET, SO_COOKIE),                    \
		ASKING(SOL_SOCKET, SO_LINGER), ASKING(SOL_SOCKET, SO_PEERCRED),                    \
		MAY_IF(clock_adjtime, IS(0, CLOCK_REALTIME)), MAY(accept4), MAY(epoll_ctl),        \
		MAY(clock_nanosleep), MAY(timer_settime), MAY(restart_syscall),                    \
		MAY(fdatasync),			   /* audit: sync */                               \
		MAY_IF(fcntl, IS(1, F_GET_SEALS)), /* a new image */                               \
		MAY_IF(newfstatat, IS(3, AT_EMPTY_PATH))

#define MAP(command) MAY_IF(bpf, IS(0, command))

static const struct seccomp_rule sign_calls[] = {
	MAP(BPF_MAP_LOOKUP_ELEM),
	MAP(BPF_MAP_UPDATE_ELEM), /* seq, the only map it has for writing */
	PUBLIC_ROOM,
	MAY(pread64), /* a key that is handed over */
	EVERY_ROOM,
};

static const struct seccomp_rule check_calls[] = {
	MAP(BPF_MAP_LOOKUP_ELEM),
	MAP(BPF_MAP_UPDATE_ELEM), /* window and cb, the only maps it has for writing */
	PUBLIC_ROOM,
	MAP(BPF_MAP_GET_NEXT_KEY), /* the sweep of cb */
	MAP(BPF_MAP_DELETE_ELEM),
	EVERY_ROOM,
};

/* It has read everything by then; what it makes of it goes into a memfd. */
static const struct seccomp_rule reader_calls[] = {
	EVERY_ROOM, MAY(write), MAY(memfd_create), MAY_IF(fcntl, IS(1, F_ADD_SEALS)), MAY(sendmsg),
};

/* Level reduced alone: the caller is found by its pidfd, in two directories. A path beginning with "/" ends in the room's
 * own root, which is empty. */
static const struct seccomp_rule window_calls[] = {
	MAY_IF(openat, IS(0, ROOM_FD_PROC), IS(2, O_RDONLY | O_CLOEXEC)),
	MAY_IF(name_to_handle_at, IS(0, ROOM_FD_CGROUP_ROOT)),
	MAY(poll),
	ASKING(IPPROTO_TCP, TCP_INFO),
	ASKING(SOL_SOCKET, SO_PEERPIDFD),
	ASKING(SOL_SOCKET, SO_NETNS_COOKIE),
	MAY(fstatfs),
};
const struct seccomp_table jail_window_calls = TABLE(window_calls);

static const struct jail jails[] = {
	{ "sign", "cleat-sign", ROOM_FDS, 0, 0, TABLE(sign_calls) },
	{ "check", "cleat-check", ROOM_FDS, 0, 0, TABLE(check_calls) },
	{ "reader", "cleat-read", 2, 32, POLICY_MAX, TABLE(reader_calls) },
};

const struct jail *jail_of(const char *room)
{
	for (size_t i = 0; i < sizeof(jails) / sizeof(jails[0]); i++)
		if (strcmp(jails[i].room, room) == 0)
			return &jails[i];
	return NULL;
}
