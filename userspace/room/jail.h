/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of a room: what it gives up before it answers anybody, in three steps, because some of what a room needs must
 * be had before and some may only be made after: begin (what it was given, nothing else), enter (user, capabilities,
 * root), seal (system calls). A step that fails ends the room, and the daemon with it; no room goes on with less.
 */
#ifndef CLEAT_ROOM_JAIL_H
#define CLEAT_ROOM_JAIL_H

#include "edge/seccomp.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct jail {
	const char *room;
	const char *user; /* of /etc/passwd; its group is the one there */
	unsigned fds;	  /* that it was given, from ROOM_FD_CHANNEL on */
	unsigned files;	  /* RLIMIT_NOFILE; 0: what room_begin() took */
	size_t file_size; /* RLIMIT_FSIZE; 0: none, because it appends to the audit file */
	struct seccomp_table calls;
};

/* The table of rooms (jail_calls.c); NULL: no such room. */
const struct jail *jail_of(const char *room);

/* First of all, as root: refuses descriptors nobody named, and at level reduced opens the two windows (ROOM_FD_PROC,
 * ROOM_FD_CGROUP_ROOT). Logs its failures, as the other two do. */
int jail_begin(const char *room, bool reduced);
/* When everything is open, before there is a second thread. */
int jail_enter(void);
/* When every thread is there: from here on no thread, no process, no file, no socket is made. */
int jail_seal(void);

/* The kernel room's own: the capabilities it keeps, and nothing that a program it might execute could add to them. */
int jail_kernel_room(void);
/* And its system calls, when everything is loaded, attached and open. @elsewhere: what is attached to is not the root of the
 * hierarchy. Its children go on with that filter under their own. */
int jail_kernel_seal(bool elsewhere);

/* The users of the rooms, from /etc/passwd: 0, or -ENOENT with the way out in @error. */
int jail_users(char *error, size_t error_cap);
int jail_user(const char *name, uid_t *ret_uid, gid_t *ret_gid);

/* The windows of level reduced: a fresh procfs that shows processes and nothing else, and the unified hierarchy, each a
 * tree of its own that nothing leads out of: ".." ends at its top, and no link is followed, also none of procfs. */
extern const struct seccomp_table jail_window_calls;
/* What a room without them has instead. */
extern const struct seccomp_table jail_no_window_calls;
/* The kernel room's: its own, its children's until they are sealed, and the one that @elsewhere adds. */
extern const struct seccomp_table jail_kernel_calls[3];

#endif
