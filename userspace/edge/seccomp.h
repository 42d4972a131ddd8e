/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libseccomp's part: a filter from tables. What is in no table kills the process, and so does an argument that is not
 * the one the table says, another architecture's way in, and x32. For every thread at once.
 */
#ifndef CLEAT_EDGE_SECCOMP_H
#define CLEAT_EDGE_SECCOMP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define SECCOMP_ARGS 3

/* Argument @arg, looked at through @mask, is @value. */
struct seccomp_arg {
	uint8_t arg;
	uint64_t mask; /* 0: nothing is asked */
	uint64_t value;
};

/* A system call that may be made. Several rows of one call are so many ways to make it. */
struct seccomp_rule {
	int call;
	struct seccomp_arg where[SECCOMP_ARGS];
};

#define MAY(name)                                                                                  \
	{                                                                                          \
		SYS_##name,                                                                        \
		{                                                                                  \
			{                                                                          \
				0                                                                  \
			}                                                                          \
		}                                                                                  \
	}
#define MAY_IF(name, ...)                                                                          \
	{                                                                                          \
		SYS_##name,                                                                        \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
/* An int or a flag word: the upper half of the register is nobody's. */
#define IS(arg, value)                                                                             \
	{                                                                                          \
		(arg), 0xffffffff, (uint32_t)(value)                                               \
	}
#define HAS(arg, bit)                                                                              \
	{                                                                                          \
		(arg), (bit), (bit)                                                                \
	}
#define WITHOUT(arg, bits)                                                                         \
	{                                                                                          \
		(arg), (bits), 0                                                                   \
	}

struct seccomp_table {
	const struct seccomp_rule *rules;
	size_t count;
};

/* Seals every thread of the process. There is no way back. */
int seccomp_seal(const struct seccomp_table *tables, size_t count);

#endif
