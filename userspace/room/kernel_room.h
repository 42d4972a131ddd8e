/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel room: the main process. Holds the kernel side, starts the other rooms, reloads the policy, writes the
 * kernel's events into the audit log, ends when a room dies. It parses nothing a tenant chose. Each step below
 * logs its own failure and leaves what it made to kernel_room_free().
 */
#ifndef CLEAT_ROOM_KERNEL_ROOM_H
#define CLEAT_ROOM_KERNEL_ROOM_H

#include "base/cleanup.h"
#include "base/log.h"
#include <stdint.h>

struct kernel_options {
	const char *config_dir;
	const char *state_dir;
	const char *runtime_dir;
	const char *audit;
	const char *cgroup; /* NULL: the root of the unified hierarchy */
	const char *pins;   /* below a bpffs: the kernel side's, which outlive the daemon */
	uint32_t level;	    /* CLEAT_LEVEL_NONE: the best there is */
	enum log_format format;
};

struct kernel_room;

/* Run-time directory, lock, audit file. */
int kernel_room_new(const struct kernel_options *o, struct kernel_room **ret);
/* The first policy image, by the reader. */
int kernel_room_read(struct kernel_room *k);
/* Host key and the kernel side, loaded, attached to nothing. */
int kernel_room_load(struct kernel_room *k);
/* Sockets bound and marked, sign and check room started and marked; nobody can connect yet. */
int kernel_room_spawn(struct kernel_room *k);
/* Hooks first, then the scan, then the sockets listen. */
int kernel_room_arm(struct kernel_room *k);
/* Serves until told to stop: exit code. */
int kernel_room_run(struct kernel_room *k);

/* Ends the rooms, removes the sockets; the kernel side stays, pinned. */
void kernel_room_free(struct kernel_room *k);
DEFINE_OWNER(kernel_room_owned, struct kernel_room, kernel_room_free)

/* cleatd check: compiles the policy, reads the key, loads and verifies the kernel side; starts nothing. 0, or -errno. */
int kernel_room_check(const struct kernel_options *o);

/* cleatd disarm: detaches and removes whatever is pinned there, ours or not. 0, or -errno. */
int kernel_room_disarm(const struct kernel_options *o);

#endif
