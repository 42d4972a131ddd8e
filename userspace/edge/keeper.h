/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper of what is ours: at level full the kernel refuses our maps, programs, links, pins and rooms to everybody but
 * root in the daemon's own cgroup (bpf/self.bpf.c). A service has such a cgroup; a daemon started from a shell makes
 * itself one. Whoever must get at our objects as root (cleatd disarm, an administrator) goes into it first.
 */
#ifndef CLEAT_EDGE_KEEPER_H
#define CLEAT_EDGE_KEEPER_H

#include <stddef.h>
#include <stdint.h>

#define KEEPER_CGROUP "/cleatd" /* of a daemon that was started in none of its own */
#define KEEPER_UNIT   "/system.slice/cleatd.service"

struct keeper {
	uint64_t id;
	char path[256]; /* from the root of the unified hierarchy */
};

/* Sees to it that this process is alone in its cgroup, or in KEEPER_CGROUP: it stays where that is so, and moves to
 * KEEPER_CGROUP else. @mount: of the unified hierarchy. @error gets a line with the way out. */
int keeper_settle(const char *mount, struct keeper *ret, char *error, size_t error_cap);

/* Moves this process into the cgroup of @path below @mount, which is made where it is not there any more. */
int keeper_enter(const char *mount, const char *path);
/* Moves this process into the root cgroup; the one that it leaves is removed if nobody is in it. */
int keeper_leave(const char *mount, const char *path);

#endif
