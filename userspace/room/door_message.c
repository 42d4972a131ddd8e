/* SPDX-License-Identifier: Apache-2.0 */
/* One message at a room's door: its form, its descriptors, its one answer. See door.h. */
#include "room/door_state.h"

#include "base/twin.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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

/* Takes every descriptor the message brought out of the control buffer, and who sent it. */
static void control_read(struct door *d, struct msghdr *msg)
{
	d->fd_count = 0;
	d->sender = (struct ucred){ 0 };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(d->sender))) {
			memcpy(&d->sender, CMSG_DATA(c), sizeof(d->sender));
		} else if (c->cmsg_type == SCM_RIGHTS) {
			for (size_t i = 0; i < n && d->fd_count < DOOR_FDS_MAX; i++)
				memcpy(&d->fds[d->fd_count++], CMSG_DATA(c) + i * sizeof(int),
				       sizeof(int));
		}
	}
}

static void fds_dispose(struct connection *c, enum reaper_what what)
{
	struct door *d = c->door;

	for (unsigned i = 0; i < d->fd_count; i++)
		reaper_put(d->reaper, d->fds[i], what, share_charge(&c->item));
	d->fd_count = 0;
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

static int serve(struct connection *c, size_t len, int flags, bool *ret_tcp)
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
	else if (!caller_sent(&c->caller, &d->sender) || (!e->fd && !caller_alive(&c->caller)))
		reason = d->room->refuse(d->room->room, &call, REASON_PEER_GONE,
					 "the message is not from who connected", &answer);
	else
		reason = e->serve(d->room->room, &call, &answer);
	if (reason != REASON_OK) { /* whatever the room had filled in */
		memset(&d->answer, 0, answer_len);
		answer.tails = 0;
	}
	*ret_tcp = reason == REASON_OK && e && e->fd;
	head_fill(&d->answer.head, reason, answer.detail);
	d->answer.head.policy_generation = answer.generation;
	if (len >= sizeof(struct cleat_ask_head)) {
		d->answer.head.type = d->ask.head.type;
		d->answer.head.serial = d->ask.head.serial;
	}
	return answer_send(d, c->source.fd, answer_len, answer.tail, answer.tails);
}

bool door_message(struct connection *c)
{
	struct door *d = c->door;
	struct iovec iov = { .iov_base = &d->ask, .iov_len = CLEAT_ASK_MAX };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = d->control,
		.msg_controllen = sizeof(d->control),
	};
	ssize_t n = recvmsg(c->source.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	bool tcp = false;
	int sent;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	/* a message, of no bytes even, says who sent it (SO_PASSCRED); the end of them says nothing */
	if (n == 0 && !msg.msg_controllen) {
		c->drained = true;
		return false;
	}
	control_read(d, &msg);
	sent = serve(c, (size_t)n, msg.msg_flags, &tcp);
	fds_dispose(c, tcp ? REAPER_IS_TCP : REAPER_IS_ANY);
	/* nothing that comes on it will be better known: its client connects anew */
	return sent == 0 && c->caller.reason != REASON_PEER_GONE;
}

void door_busy(struct connection *c)
{
	struct door *d = c->door;
	struct door_call call = { .caller = &c->caller, .ask_name = "connect", .fd = -1 };
	struct door_answer answer = { .body = &d->answer };
	enum reason reason = d->room->refuse(d->room->room, &call, REASON_BUSY,
					     "no place for another connection", &answer);

	memset(&d->answer.head, 0, sizeof(d->answer.head));
	head_fill(&d->answer.head, reason, NULL);
	answer_send(d, c->source.fd, sizeof(d->answer.head), NULL, 0);
}
