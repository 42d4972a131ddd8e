/* SPDX-License-Identifier: Apache-2.0 */
/* bpf(2) on a map's descriptor, without a library: 0 or -errno. For edge/kern*.c alone. */
#ifndef CLEAT_EDGE_KERN_MAP_H
#define CLEAT_EDGE_KERN_MAP_H

#include <stdint.h>

int kern_map_get(int map, const void *key, void *ret, uint64_t flags);
int kern_map_put(int map, const void *key, const void *value, uint64_t flags);
int kern_map_drop(int map, const void *key);
/* @key NULL: the first. -ENOENT: no more. */
int kern_map_next(int map, const void *key, void *ret_key);
/* Another descriptor of the map, close-on-exec; the caller owns it. */
int kern_map_again(int map, uint32_t open_flags, int *ret_fd);

#endif
