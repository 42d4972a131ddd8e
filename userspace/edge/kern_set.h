/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel side consists of while it is up, as descriptors by name: maps, links, and the program that lists sockets.
 * The same whether it was just made or adopted from pins. For edge/kern*.c alone.
 */
#ifndef CLEAT_EDGE_KERN_SET_H
#define CLEAT_EDGE_KERN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERN_SET_MAX  64 /* of each kind */
#define KERN_NAME_MAX 32

struct kern_named {
	char name[KERN_NAME_MAX];
	int fd;
};

struct kern_set {
	struct kern_named maps[KERN_SET_MAX];
	struct kern_named links[KERN_SET_MAX]; /* by their program's name */
	unsigned map_count;
	unsigned link_count;
	int walk;     /* -1: none */
	int manifest; /* -1: not pinned */
};

void kern_set_init(struct kern_set *s);
void kern_set_close(struct kern_set *s);
/* Takes the descriptor over, whatever happens. Where the name is there already, its old descriptor is closed. */
int kern_set_add_map(struct kern_set *s, const char *name, int fd);
int kern_set_add_link(struct kern_set *s, const char *name, int fd);
void kern_set_drop_link(struct kern_set *s, const char *name);
/* The walk or the manifest: another descriptor in the place of what is held. */
void kern_set_hold(int *at, int fd);
/* Borrowed; -1: no such one. */
int kern_set_map(const struct kern_set *s, const char *name);
int kern_set_link(const struct kern_set *s, const char *name);

#endif
