/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reaper against what never ends its close: a file of a FUSE whose server does not answer, by itself (flush) and in the
 * queue of an AF_UNIX socket (release, with pages to write back). Whatever hangs, a TCP socket is closed at once.
 */
#include "room/reaper.h"

#include "base/cleanup.h"
#include "../stalling.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define SOON_MS 2000

static struct reaper *reaper;

static void start(void)
{
	stalling_mount();
	cr_assert_eq(reaper_start(&reaper), 0);
}

TestSuite(reaper, .init = start, .fini = stalling_umount, .timeout = 60);

/* A socket whose last close writes back a page of a file, and waits for it. The file's own descriptor was closed while the
 * server answered; another one's page is what waits to be written. */
static int carrier(void)
{
	static char page[4096] = "x";
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { page, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pair[2], fd = stalling_open(), other = stalling_open();

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	cr_assert_eq(sendmsg(pair[0], &msg, 0), 1);
	close(fd);
	cr_assert_eq(pwrite(other, page, sizeof(page), 0), sizeof(page), "%s", strerror(errno));
	return pair[1];
}

static int tcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static bool closed_soon(int fd)
{
	for (int i = 0; i < SOON_MS && fcntl(fd, F_GETFD) >= 0; i++)
		poll(NULL, 0, 1);
	return fcntl(fd, F_GETFD) < 0;
}

static void put(int fd, enum reaper_what what, struct reaper_charge *who)
{
	cr_assert(reaper_has_room(reaper, 1));
	reaper_put(reaper, fd, what, who);
	reaper_flush(reaper);
}

/* Somebody else's socket, known or not, is closed whatever hangs. */
static void others_are_served(const char *beside)
{
	static struct reaper_charge other;

	for (int i = 0; i < 8; i++) {
		int fd = tcp();

		put(fd, i % 2 ? REAPER_IS_ANY : REAPER_IS_TCP, &other);
		cr_assert(closed_soon(fd),
			  "%s: a socket stays open; accepted: twin=reaper_strange:", beside);
	}
	for (int i = 0; i < SOON_MS && reaper_charge_held(&other); i++)
		poll(NULL, 0, 1);
	cr_assert_eq(reaper_charge_held(&other), 0);
	cr_assert_eq(reaper_charge_parked(&other), 0);
}

/* Beyond its threads what somebody brought stays open and charged. */
Test(reaper, what_hangs_is_parked)
{
	static struct reaper_charge group, owner = { .above = &group };

	atomic_store(silent, true);
	for (int i = 0; i < 20; i++)
		put(stalling_open(), REAPER_IS_ANY, &owner);
	others_are_served("files that wait for their server");
	cr_assert_eq(reaper_charge_held(&owner), 20);
	cr_assert_eq(reaper_charge_parked(&group), 20);
}

Test(reaper, attack_113_queues_that_carry_it)
{
	static struct reaper_charge who;
	int one = carrier(), two = carrier();

	atomic_store(silent, true);
	put(one, REAPER_IS_ANY, &who);
	others_are_served("a queue that carries such a file");
	cr_assert_eq(reaper_charge_parked(&who), 1, "it does not hang");
	put(two, REAPER_IS_END, &who);
	others_are_served("an end of our own that carries one");
	cr_assert_eq(reaper_charge_parked(&who), 2);
}

/* An end of our own as a room has them, and its client. */
static int own_end(int *ret_client)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)), 0);
	*ret_client = pair[0];
	return pair[1];
}

/* Two that hang have their payer's threads: what has nothing in it is closed all the same, and what has waits. */
Test(reaper, ends_with_nothing_in_them)
{
	static const struct {
		const char *what;
		bool told, gone; /* the client sent something; and closed */
		size_t len;
		bool closed;
	} rows[] = {
		{ "nothing was said", false, false, 0, true },
		{ "nothing, and the client is gone", false, true, 0, true },
		{ "a message", true, false, 5, false },
		{ "a message, and the client is gone", true, true, 5, false },
		{ "a message of nothing", true, false, 0, false },
		{ "a message of nothing, and the client is gone", true, true, 0, false },
	};
	static struct reaper_charge who;
	int clients[200];

	atomic_store(silent, true);
	for (int i = 0; i < 2; i++)
		put(stalling_open(), REAPER_IS_ANY, &who);
	for (int i = 0; i < SOON_MS && reaper_charge_parked(&who) < 2; i++)
		poll(NULL, 0, 1);
	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		int client, end = own_end(&client);

		if (rows[r].told)
			cr_assert_eq(send(client, "hello", rows[r].len, 0), (ssize_t)rows[r].len);
		if (rows[r].gone)
			close(client);
		unsigned parked = reaper_charge_parked(&who);

		put(end, REAPER_IS_END, &who);
		for (int i = 0; i < SOON_MS && reaper_charge_held(&who) > parked &&
				reaper_charge_parked(&who) == parked;
		     i++)
			poll(NULL, 0, 1);
		cr_expect_eq(fcntl(end, F_GETFD) < 0, rows[r].closed, "%s", rows[r].what);
		cr_expect_eq(reaper_charge_parked(&who), parked + !rows[r].closed, "%s",
			     rows[r].what);
	}
	unsigned parked = reaper_charge_parked(&who);

	for (int i = 0; i < 200; i++)
		put(own_end(&clients[i]), REAPER_IS_END, &who);
	for (int i = 0; i < SOON_MS && reaper_charge_held(&who) > parked; i++)
		poll(NULL, 0, 1);
	cr_assert_eq(reaper_charge_held(&who), parked);
	for (int i = 0; i < 200; i++) /* what was accepted nowhere cannot be sent any more */
		cr_assert_eq(send(clients[i], "", 0, MSG_NOSIGNAL), -1);
}

/* Every payer has its threads; when all are busy the rest waits, and none of it in the way of a TCP socket. */
Test(reaper, more_payers_than_threads)
{
	static struct reaper_charge many[40], late;
	int pair[2];

	atomic_store(silent, true);
	for (unsigned i = 0; i < 40; i++)
		for (int k = 0; k < 8; k++)
			put(stalling_open(), REAPER_IS_ANY, &many[i]);
	others_are_served("more who hang than there are threads");
	cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
	put(pair[0], REAPER_IS_ANY, &late);
	others_are_served("somebody late");
	cr_expect_eq(reaper_charge_parked(&late), 1);
	cr_assert_eq(umount2(mounted, MNT_FORCE),
		     -1); /* the server's wait ends, and all is closed */
	for (int i = 0; i < SOON_MS && reaper_charge_held(&late); i++)
		poll(NULL, 0, 1);
}

Test(reaper, no_more_than_there_may_be)
{
	static struct reaper_charge who;
	int file = stalling_open();
	unsigned n = 0;

	atomic_store(silent, true);
	for (; reaper_has_room(reaper, 1) && n < 2 * REAPER_MAX; n++) {
		int fd = dup(file);

		cr_assert_geq(fd, 0);
		put(fd, REAPER_IS_ANY, &who);
		while (!reaper_has_room(reaper, 1) && reaper_charge_parked(&who) < n)
			poll(NULL, 0, 1);
	}
	cr_assert_eq(n, REAPER_MAX);
	cr_assert(!reaper_has_room(reaper, 1));
}
