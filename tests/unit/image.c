/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy image as a descriptor: what is not sealed for good is no image, and a host that seals more than we ask for
 * (vm.memfd_noexec) changes nothing.
 */
#include "room/image.h"

#include "../policy_config.h"
#include "base/cleanup.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

#define ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static struct config c;

static void start(void)
{
	config_open(&c);
	cr_assert_eq(compile_text(&c, "version: 1\ntrust_domain: prod.example\nhost: a\n"
				      "workloads: []\n"),
		     0, "%s", c.error);
}

static void stop(void)
{
	config_close(&c);
}

TestSuite(image, .init = start, .fini = stop);

/* The image in a file with these flags and seals; -1 where this kernel knows a flag not. */
static int file_of(unsigned flags, int seals)
{
	int fd = memfd_create("image", MFD_CLOEXEC | flags);

	if (fd < 0)
		return -1;
	cr_assert_eq(write_all(fd, c.image, c.size), 0);
	if (seals)
		cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

Test(image, all_four_seals)
{
	static const struct {
		const char *what;
		unsigned flags;
		int seals, expect;
	} rows[] = {
		{ "good", MFD_ALLOW_SEALING, ALL, 0 },
		{ "good: it is no program either", MFD_NOEXEC_SEAL, ALL, 0 },
		{ "it may be written to", MFD_ALLOW_SEALING, ALL & ~F_SEAL_WRITE, -EPERM },
		{ "it may grow", MFD_ALLOW_SEALING, ALL & ~F_SEAL_GROW, -EPERM },
		{ "it may shrink", MFD_ALLOW_SEALING, ALL & ~F_SEAL_SHRINK, -EPERM },
		{ "it may be sealed", MFD_ALLOW_SEALING, ALL & ~F_SEAL_SEAL, -EPERM },
		{ "no program, and nothing else is said", MFD_NOEXEC_SEAL, 0, -EPERM },
		{ "one in another's place", MFD_NOEXEC_SEAL, ALL & ~F_SEAL_WRITE, -EPERM },
		{ "it cannot be sealed", 0, 0, -EPERM },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned_fd int fd = file_of(rows[i].flags, rows[i].seals);
		const struct policy_image *p;

		if (fd < 0)
			continue;
		cr_expect_eq(image_map(fd, &p), rows[i].expect, "%s", rows[i].what);
		if (rows[i].expect == 0)
			image_unmap(p);
	}
}

Test(image, no_file_in_memory)
{
	owned_fd int fd = open(BUNDLE, O_RDONLY | O_CLOEXEC);
	const struct policy_image *p;

	cr_assert(fd >= 0);
	cr_expect_eq(image_map(fd, &p), -EPERM);
	cr_expect_eq(image_map(-1, &p), -EPERM);
}

/* In a pid namespace of its own, whose sysctl this is. 77: there is none, or we may not. */
static int under(const char *noexec)
{
	const struct policy_image *p;
	int sysctl = open("/proc/sys/vm/memfd_noexec", O_WRONLY | O_CLOEXEC), fd = -1;

	if (sysctl < 0 || write(sysctl, noexec, 1) != 1)
		return 77;
	if (image_seal(c.image, c.size, &fd) < 0)
		return 1;
	return image_map(fd, &p) == 0 ? 0 : 2;
}

Test(image, a_host_on_which_no_file_in_memory_is_a_program)
{
	static const char *const modes[] = { "0", "1", "2" };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			if (unshare(CLONE_NEWPID) < 0)
				_exit(77);
			pid_t inner = fork();

			if (inner == 0)
				_exit(under(modes[i]));
			waitpid(inner, &status, 0);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
		}
		cr_assert_eq(waitpid(child, &status, 0), child);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			cr_skip("no vm.memfd_noexec here, or not for us");
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "memfd_noexec=%s: %d",
			  modes[i], status);
	}
}

/* ---- the lineage ---- */

#define LEN 16

static uint8_t before[LEN];

static int dir_of_config(void)
{
	int fd = open(c.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert(fd >= 0);
	return fd;
}

static void nothing(void)
{
}

static void removed(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/lineage", c.dir);
	cr_assert_eq(unlink(path), 0);
}

static void is_a_directory(void)
{
	char path[96];

	removed();
	snprintf(path, sizeof(path), "%s/lineage", c.dir);
	cr_assert_eq(mkdir(path, 0700), 0);
}

static void is_for_others(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/lineage", c.dir);
	cr_assert_eq(chmod(path, 0644), 0);
}

static void is_short(void)
{
	put(&c, "lineage", before, LEN - 1);
}

static void is_long(void)
{
	put(&c, "lineage", "0123456789abcdef+", LEN + 1);
}

/* Only what is not there is made anew: everything else could be the one whose labels the pins hold. */
Test(image, lineage)
{
	static const struct {
		const char *what;
		void (*then)(void);
		bool kept;
		int err;
		bool same;
	} rows[] = {
		{ "good: as it was", nothing, true, 0, true },
		{ "another boot's", nothing, false, 0, false },
		{ "it is gone", removed, true, 0, false },
		{ "it is for others to read", is_for_others, true, -EPERM, true },
		{ "it is short", is_short, true, -EBADMSG, true },
		{ "it is long", is_long, true, -EFBIG, true },
		{ "it is no file", is_a_directory, true, -EPERM, true },
	};
	owned_fd int dir = dir_of_config();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t now[LEN];

		cr_assert_eq(image_lineage(dir, false, before, LEN), 0);
		memcpy(now, before, LEN);
		rows[i].then();
		cr_expect_eq(image_lineage(dir, rows[i].kept, now, LEN), rows[i].err, "%s",
			     rows[i].what);
		cr_expect_eq(memcmp(now, before, LEN) == 0, rows[i].same, "%s", rows[i].what);
	}
}
