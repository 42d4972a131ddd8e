/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernel this is, from what uname(2) says: Debian's point release stands in the version, everybody else's in the
 * release. And which flaws are told of it. What is read wrong here warns of the wrong bugs, or lets level reduced start
 * where it cannot hold.
 */
#include "edge/machine.h"

#include "../bpf/abi.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEBIAN "#1 SMP PREEMPT_DYNAMIC Debian "

Test(machine, version)
{
	static const struct {
		const char *what;
		const char *release, *version;
		int err;
		unsigned major, minor, patch;
		bool candidate;
	} rows[] = {
		{ "good: Debian's own", "6.1.0-56-amd64", DEBIAN "6.1.192-2 (2026-08-01)", 0, 6, 1,
		  192, false },
		{ "good: as kernel.org names it", "6.18.44", "#1 SMP Mon Aug 3", 0, 6, 18, 44,
		  false },
		{ "a suffix", "6.18.44-fc-v782", "#1 SMP Mon Aug 3", 0, 6, 18, 44, false },
		{ "Debian's newer names say both", "6.12.90+deb13-amd64", DEBIAN "6.12.90-1", 0, 6,
		  12, 90, false },
		{ "a backport", "6.12.9+bpo-amd64", DEBIAN "6.12.94-1~bpo12+1", 0, 6, 12, 94,
		  false },
		{ "another distribution's version is no point release", "6.8.0-31-generic",
		  "#31-Ubuntu SMP PREEMPT_DYNAMIC 6.8.99", 0, 6, 8, 0, false },
		{ "the first of a series", "7.2", "#1 SMP", 0, 7, 2, 0, false },
		{ "a candidate", "7.2.0-rc4", "#1 SMP", 0, 7, 2, 0, true },
		{ "one of a series without a number yet", "7.2-rc1", "#1 SMP", 0, 7, 2, 0, true },
		{ "one of a point release", "7.1.5-rc1", "#1 SMP", 0, 7, 1, 5, true },
		{ "as Fedora names it", "7.2.0-0.rc4.20260801git1.fc45.x86_64", "#1 SMP", 0, 7, 2,
		  0, true },
		{ "as Debian does", "7.2-amd64", DEBIAN "7.2~rc4-1~exp1", 0, 7, 2, 0, true },
		{ "no candidate: a word with these letters", "7.2.0-march-rcu-src1", "#1 SMP", 0, 7,
		  2, 0, false },
		{ "Debian's version of another series", "6.1.0-56-amd64", DEBIAN "6.12.97-1", 0, 6,
		  1, 0, false },
		{ "and of another major", "6.1.0-56-amd64", DEBIAN "5.1.192-1", 0, 6, 1, 0, false },
		{ "cut off within it", "6.1.0-56-amd64", DEBIAN "6.1", 0, 6, 1, 0, false },
		{ "cut off before it", "6.1.0-56-amd64", DEBIAN, 0, 6, 1, 0, false },
		{ "Debian's name as a part of a word", "6.1.0", "#1 SMP NotDebian 6.1.192-2", 0, 6,
		  1, 0, false },
		{ "no version at all", "6.1.7", "", 0, 6, 1, 7, false },
		{ "one number", "6", DEBIAN "6.1.192-2", -EINVAL, 0, 0, 0, false },
		{ "a word", "next-20260801", DEBIAN "6.1.192-2", -EINVAL, 0, 0, 0, false },
		{ "nothing", "", "", -EINVAL, 0, 0, 0, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine_kernel k, before;

		memset(&k, 0xa5, sizeof(k));
		before = k;
		cr_expect_eq(machine_version(rows[i].release, rows[i].version, &k), rows[i].err,
			     "%s", rows[i].what);
		if (rows[i].err < 0) {
			cr_expect_eq(memcmp(&k, &before, sizeof(k)), 0, "%s: written on failure",
				     rows[i].what);
			continue;
		}
		cr_expect(k.major == rows[i].major && k.minor == rows[i].minor &&
				  k.patch == rows[i].patch && k.candidate == rows[i].candidate,
			  "%s: %u.%u.%u", rows[i].what, k.major, k.minor, k.patch);
		cr_expect_str_eq(k.release, rows[i].release, "%s", rows[i].what);
	}
}

/* As long as uname(2) can make it. */
Test(machine, the_longest_release)
{
	char release[65] = "6.1.0-";
	struct machine_kernel k;

	memset(release + 6, 'x', sizeof(release) - 7);
	cr_assert_eq(machine_version(release, "", &k), 0);
	cr_expect_str_eq(k.release, release);
}

Test(machine, this_kernel)
{
	struct machine_kernel k;

	cr_assert_eq(machine_kernel(&k), 0);
	cr_expect_gt(k.major, 0);
}

/* One flaw is mended in several series, one in the newest alone. */
#define FORK   "CVE-2026-72110"
#define ACCEPT "CVE-2026-68399"

Test(machine, flaws)
{
	static const struct {
		const char *what;
		unsigned major, minor, patch;
		const char *fork_ends, *accept_ends; /* NULL: without it */
		bool candidate;
	} rows[] = {
		{ "a series that never got the fix", 6, 1, 192, "not in this series, 6.6.145",
		  "not in this series, 7.1.6", false },
		{ "the release before the fix", 6, 12, 96, "6.12.97", "not in this series, 7.1.6",
		  false },
		{ "the release with it", 6, 12, 97, NULL, "not in this series, 7.1.6", false },
		{ "one after it", 6, 12, 98, NULL, "not in this series, 7.1.6", false },
		{ "between two series", 6, 17, 99, "not in this series, 6.18.40",
		  "not in this series, 7.1.6", false },
		{ "an older major", 5, 99, 999, "not in this series, 6.6.145",
		  "not in this series, 7.1.6", false },
		{ "one is mended earlier than the other", 7, 1, 5, NULL, "7.1.6", false },
		{ "both are", 7, 1, 6, NULL, NULL, false },
		{ "the main line", 7, 2, 0, NULL, NULL, false },
		{ "after it", 7, 3, 0, NULL, NULL, false },
		{ "the next major", 8, 0, 0, NULL, NULL, false },
		{ "a candidate of the main line", 7, 2, 0, "7.2.0", "7.2.0", true },
		{ "of the release with it", 6, 12, 97, "6.12.97", "not in this series, 7.1.6",
		  true },
		{ "of one after it", 6, 12, 98, NULL, "not in this series, 7.1.6", true },
		{ "after the main line", 7, 3, 0, NULL, NULL, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct machine_kernel k = { rows[i].major, rows[i].minor, rows[i].patch, "",
						  rows[i].candidate };
		const char *const ends[] = { rows[i].fork_ends, rows[i].accept_ends };
		static const char *const ids[] = { FORK, ACCEPT };
		static const uint32_t levels[] = { CLEAT_LEVEL_FULL, CLEAT_LEVEL_REDUCED };
		struct machine_flaw f;
		unsigned at = 0;

		for (unsigned flaw = 0; flaw < 2; flaw++) {
			if (!ends[flaw])
				continue;
			cr_assert(machine_flaw(&k, at++, &f), "%s: %s is not told", rows[i].what,
				  ids[flaw]);
			cr_expect_str_eq(f.id, ids[flaw], "%s", rows[i].what);
			cr_expect_str_eq(f.ends, ends[flaw], "%s", rows[i].what);
			cr_expect_eq(f.level, levels[flaw], "%s", rows[i].what);
		}
		cr_expect_not(machine_flaw(&k, at, &f), "%s: one more: %s", rows[i].what, f.id);
	}
}

/* The kernel's lists: "a,b,c", "a [b] c", a number alone. A word is the whole word. */
Test(machine, words_of_a_file)
{
	static const struct {
		const char *text, *word;
		bool named;
	} rows[] = {
		{ "lockdown,capability,bpf\n", "bpf", true },
		{ "bpf\n", "bpf", true },
		{ "bpf", "bpf", true },
		{ "lockdown,bpfx,xbpf\n", "bpf", false },
		{ "none integrity [confidentiality]\n", "[confidentiality]", true },
		{ "none [integrity] confidentiality\n", "[confidentiality]", false },
		{ "0\n", "0", true },
		{ "10\n", "0", false },
		{ "", "bpf", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[] = "/tmp/machine-XXXXXX";
		int fd = mkstemp(path);

		cr_assert_geq(fd, 0);
		cr_assert_eq(write(fd, rows[i].text, strlen(rows[i].text)),
			     (ssize_t)strlen(rows[i].text));
		close(fd);
		cr_expect_eq(machine_file_names(path, rows[i].word), rows[i].named, "%s in \"%s\"",
			     rows[i].word, rows[i].text);
		unlink(path);
	}
	cr_expect_not(machine_file_names("/tmp/there-is-no-such-file", "bpf"));
}
