/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine's kernel is and can do, read and not tried: for whoever is about to start, and for the doctor. */
#ifndef CLEAT_EDGE_MACHINE_H
#define CLEAT_EDGE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine_kernel {
	unsigned major, minor, patch;
	char release[65]; /* as uname(2) says it */
	bool candidate;	  /* before the release that has these numbers */
};

/* A bug of the kernel that reaches whoever uses what we use. */
struct machine_flaw {
	const char *id;	  /* in the kernel's own list of CVEs */
	const char *what; /* one line */
	uint32_t level;	  /* enum cleat_level that is touched by it, and every one above */
	char ends[64];	  /* the first version of this series without it, or of another series */
};

/* The version with its point release: Debian's release string hides it, the version string has it. -EINVAL: unknown. */
int machine_kernel(struct machine_kernel *ret);
/* From the two strings of uname(2), for machine_kernel() and its test. */
int machine_version(const char *release, const char *version, struct machine_kernel *ret);

/* The @i-th flaw known of @k; false: no more. */
bool machine_flaw(const struct machine_kernel *k, unsigned i, struct machine_flaw *ret);

/* Does /sys/kernel/security/lsm name bpf? Only then are the hooks of BPF LSM called. */
bool machine_lsm_listed(void);
/* /proc/sys/kernel/ftrace_enabled is 0: BPF LSM programs attach, and are not called. */
bool machine_ftrace_off(void);
/* A word of a list in a file of the kernel's, as "a,b,c" or "a [b] c". */
bool machine_file_names(const char *path, const char *word);

#endif
