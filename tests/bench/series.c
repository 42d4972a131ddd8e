// SPDX-License-Identifier: Apache-2.0
/* Series of numbers, and the clocks they come from. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void series_add(struct series *s, double value)
{
	if (s->count < SERIES_MAX)
		s->at[s->count++] = value;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double series_at(const struct series *s, double part)
{
	struct series sorted = *s;
	size_t i;

	if (!s->count)
		return 0;
	qsort(sorted.at, sorted.count, sizeof(sorted.at[0]), ascending);
	i = (size_t)(part * (double)(sorted.count - 1) + 0.5);
	return sorted.at[i];
}

double series_median(const struct series *s)
{
	return series_at(s, 0.5);
}

double series_ratio(const struct series *a, const struct series *b)
{
	struct series each = { 0 };

	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (b->at[i] > 0)
			series_add(&each, a->at[i] / b->at[i]);
	return series_median(&each);
}

const char *series_text(const struct series *s, char *ret, size_t cap)
{
	snprintf(ret, cap, "median %.2f, p10 %.2f, p90 %.2f (%zu blocks)", series_median(s),
		 series_at(s, 0.1), series_at(s, 0.9), s->count);
	return ret;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t wall_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t cpu_all_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t cpu_of_ns(pid_t pid)
{
	clockid_t id;

	return clock_getcpuclockid(pid, &id) == 0 ? clock_ns(id) : 0;
}
