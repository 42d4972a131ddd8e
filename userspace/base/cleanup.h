/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners: an object marked owned_* or owned(f) is released when its scope ends; take_* hands it
 * on. Declared in the order of acquiring, released in reverse.
 */
#ifndef CLEAT_BASE_CLEANUP_H
#define CLEAT_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_free(void *at)
{
	free(*(void **)at);
}

/* Gives the descriptor away: *@fd becomes -1 and nobody here closes it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__auto_type taken_ = (p);                                                          \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

#define owned_fd   __attribute__((cleanup(cleanup_fd)))
#define owned_file __attribute__((cleanup(cleanup_file)))
#define owned_mem  __attribute__((cleanup(cleanup_free)))
#define owned(f)   __attribute__((cleanup(f)))

/* Defines the cleanup function name_owned for a type freed by name_free(type *). */
#define DEFINE_OWNER(name, type, freer)                                                            \
	static inline void name(type **at)                                                         \
	{                                                                                          \
		if (*at)                                                                           \
			freer(*at);                                                                \
	}

#endif
