/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live probe. See kern_probe.h. The child is a fork, so the maps' descriptors are its own; it judges what it read of
 * its own sockets and writes one verdict into a pipe. What it could not make (no memory, no descriptor, a connect that
 * another program refuses) is no word against our hooks, and none for them.
 */
#include "edge/kern_probe.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/twin.h"
#include "edge/cgroupfs.h"
#include "edge/kern_map.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 2000 /* of the child for its own loopback */

struct verdict {
	uint32_t probed; /* enum kern_probed */
	char line[252];
};

struct kern_probe {
	struct kern *k;
	int netns;
	int cgroup; /* -1: where we are is below what is attached to */
	pid_t pid;  /* of the probe under way; 0: none */
	int pidfd, up, down;
	bool deep, forked; /* forked: seen, and it executes now */
	uint32_t execs;	   /* of the child when it was forked: its parent's */
};

/* ---- in the child ---- */

static struct verdict verdict(enum kern_probed probed, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static struct verdict verdict(enum kern_probed probed, const char *format, ...)
{
	struct verdict v = { .probed = probed };
	va_list args;

	va_start(args, format);
	vsnprintf(v.line, sizeof(v.line), format, args);
	va_end(args);
	return v;
}

static struct verdict unknown(const char *step)
{
	return verdict(KERN_PROBED_UNKNOWN, "the probe's own %s: %s", step, strerror(errno));
}

static struct verdict silent(const char *hook)
{
	return verdict(KERN_PROBED_SILENT, "%s", hook);
}

static const struct verdict seen = { KERN_PROBED_SEEN, "" };

struct ends {
	int listener, client, server;
};

static bool ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	errno = ETIMEDOUT;
	return poll(&p, 1, PATIENCE_MS) == 1;
}

static int tcp_new(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* A connection to ourselves in the probe's namespace. NULL, or what could not be done. */
static const char *connect_ends(struct ends *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr *name = (struct sockaddr *)&at;
	socklen_t len = sizeof(at);
	int error = 0;

	e->listener = tcp_new();
	if (e->listener < 0 || bind(e->listener, name, len) < 0 || listen(e->listener, 1) < 0 ||
	    getsockname(e->listener, name, &len) < 0)
		return "listener";
	e->client = tcp_new();
	if (e->client < 0)
		return "socket";
	if (connect(e->client, name, sizeof(at)) < 0 && errno != EINPROGRESS)
		return "connect";
	if (!ready(e->client, POLLOUT))
		return "connect";
	len = sizeof(error);
	if (getsockopt(e->client, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
		errno = error ? error : errno;
		return "connect";
	}
	if (!ready(e->listener, POLLIN))
		return "accept";
	e->server = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return e->server < 0 ? "accept" : NULL;
}

static bool has_counters(const struct kern *k, int fd)
{
	struct cleat_window window;
	struct cleat_seq seq;

	return kern_seq_get(kern_map(k, KERN_SEQ), fd, &seq) == 0 &&
	       kern_window_get(kern_map(k, KERN_WINDOW), fd, &window) == 0;
}

/* Sockets for which the hooks found no room, anybody's. */
static uint64_t without_room(struct kern *k)
{
	uint64_t counts[CLEAT_COUNT_COUNT] = { 0 };

	return kern_counts(k, counts) < 0 ? 0 : counts[CLEAT_COUNT_UNTAGGED];
}

/* A hook that ran and found no room for storage leaves none, too: it has counted that, unless there is none for us either
 * (net.core.optmem_max). */
static struct verdict judge_untagged(struct kern *k, int fd, uint64_t before)
{
	struct cleat_tag zero = { 0 };

	errno = ENOMEM;
	if (without_room(k) != before)
		return unknown("socket storage");
	if (kern_map_put(kern_map(k, KERN_TAGS), &fd, &zero, BPF_NOEXIST) < 0)
		return unknown("socket storage");
	return silent("a socket was born without a tag");
}

/* What each hook writes, in the order of a connection's life. */
static struct verdict judge_ends(struct kern *k, const struct ends *e, uint32_t epoch,
				 uint64_t before)
{
	struct cleat_tag l, c, s;
	int tags = kern_map(k, KERN_TAGS);

	if (kern_tag_get(tags, e->client, &c) < 0)
		return judge_untagged(k, e->client, before);
	if (kern_tag_get(tags, e->listener, &l) < 0)
		return judge_untagged(k, e->listener, before);
	if (c.epoch != epoch || l.epoch != epoch)
		return silent("a socket was born in another epoch");
	if (!has_counters(k, e->client))
		return silent("a socket was born without its counters");
	if (l.state != CLEAT_STATE_LISTENING)
		return silent("a listen was not seen");
	if (c.conn.role != CLEAT_ROLE_CLIENT || c.state != CLEAT_STATE_OWNED)
		return silent("a connect was not seen");
	if (c.flags & CLEAT_TAG_FORGED)
		return silent("the packet that established a connection was not seen");
	if (kern_tag_get(tags, e->server, &s) < 0 || s.conn.role != CLEAT_ROLE_SERVER)
		return silent("the other end of a connection was not seen");
	if (s.state != CLEAT_STATE_OWNED || s.epoch != epoch)
		return silent("an accept was not seen");
	if (c.conn.client_isn != s.conn.client_isn || c.conn.server_isn != s.conn.server_isn ||
	    memcmp(c.conn.server_addr, s.conn.server_addr, sizeof(c.conn.server_addr)) != 0 ||
	    c.conn.client_port != s.conn.client_port)
		return silent("the two ends of a connection were recorded differently");
	return seen;
}

/* Level full: an API connection's caller is recorded when it connects. The door is one of the probe's own. */
static struct verdict judge_api(const struct kern *k, uint32_t epoch)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct sockaddr *name = (struct sockaddr *)&at;
	socklen_t len = sizeof(at);
	struct cleat_caller caller;
	owned_fd int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	owned_fd int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint32_t sign = CLEAT_DOOR_SIGN;

	/* a name that the kernel chooses, in the abstract space of the probe's namespace */
	if (door < 0 || client < 0 || bind(door, name, sizeof(sa_family_t)) < 0 ||
	    getsockname(door, name, &len) < 0 || listen(door, 1) < 0)
		return unknown("API socket");
	if (kern_map_put(kern_map(k, KERN_DOORS), &door, &sign, BPF_ANY) < 0)
		return unknown("API door");
	if (connect(client, name, len) < 0)
		return unknown("API connect");

	owned_fd int server = accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (server < 0)
		return unknown("API accept");
	if (kern_caller_get(kern_map(k, KERN_CALLERS), server, &caller) < 0 ||
	    caller.epoch != epoch || caller.door != sign)
		return silent("who opened an API connection was not seen");
	return seen;
}

static struct verdict judge(const struct kern_probe *p)
{
	struct ends e = { -1, -1, -1 };
	struct cleat_config config;
	struct verdict v;
	const char *step;
	uint64_t before;

	if (setns(p->netns, CLONE_NEWNET) < 0)
		return unknown("network namespace");
	if (kern_config(p->k, &config) < 0)
		return unknown("look at the configuration");
	before = without_room(p->k);
	step = connect_ends(&e);
	if (step)
		return unknown(step);
	v = judge_ends(p->k, &e, config.epoch, before);
	if (v.probed == KERN_PROBED_SEEN && kern_level(p->k) == CLEAT_LEVEL_FULL)
		v = judge_api(p->k, config.epoch);
	return v;
}

/* Its sockets are closed with it. A parent that dies takes it along. */
static _Noreturn void child(const struct kern_probe *p, int down, int up)
{
	char *const argv[] = { (char[]){ "cleatd" }, (char[]){ "--room=probe" }, NULL };
	static char *const nothing[] = { NULL };
	struct verdict v;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(down, &go, 1) != 1)
		_exit(1);
	v = judge(p);
	if (write(up, &v, sizeof(v)) != sizeof(v) || !p->deep)
		_exit(1);
	if (read(down, &go, 1) != 1)
		_exit(1);
	execve("/proc/self/exe", argv, nothing);
	_exit(1);
}

int kern_probe_main(void)
{
	return 0;
}

/* ---- the namespace ---- */

static int loopback_up(void)
{
	owned_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
}

/* We are in it only while it is made. */
static int namespace_new(int *ret)
{
	owned_fd int ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	owned_fd int made = -1;
	int err;

	if (ours < 0 || unshare(CLONE_NEWNET) < 0)
		return -errno;
	err = loopback_up();
	made = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (err == 0 && made < 0)
		err = -errno;
	if (setns(ours, CLONE_NEWNET) < 0)
		abort(); /* nothing of ours may go on in there */
	if (err < 0)
		return err;
	*ret = take_fd(&made);
	return 0;
}

/* A child of ours lives where we do, unless only another cgroup is attached to. */
static int cgroup_open(const struct kern *k, int *ret)
{
	char mount[4096];
	int fd;

	if (cgroupfs_find(mount, sizeof(mount)) == 0 && strcmp(mount, kern_cgroup(k)) == 0) {
		*ret = -1;
		return 0;
	}
	fd = open(kern_cgroup(k), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

int kern_probe_new(struct kern *k, struct kern_probe **ret, char *error, size_t error_cap)
{
	owned(kern_probe_owned) struct kern_probe *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	*p = (struct kern_probe){
		.k = k, .netns = -1, .cgroup = -1, .pidfd = -1, .up = -1, .down = -1
	};
	err = namespace_new(&p->netns);
	if (err < 0) {
		snprintf(
			error, error_cap,
			"no network namespace for the probe: %s; it takes CAP_SYS_ADMIN and CONFIG_NET_NS=y, and /proc/sys/user/max_net_namespaces must not be 0",
			strerror(-err));
		return err;
	}
	err = cgroup_open(k, &p->cgroup);
	if (err < 0) {
		snprintf(error, error_cap, "%s: %s", kern_cgroup(k), strerror(-err));
		return err;
	}
	*ret = take_ptr(p);
	return 0;
}

bool kern_probe_is_elsewhere(const struct kern_probe *p)
{
	return p->cgroup >= 0;
}

/* ---- one probe ---- */

static void fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void kern_probe_stop(struct kern_probe *p)
{
	if (p->pid) {
		syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	p->pid = 0;
	fd_drop(&p->pidfd);
	fd_drop(&p->up);
	fd_drop(&p->down);
}

void kern_probe_free(struct kern_probe *p)
{
	kern_probe_stop(p);
	fd_drop(&p->netns);
	fd_drop(&p->cgroup);
	free(p);
}

/* A plain fork where it can be: systemd's RestrictNamespaces= knows no clone3(2). */
static pid_t fork_into(int cgroup, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};
	pid_t pid;

	if (cgroup >= 0)
		return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	pid = fork();
	if (pid > 0)
		*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid > 0 && *ret_pidfd < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -1;
	}
	return pid;
}

/* What a room forks is a room, and a room uses no inet socket; this child must. It holds what the kernel room holds, so
 * it is no less out of the reach of strangers. Level reduced has no such map. */
static int mark(const struct kern *k, int pidfd)
{
	uint32_t probe = CLEAT_ROOM_PROBE;

	return kern_map(k, KERN_ROOMS) < 0
		       ? 0
		       : kern_map_put(kern_map(k, KERN_ROOMS), &pidfd, &probe, BPF_ANY);
}

int kern_probe_start(struct kern_probe *p, bool deep)
{
	owned_fd int up_out = -1, down_in = -1;
	int up[2], down[2], err;

	if (p->pid)
		return -EBUSY;
	if (pipe2(up, O_CLOEXEC) < 0)
		return -errno;
	p->up = up[0];
	up_out = up[1];
	if (pipe2(down, O_CLOEXEC) < 0) {
		err = -errno;
		kern_probe_stop(p);
		return err;
	}
	p->down = down[1];
	down_in = down[0];
	p->deep = deep && kern_level(p->k) == CLEAT_LEVEL_FULL;
	p->forked = false;
	pid_t pid = fork_into(p->cgroup, &p->pidfd);

	if (pid == 0) {
		close(p->down); /* or the end of the parent would not be its end */
		child(p, down_in, up_out);
	}
	err = pid < 0 ? -errno : 0;
	if (err == 0) {
		p->pid = pid;
		err = mark(p->k, p->pidfd);
	}
	if (err == 0 && write(p->down, "", 1) != 1)
		err = -errno;
	if (err < 0)
		kern_probe_stop(p);
	return err;
}

int kern_probe_fd(const struct kern_probe *p)
{
	return !p->pid ? -1 : p->forked ? p->pidfd : p->up;
}

/* The child is there still, if only to be waited for, and so is its record. */
static struct verdict judge_fork(struct kern_probe *p)
{
	struct cleat_task t;

	if (kern_map_get(kern_map(p->k, KERN_TASKS), &p->pidfd, &t, 0) < 0)
		return silent("a fork was not seen");
	p->execs = t.execs;
	return seen;
}

/* It ended as kern_probe_main() does, and not before: there was an exec to be seen. */
static bool executed(const struct kern_probe *p)
{
	siginfo_t info = { 0 };

	return waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_code == CLD_EXITED && info.si_status == 0;
}

/* A fork inherits its parent's record, of which execs and epoch may be right already. */
static struct verdict judge_exec(const struct kern_probe *p)
{
	struct cleat_config config;
	struct cleat_task t;

	if (kern_config(p->k, &config) < 0)
		return unknown("look at the configuration");
	if (!executed(p)) {
		errno = ECHILD;
		return unknown("exec");
	}
	if (kern_map_get(kern_map(p->k, KERN_TASKS), &p->pidfd, &t, 0) < 0 || t.execs == p->execs ||
	    t.epoch != config.epoch)
		return silent("an exec was not seen");
	return seen;
}

static int readable(int fd)
{
	struct pollfd at = { .fd = fd, .events = POLLIN };

	return poll(&at, 1, 0) == 1;
}

/* -EAGAIN, or 0 with the verdict. */
static int next(struct kern_probe *p, struct verdict *ret)
{
	if (!readable(kern_probe_fd(p)))
		return -EAGAIN;
	if (p->forked) {
		*ret = judge_exec(p);
		return 0;
	}
	if (read(p->up, ret, sizeof(*ret)) != sizeof(*ret)) {
		errno = ECHILD;
		*ret = unknown("child died");
		return 0;
	}
	if (ret->probed == KERN_PROBED_SEEN && kern_level(p->k) == CLEAT_LEVEL_FULL)
		*ret = judge_fork(p);
	if (ret->probed != KERN_PROBED_SEEN || !p->deep)
		return 0;
	if (write(p->down, "", 1) != 1) {
		*ret = unknown("child died");
		return 0;
	}
	p->forked = true;
	return -EAGAIN;
}

int kern_probe_take(struct kern_probe *p, enum kern_probed *ret, char *line, size_t line_cap)
{
	struct verdict v;
	int err = p->pid ? next(p, &v) : -ECHILD;

	if (err < 0)
		return err;
	kern_probe_stop(p);
	v.line[sizeof(v.line) - 1] = '\0';
	if (!kept(probe) && v.probed == KERN_PROBED_SILENT)
		v.probed = KERN_PROBED_SEEN;
	if (v.probed != KERN_PROBED_SEEN)
		snprintf(line, line_cap, "%s", v.line);
	*ret = v.probed <= KERN_PROBED_UNKNOWN ? v.probed : KERN_PROBED_UNKNOWN;
	return 0;
}

enum kern_probed kern_probe_run(struct kern_probe *p, bool deep, int limit_ms, char *line,
				size_t line_cap)
{
	uint64_t until = clock_mono_ns() + (uint64_t)limit_ms * 1000000;
	enum kern_probed probed = KERN_PROBED_UNKNOWN;
	int err = kern_probe_start(p, deep);

	while (err == 0 || err == -EAGAIN) {
		struct pollfd at = { .fd = kern_probe_fd(p), .events = POLLIN };
		uint64_t now = clock_mono_ns();

		if (now >= until || poll(&at, 1, (int)((until - now) / 1000000) + 1) == 0) {
			err = -ETIMEDOUT;
			break;
		}
		err = kern_probe_take(p, &probed, line, line_cap);
		if (err == 0)
			return probed;
	}
	kern_probe_stop(p);
	snprintf(line, line_cap, "the probe itself could not be made: %s", strerror(-err));
	return KERN_PROBED_UNKNOWN;
}
