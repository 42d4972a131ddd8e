/* SPDX-License-Identifier: Apache-2.0 */
/* The door of a room. See door.h. */
#include "room/door.h"

#include "base/twin.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

#define FDS_MAX	   253 /* SCM_MAX_FD: what one message can carry */
#define ANSWER_MAX 8192
#define FDS_APART                                                                                  \
	(REAPER_RING + REAPER_SLOW + 2 * FDS_MAX) /* descriptors kept free of connections */
#define ACCEPTS_MAX 16				  /* of one round */

struct connection {
	struct loop_source source;
	struct door *door;
	struct connection *next, **at; /* of door->connections; *at is this one */
	struct caller caller;
	uint32_t share_uid; /* who is charged for it */
};

struct uid_share {
	uint32_t uid;
	uint32_t count; /* 0: free */
	bool used;	/* ever: others may lie behind it */
};

struct door {
	struct loop *loop;
	struct reaper *reaper;
	struct loop_source listener;
	const struct door_room *room;
	struct connection *connections;
	unsigned max, count;
	struct uid_share *shares; /* by uid, open addressing, twice max */
	union {
		struct cleat_ask_head head;
		char bytes[CLEAT_ASK_MAX];
	} ask;
	union {
		struct cleat_answer_head head;
		char bytes[ANSWER_MAX];
	} answer;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int)) +
					      CMSG_SPACE(sizeof(int)) + 256];
	int fds[FDS_MAX];
	unsigned fd_count;
	int pidfd; /* SCM_PIDFD of the message */
};

unsigned door_capacity(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur <= FDS_APART + 64)
		return 0;
	/* two each: at level reduced a connection holds a pidfd */
	return (unsigned)((files.rlim_cur - FDS_APART - 64) / 2);
}

/* ---- connections ---- */

/* The slot of @uid, or the first free one on its way. Twice as many slots as connections: it ends. */
static struct uid_share *share_of(struct door *d, uint32_t uid)
{
	struct uid_share *free_slot = NULL, *s;
	unsigned slots = 2 * d->max, i = uid * 2654435761u % slots;

	for (unsigned n = 0; n < slots; n++, i = (i + 1) % slots) {
		s = &d->shares[i];
		if (s->count && s->uid == uid)
			return s;
		if (!s->count && !free_slot)
			free_slot = s;
		if (!s->used)
			break;
	}
	free_slot->uid = uid;
	free_slot->used = true;
	return free_slot;
}

static void connection_close(struct connection *c)
{
	struct door *d = c->door;

	loop_drop(d->loop, &c->source);
	share_of(d, c->share_uid)->count--;
	d->count--;
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	/* messages it still holds may carry lingering sockets: closing it may wait too */
	reaper_put(d->reaper, c->source.fd);
	if (c->caller.pidfd >= 0)
		close(c->caller.pidfd);
	free(c);
}

static int answer_send(struct door *d, int fd, size_t len, const struct iovec *tail, unsigned tails)
{
	struct iovec iov[3] = { { .iov_base = &d->answer, .iov_len = len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 + tails };

	for (unsigned i = 0; i < tails; i++)
		iov[i + 1] = tail[i];
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* @cap bytes at @to are zero. */
static void put_line(char *to, size_t cap, const char *line)
{
	memcpy(to, line, strnlen(line, cap - 1));
}

static void head_fill(struct cleat_answer_head *h, enum reason reason, const char *detail)
{
	enum reason shown = reason_public(reason);

	h->protocol = CLEAT_PROTOCOL;
	h->reason = shown;
	put_line(h->word, sizeof(h->word), reason_word(shown));
	put_line(h->detail, sizeof(h->detail), detail ? detail : reason_sentence(shown));
}

/* ---- one message ---- */

/* Takes every descriptor the message brought out of the control buffer. */
static void fds_collect(struct door *d, struct msghdr *msg)
{
	d->fd_count = 0;
	d->pidfd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_PIDFD && n == 1) {
			memcpy(&d->pidfd, CMSG_DATA(c), sizeof(int));
		} else if (c->cmsg_type == SCM_RIGHTS) {
			for (size_t i = 0; i < n && d->fd_count < FDS_MAX; i++)
				memcpy(&d->fds[d->fd_count++], CMSG_DATA(c) + i * sizeof(int),
				       sizeof(int));
		}
	}
}

static void fds_dispose(struct door *d)
{
	for (unsigned i = 0; i < d->fd_count; i++)
		reaper_put(d->reaper, d->fds[i]);
	if (d->pidfd >= 0)
		close(d->pidfd); /* the kernel's own make: nothing of it waits */
	d->fd_count = 0;
	d->pidfd = -1;
}

static const struct door_entry *entry_of(const struct door *d, size_t len)
{
	if (len < sizeof(struct cleat_ask_head) || d->ask.head.protocol != CLEAT_PROTOCOL)
		return NULL;
	for (unsigned i = 0; i < d->room->count; i++)
		if (d->room->entries[i].type == d->ask.head.type)
			return &d->room->entries[i];
	return NULL;
}

/* What is wrong with the form of the message, or NULL. */
static const char *form_error(const struct door *d, const struct door_entry *e, size_t len,
			      int flags)
{
	if (flags & MSG_TRUNC)
		return "the message is longer than any request";
	if (flags & MSG_CTRUNC)
		return "the descriptors did not fit";
	if (!e)
		return "no such request, or another protocol version";
	if (kept(whole_message) && (e->tail ? len < e->ask_len : len != e->ask_len))
		return "the message has not the length of its request";
	if (d->fd_count != (e->fd ? 1 : 0))
		return e->fd ? "exactly one descriptor is needed" : "no descriptor is wanted";
	return NULL;
}

static int serve(struct connection *c, size_t len, int flags)
{
	struct door *d = c->door;
	const struct door_entry *e = entry_of(d, len);
	const char *error = form_error(d, e, len, flags);
	size_t answer_len = e ? e->answer_len : sizeof(d->answer.head);
	struct door_answer answer = { .body = &d->answer };
	struct door_call call = {
		.caller = &c->caller,
		.ask_name = e ? e->name : "",
		.ask = &d->ask,
		.len = len,
		.fd = d->fd_count == 1 ? d->fds[0] : -1,
	};
	enum reason reason;

	memset(&d->answer, 0, answer_len);
	if (error)
		reason = d->room->refuse(d->room->room, &call, REASON_MALFORMED, error, &answer);
	else if (!caller_sent(&c->caller, d->pidfd))
		reason = d->room->refuse(d->room->room, &call, REASON_PEER_GONE,
					 "the message is not from who connected", &answer);
	else
		reason = e->serve(d->room->room, &call, &answer);
	if (reason != REASON_OK) { /* whatever the room had filled in */
		memset(&d->answer, 0, answer_len);
		answer.tails = 0;
	}
	head_fill(&d->answer.head, reason, answer.detail);
	d->answer.head.policy_generation = answer.generation;
	if (len >= sizeof(struct cleat_ask_head)) {
		d->answer.head.type = d->ask.head.type;
		d->answer.head.serial = d->ask.head.serial;
	}
	return answer_send(d, c->source.fd, answer_len, answer.tail, answer.tails);
}

/* One message of one connection: what others sent in the meantime comes before its next. */
static void on_message(struct loop_source *s, uint32_t events)
{
	struct connection *c = s->owner;
	struct door *d = c->door;
	struct iovec iov = { .iov_base = &d->ask, .iov_len = CLEAT_ASK_MAX };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = d->control,
		.msg_controllen = sizeof(d->control),
	};
	int sent;

	if (!reaper_has_room(d->reaper, FDS_MAX + 4)) {
		reaper_flush(d->reaper);
		usleep(1000); /* a close hangs: take nothing more in hand until there is room */
		return;
	}
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			connection_close(c);
		return;
	}
	fds_collect(d, &msg);
	if (n == 0 && (events & (EPOLLHUP | EPOLLRDHUP)) && !d->fd_count) {
		if (d->pidfd >= 0)
			fds_dispose(d);
		connection_close(c);
		return;
	}
	if (c->caller.reason == REASON_NOT_ARMED)
		d->room->identify(d->room->room, s->fd, &c->caller);
	sent = serve(c, (size_t)n, msg.msg_flags);
	fds_dispose(d);
	if (sent < 0) /* it does not read, or is gone */
		connection_close(c);
}

/* ---- the listener ---- */

static void refuse_connection(struct door *d, int fd)
{
	memset(&d->answer.head, 0, sizeof(d->answer.head));
	head_fill(&d->answer.head, REASON_BUSY, NULL);
	answer_send(d, fd, sizeof(d->answer.head), NULL, 0);
	reaper_put(d->reaper, fd);
}

/* Whose share a connection is of: who connected, known or not. Decides nothing else. */
static uint32_t uid_of(int fd)
{
	struct ucred cred = { .uid = UINT32_MAX };
	socklen_t len = sizeof(cred);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred.uid;
}

static void connection_open(struct door *d, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c || d->count >= d->max) {
		refuse_connection(d, fd);
		free(c);
		return;
	}
	*c = (struct connection){ .source = { fd, on_message, c }, .door = d };
	d->room->identify(d->room->room, fd, &c->caller);
	c->share_uid = uid_of(fd);
	struct uid_share *share = share_of(d, c->share_uid);

	if (share->count >= (d->max + 3) / 4 ||
	    loop_add(d->loop, &c->source, EPOLLIN | EPOLLRDHUP) < 0) {
		refuse_connection(d, fd);
		if (c->caller.pidfd >= 0)
			close(c->caller.pidfd);
		free(c);
		return;
	}
	share->count++;
	d->count++;
	c->next = d->connections;
	c->at = &d->connections;
	if (c->next)
		c->next->at = &c->next;
	d->connections = c;
}

static void on_connection(struct loop_source *s, uint32_t events)
{
	struct door *d = s->owner;

	(void)events;
	for (int i = 0; i < ACCEPTS_MAX && reaper_has_room(d->reaper, 4); i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		connection_open(d, fd);
	}
}

int door_open(struct loop *loop, struct reaper *reaper, int listen_fd, unsigned max,
	      const struct door_room *room, struct door **ret)
{
	struct door *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	*d = (struct door){ .loop = loop, .reaper = reaper, .room = room, .max = max };
	d->listener = (struct loop_source){ listen_fd, on_connection, d };
	d->shares = calloc(2 * (size_t)max, sizeof(*d->shares));
	err = d->shares ? loop_add(loop, &d->listener, EPOLLIN) : -ENOMEM;
	if (err < 0) {
		free(d->shares);
		free(d);
		return err;
	}
	*ret = d;
	return 0;
}

void door_close(struct door *d)
{
	while (d->connections && reaper_has_room(d->reaper, 4))
		connection_close(d->connections);
	loop_drop(d->loop, &d->listener);
	free(d->shares);
	free(d);
}
