/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door before any message (attacks.md 120): the first byte says how many descriptors go along, the rest is the datagram.
 * It is answered, once; with a yes only where a request of the right form reached the room; and an honest request behind
 * it is answered as ever. The door, its loop and its reaper are the daemon's own; the room behind says no to all but whoami.
 */
#include "room/door.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int client = -1, null;

bool caller_sent(const struct caller *c, const struct ucred *sender)
{
	(void)c;
	(void)sender;
	return true;
}

bool caller_alive(const struct caller *c)
{
	(void)c;
	return true;
}

static void identify(void *room, int fd, struct caller *ret)
{
	(void)room;
	(void)fd;
	*ret = (struct caller){ .pidfd = -1, .reason = REASON_OK, .tag.owner.uid = 1 };
}

static enum reason refuse(void *room, const struct door_call *call, enum reason reason,
			  const char *detail, struct door_answer *answer)
{
	(void)room;
	(void)call;
	answer->detail = detail;
	return reason;
}

/* Looks at all the door says is there: a byte too many is ASan's to see. */
static enum reason no(void *room, const struct door_call *call, struct door_answer *answer)
{
	const uint8_t *ask = call->ask;
	unsigned sum = 0;

	(void)room;
	for (size_t i = 0; i < call->len; i++)
		sum += ask[i];
	if (fcntl(call->fd, F_GETFD) < 0)
		abort();
	memset(answer->body, (int)(sum | 1), sizeof(struct cleat_answer_head));
	return REASON_POLICY;
}

static enum reason yes(void *room, const struct door_call *call, struct door_answer *answer)
{
	(void)room;
	(void)answer;
	if (call->len != sizeof(struct cleat_ask_whoami) || call->fd != -1)
		abort();
	return REASON_OK;
}

static const struct door_entry entries[] = {
	{ CLEAT_ASK_SIGN, "sign", sizeof(struct cleat_ask_sign), sizeof(struct cleat_answer_sign),
	  false, true, no },
	{ CLEAT_ASK_WHOAMI, "whoami", sizeof(struct cleat_ask_whoami),
	  sizeof(struct cleat_answer_whoami), false, false, yes },
	{ CLEAT_ASK_VERIFY, "verify", sizeof(struct cleat_ask_verify),
	  sizeof(struct cleat_answer_verify), true, true, no },
	{ CLEAT_ASK_WHOIS, "whois", sizeof(struct cleat_ask_whois),
	  sizeof(struct cleat_answer_whois), false, true, no },
};
static const struct door_room room = { entries, 4, NULL, identify, refuse, NULL, false };
static struct loop *loop;
static struct reaper *reaper;
static struct door *door;

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

static void must(bool held)
{
	if (!held)
		abort();
}

static void open_door(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX }; /* abstract: the kernel chooses */
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	pthread_t thread;

	must(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) == 0);
	must(bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)) == 0 && listen(fd, 8) == 0 &&
	     getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	must(loop_new(&loop) == 0 && reaper_start(&reaper) == 0);
	must(door_open(loop, reaper, fd, 64, &room, &door) == 0);
	must(pthread_create(&thread, NULL, run, NULL) == 0);
	client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	must(connect(client, (struct sockaddr *)&at, len) == 0);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void say(const void *bytes, size_t len, unsigned fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned i = 0; i < fds; i++)
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)) + i * sizeof(int), &null,
			       sizeof(int));
	}
	must(sendmsg(client, &msg, MSG_NOSIGNAL) == (ssize_t)len);
}

static const char *hear(uint64_t *ret_serial)
{
	static union {
		struct cleat_answer_head head;
		char bytes[8192];
	} answer;
	ssize_t n;

	do /* the fuzzer's own alarm for inputs that take long comes in here, too */
		n = recv(client, &answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	must(n >= (ssize_t)sizeof(answer.head) && answer.head.protocol == CLEAT_PROTOCOL);
	if (strcmp(answer.head.word, "ok") != 0)
		for (ssize_t i = sizeof(answer.head); i < n; i++)
			must(answer.bytes[i] == 0);
	*ret_serial = answer.head.serial;
	return answer.head.word;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct cleat_ask_head honest = { CLEAT_PROTOCOL, CLEAT_ASK_WHOAMI, 0x1234567890 };
	struct cleat_ask_head asked = { 0 };
	uint64_t serial;

	if (len == 0)
		return 0;
	if (client < 0)
		open_door();
	if (len > sizeof(asked))
		memcpy(&asked, bytes + 1, sizeof(asked));
	say(bytes + 1, len - 1, bytes[0] % 9);
	if (strcmp(hear(&serial), "ok") == 0)
		must(asked.type == CLEAT_ASK_WHOAMI && bytes[0] % 9 == 0 &&
		     len == 1 + sizeof(asked));
	must(serial == (len > sizeof(asked) ? asked.serial : 0));
	say(&honest, sizeof(honest), 0);
	must(strcmp(hear(&serial), "ok") == 0 && serial == honest.serial);
	return 0;
}
