/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door against clients that break every rule (attacks.md 109 to 117, 120, 121, 125): each gets one answer, every
 * descriptor it passed is closed, and an honest client beside it is served as before.
 */
#include "room/door.h"

#include "../stalling.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/un.h>
#include <sys/resource.h>
#include <time.h>

#define CONNECTIONS 32

static struct loop *loop;
static char dir[] = "/tmp/door-XXXXXX";
static struct sockaddr_un at = { .sun_family = AF_UNIX };
static bool sender_is_other, caller_is_dead;
static enum reason known = REASON_OK; /* who connects, from now on, and of which workload */
static uint32_t label;
static atomic_int end_of_it = -1; /* its pidfd, as at level reduced */

/* ---- a room that says yes to everything well-formed ---- */

bool caller_sent(const struct caller *c, const struct ucred *sender)
{
	(void)c;
	(void)sender;
	return !sender_is_other;
}

bool caller_alive(const struct caller *c)
{
	(void)c;
	return !caller_is_dead;
}

static void identify(void *room, int fd, struct caller *ret)
{
	(void)room;
	(void)fd;
	*ret = (struct caller){
		.pidfd = atomic_exchange(&end_of_it, -1),
		.reason = known,
		.who = known,
		.tag.owner = { .uid = 1, .label = label },
	};
}

static enum reason refuse(void *room, const struct door_call *call, enum reason reason,
			  const char *detail, struct door_answer *answer)
{
	(void)room;
	(void)call;
	answer->detail = detail;
	return reason;
}

static enum reason serve(void *room, const struct door_call *call, struct door_answer *answer)
{
	const struct cleat_ask_verify *m = call->ask;
	struct cleat_answer_sign *body = answer->body;

	(void)room;
	body->wit_len = 7;
	if (call->len > sizeof(*m)) { /* a room that fills its answer and then refuses */
		answer->tail[0] = (struct iovec){ (char[]){ "secret" }, 6 };
		answer->tails = 1;
		return REASON_POLICY;
	}
	return REASON_OK;
}

static const struct door_entry entries[] = {
	{ CLEAT_ASK_WHOAMI, "whoami", sizeof(struct cleat_ask_whoami),
	  sizeof(struct cleat_answer_whoami), false, false, serve },
	{ CLEAT_ASK_VERIFY, "verify", sizeof(struct cleat_ask_verify),
	  sizeof(struct cleat_answer_sign), true, true, serve },
};
static const struct door_room room = { entries, 2, NULL, identify, refuse, NULL, false };
static struct reaper *reaper;
static struct door *door;
static pthread_t thread;
static struct loop_source ending;

static void flush(void *ctx)
{
	(void)ctx;
	if (door)
		door_round(door);
}

static void *run(void *arg)
{
	(void)arg;
	loop_run(loop, flush, NULL);
	return NULL;
}

static void on_ending(struct loop_source *s, uint32_t events)
{
	(void)s;
	(void)events;
	loop_end(loop, 0);
}

static void start(void)
{
	struct rlimit files;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	cr_assert(mkdtemp(dir));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", dir);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int));
	cr_assert_eq(listen(fd, 64), 0);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(reaper_start(&reaper), 0);
	cr_assert_eq(door_open(loop, reaper, fd, 4 * CONNECTIONS, &room, &door), 0);
	ending = (struct loop_source){ eventfd(0, EFD_CLOEXEC), on_ending, NULL };
	cr_assert_eq(loop_add(loop, &ending, EPOLLIN), 0);
	pthread_create(&thread, NULL, run, NULL);
}

static void stop(void)
{
	uint64_t one = 1;

	cr_assert_eq(write(ending.fd, &one, sizeof(one)), sizeof(one));
	pthread_join(thread, NULL);
	door_close(door);
	loop_free(loop);
	unlink(at.sun_path);
	rmdir(dir);
}

TestSuite(door, .init = start, .fini = stop, .timeout = 60);

/* ---- clients ---- */

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 10 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static ssize_t send_fds(int fd, const void *bytes, size_t len, const int *fds, unsigned count)
{
	static char control[CMSG_SPACE(253 * sizeof(int))];
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void send_with(int fd, const void *bytes, size_t len, const int *fds, unsigned count)
{
	cr_assert_eq(send_fds(fd, bytes, len, fds, count), (ssize_t)len, "%s", strerror(errno));
}

/* The same to a door that may have refused the connection by now. */
static void send_told(int fd, const void *bytes, size_t len, const int *fds, unsigned count)
{
	ssize_t n = send_fds(fd, bytes, len, fds, count);

	cr_assert(n == (ssize_t)len || errno == EPIPE, "%s", strerror(errno));
}

static struct cleat_answer_whoami answer;

static ssize_t receive(int fd)
{
	memset(&answer, 0xa5, sizeof(answer));
	return recv(fd, &answer, sizeof(answer), 0);
}

static struct cleat_ask_head head(uint32_t type, uint64_t serial)
{
	return (struct cleat_ask_head){ CLEAT_PROTOCOL, type, serial };
}

static void honest(int fd, uint64_t serial)
{
	struct cleat_ask_head h = head(CLEAT_ASK_WHOAMI, serial);

	send_with(fd, &h, sizeof(h), NULL, 0);
	cr_assert_eq(receive(fd), sizeof(answer));
	cr_assert_str_eq(answer.head.word, "ok");
	cr_assert_eq(answer.head.serial, serial);
	cr_assert_eq(answer.head.type, CLEAT_ASK_WHOAMI);
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Waits until no more than @n are open: the reaper is another thread. */
static void fds_back_to(unsigned n)
{
	for (int i = 0; i < 5000 && open_fds() > n; i++)
		poll(NULL, 0, 1);
	cr_assert_leq(open_fds(), n);
}

/* ---- the form ---- */

Test(door, form)
{
	static const struct {
		const char *what;
		struct cleat_ask_head head;
		size_t len;
		unsigned fds;
		const char *word;
		size_t answer_len;
	} rows[] = {
		{ "good",
		  { 1, CLEAT_ASK_VERIFY, 5 },
		  96,
		  1,
		  "ok",
		  sizeof(struct cleat_answer_sign) },
		{ "refused by the room",
		  { 1, CLEAT_ASK_VERIFY, 5 },
		  97,
		  1,
		  "policy",
		  sizeof(struct cleat_answer_sign) },
		{ "protocol 0", { 0, CLEAT_ASK_VERIFY, 5 }, 96, 1, "malformed", 248 },
		{ "protocol 2", { 2, CLEAT_ASK_VERIFY, 5 }, 96, 1, "malformed", 248 },
		{ "unknown type", { 1, 9, 5 }, 96, 1, "malformed", 248 },
		{ "type of the other door", { 1, CLEAT_ASK_SIGN, 5 }, 2136, 1, "malformed", 248 },
		{ "a byte less", { 1, CLEAT_ASK_VERIFY, 5 }, 95, 1, "malformed", 264 },
		{ "head alone", { 1, CLEAT_ASK_VERIFY, 5 }, 16, 1, "malformed", 264 },
		{ "half a head", { 1, CLEAT_ASK_VERIFY, 5 }, 12, 1, "malformed", 248 },
		{ "one byte", { 1, CLEAT_ASK_VERIFY, 5 }, 1, 1, "malformed", 248 },
		{ "a byte more", { 1, CLEAT_ASK_WHOAMI, 5 }, 17, 0, "malformed", 2320 },
		{ "the longest", { 1, CLEAT_ASK_VERIFY, 5 }, CLEAT_ASK_MAX, 1, "policy", 264 },
		{ "one longer",
		  { 1, CLEAT_ASK_VERIFY, 5 },
		  CLEAT_ASK_MAX + 1,
		  1,
		  "malformed",
		  264 },
		{ "twice too long", { 1, CLEAT_ASK_VERIFY, 5 }, 66000, 1, "malformed", 264 },
		{ "no descriptor", { 1, CLEAT_ASK_VERIFY, 5 }, 96, 0, "malformed", 264 },
		{ "two", { 1, CLEAT_ASK_VERIFY, 5 }, 96, 2, "malformed", 264 },
		{ "sixteen", { 1, CLEAT_ASK_VERIFY, 5 }, 96, 16, "malformed", 264 },
		{ "all a message can carry",
		  { 1, CLEAT_ASK_VERIFY, 5 },
		  96,
		  253,
		  "malformed",
		  264 },
		{ "one nobody wants", { 1, CLEAT_ASK_WHOAMI, 5 }, 16, 1, "malformed", 2320 },
		{ "253 nobody wants", { 1, CLEAT_ASK_WHOAMI, 5 }, 16, 253, "malformed", 2320 },
	};
	static char bytes[70000];
	int fds[253], fd = client(), other = client();

	honest(other, 1);
	for (int i = 0; i < 253; i++)
		fds[i] = STDIN_FILENO;
	unsigned before = open_fds();

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		memcpy(bytes, &rows[i].head, sizeof(rows[i].head));
		send_with(fd, bytes, rows[i].len, fds, rows[i].fds);
		ssize_t n = receive(fd);

		cr_assert_eq(n, (ssize_t)rows[i].answer_len, "%s: %zd", rows[i].what, n);
		cr_assert_str_eq(answer.head.word, rows[i].word, "%s: %s", rows[i].what,
				 answer.head.word);
		cr_assert_eq(answer.head.serial, rows[i].len >= 16 ? 5 : 0, "%s", rows[i].what);
		for (size_t k = sizeof(answer.head); i && k < (size_t)n; k++)
			cr_assert_eq(((char *)&answer)[k], 0, "%s: byte %zu", rows[i].what, k);
		honest(other, i);
		fds_back_to(before);
	}
}

Test(door, a_message_of_nothing_is_answered)
{
	int fd = client(), null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	honest(fd, 2);
	unsigned before = open_fds();

	send_with(fd, "", 0, NULL, 0);
	cr_assert_eq(receive(fd), 248);
	cr_assert_str_eq(answer.head.word, "malformed");
	send_with(fd, "", 0, (int[]){ null, null }, 2);
	cr_assert_eq(receive(fd), 248);
	honest(fd, 3);
	fds_back_to(before);
}

/* Nor is it the end, though who sent it sends nothing more: what lies behind it is read before that is closed. */
Test(door, a_message_of_nothing_is_not_the_end)
{
	struct cleat_ask_head h = head(CLEAT_ASK_WHOAMI, 9);
	int fd = client();

	honest(fd, 1);
	send_with(fd, "", 0, NULL, 0);
	send_with(fd, &h, sizeof(h), NULL, 0);
	shutdown(fd, SHUT_WR);
	cr_assert_eq(receive(fd), 248);
	cr_assert_eq(receive(fd), sizeof(answer));
	cr_assert_eq(answer.head.serial, 9);
	cr_assert_eq(receive(fd), 0);
}

Test(door, another_sender_than_who_connected)
{
	int fd = client();

	honest(fd, 1);
	sender_is_other = true;
	struct cleat_ask_head h = head(CLEAT_ASK_WHOAMI, 2);

	send_with(fd, &h, sizeof(h), NULL, 0);
	cr_assert_eq(receive(fd), sizeof(answer));
	cr_assert_str_eq(answer.head.word, "peer-gone");
	sender_is_other = false;
	honest(fd, 3);

	/* asked here where no room asks it with the rest, about a connection */
	caller_is_dead = true;
	h.serial = 4;
	send_with(fd, &h, sizeof(h), NULL, 0);
	cr_assert_eq(receive(fd), sizeof(answer));
	cr_assert_str_eq(answer.head.word, "peer-gone");
	caller_is_dead = false;
	honest(fd, 5);
}

/* Who cannot be identified is told so once; then it may connect anew. */
Test(door, who_is_not_known_has_one_answer)
{
	struct cleat_ask_head h = head(CLEAT_ASK_WHOAMI, 2);
	int other = client(), fd;

	honest(other, 1);
	known = REASON_PEER_GONE;
	fd = client();
	send_with(fd, &h, sizeof(h), NULL, 0);
	cr_assert_eq(receive(fd), sizeof(answer));
	cr_assert_eq(receive(fd), 0);
	known = REASON_OK;
	honest(other, 3);
	honest(client(), 4);
}

/* ---- clients that come and go ---- */

Test(door, who_does_not_read_loses_the_connection_and_nobody_else)
{
	int fd = client(), other = client();
	struct cleat_ask_head h = head(CLEAT_ASK_WHOAMI, 1);
	struct pollfd gone = { .fd = fd, .events = 0 };

	honest(fd, 0);
	honest(other, 0);
	unsigned before = open_fds();

	for (int i = 0; i < 100000; i++) {
		if (send(fd, &h, sizeof(h), MSG_NOSIGNAL) < 0) {
			cr_assert(errno == EPIPE || errno == ECONNRESET);
			break;
		}
		if (i % 16 == 0)
			honest(other, (uint64_t)i);
	}
	cr_assert_eq(poll(&gone, 1, 10000), 1);
	honest(other, 77);
	fds_back_to(before - 1);
}

Test(door, gone_in_the_middle)
{
	struct cleat_ask_head h = head(CLEAT_ASK_VERIFY, 1);
	char bytes[96] = { 0 };
	int other = client(), null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	memcpy(bytes, &h, sizeof(h));
	honest(other, 0);
	unsigned before = open_fds();

	for (int i = 0; i < 2000; i++) {
		int fd = client();

		if (i %
		    3) /* who comes faster than his ends are closed is told busy, and hung up on */
			send_told(fd, bytes, sizeof(bytes), &null, 1);
		if (i % 3 == 2)
			shutdown(fd, SHUT_WR);
		close(fd);
		if (i % 50 == 0)
			honest(other, (uint64_t)i);
	}
	honest(other, 1);
	fds_back_to(before);
}

Test(door, one_uid_has_a_quarter)
{
	int fds[4 * CONNECTIONS];
	int refused = 0;

	for (int i = 0; i < CONNECTIONS; i++) {
		fds[i] = client();
		honest(fds[i], (uint64_t)i);
	}
	for (int i = CONNECTIONS; i < CONNECTIONS + 8; i++) {
		fds[i] = client();
		cr_assert_eq(receive(fds[i]), 248, "told, not left waiting");
		cr_assert_str_eq(answer.head.word, "busy");
		cr_assert_eq(recv(fds[i], &answer, sizeof(answer), 0), 0);
		refused++;
	}
	cr_assert_eq(refused, 8);
	cr_expect_eq(door_counts(door)->refused[SHARE_PART_UID], 8);
	cr_expect_eq(door_counts(door)->refused[SHARE_PART_WORKLOAD], 0);
	cr_expect_eq(door_counts(door)->refused[SHARE_PART_ALL], 0);
	for (int i = 0; i < CONNECTIONS; i++)
		honest(fds[i], 7);
	close(fds[0]);
	for (int i = 0; i < 1000; i++) { /* its place is free once its end was seen */
		struct cleat_ask_head h = head(CLEAT_ASK_WHOAMI, 8);

		fds[0] = client();
		send(fds[0], &h, sizeof(h), MSG_NOSIGNAL);
		receive(fds[0]);
		if (strcmp(answer.head.word, "ok") == 0)
			return;
		close(fds[0]);
	}
	cr_assert_fail("the place of a closed connection stays taken");
}

/* Who connected while nobody could say who it is: once it is known it is in the share of its workload. */
Test(door, who_is_known_later_is_in_its_own_share_from_then_on)
{
	int fds[CONNECTIONS + 1];

	known = REASON_NOT_ARMED;
	for (int i = 0; i < CONNECTIONS; i++) {
		fds[i] = client();
		honest(fds[i], 1);
	}
	known = REASON_OK;
	label = 5;
	for (int i = 0; i < CONNECTIONS / 2; i++)
		honest(fds[i], 2);
	fds[CONNECTIONS] = client();
	cr_assert_eq(receive(fds[CONNECTIONS]), 248, "that workload has its even part");
	cr_assert_str_eq(answer.head.word, "busy");
	cr_expect_eq(door_counts(door)->displaced, 0);
	label = 6;
	fds[CONNECTIONS] = client();
	honest(fds[CONNECTIONS], 3);
	cr_expect_eq(door_counts(door)->displaced, 1);
}

/* ---- attacks.md 112: sockets whose close lingers ---- */

/* A TCP connection whose close waits: linger on, and more sent than the other end will ever take. */
static int lingering(int listener, const struct sockaddr_in *a, int *ret_peer)
{
	struct linger l = { .l_onoff = 1, .l_linger = 3600 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
	static const char bytes[65536];

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	cr_assert_eq(connect(fd, (const struct sockaddr *)a, sizeof(*a)), 0);
	*ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	return fd;
}

static uint64_t ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

Test(door, lingering_sockets_stall_nobody)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), other = client(),
	    fd = client();
	struct cleat_ask_head h = head(CLEAT_ASK_VERIFY, 1);
	socklen_t len = sizeof(a);
	static int peers[1000];
	char bytes[96] = { 0 };
	int small = 2048;

	memcpy(bytes, &h, sizeof(h));
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	bind(listener, (struct sockaddr *)&a, sizeof(a));
	listen(listener, 16);
	getsockname(listener, (struct sockaddr *)&a, &len);
	honest(other, 0);
	unsigned before = open_fds();
	uint64_t begun = ms(), worst = 0;

	for (int i = 0; i < 1000; i++) {
		int s = lingering(listener, &a, &peers[i]);
		int closed[2];

		cr_assert_eq(pipe2(closed, O_CLOEXEC), 0);
		pid_t pid = fork();

		if (pid ==
		    0) { /* who exits does not linger: the door's copy is the last that can */
			close(closed[1]);
			cr_assert_eq(read(closed[0], &small, 1), 0);
			send_with(fd, bytes, sizeof(bytes), &s, 1);
			_exit(0);
		}
		close(s);
		close(closed[1]);
		close(closed[0]);
		waitpid(pid, NULL, 0);
		cr_assert_gt(receive(fd), 0);
		uint64_t t = ms();

		honest(other, (uint64_t)i);
		if (ms() - t > worst)
			worst = ms() - t;
	}
	cr_log_info(
		"1000 lingering sockets: %lu ms in all, an honest client waited %lu ms at worst",
		ms() - begun, worst);
	cr_assert_lt(worst, 500);
	fds_back_to(before + 1000); /* the peers are ours */
}

/* ---- closes that do not end ---- */

/* Fills the reaper with what hangs until no more than @free may be put. */
static void reaper_fill(unsigned free)
{
	static struct reaper_charge who;
	int file = stalling_open();

	atomic_store(silent, true);
	for (unsigned n = 1; reaper_has_room(reaper, free + 1); n++) {
		reaper_put(reaper, dup(file), REAPER_IS_STRANGE, &who);
		reaper_flush(reaper);
	}
}

/* A process that ends while the reaper has too little room: its connection ends when there is some, and meanwhile the loop
 * is at rest and everybody else is served. */
Test(door, who_is_gone_waits_for_room, .fini = stalling_umount)
{
	int other = client(), fd, process = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	struct timespec before, after;
	clockid_t clock;

	honest(other, 1);
	stalling_mount();
	atomic_store(&end_of_it, process);
	fd = client();
	honest(fd, 2);
	reaper_fill(600);
	cr_assert_eq(write(process, &one, sizeof(one)), sizeof(one));
	pthread_getcpuclockid(thread, &clock);
	clock_gettime(clock, &before);
	poll(NULL, 0, 300);
	clock_gettime(clock, &after);
	cr_expect_lt((after.tv_sec - before.tv_sec) * 1000 +
			     (after.tv_nsec - before.tv_nsec) / 1000000,
		     100, "the loop does not rest");
	honest(other, 3);
	cr_assert_eq(recv(fd, &answer, sizeof(answer), MSG_DONTWAIT), -1);
	cr_assert_eq(errno, EAGAIN, "it ended, and what may be read is less for it");
	cr_assert(reaper_has_room(reaper, 600));
	stalling_umount();
	cr_assert_eq(receive(fd), 0);
	honest(other, 4);
	honest(client(), 5);
}

/* Who came while nobody could be known is not kept among the strangers, of whom one brought what hangs. */
Test(door, who_is_known_later_waits_for_no_stranger, .fini = stalling_umount)
{
	struct cleat_ask_head h = head(CLEAT_ASK_VERIFY, 1);
	struct pollfd ask = { .events = POLLIN };
	char bytes[96] = { 0 };
	int fd, stranger;

	stalling_mount();
	memcpy(bytes, &h, sizeof(h));
	known = REASON_NOT_ARMED;
	fd = client();
	honest(fd, 1);
	stranger = client();
	ask.fd = stranger;
	int files[8];

	for (int i = 0; i < 8; i++)
		files[i] = stalling_open();
	atomic_store(silent, true);
	send_with(stranger, bytes, sizeof(bytes), files, 8);
	cr_assert_gt(receive(stranger), 0);
	cr_assert_str_eq(answer.head.word, "malformed");
	for (int i = 0; i < 100; i++) { /* until its group waits */
		struct cleat_ask_head again = head(CLEAT_ASK_WHOAMI, 2);

		send_with(stranger, &again, sizeof(again), NULL, 0);
		if (poll(&ask, 1, 100) == 0)
			break;
		receive(stranger);
	}
	label = 5;
	known = REASON_OK;
	honest(fd, 3);
	cr_assert_eq(poll(&ask, 1, 0), 0, "the stranger waits");
}
