/* SPDX-License-Identifier: Apache-2.0 */
/* A draft's own memory, its growing arrays, and its complaints. */
#include "edge/policy_draft.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int draft_complain(struct draft *d, const struct place_in_file *at, const char *format, ...)
{
	va_list args;
	int n = snprintf(d->error, d->error_cap, "%s:%u:%u: ", at->file, at->line, at->column);

	if (n < 0 || (size_t)n >= d->error_cap)
		return -EBADMSG;
	va_start(args, format);
	vsnprintf(d->error + n, d->error_cap - (size_t)n, format, args);
	va_end(args);
	return -EBADMSG;
}

void *draft_more(void *array, size_t *count, size_t *cap, size_t size)
{
	char *at;

	memcpy(&at, array, sizeof(at)); /* a pointer to whatever it holds */
	if (*count == *cap) {
		size_t more = *cap ? *cap * 2 : 16;

		at = reallocarray(at, more, size);
		if (!at)
			return NULL;
		*cap = more;
		memcpy(array, &at, sizeof(at));
	}
	memset(at + *count * size, 0, size);
	return at + (*count)++ * size;
}

void draft_sort(void *array, size_t count, size_t size, int (*order)(const void *, const void *))
{
	if (count > 1) /* qsort(3) wants an array even when there is nothing in it */
		qsort(array, count, size, order);
}

void draft_drop(struct draft *d)
{
	for (size_t i = 0; i < d->bundle_count; i++)
		if (d->bundles[i])
			bundle_free(d->bundles[i]);
	free(d->bundles);
	free(d->workloads);
	free(d->calls);
	free(d->accepts);
	free(d->revoked);
	arena_drop(&d->arena);
}
