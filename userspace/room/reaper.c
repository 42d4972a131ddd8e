/* SPDX-License-Identifier: Apache-2.0 */
/* Closes descriptors that came from strangers. See reaper.h. */
#include "room/reaper.h"

#include "base/cleanup.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#define SLOW_THREADS 16
#define SLOW_EACH    4 /* threads for what one is charged with */
#define STACK_BYTES  (128 * 1024)
#define NAP_NS	     500000	       /* the fast lane looks again after this before it sleeps */
#define LINGER_NS    200000	       /* how long a close may linger */
#define KICK_NS	     (5 * 1000 * 1000) /* and is told again, should the first have come too early */
#define KICK_SIGNAL  SIGUSR1

struct waiting {
	int fd;
	struct reaper_charge *who; /* or NULL */
};

struct reaper {
	/* the fast lane: one writer (the room), one reader */
	struct waiting ring[REAPER_RING];
	atomic_uint head; /* next to close */
	atomic_uint tail; /* next free */
	atomic_bool asleep;
	int wake;

	pthread_barrier_t there; /* every thread has what it needs to make */

	pthread_mutex_t lock; /* the slow lane */
	pthread_cond_t more;
	struct waiting slow[REAPER_SLOW]; /* oldest first */
	unsigned slow_count;
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

static void discharge(struct reaper_charge *who)
{
	for (struct reaper_charge *above; who; who = above) {
		above = who->above; /* once nothing is held it may be gone */
		atomic_fetch_sub(&who->held, 1);
	}
}

static bool may_wait(int fd)
{
	struct linger l;
	socklen_t len = sizeof(l);

	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) < 0)
		return true; /* no socket: its flush is somebody else's code */
	return l.l_onoff != 0;
}

static bool slow_put(struct reaper *r, struct waiting w)
{
	bool room;

	pthread_mutex_lock(&r->lock);
	room = r->slow_count < REAPER_SLOW;
	if (room) {
		r->slow[r->slow_count++] = w;
		pthread_cond_signal(&r->more);
	}
	pthread_mutex_unlock(&r->lock);
	return room;
}

/* Whose threads are counted. */
static struct reaper_charge *payer(struct reaper_charge *who)
{
	while (who && who->above)
		who = who->above;
	return who;
}

/* The oldest of somebody who has not his number of threads at work. With the lock. */
static bool slow_take(struct reaper *r, struct waiting *ret)
{
	for (unsigned i = 0; i < r->slow_count; i++) {
		struct reaper_charge *p = payer(r->slow[i].who);

		if (p && p->closing >= SLOW_EACH)
			continue;
		*ret = r->slow[i];
		r->slow_count--;
		memmove(&r->slow[i], &r->slow[i + 1], (r->slow_count - i) * sizeof(*ret));
		if (p)
			p->closing++;
		return true;
	}
	return false;
}

static void *slow_lane(void *arg)
{
	struct reaper *r = arg;
	timer_t kick = kick_new();
	struct waiting w;

	pthread_barrier_wait(&r->there);
	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (!slow_take(r, &w))
			pthread_cond_wait(&r->more, &r->lock);
		pthread_mutex_unlock(&r->lock);

		kick_set(kick, LINGER_NS);
		close(w.fd);
		kick_set(kick, 0);

		pthread_mutex_lock(&r->lock);
		if (w.who)
			payer(w.who)->closing--;
		discharge(w.who);
		pthread_cond_signal(&r->more);
	}
	return NULL;
}

static void fast_close(struct reaper *r, struct waiting w)
{
	if (may_wait(w.fd)) {
		if (slow_put(r, w))
			return;
		atomic_fetch_add(&r->forced, 1);
	}
	close(w.fd); /* a full slow lane, or linger set behind our back: the timer bounds it */
	discharge(w.who);
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
		while (fast_drain(r))
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

static int thread_start(void *(*lane)(void *), struct reaper *r)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&thread, &attr, lane, r);
	pthread_attr_destroy(&attr);
	return -err;
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
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	pthread_barrier_init(&r->there, NULL, SLOW_THREADS + 2);
	err = thread_start(fast_lane, r);
	for (int i = 0; !err && i < SLOW_THREADS; i++)
		err = thread_start(slow_lane, r);
	if (err)
		return err; /* the room ends: threads that did start go with it */
	pthread_barrier_wait(&r->there);
	*ret = r;
	return 0;
}

bool reaper_has_room(struct reaper *r, unsigned n)
{
	return atomic_load(&r->tail) - atomic_load(&r->head) + n <= REAPER_RING;
}

void reaper_put(struct reaper *r, int fd, struct reaper_charge *who)
{
	unsigned tail = atomic_load(&r->tail);

	for (struct reaper_charge *c = who; c; c = c->above)
		atomic_fetch_add(&c->held, 1);
	r->ring[tail % REAPER_RING] = (struct waiting){ fd, who };
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
