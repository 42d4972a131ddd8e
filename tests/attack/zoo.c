/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One descriptor of every kind this kernel has, each passed to the daemon as if it were a TCP connection. Kinds that
 * cannot be made here, or that the kernel does not let through a Unix socket, are told as such.
 */
#include "play.h"

#include "model/request.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

static int kept[64]; /* other ends, held until the round is over */
static unsigned kept_count;

static void keep(int fd)
{
	if (kept_count < 64)
		kept[kept_count++] = fd;
}

/* ---- kinds that are more than one call ---- */

static int make_pipe(int end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	keep(fds[!end]);
	return fds[end];
}

static int make_epoll_loop(void)
{
	int a = epoll_create1(EPOLL_CLOEXEC), b = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN };

	keep(b);
	epoll_ctl(b, EPOLL_CTL_ADD, a, &e);
	epoll_ctl(a, EPOLL_CTL_ADD, b, &e); /* ELOOP: the kernel refuses the circle */
	return a;
}

static int make_memfd_sealed(void)
{
	int fd = memfd_create("zoo", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_WRITE);
	return fd;
}

static int make_signalfd(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	return signalfd(-1, &s, SFD_CLOEXEC);
}

static int make_timer(void)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	timerfd_settime(fd, 0, &soon, NULL);
	return fd;
}

static int make_bpf_map(void)
{
	union bpf_attr a = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

static int make_bpf_prog(void)
{
	struct bpf_insn code[] = { { .code = 0xb7 }, { .code = 0x95 } }; /* r0 = 0; exit */
	union bpf_attr a = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2 };

	a.insns = (uint64_t)(uintptr_t)code;
	a.license = (uint64_t)(uintptr_t) "GPL";
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
}

static int make_perf(void)
{
	struct perf_event_attr a = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(a) };

	return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

static int make_uring(void)
{
	struct io_uring_params p = { 0 };

	return (int)syscall(SYS_io_uring_setup, 4, &p);
}

static int make_tun(void)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strcpy(r.ifr_name, "zoo0");
	if (fd >= 0)
		ioctl(fd, TUNSETIFF, &r);
	return fd;
}

static int make_unix(int type)
{
	int fds[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	keep(fds[1]);
	return fds[0];
}

static int make_tcp(int family, bool listening)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && listening && listen(fd, 1) < 0)
		return -1;
	return fd;
}

/* UDP, connected, so that both its ends have names. */
static int make_udp(int family)
{
	struct sockaddr_in6 to = { .sin6_family = (sa_family_t)family, .sin6_port = htons(9) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (family == AF_INET6)
		to.sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)&to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0)
		connect(fd, (struct sockaddr *)&to,
			family == AF_INET6 ? sizeof(to) : sizeof(struct sockaddr_in));
	return fd;
}

/* A TCP connection that is on its way: nobody answers at that address. */
static int make_connecting(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, "10.77.0.77", &to.sin_addr);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	return fd;
}

/* Refused by the other end: closed again. */
static int make_refused(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(1) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	return fd;
}

static int make_door(void)
{
	return play_door("sign");
}

/* ---- the table ---- */

enum how { OPEN, SOCKET, CALL };

static int call(const char *name);

static const struct kind {
	const char *name;
	enum how how;
	const char *path;
	int flags, type, protocol; /* open: flags; socket: family, type, protocol */
} kinds[] = {
	{ "file", OPEN, "/etc/hostname", O_RDONLY, 0, 0 },
	{ "o_path", OPEN, "/etc/hostname", O_PATH, 0, 0 },
	{ "directory", OPEN, "/", O_RDONLY | O_DIRECTORY, 0, 0 },
	{ "file_tmpfs", OPEN, "/run/cleatd.log", O_RDONLY, 0, 0 },
	{ "directory_tmpfs", OPEN, "/run", O_RDONLY | O_DIRECTORY, 0, 0 },
	{ "proc", OPEN, "/proc/self/status", O_RDONLY, 0, 0 },
	{ "proc_mem", OPEN, "/proc/self/mem", O_RDWR, 0, 0 },
	{ "zero", OPEN, "/dev/zero", O_RDWR, 0, 0 },
	{ "null", OPEN, "/dev/null", O_RDWR, 0, 0 },
	{ "full", OPEN, "/dev/full", O_RDWR, 0, 0 },
	{ "kmsg", OPEN, "/dev/kmsg", O_RDONLY | O_NONBLOCK, 0, 0 },
	{ "random", OPEN, "/dev/random", O_RDONLY, 0, 0 },
	{ "ptmx", OPEN, "/dev/ptmx", O_RDWR | O_NOCTTY, 0, 0 },
	{ "fuse", OPEN, "/dev/fuse", O_RDWR, 0, 0 },
	{ "kvm", OPEN, "/dev/kvm", O_RDWR, 0, 0 },
	{ "dri", OPEN, "/dev/dri/card0", O_RDWR, 0, 0 },
	{ "vhost_net", OPEN, "/dev/vhost-net", O_RDWR, 0, 0 },
	{ "vsock_device", OPEN, "/dev/vsock", O_RDONLY, 0, 0 },
	{ "rtc", OPEN, "/dev/rtc0", O_RDONLY, 0, 0 },
	{ "netns", OPEN, "/proc/self/ns/net", O_RDONLY, 0, 0 },
	{ "mntns", OPEN, "/proc/self/ns/mnt", O_RDONLY, 0, 0 },
	{ "userns", OPEN, "/proc/self/ns/user", O_RDONLY, 0, 0 },
	{ "cgroup", OPEN, "/sys/fs/cgroup", O_RDONLY | O_DIRECTORY, 0, 0 },
	{ "cgroup_procs", OPEN, "/sys/fs/cgroup/cgroup.procs", O_RDONLY, 0, 0 },
	{ "udp", CALL, NULL, 0, 0, 0 },
	{ "udp6", CALL, NULL, 0, 0, 0 },
	{ "udplite", SOCKET, NULL, AF_INET, SOCK_DGRAM, 136 },
	{ "ping", SOCKET, NULL, AF_INET, SOCK_DGRAM, IPPROTO_ICMP },
	{ "raw", SOCKET, NULL, AF_INET, SOCK_RAW, IPPROTO_TCP },
	{ "raw6", SOCKET, NULL, AF_INET6, SOCK_RAW, IPPROTO_TCP },
	{ "packet", SOCKET, NULL, AF_PACKET, SOCK_RAW, 0 },
	{ "netlink_route", SOCKET, NULL, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
	{ "netlink_diag", SOCKET, NULL, AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG },
	{ "vsock", SOCKET, NULL, AF_VSOCK, SOCK_STREAM, 0 },
	{ "xdp", SOCKET, NULL, 44, SOCK_RAW, 0 },
	{ "alg", SOCKET, NULL, AF_ALG, SOCK_SEQPACKET, 0 },
	{ "sctp", SOCKET, NULL, AF_INET, SOCK_STREAM, IPPROTO_SCTP },
	{ "mptcp", SOCKET, NULL, AF_INET, SOCK_STREAM, 262 },
	{ "smc", SOCKET, NULL, 43, SOCK_STREAM, 0 },
	{ "kcm", SOCKET, NULL, 41, SOCK_DGRAM, 0 },
	{ "tipc", SOCKET, NULL, 30, SOCK_STREAM, 0 },
	{ "bluetooth", SOCKET, NULL, 31, SOCK_RAW, 0 },
	{ "tcp", CALL, NULL, 0, 0, 0 },
	{ "tcp6", CALL, NULL, 0, 0, 0 },
	{ "tcp_listening", CALL, NULL, 0, 0, 0 },
	{ "tcp6_listening", CALL, NULL, 0, 0, 0 },
	{ "tcp_connecting", CALL, NULL, 0, 0, 0 },
	{ "tcp_refused", CALL, NULL, 0, 0, 0 },
	{ "unix_stream", CALL, NULL, 0, 0, 0 },
	{ "unix_dgram", CALL, NULL, 0, 0, 0 },
	{ "unix_seqpacket", CALL, NULL, 0, 0, 0 },
	{ "api_connection", CALL, NULL, 0, 0, 0 },
	{ "pipe_read", CALL, NULL, 0, 0, 0 },
	{ "pipe_write", CALL, NULL, 0, 0, 0 },
	{ "memfd", CALL, NULL, 0, 0, 0 },
	{ "memfd_secret", CALL, NULL, 0, 0, 0 },
	{ "eventfd", CALL, NULL, 0, 0, 0 },
	{ "epoll", CALL, NULL, 0, 0, 0 },
	{ "epoll_of_epoll", CALL, NULL, 0, 0, 0 },
	{ "signalfd", CALL, NULL, 0, 0, 0 },
	{ "timerfd", CALL, NULL, 0, 0, 0 },
	{ "inotify", CALL, NULL, 0, 0, 0 },
	{ "fanotify", CALL, NULL, 0, 0, 0 },
	{ "pidfd", CALL, NULL, 0, 0, 0 },
	{ "userfaultfd", CALL, NULL, 0, 0, 0 },
	{ "io_uring", CALL, NULL, 0, 0, 0 },
	{ "bpf_map", CALL, NULL, 0, 0, 0 },
	{ "bpf_prog", CALL, NULL, 0, 0, 0 },
	{ "perf", CALL, NULL, 0, 0, 0 },
	{ "tun", CALL, NULL, 0, 0, 0 },
};

static int call(const char *name)
{
#define MAKE(kind, expression)                                                                     \
	if (strcmp(name, kind) == 0)                                                               \
		return (int)(expression);
	MAKE("udp", make_udp(AF_INET))
	MAKE("udp6", make_udp(AF_INET6))
	MAKE("tcp", make_tcp(AF_INET, false))
	MAKE("tcp6", make_tcp(AF_INET6, false))
	MAKE("tcp_listening", make_tcp(AF_INET, true))
	MAKE("tcp6_listening", make_tcp(AF_INET6, true))
	MAKE("tcp_connecting", make_connecting())
	MAKE("tcp_refused", make_refused())
	MAKE("unix_stream", make_unix(SOCK_STREAM))
	MAKE("unix_dgram", make_unix(SOCK_DGRAM))
	MAKE("unix_seqpacket", make_unix(SOCK_SEQPACKET))
	MAKE("api_connection", make_door())
	MAKE("pipe_read", make_pipe(0))
	MAKE("pipe_write", make_pipe(1))
	MAKE("memfd", make_memfd_sealed())
	MAKE("memfd_secret", syscall(SYS_memfd_secret, 0))
	MAKE("eventfd", eventfd(1, EFD_CLOEXEC))
	MAKE("epoll", epoll_create1(EPOLL_CLOEXEC))
	MAKE("epoll_of_epoll", make_epoll_loop())
	MAKE("signalfd", make_signalfd())
	MAKE("timerfd", make_timer())
	MAKE("inotify", inotify_init1(IN_CLOEXEC))
	MAKE("fanotify", fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY))
	MAKE("pidfd", syscall(SYS_pidfd_open, getpid(), 0))
	MAKE("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC))
	MAKE("io_uring", make_uring())
	MAKE("bpf_map", make_bpf_map())
	MAKE("bpf_prog", make_bpf_prog())
	MAKE("perf", make_perf())
	MAKE("tun", make_tun())
#undef MAKE
	errno = ENOSYS;
	return -1;
}

static int kind_make(const struct kind *k)
{
	if (k->how == OPEN)
		return open(k->path, k->flags | O_CLOEXEC);
	if (k->how == SOCKET)
		return socket(k->flags, k->type | SOCK_CLOEXEC, k->protocol);
	return call(k->name);
}

/* ---- asking ---- */

static union {
	struct cleat_ask_head head;
	struct cleat_ask_sign sign;
	struct cleat_ask_verify verify;
	struct cleat_ask_whois whois;
	char bytes[sizeof(struct cleat_ask_verify) + 2 * CLEAT_ASK_TOKEN_MAX];
} ask;

/* What to ask, by its name and its words: sign AUDIENCE | verify WIT WPT | whois. */
static size_t ask_fill(char **a, const char **ret_door)
{
	memset(&ask, 0, sizeof(ask));
	ask.head = (struct cleat_ask_head){ CLEAT_PROTOCOL, CLEAT_ASK_WHOIS, 7 };
	*ret_door = "check";
	if (strcmp(a[0], "sign") == 0) {
		ask.head.type = CLEAT_ASK_SIGN;
		ask.sign.audience_len = (uint32_t)strlen(a[1]);
		memcpy(ask.sign.audience, a[1], ask.sign.audience_len);
		*ret_door = "sign";
		return sizeof(ask.sign);
	}
	if (strcmp(a[0], "verify") != 0)
		return sizeof(ask.whois);
	ask.head.type = CLEAT_ASK_VERIFY;
	ask.verify.expect_role = 1;
	ask.verify.wit_len = (uint32_t)strlen(a[1]);
	ask.verify.wpt_len = (uint32_t)strlen(a[2]);
	memcpy(ask.bytes + sizeof(ask.verify), a[1], ask.verify.wit_len);
	memcpy(ask.bytes + sizeof(ask.verify) + ask.verify.wit_len, a[2], ask.verify.wpt_len);
	return sizeof(ask.verify) + ask.verify.wit_len + ask.verify.wpt_len;
}

/* A ring that is closed leaves work behind that interrupts waiting with a limit. */
static ssize_t answer_take(int door, void *answer, size_t cap)
{
	ssize_t n;

	do {
		n = recv(door, answer, cap, 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* The daemon's word for this kind, or why there is none. */
static void kind_ask(const struct kind *k, int door, size_t len, char ret[48])
{
	union {
		struct cleat_answer_head head;
		char bytes[65536];
	} answer;
	int fd = kind_make(k);

	if (fd < 0)
		snprintf(ret, 48, "none: errno %d", errno);
	else if (play_send(door, &ask, len, &fd, 1) < 0)
		snprintf(ret, 48, "unpassable: errno %d", errno);
	else if (answer_take(door, &answer, sizeof(answer)) < (ssize_t)sizeof(answer.head))
		snprintf(ret, 48, "no answer: errno %d", errno);
	else
		snprintf(ret, 48, "%.32s", answer.head.word);
	if (fd >= 0)
		close(fd);
	while (kept_count)
		close(kept[--kept_count]);
}

/* visit sign AUDIENCE | visit verify WIT WPT | visit whois */
static void cmd_visit(char **a)
{
	const char *door_name;
	size_t len = ask_fill(a + 1, &door_name);
	int door = play_door(door_name);
	char word[48];

	if (door < 0)
		return play_fail("door");
	printf("{\"ok\":true,\"kinds\":{");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		kind_ask(&kinds[i], door, len, word);
		printf("%s\"%s\":\"%s\"", i ? "," : "", kinds[i].name, word);
	}
	play_say("}}");
	close(door);
}

static const struct play_command commands[] = { { "visit", 2, cmd_visit } };

int main(int argc, char **argv)
{
	(void)argc;
	return play(argv, commands, sizeof(commands) / sizeof(commands[0]));
}
