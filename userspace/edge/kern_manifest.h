/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a set of pins says of itself: the object it was loaded from, whose labels are in it, and each program as the kernel
 * knows it. It lies beside the pins as an array map of one element that nobody can write to any more. For edge/kern*.c
 * alone.
 */
#ifndef CLEAT_EDGE_KERN_MANIFEST_H
#define CLEAT_EDGE_KERN_MANIFEST_H

#include "edge/kern.h"
#include "edge/kern_object.h"

struct kern_manifest_program {
	char name[KERN_NAME_MAX];
	uint8_t tag[8]; /* of its instructions */
	uint32_t type;
	uint32_t attach_btf_id; /* the kernel function it is for, 0: none */
	uint32_t is_walk;	/* attached to nothing */
	uint32_t zero;
};

struct kern_manifest {
	uint32_t format;
	uint32_t count;
	uint8_t object[32]; /* SHA-256 */
	uint8_t lineage[KERN_LINEAGE];
	struct kern_manifest_program programs[KERN_SET_MAX];
};
_Static_assert(sizeof(struct kern_manifest_program) == 56, "no padding");

/* Of a loaded object. */
int kern_manifest_of(const struct kern_object *o, const uint8_t lineage[KERN_LINEAGE],
		     struct kern_manifest *ret);
/* As a map, frozen; the caller owns the descriptor. */
int kern_manifest_freeze(const struct kern_manifest *m, int *ret_map);
/* -EPERM: it is no manifest of ours. */
int kern_manifest_read(int map, struct kern_manifest *ret);

const struct kern_manifest_program *kern_manifest_find(const struct kern_manifest *m,
						       const char *name);
/* Is the program exactly the one that the manifest means by @name? */
bool kern_manifest_holds(const struct kern_manifest *m, const char *name, int program);

#endif
