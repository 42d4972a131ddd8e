// SPDX-License-Identifier: Apache-2.0
/* edge/keys: the host key's file is made once and taken only while nobody else could have touched it. */
#include "edge/keys.h"
#include "base/file.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

static char dir[] = "/tmp/cleat-keys-XXXXXX";
static char key[64], ueid[64];

static void setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(key, sizeof(key), "%s/" KEYS_HOST_FILE, dir);
	snprintf(ueid, sizeof(ueid), "%s/" KEYS_UEID_FILE, dir);
	cr_assert_eq(keys_make(dir), 0);
}

static void teardown(void)
{
	chmod(dir, 0700);
	unlink(key);
	unlink(ueid);
	rmdir(dir);
}

TestSuite(keys, .init = setup, .fini = teardown);

static int opened(void)
{
	owned_fd int fd = -1;

	return keys_open(dir, &fd);
}

Test(keys, made_private_and_only_once)
{
	struct stat st;

	cr_assert_eq(stat(key, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(keys_make(dir), -EEXIST);
	cr_assert_eq(opened(), 0);
}

Test(keys, reads_what_it_made)
{
	owned(sig_key_owned) struct sig_key *a = NULL, *b = NULL;
	uint8_t sig[SIG_LEN];
	owned_fd int fd = -1;

	cr_assert_eq(keys_open(dir, &fd), 0);
	cr_assert_eq(keys_read(fd, &a), 0);
	cr_assert_eq(keys_read(fd, &b), 0, "from the start again");
	cr_assert_eq(sig_sign(a, "x", 1, sig), 0);
	cr_assert_eq(sig_verify(b, "x", 1, sig, SIG_LEN), REASON_OK);
}

/* Rotation on disk: the next key is made once, beside the first, as private as it, and takes its place whole. */
Test(keys, next_takes_the_place_of_the_first)
{
	owned(sig_key_owned) struct sig_key *next = NULL, *now = NULL;
	owned_fd int fd = -1, after = -1;
	struct point a, b;

	cr_assert_eq(keys_open_next(dir, &fd), -ENOENT);
	cr_assert_eq(keys_take_next(dir), -ENOENT);
	cr_assert_eq(opened(), 0, "the first one is still there");
	cr_assert_eq(keys_make_next(dir), 0);
	cr_assert_eq(keys_make_next(dir), -EEXIST);
	cr_assert_eq(keys_open_next(dir, &fd), 0);
	cr_assert_eq(keys_read(fd, &next), 0);
	cr_assert_eq(keys_take_next(dir), 0);
	cr_assert_eq(keys_open(dir, &after), 0);
	cr_assert_eq(keys_read(after, &now), 0);
	sig_key_point(next, &a);
	sig_key_point(now, &b);
	cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0);
}

Test(keys, attack_168_others_may_not_read_it)
{
	static const mode_t modes[] = { 0640, 0604, 0660, 0666, 0610, 0700 | 1 };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		cr_assert_eq(chmod(key, modes[i]), 0);
		cr_expect_eq(opened(), -EPERM, "accepted: twin=key_private: %o", modes[i]);
	}
	cr_assert_eq(chmod(key, 0400), 0);
	cr_assert_eq(opened(), 0);
	cr_assert_eq(chmod(dir, 0777), 0);
	cr_expect_eq(opened(), -EPERM, "accepted: twin=key_place: a directory for all to write");
}

Test(keys, attack_168_links_are_refused)
{
	char other[80];

	snprintf(other, sizeof(other), "%s.copy", key);
	cr_assert_eq(link(key, other), 0);
	cr_expect_eq(opened(), -EPERM, "accepted: twin=key_private: a second name");
	cr_assert_eq(unlink(key), 0);
	cr_assert_eq(symlink(other, key), 0);
	cr_assert_eq(opened(), -EPERM, "a symbolic link");
	cr_assert_eq(unlink(key), 0);
	cr_assert_eq(mkfifo(key, 0600), 0);
	cr_assert_eq(opened(), -EPERM, "a FIFO");
	cr_assert_eq(unlink(key), 0);
	cr_assert_eq(opened(), -ENOENT);
	cr_assert_eq(rename(other, key), 0);
	cr_assert_eq(opened(), 0);
}

/* The kernel's answer, but for the kind of file system where a test sets one. */
static long fs_kind;

int fstatfs(int fd, struct statfs *ret)
{
	int err = (int)syscall(SYS_fstatfs, fd, ret);

	if (fs_kind)
		ret->f_type = fs_kind;
	return err;
}

Test(keys, attack_168_network_file_systems_are_refused)
{
	static const struct {
		const char *what;
		long kind;
		int expect;
	} cases[] = {
		{ "as it is", 0, 0 },
		{ "ext4", 0xef53, 0 },
		{ "NFS", 0x6969, -EREMOTE },
		{ "SMB", 0xff534d42, -EREMOTE },
		{ "SMB 2", 0xfe534d42, -EREMOTE },
		{ "Ceph", 0x00c36400, -EREMOTE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fs_kind = cases[i].kind;
		cr_expect_eq(opened(), cases[i].expect, "accepted: twin=key_net: %s",
			     cases[i].what);
	}
	fs_kind = 0;
}

Test(keys, attack_168_another_owner_is_refused)
{
	if (geteuid() != 0)
		cr_skip_test("needs root to give a file away");
	cr_assert_eq(chown(key, 1, 1), 0);
	cr_expect_eq(opened(), -EPERM, "accepted: twin=key_private: another's");
}

Test(keys, broken_files_are_refused)
{
	static const char *const texts[] = { "", "x", "-----BEGIN PRIVATE KEY-----\n" };
	owned(sig_key_owned) struct sig_key *none = NULL;
	char big[5000];

	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i <= sizeof(texts) / sizeof(texts[0]); i++) {
		bool last = i == sizeof(texts) / sizeof(texts[0]);
		owned_fd int fd = -1;

		cr_assert_eq(file_write(AT_FDCWD, key, last ? big : texts[i],
					last ? sizeof(big) : strlen(texts[i]), 0600),
			     0);
		cr_assert_eq(keys_open(dir, &fd), 0);
		cr_assert_eq(keys_read(fd, &none), last ? -EFBIG : -EBADMSG);
	}
	cr_assert_null(none);
}

Test(keys, ueid_stays_and_boot_differs_from_nothing)
{
	uint8_t a[UEID_LEN], b[UEID_LEN], boot[BOOTSEED_LEN], again[BOOTSEED_LEN];

	cr_assert_eq(keys_ueid(dir, a), 0);
	cr_assert_eq(a[0], 1);
	cr_assert_eq(unlink(key), 0);
	cr_assert_eq(keys_make(dir), 0);
	cr_assert_eq(keys_ueid(dir, b), 0);
	cr_assert_arr_eq(a, b, UEID_LEN);
	cr_assert_eq(keys_bootseed(boot), 0);
	cr_assert_eq(keys_bootseed(again), 0);
	cr_assert_arr_eq(boot, again, BOOTSEED_LEN);
	cr_assert_eq(file_write(AT_FDCWD, ueid, "AgAA", 4, 0644), 0);
	cr_assert_eq(keys_ueid(dir, a), -EBADMSG);
}
