/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's own cgroup: gone into at the start, and entered by who must get at what is the daemon's without it. */
#include "room/kernel_state.h"

#include "edge/cgroupfs.h"
#include "room/place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool refused(const char *pins)
{
	owned_fd int fd = open(pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 && errno == EACCES;
}

int kernel_keeper_settle(struct kernel_room *k)
{
	char mount[4096], error[1024] = "";
	int err;

	/* what a daemon of level full has pinned is refused to one of level reduced, too */
	if ((k->o.level == CLEAT_LEVEL_REDUCED || !kern_full_possible()) && !refused(k->o.pins))
		return 0;
	err = cgroupfs_find(mount, sizeof(mount));
	if (err == -ENOENT)
		return 0; /* nothing can be attached then, and that is said where it is tried */
	if (err == 0)
		err = keeper_settle(mount, &k->keeper, error, sizeof(error));
	if (err < 0)
		log_error("cgroup", "error=\"%s\"", error[0] ? error : strerror(-err));
	return err;
}

int kernel_keeper_set(struct kernel_room *k)
{
	int err;

	if (kern_level(k->kern) != CLEAT_LEVEL_FULL)
		return 0;
	err = kern_keeper_set(k->kern, k->keeper.path, k->keeper.id);
	if (err == 0)
		err = place_keeper(k->private, k->keeper.path);
	if (err < 0)
		log_error("cgroup", "path=\"%s\" error=\"%s\"", k->keeper.path, strerror(-err));
	return err;
}

void kernel_keeper_reach(const struct kernel_options *o, struct keeper *ret)
{
	char told[sizeof(ret->path)] = "", mount[4096];
	const char *const paths[] = { told, KEEPER_UNIT, KEEPER_CGROUP };

	*ret = (struct keeper){ 0 };
	if (!refused(o->pins) || cgroupfs_find(mount, sizeof(mount)) < 0)
		return;
	place_keeper_read(o->runtime_dir, told, sizeof(told));
	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!*paths[i] || keeper_enter(mount, paths[i]) < 0)
			continue;
		snprintf(ret->path, sizeof(ret->path), "%s", paths[i]);
		if (!refused(o->pins))
			return;
		kernel_keeper_leave(ret);
		ret->path[0] = '\0';
	}
}

void kernel_keeper_leave(const struct keeper *k)
{
	char mount[4096];

	if (k->path[0] && cgroupfs_find(mount, sizeof(mount)) == 0)
		keeper_leave(mount, k->path);
}
