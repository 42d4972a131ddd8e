/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls each room may make once it is sealed: jail.h. One table per room. What is in no table kills the room,
 * and the daemon ends with it.
 *
 * A filter is inherited. The kernel room goes on starting the reader and the probe's child, which are programs, so what a
 * program needs to begin, and the reader to become who it is, stands in its table as well: next_calls. The reader's own
 * filter takes that away again.
 */
#include "room/jail.h"

#include "model/policy.h"
#include "room/rooms.h"
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
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
		MAY(futex), MAY(getrandom), MAY(getpid), MAY(gettid), MAY(rt_sigprocmask),         \
		MAY(rt_sigreturn), MAY_IF(tgkill, IS(2, SIGABRT)), MAY(exit), MAY(exit_group)

/* Where the vDSO has no clock to read, the C library's clock_gettime, gettimeofday and time are these. */
#define NO_VDSO MAY(clock_gettime), MAY(gettimeofday), MAY(time)

/* What the sign room and the check room have in common: a loop, its connections, the reaper's threads, the account. */
#define PUBLIC_ROOM                                                                                \
	MAY(epoll_wait), MAY(recvmsg), MAY(sendmsg), MAY(write), MAY(read), NO_VDSO,               \
		ASKING(SOL_SOCKET, SO_DOMAIN), ASKING(SOL_SOCKET, SO_TYPE),                        \
		ASKING(SOL_SOCKET, SO_PROTOCOL), ASKING(SOL_SOCKET, SO_COOKIE),                    \
		ASKING(SOL_SOCKET, SO_LINGER), ASKING(SOL_SOCKET, SO_PEERCRED),                    \
		MAY_IF(clock_adjtime, IS(0, CLOCK_REALTIME)), MAY(accept4), MAY(epoll_ctl),        \
		MAY(clock_nanosleep), MAY(timer_settime), MAY(restart_syscall),                    \
		MAY_IF(shutdown, IS(1, SHUT_RD)),  /* before the close of a connection */          \
		MAY(fdatasync),			   /* audit: sync */                               \
		MAY_IF(fcntl, IS(1, F_GET_SEALS)), /* a new image */                               \
		MAY(fstat) /* never newfstatat: it takes a name, below any directory that came in */

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

/* The two numbers of the windows differ in their lowest bit, and every other descriptor in a higher one. */
_Static_assert(ROOM_FD_PROC == 14 && ROOM_FD_CGROUP_ROOT == 15 && ROOM_NOFILE == 1 << 14,
	       "what the rows of close say");

/* Level reduced alone: the caller is found by its pidfd, in two directories, where no link is followed (jail.c). A path
 * beginning with "/" ends in the room's own root, which is empty. What the two numbers mean never changes: they are not
 * closed, and nothing that a client passes takes their place. */
static const struct seccomp_rule window_calls[] = {
	MAY_IF(close, WITHOUT(0, 1 << 1)),
	MAY_IF(close, WITHOUT(0, 1 << 2)),
	MAY_IF(close, WITHOUT(0, 1 << 3)),
	MAY_IF(close, HAS(0, 1 << 4)),
	MAY_IF(close, HAS(0, 1 << 5)),
	MAY_IF(close, HAS(0, 1 << 6)),
	MAY_IF(close, HAS(0, 1 << 7)),
	MAY_IF(close, HAS(0, 1 << 8)),
	MAY_IF(close, HAS(0, 1 << 9)),
	MAY_IF(close, HAS(0, 1 << 10)),
	MAY_IF(close, HAS(0, 1 << 11)),
	MAY_IF(close, HAS(0, 1 << 12)),
	MAY_IF(close, HAS(0, 1 << 13)),
	MAY_IF(openat, IS(0, ROOM_FD_PROC), IS(2, O_RDONLY | O_CLOEXEC)),
	MAY_IF(name_to_handle_at, IS(0, ROOM_FD_CGROUP_ROOT)),
	MAY(poll),
	ASKING(SOL_SOCKET, SO_ACCEPTCONN),
	ASKING(SOL_SOCKET, SO_PEERPIDFD),
	ASKING(SOL_SOCKET, SO_NETNS_COOKIE),
};
const struct seccomp_table jail_window_calls = TABLE(window_calls);

static const struct seccomp_rule no_window_calls[] = { MAY(close) };
const struct seccomp_table jail_no_window_calls = TABLE(no_window_calls);

/* No namespace but the probe's network; that of the mounts is the reader's (next_calls). */
#define NEW_NAMESPACES                                                                             \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
	 CLONE_NEWCGROUP)

/* Everything is loaded by then: no program, no map, no BTF comes any more, and nothing is found by its number. */
static const struct seccomp_rule kernel_calls[] = {
	MAP(BPF_MAP_LOOKUP_ELEM),
	MAP(BPF_OBJ_GET_INFO_BY_FD), /* the look at each link */
	MAP(BPF_OBJ_GET),	     /* and at each pin */
	MAY(epoll_wait),
	MAY(read),
	MAY(write),
	MAY(close),
	MAY(openat),
	MAY(newfstatat), /* the C library's fstat, until glibc 2.39 */
	MAY(fstat),
	MAY(fstatfs),
	MAY(readlink),
	NO_VDSO,
	MAY_IF(clock_adjtime, IS(0, CLOCK_REALTIME)),
	MAY(epoll_ctl),
	/* the kernel side: policy, epochs, lost pins and hooks, the list of sockets */
	MAP(BPF_MAP_UPDATE_ELEM),
	MAP(BPF_MAP_DELETE_ELEM),
	MAP(BPF_MAP_GET_NEXT_KEY),
	MAP(BPF_OBJ_PIN),
	MAP(BPF_LINK_CREATE),
	MAP(BPF_RAW_TRACEPOINT_OPEN),
	MAP(BPF_ITER_CREATE),
	MAY_IF(membarrier, IS(0, MEMBARRIER_CMD_GLOBAL)),
	MAY(name_to_handle_at),
	/* files: keys, image, sequences, audit, pins */
	MAY(getdents64),
	MAY(lseek),
	MAY(pread64),
	MAY(fsync),
	MAY(fchmod),
	MAY(mkdir),
	MAY(renameat),
	MAY(unlinkat),
	MAY(memfd_create),
	MAY_IF(fcntl, IS(1, F_DUPFD_CLOEXEC)),
	MAY_IF(fcntl, IS(1, F_GETFL)),
	MAY_IF(fcntl, IS(1, F_GET_SEALS)),
	/* rooms, root's questions, the service manager */
	MAY(recvmsg),
	MAY(recvfrom),
	MAY(sendmsg),
	MAY(sendto),
	MAY(accept4),
	ASKING(SOL_SOCKET, SO_PEERCRED),
	MAY_IF(shutdown, IS(1, SHUT_RD)),
	MAY(geteuid),
	MAY_IF(socket, IS(0, AF_UNIX)),
	MAY_IF(socketpair, IS(0, AF_UNIX)),
	MAY(timerfd_create),
	MAY(timerfd_settime),
	MAY(poll),
	MAY(restart_syscall),
	/* children: begun, looked at, killed */
	MAY_IF(clone, WITHOUT(0, NEW_NAMESPACES | CLONE_VM)),
	MAY(pidfd_open),
	MAY(pidfd_send_signal),
	MAY_IF(kill, IS(1, SIGKILL)),
	MAY(wait4),
	MAY_IF(waitid, IS(0, P_PIDFD)),
	MAY(pipe2),
	EVERY_ROOM,
};

/* The probe's child, which is the kernel room still (edge/kern_probe.c), and all children until they are sealed. */
static const struct seccomp_rule next_calls[] = {
	/* the probe */
	MAY_IF(setns, IS(1, CLONE_NEWNET)),
	MAY_IF(socket, IS(0, AF_INET), IS(1, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)),
	MAY(bind),
	MAY(listen),
	MAY(getsockname),
	MAY(connect),
	ASKING(SOL_SOCKET, SO_ERROR),
	/* between fork and exec */
	MAY_IF(prctl, IS(0, PR_SET_PDEATHSIG), IS(1, SIGKILL)),
	MAY(getppid),
	MAY(dup2),
	MAY(close_range),
	MAY(execve),
	/* the dynamic linker, the C library's and the libraries' beginning */
	MAY(mmap),
	MAY(mprotect),
	MAY(access),
	MAY_IF(arch_prctl, IS(0, ARCH_SET_FS)),
	MAY(set_tid_address),
	MAY(set_robust_list),
	MAY(rseq),
	MAY(prlimit64),
	MAY(sysinfo),
	MAY_IF(sched_getaffinity, IS(0, 0)),
	/* the reader: what it begins with, and each step of its jail */
	MAY(rt_sigaction),
	MAY_IF(prctl, IS(0, PR_SET_NAME)),
	MAY_IF(prctl, IS(0, PR_SET_DUMPABLE), IS(1, 0)),
	MAY_IF(prctl, IS(0, PR_GET_DUMPABLE)),
	MAY_IF(prctl, IS(0, PR_CAPBSET_READ)),
	MAY_IF(prctl, IS(0, PR_CAPBSET_DROP)),
	MAY_IF(prctl, IS(0, PR_CAP_AMBIENT), IS(1, PR_CAP_AMBIENT_CLEAR_ALL)),
	MAY_IF(prctl, IS(0, PR_CAP_AMBIENT), IS(1, PR_CAP_AMBIENT_IS_SET)),
	MAY_IF(prctl, IS(0, PR_SET_SECUREBITS)),
	MAY_IF(prctl, IS(0, PR_GET_SECUREBITS)),
	MAY_IF(prctl, IS(0, PR_SET_NO_NEW_PRIVS)),
	MAY_IF(prctl, IS(0, PR_GET_NO_NEW_PRIVS)),
	MAY_IF(unshare, IS(0, CLONE_NEWNS)),
	MAY(mount),
	MAY(umount2),
	MAY(pivot_root),
	MAY(chdir),
	MAY(setgroups),
	MAY(getgroups),
	MAY(setresgid),
	MAY(setresuid),
	MAY(getresgid),
	MAY(getresuid),
	MAY(capset),
	MAY(capget),
	MAY(seccomp),
	MAY_IF(fcntl, IS(1, F_SETFD)),
	MAY_IF(fcntl, IS(1, F_SETSIG)), /* a lease on each file that it reads */
	MAY_IF(fcntl, IS(1, F_SETLEASE)),
	MAY_IF(fcntl, IS(1, F_ADD_SEALS)),
};

/* Attached to a cgroup that is not the root of the hierarchy, the probe's child is born there; that call's arguments lie
 * where no filter sees them. */
static const struct seccomp_rule elsewhere_calls[] = { MAY(clone3) };

const struct seccomp_table jail_kernel_calls[3] = { TABLE(kernel_calls), TABLE(next_calls),
						    TABLE(elsewhere_calls) };

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
