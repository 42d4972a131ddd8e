/* SPDX-License-Identifier: Apache-2.0 */
/* The pins in their file system. See kern_pin.h. */
#include "edge/kern_pin.h"

#include "../bpf/abi.h"
#include "base/twin.h"
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BPFFS_MAGIC 0xcafe4a11
#define AT_MAX	    64

/* ---- the directory ---- */

static int refuse(char *error, size_t cap, int err, const char *path, const char *why)
{
	snprintf(error, cap, "%s: %s", path, why);
	return err;
}

static int open_dir(const char *path, bool make, int *ret, char *error, size_t cap)
{
	owned_fd int dir = -1;
	struct statfs fs;
	struct stat st;

	if (make && mkdir(path, 0700) < 0 && errno != EEXIST && errno != EPERM && errno != EROFS &&
	    errno != EACCES && errno != ENOENT)
		return refuse(error, cap, -errno, path, strerror(errno));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT && !make)
		return -ENOENT;
	if (dir < 0 && errno == ENOENT)
		return refuse(
			error, cap, -ENOENT, path,
			"cannot be made: pins need a bpffs (mount -t bpf bpf /sys/fs/bpf, or --pins DIR on another one)");
	if (dir < 0)
		return refuse(error, cap, -errno, path,
			      errno == ENOTDIR || errno == ELOOP
				      ? "is no directory, and pins are read from nothing else"
				      : strerror(errno));
	if (fstatfs(dir, &fs) < 0 || fstat(dir, &st) < 0)
		return refuse(error, cap, -errno, path, strerror(errno));
	if ((unsigned long)fs.f_type != BPFFS_MAGIC)
		return refuse(
			error, cap, -EPERM, path,
			"is on no bpffs: remove it, and mount one (mount -t bpf bpf /sys/fs/bpf)");
	if (st.st_uid != geteuid() || st.st_mode & 077)
		return refuse(
			error, cap, -EPERM, path,
			"must be root's alone (0700); whoever else could write there may have: cleatd disarm removes it");
	*ret = take_fd(&dir);
	return 0;
}

/* Without a symbolic link in it: mounts and directories on the way are what is guarded. */
static int path_of_dir(int dir, char *ret, size_t cap)
{
	char link[AT_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = readlink(link, ret, cap);
	if (n < 0)
		return -errno;
	if ((size_t)n >= cap)
		return -ENAMETOOLONG;
	ret[n] = '\0';
	return ret[0] == '/' ? 0 : -ENOENT;
}

int kern_pins_open(const char *path, bool lock, struct kern_pins **ret, char *error, size_t cap)
{
	owned(kern_pins_owned) struct kern_pins *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return refuse(error, cap, -ENOMEM, path, "no memory");
	p->dir = -1;
	err = open_dir(path, lock, &p->dir, error, cap);
	if (err < 0)
		return err;
	err = path_of_dir(p->dir, p->path, sizeof(p->path));
	if (err < 0)
		return refuse(error, cap, err, path, "has too long a path, or none any more");
	if (lock && flock(p->dir, LOCK_EX | LOCK_NB) < 0)
		return refuse(error, cap, -EBUSY, path,
			      errno == EWOULDBLOCK
				      ? "another cleatd uses these pins: one kernel side a host"
				      : strerror(errno));
	*ret = take_ptr(p);
	return 0;
}

void kern_pins_close(struct kern_pins *p)
{
	if (p->dir >= 0)
		close(p->dir);
	free(p);
}

/* ---- names ---- */

void kern_pin_set_name(uint32_t abi, uint32_t level, uint64_t layout, char ret[KERN_PIN_NAME])
{
	snprintf(ret, KERN_PIN_NAME, "v%u_%s_%016" PRIx64, abi,
		 level == CLEAT_LEVEL_FULL ? "full" : "reduced", layout);
}

bool kern_pin_is_set_name(const char *name)
{
	size_t digits = name[0] == 'v' ? strspn(name + 1, "0123456789") : 0;
	const char *rest = name + 1 + digits;

	if (!digits)
		return false;
	if (strncmp(rest, "_full_", 6) == 0)
		rest += 6;
	else if (strncmp(rest, "_reduced_", 9) == 0)
		rest += 9;
	else
		return false;
	if (strspn(rest, "0123456789abcdef") != 16)
		return false;
	rest += 16;
	return !*rest || strcmp(rest, "_new") == 0 || strcmp(rest, "_old") == 0;
}

/* ---- a set's directory ---- */

static int open_at(int at, const char *name, int *ret_dir)
{
	owned_fd int dir = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (dir < 0)
		return errno == ENOTDIR || errno == ELOOP ? -EPERM : -errno;
	if (fstatfs(dir, &fs) < 0 || fstat(dir, &st) < 0)
		return -errno;
	if ((unsigned long)fs.f_type != BPFFS_MAGIC || st.st_uid != geteuid() || st.st_mode & 077)
		return -EPERM;
	*ret_dir = take_fd(&dir);
	return 0;
}

int kern_pin_set_open(const struct kern_pins *p, const char *name, int *ret_dir)
{
	return open_at(p->dir, name, ret_dir);
}

int kern_pin_each(int dir, int (*each)(void *ctx, int dir, const char *name), void *ctx)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *e;

	if (!d) {
		err = -errno;
		if (again >= 0)
			close(again);
		return err;
	}
	while (err >= 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			err = each(ctx, dir, e->d_name);
	closedir(d);
	return err < 0 ? err : 0;
}

bool kern_pin_is_ours(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* bpf(2) takes paths only; this one goes through the descriptor, wherever its directory stands. */
static int path_of(int dir, const char *name, char ret[AT_MAX + KERN_PIN_NAME])
{
	int n = snprintf(ret, AT_MAX + KERN_PIN_NAME, "/proc/self/fd/%d/%s", dir, name);

	return n < 0 || n >= AT_MAX + KERN_PIN_NAME ? -ENAMETOOLONG : 0;
}

int kern_pin_put(int dir, const char *name, int fd)
{
	char path[AT_MAX + KERN_PIN_NAME];
	int err = path_of(dir, name, path);

	if (err == 0)
		err = bpf_obj_pin(fd, path) < 0 ? -errno : 0;
	return err;
}

int kern_pin_get(int dir, const char *name, int *ret_fd)
{
	char path[AT_MAX + KERN_PIN_NAME];
	int err = path_of(dir, name, path), fd;

	if (err < 0)
		return err;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

bool kern_pin_is_beside(const char *name, char ret[KERN_PIN_NAME])
{
	size_t len = strlen(name);

	if (len < 5 || len >= KERN_PIN_NAME || strcmp(name + len - 4, "_new") != 0)
		return false;
	snprintf(ret, KERN_PIN_NAME, "%.*s", (int)len - 4, name);
	return true;
}

enum kern_pin_kind kern_pin_kind(int fd)
{
	char link[AT_MAX], to[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, to, sizeof(to) - 1);
	to[n < 0 ? 0 : n] = '\0';
	if (strstr(to, "bpf-map"))
		return KERN_PIN_MAP;
	if (strstr(to, "bpf-prog"))
		return KERN_PIN_PROGRAM;
	if (strstr(to, "bpf_link") || strstr(to, "bpf-link"))
		return KERN_PIN_LINK;
	return KERN_PIN_OTHER;
}

int kern_pin_replace(int dir, const char *name, int fd)
{
	char beside[KERN_PIN_NAME + 8];
	int err;

	snprintf(beside, sizeof(beside), "%s_new", name);
	if (unlinkat(dir, beside, 0) < 0 && errno != ENOENT) /* what a death left */
		return -errno;
	err = kern_pin_put(dir, beside, fd);
	if (err == 0 && renameat(dir, beside, dir, name) < 0)
		err = -errno;
	return err;
}

/* ---- the end of a set ---- */

struct removal {
	struct kern_disarmed count;
	unsigned depth;
};

static void count_one(struct removal *r, int dir, const char *name)
{
	int fd = -1;

	if (kern_pin_is_ours(dir, name))
		kern_pin_get(dir, name, &fd);
	switch (fd < 0 ? KERN_PIN_OTHER : kern_pin_kind(fd)) {
	case KERN_PIN_MAP:
		r->count.maps++;
		break;
	case KERN_PIN_PROGRAM:
		r->count.programs++;
		break;
	case KERN_PIN_LINK:
		r->count.links++;
		break;
	default:
		r->count.others++;
		break;
	}
	if (fd >= 0)
		close(fd);
}

static int remove_one(void *ctx, int dir, const char *name)
{
	struct removal *r = ctx;
	owned_fd int below = -1;
	struct stat st;
	int err = 0;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode)) {
		count_one(r, dir, name);
		return unlinkat(dir, name, 0) < 0 ? -errno : 0;
	}
	if (r->depth == 8)
		return -ELOOP;
	below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return -errno;
	r->depth++;
	/* a directory that changes while it is read may not show everything: until nothing is left */
	for (int i = 0; i < 16; i++) {
		err = kern_pin_each(below, remove_one, r);
		if (err < 0)
			break;
		err = unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
		if (err != -ENOTEMPTY)
			break;
	}
	r->depth--;
	if (err == 0 && r->depth == 0)
		r->count.sets++;
	return err;
}

int kern_pin_set_remove(const struct kern_pins *p, const char *name)
{
	struct removal r = { 0 };

	return remove_one(&r, p->dir, name);
}

/* The root of a bpffs, or of a part of one that is mounted there. */
static bool is_mount(int dir)
{
	struct stat st, up;

	return fstat(dir, &st) < 0 || fstatat(dir, "..", &up, 0) < 0 || st.st_dev != up.st_dev ||
	       st.st_ino == up.st_ino;
}

struct others {
	unsigned sets, foreign;
	char name[KERN_PIN_NAME]; /* of a foreign one */
};

static int tell_one(void *ctx, int dir, const char *name)
{
	struct others *o = ctx;

	(void)dir;
	if (kern_pin_is_set_name(name)) {
		o->sets++;
		return 0;
	}
	o->foreign++;
	snprintf(o->name, sizeof(o->name), "%s", name);
	return 0;
}

/* What is no set goes with our directory: the default one, or one with sets in it. A whole bpffs is everybody's. */
static int may_disarm(int dir, const char *path, char *error, size_t cap)
{
	struct others o = { 0 };
	bool is_ours = strcmp(path, KERN_PINS_DIR) == 0;
	char why[KERN_PIN_NAME + 96];
	int err = kern_pin_each(dir, tell_one, &o);

	if (err < 0)
		return refuse(error, cap, err, path, strerror(-err));
	if (!kept(disarm_ours) || !o.foreign || (!is_mount(dir) && (is_ours || o.sets)))
		return 0;
	snprintf(
		why, sizeof(why),
		"%.60s there is nothing of ours, and nothing is removed: look, and remove it by hand",
		o.name);
	return refuse(error, cap, -EPERM, path, why);
}

int kern_pins_disarm(const char *path, struct kern_disarmed *ret, char *error, size_t cap)
{
	struct removal r = { 0 };
	owned_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	int err = 0;

	*ret = r.count;
	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0 || fstatfs(dir, &fs) < 0)
		return refuse(error, cap, -errno, path, strerror(errno));
	if ((unsigned long)fs.f_type != BPFFS_MAGIC)
		return refuse(
			error, cap, -EPERM, path,
			"is on no bpffs: nothing there is a pin of ours; look, and remove it by hand");
	if (flock(dir, LOCK_EX | LOCK_NB) < 0)
		return refuse(error, cap, -EBUSY, path, "a cleatd uses these pins: stop it first");
	err = may_disarm(dir, path, error, cap);
	if (err < 0)
		return err;
	for (int i = 0; i < 16 && err == 0; i++) {
		err = kern_pin_each(dir, remove_one, &r);
		if (err == 0 && rmdir(path) < 0)
			err = -errno;
		else
			break;
		if (err != -ENOTEMPTY)
			break;
		err = 0;
	}
	*ret = r.count;
	/* where it is a mount of its own the directory stays, and is empty */
	return err < 0 && err != -EBUSY ? refuse(error, cap, err, path, strerror(-err)) : 0;
}
