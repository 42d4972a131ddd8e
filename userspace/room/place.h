/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the daemon lives in the file system: the run-time directory (root's, 0755), its private part (0700, locked by
 * the one daemon that uses it from before it reads anything until it ends: what others may open they could lock), the
 * public sockets and the counters. Foreign things in the way are never replaced: the start is refused.
 */
#ifndef CLEAT_ROOM_PLACE_H
#define CLEAT_ROOM_PLACE_H

#include <stddef.h>

#define PLACE_SIGN   "sign.sock"
#define PLACE_CHECK  "check.sock"
#define PLACE_ADMIN  "admin.sock" /* below the private part */
#define PLACE_KEEPER "cgroup"	  /* likewise */

/* Makes, checks and locks. -EBUSY: another daemon holds it; -EPERM: not root's, or others may write. */
int place_open(const char *runtime_dir, int *ret_dirfd, int *ret_privatefd);
/* A SOCK_SEQPACKET socket bound to @name (mode 0666), not listening yet. A stale one of ours is replaced, anything
 * else is -EEXIST. */
int place_bind(int dirfd, const char *name, int *ret_fd);
void place_unbind(int dirfd, const char *name);
/* A page for struct room_counters, zeroed, 0600, and locked as long as a descriptor or a mapping of it is open: the room
 * keeps a mapping only. So there are never two rooms of a kind that write seq, window or cb, and each may believe what it
 * wrote. -ETIMEDOUT: a room of the daemon before is still alive. */
int place_counters(int privatefd, const char *name, int *ret_fd);
/* Keeps in PLACE_KEEPER which cgroup (edge/keeper.h) may touch what is ours: cleatd disarm reads it, with no daemon. */
int place_keeper(int privatefd, const char *cgroup);
int place_keeper_read(const char *runtime_dir, char *ret, size_t cap);
/* The audit file, made 0600 (its directory 0750) and opened for appending. */
int place_audit(const char *path, int *ret_fd);

#endif
