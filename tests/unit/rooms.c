/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a room: of one that dies at once, and of one that cannot die. */
#include "room/rooms.h"

#include "../stalling.h"
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

TestSuite(rooms, .init = stalling_mount, .fini = stalling_umount, .timeout = 30);

static uint64_t ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A child that closes @fd and then sleeps. Returns how long room_end() took. */
static uint64_t ended_in(int fd, pid_t *ret_pid)
{
	struct room_child c = { .name = "test",
				.channel = open("/dev/null", O_RDONLY | O_CLOEXEC) };
	uint64_t begun;

	c.pid = fork();
	if (c.pid == 0) {
		close(fd);
		pause();
		_exit(0);
	}
	*ret_pid = c.pid;
	c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	cr_assert_geq(c.pidfd, 0);
	poll(NULL, 0, 200); /* it is in there */
	begun = ms();
	room_end(&c);
	cr_assert_eq(c.pid, 0);
	return ms() - begun;
}

Test(rooms, one_that_dies)
{
	pid_t pid;

	cr_assert_lt(ended_in(-1, &pid), 1000);
	cr_assert_eq(kill(pid, 0), -1, "it is not waited for");
}

Test(rooms, one_that_cannot_die)
{
	int fd = stalling_open();
	uint64_t took;
	pid_t pid;

	atomic_store(silent, true);
	took = ended_in(fd, &pid);
	cr_assert(took >= ROOM_END_MS && took < ROOM_END_MS + 2000, "%lu ms", took);
	cr_assert_eq(waitpid(pid, NULL, WNOHANG), 0, "it hangs");
	stalling_end();
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}
