/* SPDX-License-Identifier: Apache-2.0 */
/* What only level full sees: accept, hand-over, exec, API callers, rooms, tracing, births of cgroups. */
#include "edge/cgroupfs.h"
#include "edge/kern_map.h"
#include "edge/peer.h"
#include "world.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

void full_tests(void);

static void setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	check(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value), path);
	close(fd);
}

/* ---- accept ---- */

static int accept_here(void *arg)
{
	struct pair *p = arg;
	struct cleat_tag t;

	p->server = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	check(tag_of(p->server, &t) && t.state == CLEAT_STATE_OWNED &&
		      t.owner.label == LABEL_GOOD_1001 && t.owner.uid == 1001 &&
		      t.origin.label == LABEL_EVIL && t.origin.uid == 0,
	      "accepted by a prefork child: the child owns it, the listener's maker is the origin");
	return 0;
}

static int prefork(void *arg)
{
	struct pair p;
	unsigned port;

	(void)arg;
	p.listener = listener_on("127.0.0.1", &port);
	p.client = tcp_socket("127.0.0.1");
	check(connect_to(p.client, "127.0.0.1", port) == 0, "prefork: connect");
	return child("good", 1001, accept_here, &p);
}

static void cookie_check(void)
{
	struct cleat_tag c, s;
	struct pair p;

	setting("/proc/sys/net/ipv4/tcp_syncookies", "2");
	check(pair_open(&p, "127.0.0.1", "127.0.0.1") && tag_of(p.client, &c) &&
		      tag_of(p.server, &s) && tags_agree(&c, &s),
	      "SYN cookie: both ends agree");
	check(s.flags & CLEAT_TAG_COOKIE, "  and the accepted end says so");
	setting("/proc/sys/net/ipv4/tcp_syncookies", "1");
	pair_close(&p);
}

/* Multipath TCP on both ends, and a plain client of its listener. */
static void mptcp_check(void)
{
	struct sockaddr_storage a;
	socklen_t len = address_of("127.0.0.1", 0, &a);
	int l = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), fd, peer;
	struct cleat_tag c, s;
	uint64_t cookie;

	check(l >= 0 && bind(l, (struct sockaddr *)&a, len) == 0 && listen(l, 4) == 0 &&
		      getsockname(l, (struct sockaddr *)&a, &len) == 0,
	      "MPTCP: listen");
	fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	check(connect(fd, (struct sockaddr *)&a, len) == 0, "  connect");
	peer = accept(l, NULL, NULL);
	check(peer_tcp(fd, &cookie) == REASON_UNSUPPORTED &&
		      peer_tcp(peer, &cookie) == REASON_UNSUPPORTED,
	      "  both ends are unsupported");
	check(tag_of(fd, &c) && tag_of(peer, &s) && (c.flags & CLEAT_TAG_MPTCP) &&
		      (s.flags & CLEAT_TAG_MPTCP) && !c.conn.role && !s.conn.role,
	      "  and their tags say so");
	close(peer);
	close(fd);
	fd = tcp_socket("127.0.0.1");
	check(connect(fd, (struct sockaddr *)&a, len) == 0, "  a plain client of it");
	peer = accept(l, NULL, NULL);
	check(peer_tcp(peer, &cookie) == REASON_OK && tag_of(fd, &c) && tag_of(peer, &s) &&
		      tags_agree(&c, &s),
	      "  falls back to TCP, and both ends agree");
	close(peer);
	close(fd);
	close(l);
}

/* ---- forged ---- */

static void repair_later_check(void)
{
	int one = 1, off = 0;
	struct cleat_tag t;
	struct pair p;

	check(pair_open(&p, "127.0.0.1", "127.0.0.1") &&
		      setsockopt(p.client, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)) == 0 &&
		      setsockopt(p.client, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) == 0,
	      "TCP_REPAIR on and off on an established connection");
	check(tag_of(p.client, &t) && (t.flags & CLEAT_TAG_FORGED) && (t.flags & CLEAT_TAG_REPAIR),
	      "  is forged for good");
	pair_close(&p);
}

static int boxed(void *arg)
{
	int fd, one = 1;
	struct cleat_tag t;

	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("skip no user namespaces: %s\n", strerror(errno));
		return 0;
	}
	fd = tcp_socket("127.0.0.1");
	check(tag_of(fd, &t) && (t.flags & CLEAT_TAG_NETNS_FOREIGN),
	      "a boxed root's socket says so");
	check(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)) == 0 && tag_of(fd, &t) &&
		      (t.flags & CLEAT_TAG_FORGED),
	      "  and its TCP_REPAIR is seen");
	return 0;
}

/* ---- hand-over and rooms ---- */

struct handing {
	int to[2];
	struct pair p;
	bool room;
};

static int take(void *arg)
{
	struct handing *h = arg;
	int fd = fd_receive(h->to[1]);
	char byte = 'x';

	if (!h->room)
		return fd < 0;
	fcntl(fd, F_SETFL, O_NONBLOCK); /* what the broken twin lets through must not wait */
	fcntl(h->p.listener, F_SETFL, O_NONBLOCK);
	check(send(fd, &byte, 1, MSG_NOSIGNAL) == -1 && errno == EPERM, "  a room may not send");
	check(write(fd, &byte, 1) == -1 && errno == EPERM, "  nor write");
	check(recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EPERM, "  nor receive");
	check(read(fd, &byte, 1) == -1 && errno == EPERM, "  nor read");
	check(shutdown(fd, SHUT_RDWR) == -1 && errno == EPERM, "  nor shut down");
	check(accept(h->p.listener, NULL, NULL) == -1 && errno == EPERM, "  nor accept");
	return 0;
}

static int room_take(void *arg)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct handing *h = arg;

	check(kern_room_set(world.k, pidfd) == 0, "a room is marked");
	return take(h);
}

static int give(void *arg)
{
	struct handing *h = arg;
	struct cleat_tag t;
	uint64_t cookie;

	check(pair_open(&h->p, "127.0.0.1", "127.0.0.1"), "hand-over: connect");
	fd_send(h->to[0], h->p.client);
	h->room = true;
	check(child("plain", 0, room_take, h) == 0, "  to a room");
	check(peer_tcp(h->p.client, &cookie) == REASON_OK && tag_of(h->p.client, &t) &&
		      !(t.flags & CLEAT_TAG_HANDED),
	      "  does not count");
	h->room = false;
	fd_send(h->to[0], h->p.client);
	check(child("good", 0, take, h) == 0 && tag_of(h->p.client, &t) &&
		      !(t.flags & CLEAT_TAG_HANDED),
	      "  to its own owner does not count");
	fd_send(h->to[0], h->p.client);
	check(child("evil", 0, take, h) == 0 && tag_of(h->p.client, &t) &&
		      (t.flags & CLEAT_TAG_HANDED) && t.handed_uid == 0 && t.handed_pid != 0 &&
		      t.owner.label == LABEL_GOOD,
	      "  to another owner is remembered, and the owner stays");
	pair_close(&h->p);
	return 0;
}

/* ---- API connections ---- */

struct api {
	int listener, client, server;
	struct sockaddr_un at;
};

static int say_other(void *arg)
{
	struct api *a = arg;
	int file, pipes[2];

	check(send(a->client, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPERM,
	      "  another label's message is refused (send)");
	check(write(a->client, "x", 1) == -1 && errno == EPERM, "  (write)");
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	check(sendfile(a->client, file, NULL, 1) == -1 && errno == EPERM, "  (sendfile)");
	check(pipe(pipes) == 0 && write(pipes[1], "x", 1) == 1 &&
		      splice(pipes[0], NULL, a->client, NULL, 1, 0) == -1 && errno == EPERM,
	      "  (splice)");
	return 0;
}

static int say_own(void *arg)
{
	const struct api *a = arg;
	char byte;

	return !(send(a->client, "x", 1, MSG_NOSIGNAL) == 1 && recv(a->server, &byte, 1, 0) == 1);
}

static int api_client(void *arg)
{
	struct api *a = arg;
	struct cleat_caller c;
	char byte;

	a->client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	check(connect(a->client, (struct sockaddr *)&a->at, sizeof(a->at)) == 0, "API: connect");
	a->server = accept(a->listener, NULL, NULL);
	check(kern_caller_get(world.callers, a->server, &c) == 0 && c.owner.label == LABEL_GOOD &&
		      c.owner.uid == 0 && c.proc.tgid == (uint32_t)getpid() &&
		      c.door == CLEAT_DOOR_SIGN && c.epoch == 1 && c.owner.netns,
	      "  the caller is known by the accepted descriptor");
	check(send(a->client, "x", 1, 0) == 1 && recv(a->server, &byte, 1, 0) == 1,
	      "  it may send");
	check(send(a->server, "y", 1, 0) == 1 && recv(a->client, &byte, 1, 0) == 1,
	      "  and be answered");
	check(child("good", 0, say_own, a) == 0, "  its own heir may send");
	check(child("good", 1001, say_own, a) == 1, "  another uid may not");
	return child("evil", 0, say_other, a);
}

static void api_check(void)
{
	struct api a = { .at = { .sun_family = AF_UNIX } };
	uint64_t before = counted(CLEAT_COUNT_API_REFUSED);

	snprintf(a.at.sun_path, sizeof(a.at.sun_path), "/tmp/cleat-smoke-%d", getpid());
	a.listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	check(bind(a.listener, (struct sockaddr *)&a.at, sizeof(a.at)) == 0 &&
		      listen(a.listener, 4) == 0 &&
		      kern_door_set(world.k, a.listener, CLEAT_DOOR_SIGN) == 0,
	      "API: a door");
	check(child("good", 0, api_client, &a) == 0, "API: all of it");
	check(counted(CLEAT_COUNT_API_REFUSED) >= before + 4, "  refusals are counted");
	unlink(a.at.sun_path);
	close(a.listener);
}

/* ---- tasks ---- */

struct trace {
	const char *target;
	pid_t pid;
	int want; /* errno, 0: may */
};

static int attach(void *arg)
{
	const struct trace *t = arg;

	if (ptrace(PTRACE_ATTACH, t->pid, NULL, NULL) < 0)
		return errno;
	waitpid(t->pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, t->pid, NULL, NULL);
	return 0;
}

static void trace_check(const char *target, const char *tracer, int want, const char *what)
{
	struct trace t = { .target = target };
	int ready[2];
	char byte;

	check(pipe(ready) == 0, "  target");
	t.pid = fork();
	if (t.pid == 0) {
		cgroup_enter(target);
		while (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	check(read(ready[0], &byte, 1) == 1 && child(tracer, 0, attach, &t) == want, what);
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static int traceme(void *arg)
{
	(void)arg;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static int split_ids(void *arg)
{
	struct cleat_tag t;
	int fd;

	(void)arg;
	fd = tcp_socket("127.0.0.1");
	check(tag_of(fd, &t) && t.owner.label == LABEL_GOOD, "uid 0 in good");
	close(fd);
	check(seteuid(1001) == 0, "  seteuid(1001)");
	fd = tcp_socket("127.0.0.1");
	check(tag_of(fd, &t) && t.owner.label == 0 && t.owner.uid == 1001,
	      "  is nobody for rules that name a uid");
	close(fd);
	check(seteuid(0) == 0 && setresuid(1001, 1001, 1001) == 0, "  all of it");
	fd = tcp_socket("127.0.0.1");
	check(tag_of(fd, &t) && t.owner.label == LABEL_GOOD_1001, "  is 1001's label");
	close(fd);
	return 0;
}

static int moves(void *arg)
{
	struct cleat_tag t;
	int fd;

	(void)arg;
	for (int i = 0; i < 4; i++) {
		cgroup_enter(i % 2 ? "evil" : "good");
		fd = tcp_socket("127.0.0.1");
		check(tag_of(fd, &t) && t.owner.label == (i % 2 ? LABEL_EVIL : LABEL_GOOD),
		      "moved: the label is the present cgroup's");
		close(fd);
	}
	return 0;
}

static int in_inner(void *arg)
{
	uint32_t want = *(uint32_t *)arg;
	struct cleat_tag t;
	int fd = tcp_socket("127.0.0.1");

	check(tag_of(fd, &t) && t.owner.label == want,
	      want ? "below a named cgroup: its label"
		   : "  a place that has no rules in this generation is nobody's");
	close(fd);
	return 0;
}

/* What a task sees while a reload that names its cgroup has looked through the hierarchy, but not yet switched:
 * it must not pass for an ancestor's. */
static void reload_window_check(void)
{
	const struct cleat_cgroup ahead = { .place = 99 };
	uint32_t want = LABEL_EVIL;
	char path[600];
	uint64_t id;
	int map;

	cgroup_make("evil/inner");
	snprintf(path, sizeof(path), "%s/evil/inner", world.base);
	check(cgroupfs_id(AT_FDCWD, path, &id) == 0 && child("evil/inner", 0, in_inner, &want) == 0,
	      "reload window");
	want = 0;
	check(kern_map_fd(world.k, KERN_CGROUPS, true, &map) == 0 &&
		      kern_map_put(map, &id, &ahead, BPF_ANY) == 0 &&
		      child("evil/inner", 0, in_inner, &want) == 0,
	      "  ended");
	close(map);
	cgroup_remove("evil/inner");
}

static int epoch_of_self(void)
{
	int fd = tcp_socket("127.0.0.1");
	struct cleat_tag t;
	bool ok = tag_of(fd, &t);

	close(fd);
	return ok ? (int)t.proc.epoch : -1;
}

/* A program begun under the hooks makes a socket and passes it here: see main(). */
static int exec_check(void *arg)
{
	int via[2], fd, status;
	struct cleat_tag t;
	char number[16];
	pid_t pid;

	(void)arg;
	check(epoch_of_self() == 0, "an instance older than the hooks: epoch 0");
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, via) == 0, "exec");
	pid = fork();
	if (pid == 0) {
		snprintf(number, sizeof(number), "%d", via[1]);
		execl("/proc/self/exe", "smoke", "socket", number, NULL);
		_exit(127);
	}
	fd = fd_receive(via[0]);
	check(tag_of(fd, &t) && t.proc.epoch == 1 && t.proc.tgid == (uint32_t)pid &&
		      t.owner.label == LABEL_GOOD,
	      "  one that began under them: epoch 1");
	check(waitpid(pid, &status, 0) == pid && status == 0, "  ended");
	return 0;
}

/* ---- cgroups ---- */

static void births_check(void)
{
	struct cleat_cgroup c;
	char path[600];
	uint64_t id;

	check(cgroup_place("good") == 1 && cgroup_place("evil") == 2 && cgroup_place("plain") == 0,
	      "cgroups that stood before: scanned");
	cgroup_make("x-cleat.service");
	check(cgroup_place("x-cleat.service") == 4, "a unit below slices has its place at once");
	cgroup_make("plain/x-cleat.service");
	check(cgroup_place("plain/x-cleat.service") == 0, "  below something else it has none");
	cgroup_make("x-cleat.service/x-cleat.service");
	check(cgroup_place("x-cleat.service/x-cleat.service") == 0, "  nor below itself");
	cgroup_make("good/good");
	check(cgroup_place("good/good") == 0, "a path is compared whole");
	cgroup_make("plain/cleat-exact");
	check(cgroup_place("plain/cleat-exact") == 0, "  its last component is no path");
	cgroup_remove("plain/cleat-exact");
	cgroup_remove("good/good");
	cgroup_remove("x-cleat.service/x-cleat.service");
	cgroup_remove("plain/x-cleat.service");
	cgroup_remove("x-cleat.service");
	cgroup_make("y-cleat.service");
	check(cgroup_place("y-cleat.service") == 5, "another");
	cgroup_remove("y-cleat.service");

	/* The same path in a v1 hierarchy, whose ids are of another space. */
	mkdir("/tmp/v1", 0755);
	if (mount("cgroup", "/tmp/v1", "cgroup", 0, "none,name=cleat") < 0) {
		printf("skip no v1 hierarchy: %s\n", strerror(errno));
		return;
	}
	snprintf(path, sizeof(path), "/tmp/v1%s", world.base + strlen(world.mount));
	mkdir(path, 0755);
	strcat(path, "/good");
	check(mkdir(path, 0755) == 0 && cgroupfs_id(AT_FDCWD, path, &id) == 0 &&
		      kern_cgroup_get(world.cgroups, id, &c) == -ENOENT,
	      "a v1 hierarchy gives no place");
	rmdir(path);
	check(cgroup_place("good") == 1, "  and takes none");
	path[strlen(path) - 5] = '\0';
	rmdir(path);
	umount("/tmp/v1");
}

static int optmem_check(void *arg)
{
	struct cleat_tag t;
	struct pair p;
	unsigned port;
	int fd;

	(void)arg;
	setting("/proc/sys/net/core/optmem_max", "100");
	fd = tcp_socket("127.0.0.1");
	check(!tag_of(fd, &t), "born without room for storage: no tag");
	setting("/proc/sys/net/core/optmem_max", "131072");
	p.client = fd;
	p.listener = listener_on("127.0.0.1", &port);
	check(connect_to(fd, "127.0.0.1", port) == 0 && !tag_of(fd, &t),
	      "  and none later, either");
	p.server = accept(p.listener, NULL, NULL);
	pair_close(&p);
	return 0;
}

static unsigned events;

static void count_event(void *ctx, const struct cleat_event *e)
{
	(void)ctx;
	events |= 1u << e->type;
}

static int cookies_and_others(void *arg)
{
	(void)arg;
	cookie_check();
	mptcp_check();
	repair_later_check();
	return 0;
}

void full_tests(void)
{
	struct handing h;

	check(child("evil", 0, prefork, NULL) == 0, "prefork");
	check(child("good", 0, cookies_and_others, NULL) == 0, "cookies, MPTCP, repair");
	check(child("good", 1001, boxed, NULL) == 0, "boxed root");
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, h.to) == 0 && child("good", 0, give, &h) == 0,
	      "hand-over");
	api_check();
	trace_check("good", "evil", EPERM, "traced from another label: refused");
	trace_check("good", "plain", EPERM, "traced by nobody: refused");
	trace_check("good", "good", 0, "traced from its own label: may");
	trace_check("debug", "evil", 0, "debug: allow");
	trace_check("plain", "evil", 0, "nobody may be traced as ever");
	check(child("good", 0, traceme, NULL) == EPERM, "PTRACE_TRACEME below a stranger: refused");
	check(child("plain", 0, traceme, NULL) == 0, "  of nobody: may");
	check(child("good", 0, split_ids, NULL) == 0, "ids");
	check(child("good", 0, moves, NULL) == 0, "moves");
	reload_window_check();
	check(child("good", 0, exec_check, NULL) == 0, "exec");
	check(child("good", 0, optmem_check, NULL) == 0, "optmem");
	births_check();
	kern_events_read(world.k, count_event, NULL);
	check((events & (1u << CLEAT_EVENT_HANDED)) && (events & (1u << CLEAT_EVENT_CGROUP_BORN)) &&
		      (events & (1u << CLEAT_EVENT_CGROUP_DIED)) &&
		      (events & (1u << CLEAT_EVENT_TRACE_REFUSED)) &&
		      (events & (1u << CLEAT_EVENT_API_REFUSED)) &&
		      (events & (1u << CLEAT_EVENT_FORGED)),
	      "an event of every kind came");
}
