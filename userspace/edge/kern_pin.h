/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pins in their file system: the one directory of the daemon's on a bpffs, root's alone and locked by whoever uses it,
 * and in it one directory per set. No name is trusted before it was looked at: what is no plain file of root's is
 * foreign. For edge/kern*.c alone; what the rooms see of it is in kern.h.
 */
#ifndef CLEAT_EDGE_KERN_PIN_H
#define CLEAT_EDGE_KERN_PIN_H

#include "base/cleanup.h"
#include "edge/kern.h"
#include <stdint.h>

#define KERN_PIN_NAME 64

struct kern_pins {
	int dir;
	char path[512];
};

enum kern_pin_kind { KERN_PIN_OTHER, KERN_PIN_MAP, KERN_PIN_PROGRAM, KERN_PIN_LINK };

/* "v1_full_0123456789abcdef": what a set of this layout is called. */
void kern_pin_set_name(uint32_t abi, uint32_t level, uint64_t layout, char ret[KERN_PIN_NAME]);
/* Could it be the name of a set, of any version, whole, begun or put aside? */
bool kern_pin_is_set_name(const char *name);

/* Opens a set's directory. -ENOENT: none; -EPERM: it is not root's alone. */
int kern_pin_set_open(const struct kern_pins *p, const char *name, int *ret_dir);
/* Calls @each for every name, until it is negative. */
int kern_pin_each(int dir, int (*each)(void *ctx, int dir, const char *name), void *ctx);
/* Is it a plain file of root's? */
bool kern_pin_is_ours(int dir, const char *name);

int kern_pin_put(int dir, const char *name, int fd);
int kern_pin_get(int dir, const char *name, int *ret_fd);
enum kern_pin_kind kern_pin_kind(int fd);
/* Pins as @name, whatever is there now: under another name first, then over it, so that @name is always there. */
int kern_pin_replace(int dir, const char *name, int fd);
/* Is it that other name? *ret: of what. */
bool kern_pin_is_beside(const char *name, char ret[KERN_PIN_NAME]);

/* Removes a set, whole. What is detached by it is detached when this returns. */
int kern_pin_set_remove(const struct kern_pins *p, const char *name);

#endif
