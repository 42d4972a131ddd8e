/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An actor on the stage of the VM tests: a process of some cgroup and uid that does what its director says, one
 * command a line on stdin, one JSON line back on stdout. It plays clients, services and attackers; it speaks to the
 * daemon by the raw protocol (model/request.h), so that it can also say what libcleat never would. Sockets are
 * kept under names the director chooses.
 */
#include "model/request.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 131072
#define SLOTS	       64
#define WAIT_MS	       20000

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

static struct slot {
	char name[32];
	int fd;
} slots[SLOTS];

/* ---- answers ------------------------------------------------------------------------------------------- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void fail(const char *what)
{
	say("{\"ok\":false,\"error\":\"%s: %s\",\"errno\":%d}", what, strerror(errno), errno);
}

static void say_ok(void)
{
	say("{\"ok\":true}");
}

static void put_json_string(const char *s, size_t len)
{
	putchar('"');
	for (size_t i = 0; i < len && s[i]; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void put_hex(const void *bytes, size_t len)
{
	const unsigned char *b = bytes;

	putchar('"');
	for (size_t i = 0; i < len; i++)
		printf("%02x", b[i]);
	putchar('"');
}

/* ---- names of sockets ---------------------------------------------------------------------------------- */

static struct slot *slot_find(const char *name)
{
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].name[0] && !strcmp(slots[i].name, name))
			return &slots[i];
	return NULL;
}

static int slot_fd(const char *name)
{
	struct slot *s = name ? slot_find(name) : NULL;

	return s ? s->fd : -1;
}

static void slot_set(const char *name, int fd)
{
	struct slot *s = slot_find(name);

	for (int i = 0; !s && i < SLOTS; i++)
		if (!slots[i].name[0])
			s = &slots[i];
	if (!s)
		abort();
	if (s->name[0] && s->fd != fd)
		close(s->fd);
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->fd = fd;
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

/* "10.0.0.1", "fd77::1", "::ffff:10.0.0.1", "fe80::1%eth0" and a port. */
static socklen_t address_of(const char *ip, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	char plain[64];
	const char *scope = strchr(ip, '%');

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*v4);
	}
	snprintf(plain, sizeof(plain), "%.*s", scope ? (int)(scope - ip) : (int)strlen(ip), ip);
	if (inet_pton(AF_INET6, plain, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)atoi(port));
	if (scope)
		v6->sin6_scope_id = (uint32_t)atoi(scope + 1);
	return sizeof(*v6);
}

static int wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, WAIT_MS) == 1 ? 0 : -1;
}

/* ---- plain TCP ----------------------------------------------------------------------------------------- */

static bool has(char **argv, const char *word)
{
	for (int i = 0; argv[i]; i++)
		if (!strcmp(argv[i], word))
			return true;
	return false;
}

static const char *after(char **argv, const char *word)
{
	for (int i = 0; argv[i]; i++)
		if (!strcmp(argv[i], word))
			return argv[i + 1];
	return NULL;
}

/* socket NAME 4|6 [mptcp] */
static void cmd_socket(char **a)
{
	int fd = socket(atoi(a[2]) == 6 ? AF_INET6 : AF_INET, SOCK_STREAM, has(a, "mptcp") ? 262 : IPPROTO_TCP);
	int one = 1;

	if (fd < 0)
		return fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	slot_set(a[1], fd);
	say_ok();
}

static int stream_socket(char **a, int family)
{
	int one = 1;
	int fd = slot_fd(a[1]);

	if (has(a, "reuse") && fd >= 0)
		return fd;
	fd = socket(family, SOCK_STREAM, has(a, "mptcp") ? 262 : IPPROTO_TCP);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

/* listen NAME IP PORT [device NAME] [mptcp] [tfo] [defer] [reuse] [transparent] */
static void cmd_listen(char **a)
{
	struct sockaddr_storage at;
	socklen_t len = address_of(a[2], a[3], &at);
	int fd = stream_socket(a, at.ss_family), queue = 64, secs = 5;
	const char *device = after(a, "device"); /* a VRF's */

	if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
		return fail("device");
	if (has(a, "transparent")) /* answers from addresses that are not its own */
		setsockopt(fd, SOL_IP, IP_TRANSPARENT, &(int){ 1 }, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0)
		return fail("bind");
	if (has(a, "tfo"))
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	if (has(a, "defer"))
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &secs, sizeof(secs));
	if (listen(fd, 512) < 0)
		return fail("listen");
	slot_set(a[1], fd);
	say_ok();
}

/* A socket that has not connected yet will begin with this number (as root of its network namespace). */
static int isn_choose(int fd, const char *isn)
{
	int on = 1, off = TCP_REPAIR_OFF_NO_WP, queue = TCP_SEND_QUEUE;
	uint32_t seq = (uint32_t)strtoul(isn, NULL, 10);

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq)) < 0)
		return -1;
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
}

/* connect NAME IP PORT [from IP PORT] [isn NUMBER] [mptcp] [reuse] [tfo] [tfoconnect] */
static void cmd_connect(char **a)
{
	struct sockaddr_storage to, from;
	socklen_t len = address_of(a[2], a[3], &to), from_len;
	const char *source = after(a, "from");
	int fd = stream_socket(a, to.ss_family), one = 1;

	if (fd < 0)
		return fail("socket");
	if (source) {
		int i = 0;

		while (strcmp(a[i], "from"))
			i++;
		from_len = address_of(a[i + 1], a[i + 2], &from);
		if (has(a, "transparent"))
			setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof(one));
		if (bind(fd, (struct sockaddr *)&from, from_len) < 0)
			return fail("bind");
	}
	if (has(a, "isn") && isn_choose(fd, after(a, "isn")) < 0)
		return fail("isn");
	if (has(a, "tfoconnect"))
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one));
	if (has(a, "tfo")) {
		if (sendto(fd, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&to, len) < 0)
			return fail("sendto");
	} else if (connect(fd, (struct sockaddr *)&to, len) < 0) {
		int saved = errno;

		if (slot_fd(a[1]) != fd)
			close(fd);
		errno = saved;
		return fail("connect");
	}
	slot_set(a[1], fd);
	say_ok();
}

/* accept NAME LISTENER */
static void cmd_accept(char **a)
{
	int fd;

	if (wait_for(slot_fd(a[2]), POLLIN) < 0)
		return fail("wait");
	fd = accept4(slot_fd(a[2]), NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return fail("accept");
	slot_set(a[1], fd);
	say_ok();
}

/* unspec NAME: connect(AF_UNSPEC) */
static void cmd_unspec(char **a)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };

	if (connect(slot_fd(a[1]), &sa, sizeof(sa)) < 0)
		return fail("connect");
	say_ok();
}

static void cmd_close(char **a)
{
	struct slot *s = slot_find(a[1]);

	if (!s)
		return fail("close");
	close(s->fd);
	s->name[0] = 0;
	say_ok();
}

/* reset NAME: close with RST, so that no TIME_WAIT stays */
static void cmd_reset(char **a)
{
	struct linger hard = { 1, 0 };

	setsockopt(slot_fd(a[1]), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	cmd_close(a);
}

/* shutdown NAME */
static void cmd_shutdown(char **a)
{
	if (shutdown(slot_fd(a[1]), SHUT_WR) < 0)
		return fail("shutdown");
	say_ok();
}

/* send NAME TEXT */
static void cmd_send(char **a)
{
	ssize_t n = send(slot_fd(a[1]), a[2], strlen(a[2]), MSG_NOSIGNAL);

	if (n < 0)
		return fail("send");
	say("{\"ok\":true,\"n\":%zd}", n);
}

/* pour NAME BYTES: that many zeros, from a file without blocks; then closes */
static void cmd_pour(char **a)
{
	unsigned long long left = strtoull(a[2], NULL, 10);
	struct slot *s = slot_find(a[1]);
	int hole = memfd_create("hole", MFD_CLOEXEC);
	ssize_t n = 0;

	if (!s || hole < 0 || ftruncate(hole, 64 << 20) < 0)
		return fail("pour");
	while (left && n >= 0) {
		off_t from = 0;

		n = sendfile(s->fd, hole, &from, left < (64 << 20) ? left : 64 << 20);
		left -= n > 0 ? (unsigned long long)n : 0;
	}
	close(hole);
	if (n < 0)
		return fail("sendfile");
	cmd_close(a);
}

/* recv NAME */
static void cmd_recv(char **a)
{
	static char bytes[65536];
	ssize_t n;

	if (wait_for(slot_fd(a[1]), POLLIN) < 0)
		return fail("wait");
	n = recv(slot_fd(a[1]), bytes, sizeof(bytes) - 1, 0);
	if (n < 0)
		return fail("recv");
	printf("{\"ok\":true,\"n\":%zd,\"text\":", n);
	put_json_string(bytes, (size_t)n);
	say("}");
}

/* names NAME: both endpoints and the cookie */
static void cmd_names(char **a)
{
	struct sockaddr_storage l, r;
	socklen_t ll = sizeof(l), rl = sizeof(r), cl = 8;
	char lip[64] = "", rip[64] = "";
	unsigned long long cookie = 0;
	int fd = slot_fd(a[1]);

	if (getsockname(fd, (struct sockaddr *)&l, &ll) < 0 || getpeername(fd, (struct sockaddr *)&r, &rl) < 0)
		return fail("names");
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cl);
	inet_ntop(l.ss_family, l.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&l)->sin_addr
						       : (void *)&((struct sockaddr_in6 *)&l)->sin6_addr, lip, sizeof(lip));
	inet_ntop(r.ss_family, r.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&r)->sin_addr
						       : (void *)&((struct sockaddr_in6 *)&r)->sin6_addr, rip, sizeof(rip));
	say("{\"ok\":true,\"local\":\"%s\",\"lport\":%d,\"remote\":\"%s\",\"rport\":%d,\"cookie\":%llu}", lip,
	    ntohs(((struct sockaddr_in *)&l)->sin_port), rip, ntohs(((struct sockaddr_in *)&r)->sin_port), cookie);
}

/* setsockopt NAME LEVEL OPT INT */
static void cmd_setsockopt(char **a)
{
	int v = atoi(a[4]);

	if (setsockopt(slot_fd(a[1]), atoi(a[2]), atoi(a[3]), &v, sizeof(v)) < 0)
		return fail("setsockopt");
	say_ok();
}

/* ---- the daemon's API ----------------------------------------------------------------------------------- */

static int api_open(const char *door)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *dir = getenv("CLEAT_RUNTIME_DIR");
	struct timeval limit = { 20, 0 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s.sock", dir ? dir : "/run/cleat", door);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int api_send(int api, const void *bytes, size_t len, const int *fds, size_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(int) * fd_count);
	}
	return sendmsg(api, &m, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* The standing API connection of a name, or a fresh one closed afterwards. */
static int api_of(char **a, const char *door, bool *ret_fresh)
{
	const char *name = after(a, "via");

	*ret_fresh = !name;
	return name ? slot_fd(name) : api_open(door);
}

static void put_head(const struct cleat_answer_head *h)
{
	printf("{\"ok\":%s,\"reason\":", h->reason == 1 ? "true" : "false");
	put_json_string(h->word, sizeof(h->word));
	printf(",\"generation\":%u,\"detail\":", h->policy_generation);
	put_json_string(h->detail, sizeof(h->detail));
}

/* Exchanges one message; 0 and *ret_len, or says the failure itself. */
static int exchange(char **a, const char *door, const void *ask, size_t len, int sock, void *answer, size_t cap,
		    size_t *ret_len)
{
	bool fresh;
	int api = api_of(a, door, &fresh);
	ssize_t n;

	if (api < 0) {
		fail("api");
		return -1;
	}
	if (api_send(api, ask, len, &sock, sock >= 0 ? 1 : 0) < 0) {
		fail("ask");
		if (fresh)
			close(api);
		return -1;
	}
	n = recv(api, answer, cap, 0);
	if (fresh)
		close(api);
	if (n <= 0) {
		if (n == 0)
			errno = ECONNRESET;
		fail("answer");
		return -1;
	}
	*ret_len = (size_t)n;
	return 0;
}

static void put_socket(const struct cleat_answer_socket *s)
{
	char c[64], v[64];

	inet_ntop(AF_INET6, s->client_addr, c, sizeof(c));
	inet_ntop(AF_INET6, s->server_addr, v, sizeof(v));
	printf(",\"client\":\"%s\",\"cport\":%u,\"server\":\"%s\",\"sport\":%u,\"role\":%u,\"age_ms\":%llu,\"own_level\":%u,\"flags\":%u",
	       c, s->client_port, v, s->server_port, s->role, (unsigned long long)s->age_ms, s->level, s->flags);
}

/* sign NAME AUDIENCE [via API] */
static void cmd_sign(char **a)
{
	static char answer[sizeof(struct cleat_answer_sign) + 2 * CLEAT_ASK_TOKEN_MAX];
	const struct cleat_answer_sign *s = (const void *)answer;
	struct cleat_ask_sign ask = { .head = { CLEAT_PROTOCOL, CLEAT_ASK_SIGN, 7 } };
	size_t len;

	ask.audience_len = (uint32_t)strnlen(a[2], sizeof(ask.audience));
	memcpy(ask.audience, a[2], ask.audience_len);
	if (exchange(a, "sign", &ask, sizeof(ask), slot_fd(a[1]), answer, sizeof(answer), &len) < 0)
		return;
	put_head(&s->head);
	if (s->head.reason == 1)
		printf(",\"wit\":\"%.*s\",\"wpt\":\"%.*s\",\"expires\":%lld", (int)s->wit_len,
		       answer + sizeof(*s), (int)s->wpt_len, answer + sizeof(*s) + s->wit_len, (long long)s->expires);
	say("}");
}

static void put_verdict(const struct cleat_answer_verify *v)
{
	put_head(&v->head);
	if (v->head.reason == 1) {
		printf(",\"subject\":");
		put_json_string(v->subject, sizeof(v->subject));
		printf(",\"issuer\":");
		put_json_string(v->issuer, sizeof(v->issuer));
		printf(",\"level\":%u,\"seq\":%llu,\"age_ms\":%lld", v->level, (unsigned long long)v->seq,
		       (long long)v->age_ms);
		put_socket(&v->socket);
	}
	say("}");
}

/* verify NAME client|server WIT WPT [via API] */
static void cmd_verify(char **a)
{
	static char ask_bytes[sizeof(struct cleat_ask_verify) + LINE_MAX_BYTES];
	struct cleat_ask_verify *ask = (void *)ask_bytes;
	struct cleat_answer_verify v;
	size_t wit = strlen(a[3]), wpt = strlen(a[4]), len;

	memset(ask, 0, sizeof(*ask));
	ask->head = (struct cleat_ask_head){ CLEAT_PROTOCOL, CLEAT_ASK_VERIFY, 7 };
	ask->expect_role = !strcmp(a[2], "client") ? 1 : 2;
	ask->wit_len = (uint32_t)wit;
	ask->wpt_len = (uint32_t)wpt;
	memcpy(ask + 1, a[3], wit);
	memcpy((char *)(ask + 1) + wit, a[4], wpt);
	if (exchange(a, "check", ask, sizeof(*ask) + wit + wpt, slot_fd(a[1]), &v, sizeof(v), &len) < 0)
		return;
	put_verdict(&v);
}

static void cmd_whoami(char **a)
{
	struct cleat_ask_whoami ask = { .head = { CLEAT_PROTOCOL, CLEAT_ASK_WHOAMI, 7 } };
	struct cleat_answer_whoami w;
	size_t len;

	if (exchange(a, "sign", &ask, sizeof(ask), -1, &w, sizeof(w), &len) < 0)
		return;
	put_head(&w.head);
	printf(",\"label\":%u,\"level\":%u,\"pid\":%u,\"uid\":%u,\"id\":", w.label, w.level, w.pid, w.uid);
	put_json_string(w.id, sizeof(w.id));
	say("}");
}

/* whois NAME */
static void cmd_whois(char **a)
{
	struct cleat_ask_whois ask = { .head = { CLEAT_PROTOCOL, CLEAT_ASK_WHOIS, 7 } };
	struct cleat_answer_whois w;
	size_t len;

	if (exchange(a, "check", &ask, sizeof(ask), slot_fd(a[1]), &w, sizeof(w), &len) < 0)
		return;
	put_head(&w.head);
	put_socket(&w.socket);
	printf(",\"peer_known\":%u,\"owner\":", w.peer_known);
	put_json_string(w.owner, sizeof(w.owner));
	printf(",\"subject\":");
	put_json_string(w.subject, sizeof(w.subject));
	say("}");
}

/* api NAME sign|check: a standing API connection */
static void cmd_api(char **a)
{
	int fd = api_open(a[2]);

	if (fd < 0)
		return fail("api");
	slot_set(a[1], fd);
	say_ok();
}

/* ask API HEX [NAME...]: raw bytes and any number of descriptors on a standing API connection; the answer's bytes */
static void cmd_ask(char **a)
{
	static unsigned char bytes[LINE_MAX_BYTES / 2], answer[65536];
	size_t len = strcmp(a[2], "-") ? strlen(a[2]) / 2 : 0, n = 0;
	int fds[253];
	ssize_t got;

	for (size_t i = 0; i < len; i++)
		if (sscanf(a[2] + 2 * i, "%2hhx", &bytes[i]) != 1)
			return fail("hex");
	for (char **f = a + 3; *f && n < 253; f++)
		fds[n++] = slot_fd(*f);
	if (api_send(slot_fd(a[1]), bytes, len, fds, n) < 0)
		return fail("ask");
	got = recv(slot_fd(a[1]), answer, sizeof(answer), 0);
	if (got <= 0) {
		if (!got)
			errno = ECONNRESET;
		return fail("answer");
	}
	if ((size_t)got >= sizeof(struct cleat_answer_head))
		put_head((const void *)answer);
	else
		printf("{\"ok\":false");
	printf(",\"hex\":");
	put_hex(answer, (size_t)got);
	say("}");
}

/* ---- handing sockets over -------------------------------------------------------------------------------- */

static struct sockaddr_un abstract_name(const char *name, socklen_t *ret_len)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "cleat-test-%s", name);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(un.sun_path + 1));
	return un;
}

/* mailbox BOX: a place where others of this network namespace may send descriptors to */
static void cmd_mailbox(char **a)
{
	socklen_t len;
	struct sockaddr_un un = abstract_name(a[1], &len);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&un, len) < 0)
		return fail("mailbox");
	slot_set(a[1], fd);
	say_ok();
}

/* sendfd NAME BOX */
static void cmd_sendfd(char **a)
{
	socklen_t len;
	struct sockaddr_un un = abstract_name(a[2], &len);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), sock = slot_fd(a[1]), rc;

	if (fd < 0 || connect(fd, (struct sockaddr *)&un, len) < 0)
		return fail("sendfd");
	rc = api_send(fd, "x", 1, &sock, 1);
	close(fd);
	if (rc < 0)
		return fail("sendfd");
	say_ok();
}

/* recvfd NAME BOX */
static void cmd_recvfd(char **a)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	int fd;

	if (wait_for(slot_fd(a[2]), POLLIN) < 0 || recvmsg(slot_fd(a[2]), &m, MSG_CMSG_CLOEXEC) < 0)
		return fail("recvfd");
	if (!CMSG_FIRSTHDR(&m) || CMSG_FIRSTHDR(&m)->cmsg_type != SCM_RIGHTS) {
		errno = EBADMSG;
		return fail("recvfd");
	}
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	slot_set(a[1], fd);
	say_ok();
}

/* getfd NAME PID FD: pidfd_getfd */
static void cmd_getfd(char **a)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(a[2]), 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, atoi(a[3]), 0);

	if (fd < 0)
		return fail("pidfd_getfd");
	slot_set(a[1], fd);
	say_ok();
}

/* fdnum NAME: the descriptor's number, for getfd and exec */
static void cmd_fdnum(char **a)
{
	say("{\"ok\":true,\"fd\":%d,\"pid\":%d}", slot_fd(a[1]), getpid());
}

/* ---- processes ------------------------------------------------------------------------------------------- */

static struct child {
	char name[32];
	pid_t pid;
	FILE *to;
	FILE *from;
} children[16];

/* fork CHILD: another actor with the same sockets; say to it by "@CHILD command..." */
static void cmd_fork(char **a)
{
	int to[2], from[2];
	struct child *c = children;
	pid_t pid;

	while (c < children + 15 && c->name[0])
		c++;
	if (pipe(to) < 0 || pipe(from) < 0 || (pid = fork()) < 0)
		return fail("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		memset(children, 0, sizeof(children));
		clearerr(stdin);
		setvbuf(stdin, NULL, _IONBF, 0);
		return;
	}
	close(to[0]);
	close(from[1]);
	snprintf(c->name, sizeof(c->name), "%s", a[1]);
	c->pid = pid;
	c->to = fdopen(to[1], "w");
	c->from = fdopen(from[0], "r");
	say("{\"ok\":true,\"pid\":%d}", pid);
}

static void relay(const char *name, const char *rest)
{
	static char line[LINE_MAX_BYTES];

	for (struct child *c = children; c < children + 16; c++) {
		if (strcmp(c->name, name))
			continue;
		fprintf(c->to, "%s\n", rest);
		fflush(c->to);
		if (!fgets(line, sizeof(line), c->from)) {
			errno = EPIPE;
			return fail("child");
		}
		line[strcspn(line, "\n")] = 0;
		return say("%s", line);
	}
	errno = ESRCH;
	fail("child");
}

/* exec PROGRAM [ARG...]: becomes another program; descriptors without CLOEXEC stay */
static void cmd_exec(char **a)
{
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].name[0])
			fcntl(slots[i].fd, F_SETFD, 0);
	execv(a[1], a + 1);
	fail("exec");
}

/* adopt NAME FD: takes an inherited descriptor (after exec) under a name */
static void cmd_adopt(char **a)
{
	slot_set(a[1], atoi(a[2]));
	say_ok();
}

/* setuid UID */
static void cmd_setuid(char **a)
{
	uid_t uid = (uid_t)atoi(a[1]);

	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return fail("setuid");
	say_ok();
}

/* join CGROUPDIR: moves itself (as root, or where it owns the directory) */
static void cmd_join(char **a)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", a[1]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		int saved = errno;

		if (fd >= 0)
			close(fd);
		errno = saved;
		return fail("join");
	}
	close(fd);
	say_ok();
}

/* attach PID: PTRACE_ATTACH */
static void cmd_attach(char **a)
{
	pid_t pid = atoi(a[1]);

	if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0)
		return fail("ptrace");
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, pid, 0, 0);
	say_ok();
}

static void cmd_pid(char **a)
{
	(void)a;
	say("{\"ok\":true,\"pid\":%d,\"uid\":%d}", getpid(), geteuid());
}

/* ---- forging --------------------------------------------------------------------------------------------- */

/* unshare: own user and network namespace, root there, loopback up, and ADDR... on it */
static void cmd_unshare(char **a)
{
	struct { struct { const char *path, *text; } map[3]; } files;
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %d 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %d 1", getegid());
	files.map[0].path = "/proc/self/setgroups", files.map[0].text = "deny";
	files.map[1].path = "/proc/self/uid_map", files.map[1].text = uid;
	files.map[2].path = "/proc/self/gid_map", files.map[2].text = gid;
	(void)a;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return fail("unshare");
	for (int i = 0; i < 3; i++) {
		int fd = open(files.map[i].path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, files.map[i].text, strlen(files.map[i].text)) < 0)
			return fail(files.map[i].path);
		close(fd);
	}
	if (system("ip link set lo up") != 0)
		return fail("ip");
	say_ok();
}

/* repair NAME LOCALIP LPORT REMOTEIP RPORT SND_ISN RCV_ISN: an established socket without a packet */
static void cmd_repair(char **a)
{
	struct sockaddr_storage local, remote;
	socklen_t ll = address_of(a[2], a[3], &local), rl = address_of(a[4], a[5], &remote);
	int fd = socket(local.ss_family, SOCK_STREAM, IPPROTO_TCP);
	int on = 1, off = TCP_REPAIR_OFF_NO_WP, one = 1, queue; /* no window probe: its RST would end it */
	uint32_t isn[2] = { (uint32_t)strtoul(a[6], NULL, 10), (uint32_t)strtoul(a[7], NULL, 10) };

	setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof(one));
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0)
		return fail("TCP_REPAIR");
	for (int i = 0; i < 2; i++) {
		uint32_t seq = isn[i] + 1;

		queue = i == 0 ? TCP_SEND_QUEUE : TCP_RECV_QUEUE;
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue));
		setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq));
	}
	if (bind(fd, (struct sockaddr *)&local, ll) < 0)
		return fail("bind");
	if (connect(fd, (struct sockaddr *)&remote, rl) < 0)
		return fail("connect");
	if (!has(a, "keep"))
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
	slot_set(a[1], fd);
	say_ok();
}

/* md5fill NAME: TCP_MD5SIG keys until optmem is exhausted */
static void cmd_md5fill(char **a)
{
	int fd = slot_fd(a[1]), n = 0;

	for (; n < 4096; n++) {
		struct tcp_md5sig md5 = { .tcpm_keylen = 4, .tcpm_key = "key" };
		struct sockaddr_in *to = (struct sockaddr_in *)&md5.tcpm_addr;

		to->sin_family = AF_INET;
		to->sin_addr.s_addr = htonl(0xc6120000u + (uint32_t)n);
		if (setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof(md5)) < 0)
			break;
	}
	say("{\"ok\":true,\"keys\":%d}", n);
}

/* ---- watching the wire ------------------------------------------------------------------------------------ */

/* sniff NAME IFACE: an AF_PACKET socket that sees every packet from now on */
static void cmd_sniff(char **a)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)), size = 8 << 20;

	at.sll_ifindex = (int)if_nametoindex(a[2]);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return fail("sniff");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	slot_set(a[1], fd);
	say_ok();
}

/* isns NAME CLIENTPORT SERVERPORT: sequence numbers of the latest SYN and SYN-ACK between these ports */
static void cmd_isns(char **a)
{
	unsigned char p[2048];
	uint32_t isn[2] = { 0, 0 };
	bool seen[2] = { false, false };
	uint16_t port[2] = { (uint16_t)atoi(a[2]), (uint16_t)atoi(a[3]) };
	ssize_t n;

	while ((n = recv(slot_fd(a[1]), p, sizeof(p), 0)) > 0) {
		bool v6 = p[12] == 0x86 && p[13] == 0xdd;
		size_t at = 14 + (v6 ? 40 : (size_t)(p[14] & 15) * 4);
		const unsigned char *t = p + at;
		uint16_t from, to;
		int side;

		if (n < (ssize_t)at + 20 || p[14 + (v6 ? 6 : 9)] != IPPROTO_TCP || !(t[13] & 2))
			continue;
		from = (uint16_t)(t[0] << 8 | t[1]);
		to = (uint16_t)(t[2] << 8 | t[3]);
		side = t[13] & 0x10 ? 1 : 0;
		if (from != port[side] || to != port[!side])
			continue;
		seen[side] = true;
		isn[side] = (uint32_t)t[4] << 24 | (uint32_t)t[5] << 16 | (uint32_t)t[6] << 8 | t[7];
	}
	if (!seen[0] || !seen[1]) {
		errno = ENODATA;
		return fail("isns");
	}
	say("{\"ok\":true,\"client_isn\":%u,\"server_isn\":%u}", isn[0], isn[1]);
}

/* ---- checkpoint and restore --------------------------------------------------------------------------------- */

static struct dumped {
	struct sockaddr_storage local, remote;
	socklen_t local_len, remote_len;
	uint32_t seq[2]; /* of what was sent, of what was received */
	struct tcp_repair_window window;
	struct tcp_info info;
	uint32_t mss, timestamp;
} dumped;

static const int repair_queues[2] = { TCP_SEND_QUEUE, TCP_RECV_QUEUE };

/* dump NAME: what criu takes of an idle connection; it goes with its last descriptor then, without a packet */
static void cmd_dump(char **a)
{
	int fd = slot_fd(a[1]), on = 1, rc = 0;
	struct dumped *d = &dumped;
	socklen_t len = sizeof(d->info), word = sizeof(uint32_t), window = sizeof(d->window);

	d->local_len = sizeof(d->local);
	d->remote_len = sizeof(d->remote);
	rc |= getsockname(fd, (struct sockaddr *)&d->local, &d->local_len);
	rc |= getpeername(fd, (struct sockaddr *)&d->remote, &d->remote_len);
	rc |= getsockopt(fd, IPPROTO_TCP, TCP_INFO, &d->info, &len);
	rc |= getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &d->mss, &word);
	rc |= setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
	rc |= getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &d->timestamp, &word);
	for (int i = 0; i < 2; i++) {
		rc |= setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &repair_queues[i], sizeof(int));
		rc |= getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &d->seq[i], &word);
	}
	rc |= getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &d->window, &window);
	if (rc)
		return fail("dump");
	cmd_close(a);
}

static int options_restore(int fd, const struct dumped *d)
{
	struct tcp_repair_opt opts[4] = { { TCPOPT_MAXSEG, d->mss } };
	int count = 1;

	if (d->info.tcpi_options & TCPI_OPT_WSCALE)
		opts[count++] = (struct tcp_repair_opt){
			TCPOPT_WINDOW, d->info.tcpi_snd_wscale | (uint32_t)d->info.tcpi_rcv_wscale << 16
		};
	if (d->info.tcpi_options & TCPI_OPT_SACK)
		opts[count++].opt_code = TCPOPT_SACK_PERMITTED;
	if (d->info.tcpi_options & TCPI_OPT_TIMESTAMPS)
		opts[count++].opt_code = TCPOPT_TIMESTAMP;
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opts, (socklen_t)(sizeof(opts[0]) * (size_t)count));
}

/* restore NAME: the dumped connection goes on in this process */
static void cmd_restore(char **a)
{
	const struct dumped *d = &dumped;
	int fd = socket(d->local.ss_family, SOCK_STREAM, IPPROTO_TCP);
	int on = 1, off = TCP_REPAIR_OFF_NO_WP, rc = 0;

	rc |= setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	rc |= setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
	for (int i = 0; i < 2; i++) {
		rc |= setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &repair_queues[i], sizeof(int));
		rc |= setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &d->seq[i], sizeof(d->seq[i]));
	}
	if (rc || bind(fd, (const struct sockaddr *)&d->local, d->local_len) < 0 ||
	    connect(fd, (const struct sockaddr *)&d->remote, d->remote_len) < 0 || options_restore(fd, d) < 0)
		return fail("restore");
	rc |= setsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &d->timestamp, sizeof(d->timestamp));
	rc |= setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &d->window, sizeof(d->window));
	rc |= setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
	if (rc)
		return fail("restore");
	slot_set(a[1], fd);
	say_ok();
}

/* ---- where and as whom, in odd ways ------------------------------------------------------------------------ */

/* deputy NAME PROGRAM [ARG...]: a child that has the socket as its output and its errors, until it ends */
static void cmd_deputy(char **a)
{
	int fd = slot_fd(a[1]), status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int none = open("/dev/null", O_RDONLY | O_CLOEXEC);

		dup2(none, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		execv(a[2], a + 2);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return fail("deputy");
	say("{\"ok\":true,\"status\":%d}", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

/* waiting NAME: how many bytes could be read now; 0 is also the end */
static void cmd_waiting(char **a)
{
	char bytes[4096];
	ssize_t n = recv(slot_fd(a[1]), bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK);

	if (n < 0)
		return fail("waiting");
	say("{\"ok\":true,\"n\":%zd}", n);
}

/* userns [INSIDE]: a user and cgroup namespace of its own, its uid called INSIDE there, or not mapped */
static void cmd_userns(char **a)
{
	unsigned inside = a[1] ? (unsigned)strtoul(a[1], NULL, 10) : 0;
	unsigned outside = geteuid();
	FILE *f = NULL;

	if (unshare(CLONE_NEWUSER) < 0 || unshare(CLONE_NEWCGROUP) < 0)
		return fail("unshare");
	if (a[1]) {
		f = fopen("/proc/self/uid_map", "we");
		if (!f || fprintf(f, "%u %u 1", inside, outside) < 0 || fclose(f) != 0)
			return fail("uid_map");
	}
	say("{\"ok\":true,\"uid\":%u}", geteuid());
}

static void obey_all(void);

static void *obey_as_thread(void *none)
{
	(void)none;
	say("{\"ok\":true,\"tid\":%d}", (int)syscall(SYS_gettid));
	obey_all();
	exit(0);
}

/* thread: from here on a second thread does what is said, and the first one only waits */
static void cmd_thread(char **a)
{
	pthread_t thread;

	(void)a;
	errno = pthread_create(&thread, NULL, obey_as_thread, NULL);
	if (errno)
		return fail("thread");
	pthread_join(thread, NULL);
}

/* flood COUNT: so many sockets that try TCP_REPAIR, each of which the kernel side tells the daemon */
static void cmd_flood(char **a)
{
	int on = 1;

	for (int i = atoi(a[1]); i > 0; i--) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return fail("flood");
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
		close(fd);
	}
	say_ok();
}

/* slew PPM TICK: how fast the kernel lets the clock run: parts in a million, microseconds a tick (10000) */
static void cmd_slew(char **a)
{
	struct timex t = { .modes = ADJ_FREQUENCY | ADJ_TICK, .freq = atol(a[1]) * 65536, .tick = atol(a[2]) };

	if (adjtimex(&t) < 0)
		return fail("adjtimex");
	say("{\"ok\":true,\"ppm\":%ld,\"tick\":%ld}", t.freq / 65536, t.tick);
}

/* ---- the table of commands -------------------------------------------------------------------------------- */

static const struct command {
	const char *name;
	int least; /* words, with the command */
	void (*run)(char **argv);
} commands[] = {
	{ "socket", 3, cmd_socket },   { "listen", 4, cmd_listen },	  { "connect", 4, cmd_connect },
	{ "accept", 3, cmd_accept },   { "unspec", 2, cmd_unspec },	  { "close", 2, cmd_close },
	{ "reset", 2, cmd_reset },     { "shutdown", 2, cmd_shutdown },	  { "send", 3, cmd_send },
	{ "recv", 2, cmd_recv },       { "names", 2, cmd_names },	  { "setsockopt", 5, cmd_setsockopt },
	{ "sign", 3, cmd_sign },       { "verify", 5, cmd_verify },	  { "whoami", 1, cmd_whoami },
	{ "whois", 2, cmd_whois },     { "api", 3, cmd_api },		  { "ask", 3, cmd_ask },
	{ "mailbox", 2, cmd_mailbox }, { "sendfd", 3, cmd_sendfd },	  { "recvfd", 3, cmd_recvfd },
	{ "getfd", 4, cmd_getfd },     { "fdnum", 2, cmd_fdnum },	  { "fork", 2, cmd_fork },
	{ "exec", 2, cmd_exec },       { "adopt", 3, cmd_adopt },	  { "setuid", 2, cmd_setuid },
	{ "join", 2, cmd_join },       { "attach", 2, cmd_attach },	  { "pid", 1, cmd_pid },
	{ "sniff", 3, cmd_sniff },     { "isns", 4, cmd_isns },	  { "pour", 3, cmd_pour },
	{ "unshare", 1, cmd_unshare }, { "repair", 8, cmd_repair },	  { "md5fill", 2, cmd_md5fill },
	{ "dump", 2, cmd_dump },       { "restore", 2, cmd_restore },	  { "deputy", 3, cmd_deputy },
	{ "waiting", 2, cmd_waiting }, { "userns", 1, cmd_userns },	  { "thread", 1, cmd_thread },
	{ "flood", 2, cmd_flood },     { "slew", 3, cmd_slew },
};

static void obey(char *line)
{
	char *argv[300], *save = NULL;
	int argc = 0;

	if (line[0] == '@') {
		char *rest = strchr(line, ' ');

		if (rest)
			*rest++ = 0;
		return relay(line + 1, rest ? rest : "");
	}
	for (char *w = strtok_r(line, " ", &save); w && argc < 299; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	for (size_t i = 0; argc && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[0], commands[i].name) && argc >= commands[i].least)
			return commands[i].run(argv);
	errno = EINVAL;
	fail("command");
}

/* --netns NAME --cgroup /PATH --uid UID --gid GID: where and as whom it plays; in this order, as root. */
static void take_place(char **argv)
{
	const char *netns = after(argv, "--netns"), *cgroup = after(argv, "--cgroup");
	const char *uid = after(argv, "--uid"), *gid = after(argv, "--gid");
	const char *base = getenv("CLEAT_TEST_CGROUPS"); /* where the cgroups stand, when not in a guest */
	char path[512];
	FILE *f;
	int fd;

	if (netns) {
		snprintf(path, sizeof(path), "/run/netns/%s", netns);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
			exit(3);
		close(fd);
	}
	if (cgroup) {
		snprintf(path, sizeof(path), "%s%s/cgroup.procs", base ? base : "/sys/fs/cgroup", cgroup);
		f = fopen(path, "we");
		if (!f || fputs("0", f) < 0 || fclose(f) != 0)
			exit(4);
	}
	if (!uid)
		return;
	gid = gid ? gid : uid;
	if (setgroups(0, NULL) < 0 || setresgid((gid_t)atoi(gid), (gid_t)atoi(gid), (gid_t)atoi(gid)) < 0 ||
	    setresuid((uid_t)atoi(uid), (uid_t)atoi(uid), (uid_t)atoi(uid)) < 0)
		exit(5);
	prctl(PR_SET_DUMPABLE, 1);
}

static void obey_all(void)
{
	static char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		obey(line);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	take_place(argv);
	if (has(argv, "--again")) /* a fresh program of the same place: its instance begins after the move */
		execv("/proc/self/exe", (char *[]){ (char *)(uintptr_t) "actor", NULL });
	setvbuf(stdin, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	obey_all();
	return 0;
}
