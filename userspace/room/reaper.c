/* SPDX-License-Identifier: Apache-2.0 */
/* Closes descriptors that came from strangers. See reaper.h. */
#include "room/reaper.h"

#include "base/cleanup.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#define SLOW_THREADS 4
#define STACK_BYTES  (128 * 1024)
#define NAP_NS	     500000	       /* the fast lane looks again after this before it sleeps */
#define KICK_NS	     (5 * 1000 * 1000) /* how long a close may linger */
#define KICK_SIGNAL  SIGUSR1

struct reaper {
	/* the fast lane: one writer (the room), one reader */
	int ring[REAPER_RING];
	atomic_uint head; /* next to close */
	atomic_uint tail; /* next free */
	atomic_bool asleep;
	int wake;

	pthread_barrier_t there; /* every thread has what it needs to make */

	pthread_mutex_t lock; /* the slow lane */
	pthread_cond_t more;
	int slow[REAPER_SLOW];
	unsigned slow_head, slow_tail;
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

static void kick_set(timer_t t, long ns)
{
	struct itimerspec s = { .it_interval.tv_nsec = ns, .it_value.tv_nsec = ns };

	timer_settime(t, 0, &s, NULL);
}

static bool may_wait(int fd)
{
	struct linger l;
	socklen_t len = sizeof(l);

	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) < 0)
		return true; /* no socket: its flush is somebody else's code */
	return l.l_onoff != 0;
}

static bool slow_put(struct reaper *r, int fd)
{
	bool room;

	pthread_mutex_lock(&r->lock);
	room = r->slow_tail - r->slow_head < REAPER_SLOW;
	if (room) {
		r->slow[r->slow_tail++ % REAPER_SLOW] = fd;
		pthread_cond_signal(&r->more);
	}
	pthread_mutex_unlock(&r->lock);
	return room;
}

static void *slow_lane(void *arg)
{
	struct reaper *r = arg;
	timer_t kick = kick_new();

	pthread_barrier_wait(&r->there);
	for (;;) {
		pthread_mutex_lock(&r->lock);
		while (r->slow_tail == r->slow_head)
			pthread_cond_wait(&r->more, &r->lock);
		int fd = r->slow[r->slow_head++ % REAPER_SLOW];
		pthread_mutex_unlock(&r->lock);

		kick_set(kick, KICK_NS);
		close(fd);
		kick_set(kick, 0);
	}
	return NULL;
}

static unsigned fast_drain(struct reaper *r)
{
	unsigned head = atomic_load(&r->head), tail = atomic_load(&r->tail), n = tail - head;

	for (; head != tail; head++) {
		int fd = r->ring[head % REAPER_RING];

		/* a full slow lane, or linger set behind our back: the timer bounds it */
		if (!may_wait(fd) || !slow_put(r, fd))
			close(fd);
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
		kick_set(kick, 4 * KICK_NS);
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

void reaper_put(struct reaper *r, int fd)
{
	unsigned tail = atomic_load(&r->tail);

	r->ring[tail % REAPER_RING] = fd;
	atomic_store(&r->tail, tail + 1);
}

void reaper_flush(struct reaper *r)
{
	uint64_t one = 1;

	if (atomic_load(&r->tail) != atomic_load(&r->head) && atomic_exchange(&r->asleep, false) &&
	    write(r->wake, &one, sizeof(one)) < 0)
		abort();
}
