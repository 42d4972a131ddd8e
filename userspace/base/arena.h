/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: memory for many small things that end together. Zeroed; released as a whole. */
#ifndef CLEAT_BASE_ARENA_H
#define CLEAT_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

/* Zero-initialise. */
struct arena {
	struct arena_block *last;
};

/* @size zeroed bytes, aligned for anything; NULL when memory is out. */
void *arena_get(struct arena *a, size_t size);
/* A copy of @len bytes with a NUL behind it. */
char *arena_text(struct arena *a, const char *s, size_t len);
void arena_drop(struct arena *a);

#endif
