/* SPDX-License-Identifier: Apache-2.0 */
/* Root's questions to the kernel room. See kernel_admin.h. */
#include "room/kernel_admin.h"

#include "base/clock.h"
#include "base/twin.h"
#include "model/admin.h"
#include "room/kernel_state.h"
#include "room/place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define BACKLOG	    8
#define CONNECTIONS 16

/* A connection; source.fd is -1 where there is none. */
struct conn {
	struct loop_source source;
	uint64_t waits_for; /* number of the reload whose outcome answers it, 0: none */
	struct cleat_ask_head ask;
};

union asked {
	struct cleat_ask_head head;
	struct cleat_admin_ask plain;
	struct cleat_admin_ask_task task;
	char one_more[sizeof(struct cleat_admin_ask_task) + 1];
};

union answered {
	struct cleat_answer_head head;
	struct cleat_admin_answer_task task;
	struct cleat_admin_answer_status status;
};

struct admin {
	struct kernel_room *k;
	struct loop_source listener;
	struct conn conns[CONNECTIONS];
	union answered answer; /* to the request in hand */
};

/* ---- the answers ---- */

static void counters_read(int fd, struct room_counters *ret)
{
	if (pread(fd, ret, sizeof(*ret), 0) != sizeof(*ret))
		memset(ret, 0, sizeof(*ret));
}

static enum reason on_status(struct admin *a, struct conn *c, const union asked *ask,
			     union answered *ret, int *ret_fd)
{
	struct cleat_admin_answer_status *s = &ret->status;
	struct kernel_room *k = a->k;

	(void)c;
	(void)ask;
	(void)ret_fd;
	s->pid = (uint32_t)getpid();
	s->workloads = k->current.p->workloads.count;
	s->keys = k->current.p->keys.count;
	s->revoked = k->current.p->revoked.count;
	s->pins = kern_origin(k->kern);
	s->begun_ns = k->begun_ns;
	s->now_ns = clock_boot_ns();
	s->reloads = k->reloads;
	s->reloads_failed = k->reloads_failed;
	s->events_suppressed = k->events_suppressed;
	counters_read(k->counters[SIGN], &s->rooms[SIGN]);
	counters_read(k->counters[CHECK], &s->rooms[CHECK]);
	snprintf(s->version, sizeof(s->version), "%s", CLEAT_VERSION);
	snprintf(s->audit, sizeof(s->audit), "%s", k->o.audit);
	snprintf(s->config_dir, sizeof(s->config_dir), "%s", k->o.config_dir);
	snprintf(s->state_dir, sizeof(s->state_dir), "%s", k->o.state_dir);
	snprintf(s->reload_error, sizeof(s->reload_error), "%s", k->reload_error);
	kernel_level_status(k, s);
	return kern_counts(k->kern, s->counts) < 0 || kern_config(k->kern, &s->config) < 0
		       ? REASON_INTERNAL
		       : REASON_OK;
}

static enum reason on_policy(struct admin *a, struct conn *c, const union asked *ask,
			     union answered *ret, int *ret_fd)
{
	(void)c;
	(void)ask;
	(void)ret;
	*ret_fd = fcntl(a->k->current.fd, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? REASON_INTERNAL : REASON_OK;
}

static enum reason on_sockets(struct admin *a, struct conn *c, const union asked *ask,
			      union answered *ret, int *ret_fd)
{
	int err = kern_sockets(a->k->kern, ret_fd);

	(void)c;
	(void)ask;
	if (err == -EOPNOTSUPP)
		snprintf(ret->head.detail, sizeof(ret->head.detail),
			 "the kernel refuses to list sockets: that needs level full");
	else if (err < 0)
		snprintf(ret->head.detail, sizeof(ret->head.detail), "cannot list the sockets: %s",
			 strerror(-err));
	return err == -EOPNOTSUPP ? REASON_UNSUPPORTED : err < 0 ? REASON_INTERNAL : REASON_OK;
}

static enum reason on_task(struct admin *a, struct conn *c, const union asked *ask,
			   union answered *ret, int *ret_fd)
{
	owned_fd int pidfd = -1;

	(void)c;
	(void)ret_fd;
	if (ask->task.zero || !ask->task.pid || ask->task.pid > INT32_MAX)
		return REASON_MALFORMED;
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)ask->task.pid, 0);
	if (pidfd < 0) {
		snprintf(ret->head.detail, sizeof(ret->head.detail), "no process %u",
			 ask->task.pid);
		return REASON_PEER_GONE;
	}
	ret->task.recorded = kern_task(a->k->kern, pidfd, &ret->task.task) == 0;
	return REASON_OK;
}

static enum reason on_reload(struct admin *a, struct conn *c, const union asked *ask,
			     union answered *ret, int *ret_fd)
{
	(void)ret;
	(void)ret_fd;
	if (a->k->stopping)
		return REASON_BUSY; /* nothing is begun any more */
	c->ask = ask->head;
	c->waits_for = a->k->reloads + 1; /* the next to begin: one under way may not see it all */
	if (kernel_room_reload(a->k) < 0)
		loop_end(a->k->loop, 1);
	return REASON_UNDECIDED; /* admin_reloaded() answers, or has */
}

static const struct entry {
	uint32_t type;
	uint32_t ask_len; /* exactly */
	uint32_t answer_len;
	enum reason (*serve)(struct admin *a, struct conn *c, const union asked *ask,
			     union answered *ret, int *ret_fd);
} entries[] = {
	{ CLEAT_ADMIN_STATUS, sizeof(struct cleat_admin_ask),
	  sizeof(struct cleat_admin_answer_status), on_status },
	{ CLEAT_ADMIN_POLICY, sizeof(struct cleat_admin_ask), sizeof(struct cleat_admin_answer),
	  on_policy },
	{ CLEAT_ADMIN_SOCKETS, sizeof(struct cleat_admin_ask), sizeof(struct cleat_admin_answer),
	  on_sockets },
	{ CLEAT_ADMIN_TASK, sizeof(struct cleat_admin_ask_task),
	  sizeof(struct cleat_admin_answer_task), on_task },
	{ CLEAT_ADMIN_RELOAD, sizeof(struct cleat_admin_ask), sizeof(struct cleat_admin_answer),
	  on_reload },
};

/* ---- one message ---- */

static void conn_close(struct admin *a, struct conn *c)
{
	loop_drop(a->k->loop, &c->source);
	close(c->source.fd);
	*c = (struct conn){ .source.fd = -1 };
}

static void head_fill(struct admin *a, const struct cleat_ask_head *ask, enum reason reason,
		      struct cleat_answer_head *ret)
{
	ret->protocol = CLEAT_PROTOCOL;
	ret->type = ask->type;
	ret->serial = ask->serial;
	ret->reason = reason;
	ret->policy_generation = a->k->current.p->generation;
	snprintf(ret->word, sizeof(ret->word), "%s", reason_word(reason));
	if (reason != REASON_OK && !ret->detail[0])
		snprintf(ret->detail, sizeof(ret->detail), "%s", reason_sentence(reason));
}

/* A client that does not take its answer loses its connection: nothing waits here. */
static void answer_send(struct admin *a, struct conn *c, union answered *m, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = m, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(int));
	}
	if (sendmsg(c->source.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		conn_close(a, c);
}

static const struct entry *entry_of(const union asked *m, size_t len)
{
	if (len < sizeof(m->head) || m->head.protocol != CLEAT_PROTOCOL)
		return NULL;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (entries[i].type == m->head.type && entries[i].ask_len == len)
			return &entries[i];
	return NULL;
}

static void serve(struct admin *a, struct conn *c, const union asked *m, size_t len)
{
	const struct entry *e = entry_of(m, len);
	const struct cleat_ask_head nobody = { 0 };
	union answered *answer = &a->answer;
	owned_fd int fd = -1;
	enum reason reason = REASON_MALFORMED;

	memset(answer, 0, sizeof(*answer));
	if (e)
		reason = e->serve(a, c, m, answer, &fd);
	if (reason == REASON_UNDECIDED)
		return;
	head_fill(a, e ? &m->head : &nobody, reason, &answer->head);
	answer_send(a, c, answer, e ? e->answer_len : sizeof(answer->head), fd);
}

static void on_message(struct loop_source *s, uint32_t events)
{
	struct admin *a = s->owner;
	struct conn *c = (struct conn *)((char *)s - offsetof(struct conn, source));
	union asked m = { 0 };
	ssize_t n =
		recv(s->fd, &m, sizeof(m), MSG_DONTWAIT); /* descriptors have no room: dropped */

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || c->waits_for) /* gone, or a second question before the first's answer */
		conn_close(a, c);
	else
		serve(a, c, &m, (size_t)n);
}

/* ---- who may connect ---- */

static void refuse(struct admin *a, int fd, const struct ucred *who, enum reason reason)
{
	struct audit_line *l = &a->k->line;
	const struct cleat_ask_head nobody = { 0 };
	struct cleat_answer_head head = { 0 };

	audit_begin(l, "kernel", "admin", reason);
	audit_u64(l, "pid", (uint64_t)who->pid);
	audit_u64(l, "uid", who->uid);
	audit_u64(l, "generation", a->k->current.p->generation);
	audit_end(l, a->k->audit, false);
	head_fill(a, &nobody, reason, &head);
	send(fd, &head, sizeof(head), MSG_NOSIGNAL | MSG_DONTWAIT);
	/* a question left unread would reset the connection, and the answer with it */
	shutdown(fd, SHUT_RD);
	while (recv(fd, &head, sizeof(head), MSG_DONTWAIT) > 0)
		;
}

static struct conn *conn_free(struct admin *a)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (a->conns[i].source.fd < 0)
			return &a->conns[i];
	return NULL;
}

static void on_connect(struct loop_source *s, uint32_t events)
{
	struct admin *a = s->owner;
	owned_fd int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);
	struct conn *c = conn_free(a);

	(void)events;
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return;
	/* the directory's mode is one wall, this is the other: it holds when somebody widens the first */
	if (kept(admin_root) && who.uid != geteuid()) {
		refuse(a, fd, &who, REASON_NOT_ROOT);
		return;
	}
	if (!c) {
		refuse(a, fd, &who, REASON_BUSY);
		return;
	}
	c->source = (struct loop_source){ fd, on_message, a };
	if (loop_add(a->k->loop, &c->source, EPOLLIN) < 0)
		c->source.fd = -1;
	else
		take_fd(&fd);
}

/* ---- life ---- */

int admin_open(struct kernel_room *k, struct admin **ret)
{
	owned(admin_owned) struct admin *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->k = k;
	a->listener = (struct loop_source){ -1, on_connect, a };
	for (int i = 0; i < CONNECTIONS; i++)
		a->conns[i].source.fd = -1;
	err = place_bind(k->private, PLACE_ADMIN, &a->listener.fd);
	if (err < 0)
		return err;
	if (fchmodat(k->private, PLACE_ADMIN, 0600, 0) < 0)
		return -errno;
	*ret = take_ptr(a);
	return 0;
}

int admin_serve(struct admin *a)
{
	if (listen(a->listener.fd, BACKLOG) < 0)
		return -errno;
	return loop_add(a->k->loop, &a->listener, EPOLLIN);
}

void admin_reloaded(struct admin *a, const char *error)
{
	enum reason reason = error[0] ? REASON_NOT_RELOADED : REASON_OK;

	for (int i = 0; a && i < CONNECTIONS; i++) {
		struct conn *c = &a->conns[i];
		union answered *m = &a->answer;

		if (c->source.fd < 0 || !c->waits_for || c->waits_for > a->k->reloads)
			continue;
		memset(m, 0, sizeof(*m));
		snprintf(m->head.detail, sizeof(m->head.detail), "%s", error);
		head_fill(a, &c->ask, reason, &m->head);
		c->waits_for = 0;
		answer_send(a, c, m, sizeof(struct cleat_admin_answer), -1);
	}
}

void admin_free(struct admin *a)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (a->conns[i].source.fd >= 0)
			close(a->conns[i].source.fd);
	if (a->listener.fd >= 0) {
		place_unbind(a->k->private, PLACE_ADMIN);
		close(a->listener.fd);
	}
	free(a);
}
