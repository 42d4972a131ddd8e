/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine's kernel is. See machine.h. The table of flaws holds only what the kernel's own CVE records say
 * (git.kernel.org, linux-security-vulns; cvelistV5): a series that no record names as mended is taken as affected, and
 * a distribution may have mended it all the same, so an entry warns and refuses nothing.
 */
#include "edge/machine.h"

#include "../bpf/abi.h"
#include "base/cleanup.h"
#include "base/file.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define LSM_FILE    "/sys/kernel/security/lsm"
#define FTRACE_FILE "/proc/sys/kernel/ftrace_enabled"
#define SERIES_MAX  6

struct point_release {
	unsigned major, minor, patch;
};

/* mended[]: the first release without it, one per series, oldest first; the last is the main line's. */
static const struct entry {
	const char *id;
	const char *what;
	uint32_t level;
	struct point_release mended[SERIES_MAX];
} entries[] = {
	{ "CVE-2026-72110",
	  "a fork that fails early frees the task storage of its parent",
	  CLEAT_LEVEL_FULL,
	  { { 6, 6, 145 }, { 6, 12, 97 }, { 6, 18, 40 }, { 7, 1, 5 }, { 7, 2, 0 } } },
	{ "CVE-2026-68399",
	  "an accept that fails early frees the socket storage of the listener",
	  CLEAT_LEVEL_REDUCED,
	  { { 7, 1, 6 }, { 7, 2, 0 } } },
};

/* "7.2.0-rc4", Fedora's "7.2.0-0.rc4.1", Debian's "7.2~rc4-1". */
static bool is_candidate(const char *text)
{
	for (const char *at = text; (at = strstr(at, "rc")); at += 2)
		if (at > text && strchr("-.~", at[-1]) && isdigit((unsigned char)at[2]))
			return true;
	return false;
}

int machine_version(const char *release, const char *version, struct machine_kernel *ret)
{
	const char *debian = strstr(version, " Debian ");
	struct machine_kernel k = { 0 };
	int n;

	n = sscanf(release, "%u.%u.%u", &k.major, &k.minor, &k.patch);
	if (n < 2)
		return -EINVAL;
	/* "6.1.0-56-amd64" is, as "#1 SMP ... Debian 6.1.192-2" tells, 6.1.192 */
	if (debian) {
		struct machine_kernel d = { 0 };

		if (sscanf(debian + 8, "%u.%u.%u", &d.major, &d.minor, &d.patch) == 3 &&
		    d.major == k.major && d.minor == k.minor)
			k.patch = d.patch;
	}
	k.candidate = is_candidate(release) || (debian && is_candidate(debian));
	snprintf(k.release, sizeof(k.release), "%s", release);
	*ret = k;
	return 0;
}

int machine_kernel(struct machine_kernel *ret)
{
	struct utsname u;

	return uname(&u) < 0 ? -errno : machine_version(u.release, u.version, ret);
}

static int series_compare(const struct machine_kernel *k, const struct point_release *r)
{
	if (k->major != r->major)
		return k->major < r->major ? -1 : 1;
	return k->minor == r->minor ? 0 : k->minor < r->minor ? -1 : 1;
}

/* Is @k without it? Else @ret_ends says where it ends: in its own series, or in the next that has it mended. */
static bool is_mended(const struct entry *e, const struct machine_kernel *k, char ret_ends[64])
{
	for (unsigned i = 0; i < SERIES_MAX && e->mended[i].major; i++) {
		const struct point_release *r = &e->mended[i];
		int c = series_compare(k, r);

		if (c > 0)
			continue;
		snprintf(ret_ends, 64, "%s%u.%u.%u", c == 0 ? "" : "not in this series, ", r->major,
			 r->minor, r->patch);
		return c == 0 && (k->patch > r->patch || (k->patch == r->patch && !k->candidate));
	}
	return true; /* newer than the main line's mending */
}

bool machine_flaw(const struct machine_kernel *k, unsigned i, struct machine_flaw *ret)
{
	struct machine_flaw f = { 0 };

	for (size_t at = 0; at < sizeof(entries) / sizeof(entries[0]); at++) {
		if (is_mended(&entries[at], k, f.ends) || i-- > 0)
			continue;
		f.id = entries[at].id;
		f.what = entries[at].what;
		f.level = entries[at].level;
		*ret = f;
		return true;
	}
	return false;
}

bool machine_file_names(const char *path, const char *word)
{
	owned_mem char *text = NULL;
	char *rest, *at;
	size_t len;

	if (file_read(AT_FDCWD, path, 4096, FILE_ANY, &text, &len) < 0)
		return false;
	for (rest = text; (at = strsep(&rest, ", \n"));)
		if (strcmp(at, word) == 0)
			return true;
	return false;
}

bool machine_lsm_listed(void)
{
	return machine_file_names(LSM_FILE, "bpf");
}

bool machine_ftrace_off(void)
{
	return machine_file_names(FTRACE_FILE, "0");
}
