/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who could have written a file decides whether it is policy: root's (or ours, where we are not root), not
 * writable by anybody else, not a link. A file that is open for writing somewhere is half of something:
 * a read lease says so, because the kernel grants none while there is a writer.
 */
#include "edge/policy_files.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/twin.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define NAMES_MAX 4096 /* files of one directory */

static int complain(struct draft *d, const char *shown, const char *what)
{
	const struct place_in_file at = { .file = shown, .line = 1, .column = 1 };

	draft_complain(d, &at, "%s", what);
	return -EBADMSG;
}

static int complain_errno(struct draft *d, const char *shown, int err)
{
	if (err == -ENOENT || err == -ENOMEM)
		return err;
	if (err == -ELOOP)
		return complain(d, shown, "a symbolic link: put the file itself here");
	if (err == -ENOTDIR)
		return complain(d, shown, "not a directory");
	if (err == -EFBIG)
		return complain(d, shown, "too large: split it");
	return complain(d, shown, strerror(-err));
}

/* Could anybody but root have written it? */
static int owner_check(struct draft *d, const char *shown, const struct stat *st)
{
	if (!kept(policy_owner))
		return 0;
	if (st->st_uid != 0 && (geteuid() == 0 || st->st_uid != geteuid()))
		return complain(d, shown, "not owned by root: chown root it");
	if (st->st_mode & 022)
		return complain(d, shown, "writable by group or others: chmod go-w it");
	return 0;
}

int files_open_dir(struct draft *d, int dirfd, const char *name, const char *shown, bool any_owner,
		   int *ret_fd)
{
	/* The configuration directory itself may be reached by a link; what is in it may not. */
	int follow = dirfd == AT_FDCWD ? 0 : O_NOFOLLOW;
	owned_fd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return complain_errno(d, shown, -errno);
	if (!any_owner && owner_check(d, shown, &st) < 0)
		return -EBADMSG;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Whether somebody has the file open for writing. Where leases do not exist nobody knows: no. */
static bool being_written(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) <
	    0) /* ignored by default, should a writer come meanwhile */
		return false;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

static bool same_file_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int files_read(struct draft *d, int dirfd, const char *name, const char *shown, size_t max,
	       bool any_owner, char **ret, size_t *ret_len)
{
	static const char half[] = "being written at this moment: write a new file beside it, "
				   "rename it over this one, and reload";
	owned_fd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	owned_mem char *bytes = NULL;
	struct stat before, after;
	size_t len;
	int err;

	if (fd < 0 || fstat(fd, &before) < 0)
		return complain_errno(d, shown, -errno);
	if (!S_ISREG(before.st_mode))
		return complain(d, shown, "not a regular file");
	if (!any_owner && owner_check(d, shown, &before) < 0)
		return -EBADMSG;
	if (being_written(fd))
		return complain(d, shown, half);
	err = file_read_fd(fd, max, &bytes, &len);
	if (err < 0)
		return complain_errno(d, shown, err);
	if (fstat(fd, &after) < 0 || !same_file_state(&before, &after) || being_written(fd))
		return complain(d, shown, half);
	*ret = take_ptr(bytes);
	*ret_len = len;
	return 0;
}

static int order_names(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t len = strlen(name), tail = strlen(suffix);

	return len > tail && strcmp(name + len - tail, suffix) == 0;
}

int files_list(struct draft *d, int dirfd, const char *suffix, const char ***ret, size_t *ret_count)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	owned(cleanup_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const char **names = arena_get(&d->arena, NAMES_MAX * sizeof(*names));
	struct dirent *e;
	size_t n = 0;

	if (!dir && fd >= 0)
		close(fd);
	if (!dir)
		return -errno;
	if (!names)
		return -ENOMEM;
	while ((errno = 0, e = readdir(dir))) {
		if (e->d_name[0] == '.' || !ends_in(e->d_name, suffix))
			continue;
		if (n == NAMES_MAX)
			return -EFBIG;
		names[n] = arena_text(&d->arena, e->d_name, strlen(e->d_name));
		if (!names[n++])
			return -ENOMEM;
	}
	if (errno)
		return -errno;
	draft_sort(names, n, sizeof(*names), order_names);
	*ret = names;
	*ret_count = n;
	return 0;
}

const char *files_path(struct draft *d, const char *dir, const char *name)
{
	size_t cap = strlen(dir) + strlen(name) + 2;
	char *path = arena_get(&d->arena, cap);

	if (path)
		snprintf(path, cap, "%s/%s", dir, name);
	return path ? path : name;
}
