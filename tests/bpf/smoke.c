/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side on a real kernel, without a daemon: what the tags of both ends say of every way to make a
 * connection. Usage: smoke full|reduced. Each check is a line; the last one counts them.
 */
#include "edge/peer.h"
#include "world.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* smoke_ext.c, smoke_full.c, smoke_self.c */
void ext_tests(void);
void full_tests(void);
void self_tests(void);

static void setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		printf("note: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void pair_check(const char *listen_at, const char *to, const char *what)
{
	struct cleat_tag c, s;
	struct pair p;

	check(pair_open(&p, listen_at, to) && tag_of(p.client, &c) && tag_of(p.server, &s) &&
		      tags_agree(&c, &s),
	      what);
	check(c.owner.label == LABEL_GOOD && s.owner.label == LABEL_GOOD &&
		      c.owner.netns == s.owner.netns && c.owner.netns != 0,
	      "  both ends have their owner");
	check(c.epoch == 1 && s.epoch == 1 && c.conn.generation == 1 && s.conn.generation == 1 &&
		      !(c.flags & CLEAT_TAG_FORGED) && !(s.flags & CLEAT_TAG_FORGED),
	      "  epoch, generation, nothing forged");
	pair_close(&p);
}

static void fast_open_check(bool by_option)
{
	struct sockaddr_storage a;
	struct cleat_tag c, s;
	unsigned port;
	int l = listener_on("127.0.0.1", &port);
	socklen_t len = address_of("127.0.0.1", port, &a);

	for (int i = 0; i < 3;
	     i++) { /* the first one only fetches a cookie, the others carry data */
		int fd = tcp_socket("127.0.0.1"), one = 1, peer;
		bool sent;

		if (by_option) {
			setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one));
			sent = connect(fd, (struct sockaddr *)&a, len) == 0 &&
			       write(fd, "hello", 5) == 5;
		} else {
			sent = sendto(fd, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&a, len) ==
			       5;
		}
		peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		check(sent && peer >= 0 && tag_of(fd, &c) && tag_of(peer, &s) && tags_agree(&c, &s),
		      by_option ? "TCP_FASTOPEN_CONNECT: both ends agree"
				: "MSG_FASTOPEN: both ends agree");
		check(c.owner.label == LABEL_GOOD, "  its owner is who connected");
		if (i > 0)
			check(c.flags & CLEAT_TAG_FASTOPEN, "  and it says Fast Open");
		close(peer);
		close(fd);
	}
	close(l);
}

static void unspec(int fd)
{
	struct sockaddr a = { .sa_family = AF_UNSPEC };

	check(connect(fd, &a, sizeof(a)) == 0, "  connect(AF_UNSPEC)");
}

static void reuse_check(void)
{
	struct cleat_tag before, c, s;
	uint64_t cookie;
	struct pair p;
	unsigned port;
	int l, peer;

	check(pair_open(&p, "127.0.0.1", "127.0.0.1") && tag_of(p.client, &before),
	      "reuse: connect");
	unspec(p.client);
	check(peer_tcp(p.client, &cookie) == REASON_OK && peer_stands(p.client, -1) != REASON_OK &&
		      tag_of(p.client, &c) &&
		      (c.state == CLEAT_STATE_BORN || world.level == CLEAT_LEVEL_REDUCED),
	      "  then it is no connection");
	l = listener_on("127.0.0.1", &port);
	check(connect_to(p.client, "127.0.0.1", port) == 0, "  connect again");
	peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	check(tag_of(p.client, &c) && tag_of(peer, &s) && tags_agree(&c, &s),
	      "  both ends agree on the second");
	check(c.conn.generation == 2 && c.cookie == before.cookie &&
		      c.conn.client_isn != before.conn.client_isn,
	      "  another generation, the same socket");
	close(peer);
	close(l);
	pair_close(&p);
}

/* attacks.md 39 */
static void listener_reuse_check(void)
{
	struct sockaddr_storage a;
	socklen_t len = address_of("127.0.0.1", 0, &a);
	struct cleat_tag before, c, s, was;
	struct pair p;
	int fd, peer;

	check(pair_open(&p, "127.0.0.1", "127.0.0.1") && tag_of(p.client, &was),
	      "listener: connect");
	unspec(p.client);
	check(bind(p.client, (struct sockaddr *)&a, len) == 0 && listen(p.client, 4) == 0 &&
		      getsockname(p.client, (struct sockaddr *)&a, &len) == 0,
	      "  then listen");
	check(tag_of(p.client, &before) && before.state == CLEAT_STATE_LISTENING &&
		      before.conn.role == 0,
	      "  its record is void");
	fd = tcp_socket("127.0.0.1");
	check(connect(fd, (struct sockaddr *)&a, len) == 0, "  and be connected to");
	peer = accept4(p.client, NULL, NULL, SOCK_CLOEXEC);
	check(tag_of(fd, &c) && tag_of(peer, &s) && tags_agree(&c, &s), "  the child is a server");
	check(s.conn.generation == 1 && s.conn.client_isn != was.conn.client_isn &&
		      s.cookie != before.cookie && !(s.flags & CLEAT_TAG_FORGED),
	      "  with nothing of the old record");
	close(peer);
	close(fd);
	pair_close(&p);
}

static void self_check(void)
{
	struct sockaddr_storage a;
	socklen_t len = address_of("127.0.0.1", 0, &a);
	int fd = tcp_socket("127.0.0.1");
	struct cleat_tag t;

	check(bind(fd, (struct sockaddr *)&a, len) == 0 &&
		      getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
		      connect(fd, (struct sockaddr *)&a, len) == 0,
	      "connected to itself");
	check(tag_of(fd, &t) && (t.flags & CLEAT_TAG_FORGED), "  is forged");
	close(fd);
}

static void repair_check(void)
{
	int fd = tcp_socket("127.0.0.1"), one = 1;
	struct cleat_tag t;

	check(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)) == 0 &&
		      connect_to(fd, "127.0.0.1", 9) == 0,
	      "established by TCP_REPAIR");
	check(tag_of(fd, &t) && (t.flags & CLEAT_TAG_FORGED), "  is forged");
	close(fd);
}

static void counter_check(void)
{
	struct cleat_window window;
	struct cleat_tag t;
	struct cleat_seq seq;
	struct pair p;

	check(pair_open(&p, "127.0.0.1", "127.0.0.1"), "counter and window");
	check(kern_seq_get(world.seq, p.client, &seq) == 0 && seq.last == 0 &&
		      seq.generation == 0 &&
		      kern_window_get(world.window, p.server, &window) == 0 && window.highest == 0,
	      "  are born zeroed, on both ends");
	seq.last = 5;
	seq.generation = 1;
	window.highest = 9;
	check(kern_seq_put(world.seq, p.client, &seq) == 0 &&
		      kern_window_put(world.window, p.server, &window) == 0,
	      "  are written in place");
	check(kern_seq_get(world.seq, p.client, &seq) == 0 && seq.last == 5 &&
		      kern_window_get(world.window, p.server, &window) == 0 && window.highest == 9,
	      "  and read back");
	check(kern_seq_put(world.seq_read, p.client, &seq) == -EPERM,
	      "  but not by a read-only descriptor");
	check(tag_of(p.client, &t) && kern_seq_put(world.tags, p.client, &seq) == -EPERM,
	      "  and tags not at all");
	pair_close(&p);
}

static int common_tests(void *arg)
{
	(void)arg;
	pair_check("127.0.0.1", "127.0.0.1", "v4: both ends agree");
	pair_check("::1", "::1", "v6: both ends agree");
	pair_check("127.0.0.1", "::ffff:127.0.0.1", "v4-mapped client: both ends agree");
	pair_check("::", "127.0.0.1", "v4 client of a v6 listener: both ends agree");
	fast_open_check(false);
	fast_open_check(true);
	reuse_check();
	listener_reuse_check();
	self_check();
	repair_check();
	counter_check();
	return 0;
}

int main(int argc, char **argv)
{
	bool self = argc > 1 && strcmp(argv[1], "self") == 0;
	bool full = self || (argc > 1 && strcmp(argv[1], "full") == 0);

	if (argc > 2 && strcmp(argv[1], "socket") == 0) { /* smoke_full.c's exec */
		fd_send(atoi(argv[2]), tcp_socket("127.0.0.1"));
		return 0;
	}
	setting("/proc/sys/net/ipv4/tcp_fastopen", "1027");
	if (world_open(full ? CLEAT_LEVEL_FULL : CLEAT_LEVEL_REDUCED) < 0)
		return 2;
	printf("level %u\n", world.level);
	fflush(stdout);
	if (!self)
		child("good", 0, common_tests, NULL) == 0 ? 0 : failures++;
	if (!full)
		ext_tests();
	if (full && !self)
		full_tests();
	if (full)
		self_tests();
	world_close();
	printf("%s\n", failures ? "FAILED" : "passed");
	return failures != 0;
}
