// SPDX-License-Identifier: Apache-2.0
/*
 * Whole files: see file.h. A file is judged by fstat(2) on the descriptor that is then read, so nothing can be
 * exchanged between the look and the reading; O_NONBLOCK keeps a FIFO in its place from hanging us.
 */
#include "base/file.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define LOCK_NAME ".lock"

static bool trusted(const struct stat *st, enum file_trust trust)
{
	if (trust == FILE_ANY)
		return true;
	if (st->st_uid != 0 && (geteuid() == 0 || st->st_uid != geteuid()))
		return false;
	return !(st->st_mode & (trust == FILE_ROOT_PRIVATE ? 077 : 022));
}

int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len)
{
	owned_mem char *at = NULL;
	struct stat st;
	size_t cap, len = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 0 && (uint64_t)st.st_size > max)
		return -EFBIG;
	cap = st.st_size > 0 ? (size_t)st.st_size + 1 : 4096; /* size 0: pseudo files do not say */
	for (;;) {
		char *bigger;
		ssize_t n;

		if (!at || len == cap) {
			cap = at ? cap * 2 : cap;
			cap = cap > max + 1 ? max + 1 : cap;
			bigger = realloc(at, cap + 1);
			if (!bigger)
				return -ENOMEM;
			at = bigger;
		}
		n = pread(fd, at + len, cap - len, (off_t)len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	at[len] = '\0';
	*ret = take_ptr(at);
	*ret_len = len;
	return 0;
}

int file_read(int dirfd, const char *path, size_t max, enum file_trust trust, char **ret,
	      size_t *ret_len)
{
	owned_fd int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !trusted(&st, trust))
		return -EPERM;
	return file_read_fd(fd, max, ret, ret_len);
}

int file_stat(int fd, struct stat *ret)
{
	return syscall(SYS_fstat, fd, ret) < 0 ? -errno : 0;
}

int file_memory(const char *name, int *ret_fd)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Opens the directory of @path, and points at the last component. */
static int dir_open(int dirfd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	owned_mem char *dir = NULL;
	int fd;

	*ret_name = slash ? slash + 1 : path;
	if (!**ret_name)
		return -EINVAL;
	dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!dir)
		return -ENOMEM;
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int file_fill(int dir, const char *temporary, const void *bytes, size_t len, mode_t mode)
{
	owned_fd int fd =
		openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int err;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, mode) < 0) /* whatever the umask */
		return -errno;
	err = write_all(fd, bytes, len);
	if (err < 0)
		return err;
	return fsync(fd) < 0 ? -errno : 0;
}

int file_write(int dirfd, const char *path, const void *bytes, size_t len, mode_t mode)
{
	char temporary[NAME_MAX + 1];
	const char *name;
	owned_fd int dir = dir_open(dirfd, path, &name);
	uint64_t salt;
	int err;

	if (dir < 0)
		return dir;
	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	if (snprintf(temporary, sizeof(temporary), ".%s.%016llx", name, (unsigned long long)salt) >=
	    (int)sizeof(temporary))
		return -ENAMETOOLONG;
	err = file_fill(dir, temporary, bytes, len, mode);
	if (err == 0 && renameat(dir, temporary, dir, name) < 0)
		err = -errno;
	if (err < 0) {
		if (err != -EEXIST)
			unlinkat(dir, temporary, 0);
		return err;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

/* Whether @fd is what is found under the name now, and not one that its holder removed while we waited. */
static bool lock_is_current(int dir, int fd)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && fstatat(dir, LOCK_NAME, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

int file_lock(int dirfd, const char *path, struct file_lock *ret)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	const char *name;
	owned_fd int dir = dir_open(dirfd, path, &name);

	if (dir < 0)
		return dir;
	for (;;) {
		owned_fd int fd = openat(dir, LOCK_NAME, flags, 0600);

		if (fd < 0)
			return -errno;
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return -errno;
		if (!lock_is_current(dir, fd))
			continue;
		*ret = (struct file_lock){ take_fd(&dir), take_fd(&fd) };
		return 0;
	}
}

void file_unlock(struct file_lock *lock)
{
	if (lock->fd < 0)
		return;
	unlinkat(lock->dir, LOCK_NAME, 0); /* while it is ours: who waits for it looks again */
	close(lock->fd);
	close(lock->dir);
	*lock = FILE_LOCK_NONE;
}

int dir_make(const char *path, mode_t mode)
{
	owned_mem char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return -ENOMEM;
	for (char *at = copy; *at;) {
		at += strspn(at, "/");
		at += strcspn(at, "/");
		if (at == copy)
			break;

		char after = *at;

		*at = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*at = after;
	}
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}
