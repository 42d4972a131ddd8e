/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the daemon lives (attacks.md 122 and 123): what is not root's alone is not lived in, what is foreign is not
 * replaced, and modes are what they must be whatever the umask was. Needs root, to be another user.
 */
#include "room/place.h"

#include "base/cleanup.h"
#include "model/counters.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER 65534

static char top[] = "/tmp/place-XXXXXX";
static char run[64];

static void start(void)
{
	cr_assert(mkdtemp(top));
	snprintf(run, sizeof(run), "%s/run", top);
}

static void stop(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", top);
	cr_assert_eq(system(command), 0);
}

TestSuite(place, .init = start, .fini = stop);

static const char *at(const char *name)
{
	static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	snprintf(path, sizeof(path), "%s%s", run, name);
	return path;
}

static int opened(void)
{
	owned_fd int dir = -1, private = -1;

	return place_open(run, &dir, &private);
}

/* Somebody made the place before the daemon came. */
static void mkdir_of(const char *name, uid_t owner, mode_t mode)
{
	cr_assert_eq(mkdir(at(name), 0700), 0);
	cr_assert_eq(chown(at(name), owner, owner), 0);
	cr_assert_eq(chmod(at(name), mode), 0);
}

static void link_to(const char *target, const char *name)
{
	cr_assert_eq(symlink(target, at(name)), 0);
}

static void refused(int err, const char *what)
{
	cr_expect(err < 0, "accepted: twin=place_owner: %s", what);
	cr_expect(err == 0 || err == -EPERM || err == -ENOTDIR || err == -ELOOP, "%s: %d", what,
		  err);
}

#define PLACE(name, make)                                                                          \
	Test(place, attack_122_##name)                                                             \
	{                                                                                          \
		if (geteuid() != 0)                                                                \
			cr_skip("needs root");                                                     \
		make;                                                                              \
		refused(opened(), #name);                                                          \
	}
PLACE(directory_of_another, mkdir_of("", OTHER, 0755))
PLACE(directory_others_may_write, mkdir_of("", 0, 0777))
PLACE(directory_a_group_may_write, mkdir_of("", 0, 0775))
PLACE(private_part_of_another, (mkdir_of("", 0, 0755), mkdir_of("/private", OTHER, 0700)))
PLACE(private_part_others_may_read, (mkdir_of("", 0, 0755), mkdir_of("/private", 0, 0755)))
PLACE(directory_is_a_link, (mkdir_of("2", 0, 0755), link_to("run2", "")))
PLACE(private_part_is_a_link,
      (mkdir_of("", 0, 0755), mkdir_of("2", 0, 0700), link_to("../run2", "/private")))

/* ---- the sockets ---- */

static void socket_of(const char *name, uid_t owner)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	memcpy(sa.sun_path, at(name), sizeof(sa.sun_path));
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(chown(at(name), owner, owner), 0);
	close(fd);
}

static void file_of(const char *name)
{
	int fd = open(at(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	cr_assert(fd >= 0);
	close(fd);
}

#define SQUATTER(name, make)                                                                       \
	Test(place, attack_122_socket_##name)                                                      \
	{                                                                                          \
		owned_fd int dir = -1, private = -1, fd = -1;                                      \
		struct stat before, after;                                                         \
                                                                                                   \
		if (geteuid() != 0)                                                                \
			cr_skip("needs root");                                                     \
		cr_assert_eq(place_open(run, &dir, &private), 0);                                  \
		make;                                                                              \
		cr_assert_eq(lstat(at("/sign.sock"), &before), 0);                                 \
		int err = place_bind(dir, PLACE_SIGN, &fd);                                        \
                                                                                                   \
		cr_expect(err < 0, "accepted: twin=place_foreign: " #name);                        \
		cr_expect_eq(lstat(at("/sign.sock"), &after), 0, "it was replaced");               \
		cr_expect_eq(before.st_ino, after.st_ino, "it was replaced");                      \
	}
SQUATTER(of_another, socket_of("/sign.sock", OTHER))
SQUATTER(is_a_file, file_of("/sign.sock"))
SQUATTER(is_a_directory, mkdir_of("/sign.sock", 0, 0755))
SQUATTER(is_a_link, (file_of("/x"), link_to("x", "/sign.sock")))
SQUATTER(is_a_dangling_link, link_to("/nowhere", "/sign.sock"))

static mode_t mode_of(const char *name)
{
	struct stat st;

	cr_assert_eq(stat(at(name), &st), 0, "%s", at(name));
	cr_expect_eq(st.st_uid, geteuid());
	return st.st_mode & 07777;
}

/* A stale socket of our own is taken over; whatever the umask was, and whatever an earlier start left. */
Test(place, attack_123_modes)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };

	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		owned_fd int dir = -1, private = -1, fd = -1, page = -1;

		umask(masks[i] == 0777 ? 0700 : masks[i]);
		cr_assert_eq(place_open(run, &dir, &private), 0, "umask %03o", masks[i]);
		umask(masks[i]);
		cr_assert_eq(place_bind(dir, PLACE_SIGN, &fd), 0, "umask %03o", masks[i]);
		cr_assert_eq(place_counters(private, "counters.sign", &page), 0);
		cr_expect_eq(mode_of(""), 0755, "umask %03o", masks[i]);
		cr_expect_eq(mode_of("/private"), 0700, "umask %03o", masks[i]);
		cr_expect_eq(mode_of("/sign.sock"), 0666, "umask %03o", masks[i]);
		cr_expect_eq(mode_of("/private/counters.sign") & 077, 0, "umask %03o", masks[i]);
		cr_expect_eq(opened(), -EBUSY, "one daemon a place");
	}
	umask(022);
}

/* A child that holds what may be locked by @uid for @ms, 0: until it is killed. */
static pid_t lock_held(const char *path, uid_t uid, int how, unsigned ms)
{
	int ready[2];
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int fd;

		if (setresuid(uid, uid, uid) < 0)
			_exit(1);
		fd = open(path, O_RDONLY | O_DIRECTORY);
		if (fd >= 0 && flock(fd, how) < 0)
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		ualarm(ms * 1000, 0); /* 0: no end but the one it is given */
		pause();
		_exit(0);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* Whoever may look at a directory may lock it: that must keep no daemon from starting, nor must who looks for one. */
Test(place, nobody_else_can_hold_the_place)
{
	pid_t pid;

	if (geteuid() != 0)
		cr_skip("needs root");
	cr_assert_eq(chmod(top, 0755), 0);
	cr_assert_eq(opened(), 0, "so that it is there");
	pid = lock_held(run, OTHER, LOCK_EX, 0);
	cr_expect_eq(opened(), 0, "locked by another user");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = lock_held(at("/private"), OTHER, LOCK_EX, 0);
	cr_expect_eq(opened(), 0, "and its private part another user cannot even open");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = lock_held(at("/private"), 0, LOCK_SH, 30);
	cr_expect_eq(opened(), 0, "cleatctl revoke looked");
	waitpid(pid, NULL, 0);
}

static int locked(const char *name)
{
	owned_fd int fd = open(at(name), O_RDONLY | O_CLOEXEC);

	cr_assert(fd >= 0);
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

/* The room of a killed daemon: it has the page mapped, and no descriptor of it. */
static pid_t room_of(int page, int closed[2])
{
	pid_t child = fork();

	if (child == 0) {
		char byte = 0;

		if (mmap(NULL, sizeof(struct room_counters), PROT_READ | PROT_WRITE, MAP_SHARED,
			 page, 0) == MAP_FAILED)
			_exit(1);
		close(page);
		if (write(closed[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	return child;
}

/* It is waited for as long as it lives, by its mapping alone, and no longer. */
Test(place, the_room_before_is_waited_for)
{
	owned_fd int dir = -1, private = -1, page = -1, next = -1;
	int closed[2];
	char byte;

	cr_assert_eq(place_open(run, &dir, &private), 0);
	cr_assert_eq(place_counters(private, "counters.check", &page), 0);
	cr_assert_eq(pipe2(closed, O_CLOEXEC), 0);
	pid_t room = room_of(page, closed);

	cr_assert_eq(read(closed[0], &byte, 1), 1);
	close(take_fd(&page)); /* the daemon is dead */
	cr_expect_eq(locked("/private/counters.check"), -EWOULDBLOCK, "its room is not");
	cr_expect_eq(place_counters(private, "counters.check", &next), -ETIMEDOUT);
	kill(room, SIGKILL);
	waitpid(room, NULL, 0);
	cr_expect_eq(place_counters(private, "counters.check", &next), 0);
	close(closed[0]);
	close(closed[1]);
}

/* The name of the daemon's own cgroup, for who comes without a daemon: root's alone, and a path, or it is not believed. */
Test(place, keeper_is_read_back_and_only_from_root)
{
	char cgroup[64], path[96];
	int dir = -1, private = -1;

	cr_assert_eq(place_open(run, &dir, &private), 0);
	cr_expect_eq(place_keeper_read(run, cgroup, sizeof(cgroup)), -ENOENT);
	cr_assert_eq(place_keeper(private, "/system.slice/cleatd.service"), 0);
	cr_assert_eq(place_keeper_read(run, cgroup, sizeof(cgroup)), 0);
	cr_expect_str_eq(cgroup, "/system.slice/cleatd.service");
	cr_expect_lt(place_keeper_read(run, cgroup, 8), 0, "longer than there is room for");
	snprintf(path, sizeof(path), "%s/private/" PLACE_KEEPER, run);
	cr_assert_eq(chmod(path, 0644), 0);
	cr_expect_eq(place_keeper_read(run, cgroup, sizeof(cgroup)), -EPERM);
	cr_assert_eq(place_keeper(private, "no path"), 0);
	cr_expect_eq(place_keeper_read(run, cgroup, sizeof(cgroup)), -EBADMSG);
	close(private);
	close(dir);
}
