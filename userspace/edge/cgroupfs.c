/* SPDX-License-Identifier: Apache-2.0 */
/* The unified hierarchy in the file system. See cgroupfs.h. */
#include "edge/cgroupfs.h"

#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define CGROUP2_MAGIC 0x63677270

/* The octal escapes mountinfo uses for space, tab, newline and backslash. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* id parent major:minor ROOT POINT options [tags...] - TYPE source superoptions */
static bool line_is_unified(char *line, char **ret_point)
{
	char *type = strstr(line, " - "), *field[5], *rest = line;

	if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
		return false;
	for (unsigned i = 0; i < 5; i++) {
		field[i] = strsep(&rest, " ");
		if (!field[i] || !rest)
			return false;
	}
	if (strcmp(field[3], "/") != 0)
		return false; /* a part of it, or seen from inside a cgroup namespace */
	unescape(field[4]);
	*ret_point = field[4];
	return true;
}

int cgroupfs_find(char *ret, size_t cap)
{
	owned_file FILE *f = fopen("/proc/self/mountinfo", "re");
	owned_mem char *line = NULL;
	size_t line_cap = 0;
	char *point;

	if (!f)
		return -errno;
	while (getline(&line, &line_cap, f) > 0) {
		if (!line_is_unified(line, &point))
			continue;
		if (strlen(point) >= cap)
			return -ENAMETOOLONG;
		strcpy(ret, point);
		return 0;
	}
	return -ENOENT;
}

int cgroupfs_id(int dirfd, const char *path, uint64_t *ret)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} h;
	int mount_id;

	h.handle.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dirfd, path, &h.handle, &mount_id, path[0] ? 0 : AT_EMPTY_PATH) < 0)
		return -errno;
	if (h.handle.handle_bytes != sizeof(*ret))
		return -EINVAL;
	memcpy(ret, h.handle.f_handle, sizeof(*ret));
	return 0;
}

int cgroupfs_open(const char *mount)
{
	owned_fd int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	return fs.f_type == CGROUP2_MAGIC ? take_fd(&fd) : -EINVAL;
}

struct walk {
	cgroupfs_each each;
	void *ctx;
	unsigned depth_max;
	char path[4096]; /* of the directory the walk stands in, "" for the root */
	size_t len;
};

static int visit(struct walk *w, int at, const char *name, unsigned depth);

/* A child that vanishes meanwhile is no error: it is not there any more. */
static int visit_child(struct walk *w, int at, const char *name, unsigned depth)
{
	size_t was = w->len, n = strlen(name);
	int err;

	if (w->len + 1 + n >= sizeof(w->path))
		return 0; /* too long to be named */
	w->path[w->len] = '/';
	memcpy(w->path + w->len + 1, name, n + 1);
	w->len += 1 + n;
	err = w->each(w->ctx, at, w->path);
	if (err > 0)
		err = depth < w->depth_max ? visit(w, at, name, depth + 1) : 0;
	w->len = was;
	w->path[was] = '\0';
	return err == -ENOENT || err == -ENODEV ? 0 : err;
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* What @name has, @depth below the root. */
static int visit(struct walk *w, int at, const char *name, unsigned depth)
{
	owned_fd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	owned(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return -errno;
	take_fd(&fd); /* d owns it now */
	while ((errno = 0, e = readdir(d))) {
		int err;

		if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		err = visit_child(w, dirfd(d), e->d_name, depth);
		if (err < 0)
			return err;
	}
	return -errno;
}

int cgroupfs_walk(int root, unsigned depth_max, cgroupfs_each each, void *ctx)
{
	struct walk w = { .each = each, .ctx = ctx, .depth_max = depth_max };

	return visit(&w, root, ".", 1);
}
