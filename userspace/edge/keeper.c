/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup of the daemon's own. See keeper.h. */
#include "edge/keeper.h"

#include "base/cleanup.h"
#include "edge/cgroupfs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* "0::PATH" of /proc/self/cgroup. */
static int path_now(char *ret, size_t cap)
{
	owned_file FILE *f = fopen("/proc/self/cgroup", "re");
	owned_mem char *line = NULL;
	size_t line_cap = 0;

	if (!f)
		return -errno;
	while (getline(&line, &line_cap, f) > 0) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (strlen(line + 3) >= cap)
			return -ENAMETOOLONG;
		strcpy(ret, line + 3);
		return 0;
	}
	return -ENOENT;
}

static int file_of(char *ret, size_t cap, const char *mount, const char *path, const char *file)
{
	int n = snprintf(ret, cap, "%s%s%s", mount, path, file);

	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

/* The processes of a pid namespace above ours are listed as 0: they are others, too. */
static int is_alone(const char *mount, const char *path, bool *ret)
{
	char procs[4096];
	int pid, err = file_of(procs, sizeof(procs), mount, path, "/cgroup.procs");
	owned_file FILE *f = err < 0 ? NULL : fopen(procs, "re");

	if (!f)
		return err < 0 ? err : -errno;
	*ret = true;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid != getpid())
			*ret = false;
	return ferror(f) ? -EIO : 0;
}

static int move_to(const char *mount, const char *path)
{
	char procs[4096];
	owned_fd int fd = -1;
	int err = file_of(procs, sizeof(procs), mount, path, "/cgroup.procs");

	if (err < 0)
		return err;
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
}

int keeper_enter(const char *mount, const char *path)
{
	char at[4096];
	int err = file_of(at, sizeof(at), mount, path, "");

	if (err == 0 && mkdir(at, 0755) < 0 && errno != EEXIST)
		err = -errno;
	return err < 0 ? err : move_to(mount, path);
}

int keeper_leave(const char *mount, const char *path)
{
	char at[4096];
	int err = move_to(mount, "");

	if (err == 0)
		err = file_of(at, sizeof(at), mount, path, "");
	if (err == 0 && rmdir(at) < 0 && errno != EBUSY)
		err = -errno;
	return err;
}

static int settle(const char *mount, struct keeper *k)
{
	bool alone = false;
	char at[4096];
	int err = path_now(k->path, sizeof(k->path));

	if (err == 0 && strcmp(k->path, "/") != 0)
		err = is_alone(mount, k->path, &alone);
	if (err == 0 && !alone && strcmp(k->path, KEEPER_CGROUP) != 0) {
		strcpy(k->path, KEEPER_CGROUP);
		err = keeper_enter(mount, k->path);
	}
	if (err == 0)
		err = file_of(at, sizeof(at), mount, k->path, "");
	return err < 0 ? err : cgroupfs_id(AT_FDCWD, at, &k->id);
}

int keeper_settle(const char *mount, struct keeper *ret, char *error, size_t error_cap)
{
	struct keeper k;
	int err = settle(mount, &k);

	if (err == 0)
		*ret = k;
	else
		snprintf(error, error_cap,
			 "no cgroup of its own, and %s" KEEPER_CGROUP
			 " cannot be entered: %s; start it as a service, or with --level reduced",
			 mount, strerror(-err));
	return err;
}
