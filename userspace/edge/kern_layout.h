/* SPDX-License-Identifier: Apache-2.0 */
/* What the bytes of the maps mean, as a number. For edge/kern*.c alone. */
#ifndef CLEAT_EDGE_KERN_LAYOUT_H
#define CLEAT_EDGE_KERN_LAYOUT_H

#include <stdint.h>

struct bpf_object;

/* Of every map's name, type, sizes, flags and the members of its key and value, of the level and of CLEAT_ABI_VERSION. Two
 * objects with the same one may share their maps; what else changes a meaning must count the version up. */
int kern_layout_of(const struct bpf_object *object, uint32_t level, uint64_t *ret);

#endif
