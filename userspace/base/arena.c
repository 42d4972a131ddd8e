/* SPDX-License-Identifier: Apache-2.0 */
/* A chain of blocks that are filled from the front and released together. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 << 10)
#define ALIGN	   ((size_t)16)

struct arena_block {
	struct arena_block *before;
	size_t used;
	size_t size;
	size_t zero; /* keeps bytes aligned */
	unsigned char bytes[];
};

void *arena_get(struct arena *a, size_t size)
{
	struct arena_block *block = a->last;
	void *at;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (!block || block->size - block->used < size) {
		size_t cap = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = calloc(1, sizeof(*block) + cap);
		if (!block)
			return NULL;
		block->size = cap;
		block->before = a->last;
		a->last = block;
	}
	at = block->bytes + block->used;
	block->used += size;
	return at;
}

char *arena_text(struct arena *a, const char *s, size_t len)
{
	char *copy = arena_get(a, len + 1);

	if (copy && len)
		memcpy(copy, s, len);
	return copy;
}

void arena_drop(struct arena *a)
{
	while (a->last) {
		struct arena_block *block = a->last;

		a->last = block->before;
		free(block);
	}
}
