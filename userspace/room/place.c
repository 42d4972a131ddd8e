/* SPDX-License-Identifier: Apache-2.0 */
/* Where the daemon lives in the file system. See place.h. */
#include "room/place.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/twin.h"
#include "model/admin.h"
#include "model/counters.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define ROOM_END_NS 5000000000ull /* a killed one is gone in milliseconds */
#define LOOK_END_NS                                                                                \
	200000000ull /* "cleatctl revoke" looks whether a daemon holds the lock: microseconds */

/* Opens a directory that is ours alone to write. @deny: permission bits that must not be there. */
static int dir_open(int at, const char *path, mode_t deny, int *ret_fd)
{
	owned_fd int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (kept(place_owner) && (st.st_uid != geteuid() || st.st_mode & deny))
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* @limit_ns is for who holds it only for a while. -ETIMEDOUT: it is still held. */
static int lock_wait(int fd, uint64_t limit_ns)
{
	const struct timespec step = { .tv_nsec = 10000000 };
	const uint64_t until = clock_mono_ns() + limit_ns;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (clock_mono_ns() > until)
			return -ETIMEDOUT;
		nanosleep(&step, NULL);
	}
	return 0;
}

int place_open(const char *runtime_dir, int *ret_dirfd, int *ret_privatefd)
{
	owned_fd int dir = -1, private = -1;
	int err = dir_make(runtime_dir, 0755);

	if (err < 0)
		return err;
	err = dir_open(AT_FDCWD, runtime_dir, 0022, &dir);
	if (err < 0)
		return err;
	if (fchmod(dir, 0755) < 0) /* whatever the umask was: clients must reach the sockets */
		return -errno;
	if (mkdirat(dir, CLEAT_ADMIN_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	err = dir_open(dir, CLEAT_ADMIN_DIR, 0077, &private);
	if (err == 0)
		err = lock_wait(private, LOOK_END_NS);
	if (err < 0)
		return err == -ETIMEDOUT ? -EBUSY : err;
	*ret_dirfd = take_fd(&dir);
	*ret_privatefd = take_fd(&private);
	return 0;
}

int place_bind(int dirfd, const char *name, int *ret_fd)
{
	owned_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	int n;

	if (fd < 0)
		return -errno;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* nobody listens: the lock on the directory is ours */
		if (kept(place_foreign) && (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid()))
			return -EEXIST;
		if (unlinkat(dirfd, name, 0) < 0)
			return -errno;
	} else if (errno != ENOENT) {
		return -errno;
	}
	n = snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return errno == EADDRINUSE ? -EEXIST : -errno;
	if (fchmodat(dirfd, name, 0666, 0) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

void place_unbind(int dirfd, const char *name)
{
	unlinkat(dirfd, name, 0);
}

/*
 * A room whose daemon was killed must be dead before ours begins: it would write the same windows and counters, and what
 * it accepts in its last moment could be accepted once more. The kernel kills it (PR_SET_PDEATHSIG), but only after the
 * daemon's own locks are gone, so somebody has to wait for it.
 *
 * The lock is that of the open file, and who has a descriptor of that has the lock. So the room has none: it maps the page
 * and closes it (room/front.c) before it hears of anybody, and the mapping alone keeps the file open, until the process is
 * gone. A room that was taken over can hand over descriptors, which outlive it, and no mapping: what it gives away delays
 * no start. (It can unmap the page and be waited for no longer; then what kills it is the signal alone, and what it still
 * does in between it could have done before.)
 */
int place_counters(int privatefd, const char *name, int *ret_fd)
{
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
	owned_fd int fd = openat(privatefd, name, flags, 0600);
	int err = fd < 0 ? -errno : lock_wait(fd, ROOM_END_NS);

	if (err < 0)
		return err;
	if (ftruncate(fd, 0) < 0 || ftruncate(fd, sizeof(struct room_counters)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int place_keeper(int privatefd, const char *cgroup)
{
	return file_write(privatefd, PLACE_KEEPER, cgroup, strlen(cgroup), 0600);
}

int place_keeper_read(const char *runtime_dir, char *ret, size_t cap)
{
	owned_mem char *path = NULL, *text = NULL;
	size_t len;
	int err;

	if (asprintf(&path, "%s/private/" PLACE_KEEPER, runtime_dir) < 0)
		return -ENOMEM;
	err = file_read(AT_FDCWD, path, cap - 1, FILE_ROOT_PRIVATE, &text, &len);
	if (err == 0 && text[0] != '/')
		err = -EBADMSG;
	if (err == 0)
		memcpy(ret, text, len + 1);
	return err;
}

int place_audit(const char *path, int *ret_fd)
{
	const char *slash = strrchr(path, '/');
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;

	if (slash && slash != path) {
		owned_mem char *dir = strndup(path, (size_t)(slash - path));
		int err = dir ? dir_make(dir, 0750) : -ENOMEM;

		if (err < 0)
			return err;
	}
	owned_fd int fd = open(path, flags, 0600);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPERM; /* a pipe or device could lose or block the line */
	*ret_fd = take_fd(&fd);
	return 0;
}
