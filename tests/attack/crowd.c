/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many at once, and many in a row: a crowd of processes and threads that share one socket and present the same bytes
 * at the same moment; a service that accepts thousands of connections and asks whose each is; a client that makes
 * them; and a process that burns one processor.
 */
#include "play.h"

#include "model/request.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 60000

/* ---- the crowd ---- */

/* What all its processes share. A round: the ask is written, everybody passes the start, asks, and meets at the
 * end. */
struct place {
	pthread_barrier_t ready, start, end;
	atomic_uint doors, accepted, replayed, other;
	char word[32]; /* of one that was neither */
	size_t len;
	char ask[sizeof(struct cleat_ask_verify) + 2 * CLEAT_ASK_TOKEN_MAX];
};

static struct place *place;
static int box = -1, sock = -1;

static void present(int door)
{
	struct cleat_answer_verify v;

	if (play_send(door, place->ask, place->len, &sock, 1) < 0 ||
	    recv(door, &v, sizeof(v), 0) < (ssize_t)sizeof(v.head)) {
		snprintf(place->word, sizeof(place->word), "errno %d", errno);
		atomic_fetch_add(&place->other, 1);
	} else if (v.head.reason == 1) {
		atomic_fetch_add(&place->accepted, 1);
	} else if (strcmp(v.head.word, "replayed") == 0) {
		atomic_fetch_add(&place->replayed, 1);
	} else {
		snprintf(place->word, sizeof(place->word), "%.31s", v.head.word);
		atomic_fetch_add(&place->other, 1);
	}
}

static void *member(void *unused)
{
	int door = play_door("check");

	if (door >= 0)
		atomic_fetch_add(&place->doors, 1);
	pthread_barrier_wait(&place->ready);
	for (;;) {
		pthread_barrier_wait(&place->start);
		present(door);
		pthread_barrier_wait(&place->end);
	}
	return unused;
}

static void process(unsigned threads)
{
	pthread_attr_t attr;
	pthread_t t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (unsigned i = 1; i < threads; i++)
		if (pthread_create(&t, &attr, member, NULL) != 0)
			_exit(1);
	member(NULL);
}

static int barrier(pthread_barrier_t *b, unsigned count)
{
	pthread_barrierattr_t shared;

	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	return pthread_barrier_init(b, &shared, count);
}

/* mailbox BOX, and take: the socket that an actor sends there is the crowd's */
static void cmd_mailbox(char **a)
{
	box = play_mailbox(a[1]);
	if (box < 0)
		return play_fail("mailbox");
	play_ok();
}

static void cmd_take(char **a)
{
	(void)a;
	sock = play_mail(box);
	if (sock < 0)
		return play_fail("take");
	play_ok();
}

/* crowd PROCESSES THREADS: each of them with a connection of its own to the daemon */
static void cmd_crowd(char **a)
{
	unsigned processes = (unsigned)atoi(a[1]), threads = (unsigned)atoi(a[2]);
	unsigned all = processes * threads;

	place = mmap(NULL, sizeof(*place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (place == MAP_FAILED || barrier(&place->ready, all + 1) ||
	    barrier(&place->start, all + 1) || barrier(&place->end, all + 1))
		return play_fail("place");
	for (unsigned i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return play_fail("fork");
		if (pid == 0)
			process(threads);
	}
	pthread_barrier_wait(&place->ready);
	play_say("{\"ok\":true,\"doors\":%u}", atomic_load(&place->doors));
}

static size_t ask_write(char *at, const char *wit, const char *wpt)
{
	struct cleat_ask_verify ask = { .head = { CLEAT_PROTOCOL, CLEAT_ASK_VERIFY, 7 },
					.expect_role = 1 };

	ask.wit_len = (uint32_t)strlen(wit);
	ask.wpt_len = (uint32_t)strlen(wpt);
	memcpy(at, &ask, sizeof(ask));
	memcpy(at + sizeof(ask), wit, ask.wit_len);
	memcpy(at + sizeof(ask) + ask.wit_len, wpt, ask.wpt_len);
	return sizeof(ask) + ask.wit_len + ask.wpt_len;
}

/* round WIT WPT: everybody presents it at once */
static void cmd_round(char **a)
{
	atomic_store(&place->accepted, 0);
	atomic_store(&place->replayed, 0);
	atomic_store(&place->other, 0);
	place->len = ask_write(place->ask, a[1], a[2]);
	pthread_barrier_wait(&place->start);
	pthread_barrier_wait(&place->end);
	play_say("{\"ok\":true,\"accepted\":%u,\"replayed\":%u,\"other\":%u,\"word\":\"%s\"}",
		 atomic_load(&place->accepted), atomic_load(&place->replayed),
		 atomic_load(&place->other), place->other ? place->word : "");
}

/* ---- thousands of connections ---- */

static int endpoint(const char *ip, const char *port, struct sockaddr_in *ret)
{
	*ret = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)atoi(port)) };
	return inet_pton(AF_INET, ip, &ret->sin_addr) == 1 ? 0 : -1;
}

static int listener = -1;

/* listen IP PORT */
static void cmd_listen(char **a)
{
	struct sockaddr_in at;
	int one = 1;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (endpoint(a[1], a[2], &at) < 0 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1024) < 0)
		return play_fail("listen");
	play_ok();
}

enum { HELD_MAX = 512 };
static int held[HELD_MAX];
static unsigned holds;

/* Takes @fd over. */
static int hold(int fd)
{
	if (fd < 0 || holds == HELD_MAX)
		return -1;
	held[holds++] = fd;
	return 0;
}

/* muster N: accepts N connections, and holds them */
static void cmd_muster(char **a)
{
	unsigned n = (unsigned)atoi(a[1]);
	struct pollfd p = { .fd = listener, .events = POLLIN };

	for (unsigned i = 0; i < n; i++)
		if (poll(&p, 1, WAIT_MS) != 1 ||
		    hold(accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
			return play_fail("muster");
	play_ok();
}

/* volley IP PORT N: connects N times, and holds that; what it closes it closes at once */
static void cmd_volley(char **a)
{
	unsigned n = (unsigned)atoi(a[3]);
	struct linger hard = { 1, 0 };
	struct sockaddr_in at;

	endpoint(a[1], a[2], &at);
	for (unsigned i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (hold(fd) < 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) < 0 ||
		    connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
			return play_fail("volley");
	}
	play_ok();
}

/* scatter: closes what is held */
static void cmd_scatter(char **a)
{
	(void)a;
	while (holds)
		close(held[--holds]);
	play_ok();
}

/* ---- a burnt processor ---- */

/* burn CPU: another process of this place spins there with the highest priority an ordinary one has */
static void cmd_burn(char **a)
{
	cpu_set_t set;
	pid_t pid = fork();

	if (pid < 0)
		return play_fail("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CPU_ZERO(&set);
		CPU_SET((unsigned)atoi(a[1]), &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0)
			_exit(1);
		setpriority(PRIO_PROCESS, 0, -20);
		for (volatile unsigned long i = 0;; i++)
			;
	}
	play_say("{\"ok\":true,\"pid\":%d}", pid);
}

/* quench PID */
static void cmd_quench(char **a)
{
	if (kill(atoi(a[1]), SIGKILL) < 0)
		return play_fail("kill");
	play_ok();
}

static const struct play_command commands[] = {
	{ "mailbox", 2, cmd_mailbox }, { "take", 1, cmd_take },	    { "crowd", 3, cmd_crowd },
	{ "round", 3, cmd_round },     { "listen", 3, cmd_listen }, { "muster", 2, cmd_muster },
	{ "volley", 4, cmd_volley },   { "scatter", 1, cmd_scatter },
	{ "burn", 2, cmd_burn },       { "quench", 2, cmd_quench },
};

int main(int argc, char **argv)
{
	(void)argc;
	return play(argv, commands, sizeof(commands) / sizeof(commands[0]));
}
