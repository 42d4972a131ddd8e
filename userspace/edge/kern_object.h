/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF object of one level, as libbpf holds it: opened it says what the level needs, loaded it has programs and maps.
 * For edge/kern*.c alone.
 */
#ifndef CLEAT_EDGE_KERN_OBJECT_H
#define CLEAT_EDGE_KERN_OBJECT_H

#include "base/cleanup.h"
#include "edge/kern_set.h"

struct bpf_object;
struct bpf_program;

struct kern_object {
	struct bpf_object *bpf;
	uint32_t level;
	uint8_t hash[32]; /* SHA-256 of its bytes */
	uint64_t
		layout; /* of its maps, the level and the ABI: what pins of another one hold is not to be read */
};

/* Opens; loads nothing. @path NULL: the embedded skeleton. */
int kern_object_open(const char *path, uint32_t level, struct kern_object **ret, char *error,
		     size_t cap);
/* Loads the level's programs, against the maps of @reuse where it has any (NULL: all of them new). */
int kern_object_load(struct kern_object *o, const struct kern_set *reuse, char *error, size_t cap);
void kern_object_free(struct kern_object *o);
DEFINE_OWNER(kern_object_owned, struct kern_object, kern_object_free)

/* The level's programs, one after the other; NULL: the first, the last. The walk is not among them: it is attached to
 * nothing. */
struct bpf_program *kern_object_next(const struct kern_object *o, struct bpf_program *after);
/* The one that runs when it is read from (kern_sockets); NULL: this level has none. */
struct bpf_program *kern_object_walk(const struct kern_object *o);

/* Attaches, and gives the link's descriptor; the caller owns it. */
int kern_object_attach(struct bpf_program *program, int cgroup, int *ret_link);
/* Is it one of those whose link takes another program in place (cgroup and sock_ops), and is attached to a cgroup? */
bool kern_object_is_cgroups(const struct bpf_program *program);

/* A line: what did not go, why, and what the administrator can do. Returns @err. */
int kern_complain(char *error, size_t cap, int err, const char *what);
/* Forgets what libbpf said before. */
void kern_hush(void);

#endif
