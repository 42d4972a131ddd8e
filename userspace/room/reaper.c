/* SPDX-License-Identifier: Apache-2.0 */
/* Closes descriptors that came from strangers. See reaper.h. */
#include "room/reaper.h"

#include "base/cleanup.h"
#include "base/twin.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define LINGER_THREADS	16
#define LINGER_EACH	4 /* threads for what one is charged with */
#define LINGER_MAX	1024
#define DRAINED_THREADS 4 /* one may hang: the kernel collects in one place at a time */
#define STRANGE_THREADS 32
#define STRANGE_EACH	2
#define STACK_BYTES	(128 * 1024)
#define NAP_NS                                                                                     \
	1000000 /* the fast lane looks again after this: as late may a FIN be that waits for it */
#define NAPS	    2 /* for nothing, before it sleeps: to be woken costs as much as two or three */
#define LINGER_NS   200000	      /* how long a close may linger */
#define KICK_NS	    (5 * 1000 * 1000) /* and is told again, should the first have come too early */
#define KICK_SIGNAL SIGUSR1

struct waiting {
	int fd;
	enum reaper_what what;
	struct reaper_charge *who;
};

struct lane {
	struct reaper *reaper;
	enum reaper_lanes which;
	unsigned each, max;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct waiting queue[REAPER_MAX]; /* oldest first */
	unsigned count;
};

struct reaper {
	/* the fast lane: one writer (the room), one reader */
	struct waiting ring[REAPER_RING];
	atomic_uint head; /* next to close */
	atomic_uint tail; /* next free */
	atomic_bool asleep;
	int wake;

	pthread_barrier_t there; /* every thread has what it needs to make */

	struct lane lanes[REAPER_LANES];
	struct reaper_charge nobody; /* who is charged where the caller knows nobody */
	atomic_uint open;	     /* everywhere */
	atomic_uint forced;
};

static void on_kick(int sig)
{
	(void)sig; /* being interrupted is all it is for */
}

/* A timer that interrupts this thread's system calls while it is set. */
static timer_t kick_new(void)
{
	struct sigevent e = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL };
	timer_t t = NULL;

	e._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &e, &t) < 0)
		abort(); /* without it a stranger could hold the lane */
	return t;
}

static void kick_set(timer_t t, long first_ns)
{
	struct itimerspec s = { .it_interval.tv_nsec = first_ns ? KICK_NS : 0,
				.it_value.tv_nsec = first_ns };

	timer_settime(t, 0, &s, NULL);
}

static void discharge(struct reaper *r, struct reaper_charge *who)
{
	for (struct reaper_charge *above; who; who = above) {
		above = who->above; /* once nothing is held it may be gone */
		atomic_fetch_sub(&who->held, 1);
	}
	atomic_fetch_sub(&r->open, 1);
}

static void park(struct reaper_charge *who, int n)
{
	for (; who; who = who->above)
		atomic_fetch_add(&who->parked, (unsigned)n);
}

/* ---- the lanes that wait ---- */

static bool lane_put(struct lane *l, struct waiting w)
{
	bool room;

	pthread_mutex_lock(&l->lock);
	room = l->count < l->max;
	if (room) {
		if (l->which == REAPER_STRANGE)
			park(w.who, 1);
		l->queue[l->count++] = w;
		pthread_cond_signal(&l->more);
	}
	pthread_mutex_unlock(&l->lock);
	return room;
}

/* Whose threads are counted. */
static struct reaper_charge *payer(struct reaper_charge *who)
{
	while (who->above)
		who = who->above;
	return who;
}

/* The oldest of somebody who has not his number of threads at work. With the lock. */
static bool lane_take(struct lane *l, struct waiting *ret)
{
	for (unsigned i = 0; i < l->count; i++) {
		struct reaper_charge *p = payer(l->queue[i].who);

		if (p->closing[l->which] >= l->each)
			continue;
		*ret = l->queue[i];
		l->count--;
		memmove(&l->queue[i], &l->queue[i + 1], (l->count - i) * sizeof(*ret));
		p->closing[l->which]++;
		return true;
	}
	return false;
}

static void *lane_run(void *arg)
{
	struct lane *l = arg;
	timer_t kick = kick_new();
	struct waiting w;

	pthread_barrier_wait(&l->reaper->there);
	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (!lane_take(l, &w))
			pthread_cond_wait(&l->more, &l->lock);
		pthread_mutex_unlock(&l->lock);

		kick_set(kick, LINGER_NS);
		close(w.fd);
		kick_set(kick, 0);

		pthread_mutex_lock(&l->lock);
		payer(w.who)->closing[l->which]--;
		if (l->which == REAPER_STRANGE)
			park(w.who, -1);
		discharge(l->reaper, w.who);
		pthread_cond_signal(&l->more);
	}
	return NULL;
}

/* ---- the fast lane ---- */

static int asked(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static enum reaper_what is(int fd)
{
	int domain = asked(fd, SO_DOMAIN), protocol;

	if (domain != AF_INET && domain != AF_INET6)
		return REAPER_IS_STRANGE;
	protocol = asked(fd, SO_PROTOCOL);
	return asked(fd, SO_TYPE) == SOCK_STREAM &&
			       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
		       ? REAPER_IS_TCP
		       : REAPER_IS_STRANGE;
}

static bool lingers(int fd)
{
	struct linger l = { 0 };
	socklen_t len = sizeof(l);

	return getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) < 0 || l.l_onoff;
}

/* Is nothing in an end of our own, for ever? Waits for nothing and takes nothing out. A message, of no bytes even, says who
 * sent it (SO_PASSCRED), for which there is no room here: MSG_CTRUNC. */
static bool end_is_empty(int fd)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (shutdown(fd, SHUT_RD) < 0) /* from here on nothing is queued any more */
		return false;
	do
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? errno == EAGAIN : n == 0 && !(msg.msg_flags & MSG_CTRUNC);
}

static enum reaper_what known(struct waiting w)
{
	if (w.what == REAPER_IS_ANY)
		return is(w.fd);
	if (w.what == REAPER_IS_END)
		return end_is_empty(w.fd) ? REAPER_IS_DRAINED : REAPER_IS_STRANGE;
	return w.what;
}

static void fast_close(struct reaper *r, struct waiting w)
{
	w.what = known(w);
	if (kept(reaper_strange) && (w.what == REAPER_IS_STRANGE || w.what == REAPER_IS_DRAINED)) {
		/* as many as may be open have a place there */
		lane_put(&r->lanes[w.what == REAPER_IS_DRAINED ? REAPER_DRAINED : REAPER_STRANGE],
			 w);
		return;
	}
	if (w.what == REAPER_IS_TCP && lingers(w.fd)) {
		if (lane_put(&r->lanes[REAPER_LINGER], w))
			return;
		atomic_fetch_add(&r->forced, 1);
	}
	close(w.fd); /* that lane is full, or linger was set behind our back: the timer bounds it */
	discharge(r, w.who);
}

static unsigned fast_drain(struct reaper *r)
{
	unsigned head = atomic_load(&r->head), tail = atomic_load(&r->tail), n = tail - head;

	for (; head != tail; head++) {
		fast_close(r, r->ring[head % REAPER_RING]);
		atomic_store(&r->head, head + 1);
	}
	return n;
}

static void *fast_lane(void *arg)
{
	struct reaper *r = arg;
	timer_t kick = kick_new();
	uint64_t n;

	pthread_barrier_wait(&r->there);
	for (;;) {
		kick_set(kick, KICK_NS);
		fast_drain(r);
		for (unsigned idle = 0; idle < NAPS; idle = fast_drain(r) ? 0 : idle + 1)
			clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = NAP_NS },
					NULL);
		kick_set(kick, 0);
		atomic_store(&r->asleep, true);
		if (atomic_load(&r->tail) == atomic_load(&r->head) &&
		    read(r->wake, &n, sizeof(n)) < 0 && errno != EINTR)
			abort();
		atomic_store(&r->asleep, false);
	}
	return NULL;
}

static int thread_start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

static int lane_start(struct reaper *r, enum reaper_lanes which, unsigned threads, unsigned each,
		      unsigned max)
{
	struct lane *l = &r->lanes[which];
	int err = 0;

	l->reaper = r;
	l->which = which;
	l->each = each;
	l->max = max;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->more, NULL);
	for (unsigned i = 0; !err && i < threads; i++)
		err = thread_start(lane_run, l);
	return err;
}

int reaper_start(struct reaper **ret)
{
	struct sigaction kicked = { .sa_handler = on_kick }; /* no SA_RESTART: that is the point */
	struct reaper *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->wake = eventfd(0, EFD_CLOEXEC);
	if (r->wake < 0 || sigaction(KICK_SIGNAL, &kicked, NULL) < 0) {
		err = -errno;
		if (r->wake >= 0)
			close(r->wake);
		free(r);
		return err;
	}
	pthread_barrier_init(&r->there, NULL,
			     LINGER_THREADS + DRAINED_THREADS + STRANGE_THREADS + 2);
	err = thread_start(fast_lane, r);
	if (!err)
		err = lane_start(r, REAPER_LINGER, LINGER_THREADS, LINGER_EACH, LINGER_MAX);
	if (!err)
		err = lane_start(r, REAPER_DRAINED, DRAINED_THREADS, DRAINED_THREADS, REAPER_MAX);
	if (!err)
		err = lane_start(r, REAPER_STRANGE, STRANGE_THREADS, STRANGE_EACH, REAPER_MAX);
	if (err)
		return err; /* the room ends: threads that did start go with it */
	pthread_barrier_wait(&r->there);
	*ret = r;
	return 0;
}

bool reaper_has_room(struct reaper *r, unsigned n)
{
	return atomic_load(&r->tail) - atomic_load(&r->head) + n <= REAPER_RING &&
	       atomic_load(&r->open) + n <= REAPER_MAX;
}

void reaper_put(struct reaper *r, int fd, enum reaper_what what, struct reaper_charge *who)
{
	unsigned tail = atomic_load(&r->tail);

	if (!who)
		who = &r->nobody;
	atomic_fetch_add(&r->open, 1);
	for (struct reaper_charge *c = who; c; c = c->above)
		atomic_fetch_add(&c->held, 1);
	r->ring[tail % REAPER_RING] = (struct waiting){ fd, what, who };
	atomic_store(&r->tail, tail + 1);
}

unsigned reaper_forced(struct reaper *r)
{
	return atomic_load(&r->forced);
}

void reaper_flush(struct reaper *r)
{
	uint64_t one = 1;

	if (atomic_load(&r->tail) != atomic_load(&r->head) && atomic_exchange(&r->asleep, false) &&
	    write(r->wake, &one, sizeof(one)) < 0)
		abort();
}
