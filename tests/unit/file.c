// SPDX-License-Identifier: Apache-2.0
/* base/file: bounded reading, trust judged on the descriptor, writing that is seen whole. */
#include "base/file.h"
#include "base/cleanup.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = "/tmp/cleat-file-XXXXXX";
static int at = -1;

static void setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	at = open(dir, O_RDONLY | O_DIRECTORY);
	cr_assert_geq(at, 0);
	cr_assert_eq(file_write(at, "f", "hello", 5, 0600), 0);
}

static void teardown(void)
{
	unlinkat(at, "f", 0);
	unlinkat(at, "g", 0);
	close(at);
	rmdir(dir);
}

TestSuite(file, .init = setup, .fini = teardown);

static int read_as(const char *name, size_t max, enum file_trust trust)
{
	owned_mem char *text = NULL;
	size_t len;

	return file_read(at, name, max, trust, &text, &len);
}

Test(file, reads_what_was_written)
{
	owned_mem char *text = NULL;
	size_t len;

	cr_assert_eq(file_read(at, "f", 5, FILE_ANY, &text, &len), 0);
	cr_assert_eq(len, 5);
	cr_assert_str_eq(text, "hello");
	cr_assert_eq(read_as("f", 4, FILE_ANY), -EFBIG);
	cr_assert_eq(read_as("none", 4, FILE_ANY), -ENOENT);
}

Test(file, replaces_whole)
{
	owned_mem char *text = NULL;
	struct stat st;
	size_t len;

	cr_assert_eq(file_write(at, "f", "", 0, 0644), 0);
	cr_assert_eq(file_read(at, "f", 5, FILE_ANY, &text, &len), 0);
	cr_assert_eq(len, 0);
	cr_assert_eq(fstatat(at, "f", &st, 0), 0);
	cr_assert_eq(st.st_mode & 07777, 0644, "whatever the umask");
}

Test(file, trust)
{
	cr_assert_eq(fchmodat(at, "f", 0644, 0), 0);
	cr_assert_eq(read_as("f", 9, FILE_ROOT_OWNED), 0);
	cr_assert_eq(read_as("f", 9, FILE_ROOT_PRIVATE), -EPERM);
	cr_assert_eq(fchmodat(at, "f", 0664, 0), 0);
	cr_assert_eq(read_as("f", 9, FILE_ROOT_OWNED), -EPERM);
	cr_assert_eq(fchmodat(at, "f", 0602, 0), 0);
	cr_assert_eq(read_as("f", 9, FILE_ROOT_OWNED), -EPERM);
	cr_assert_eq(read_as("f", 9, FILE_ANY), 0);
	if (geteuid() == 0) {
		cr_assert_eq(fchmodat(at, "f", 0600, 0), 0);
		cr_assert_eq(fchownat(at, "f", 1, 1, 0), 0);
		cr_assert_eq(read_as("f", 9, FILE_ROOT_OWNED), -EPERM);
	}
}

Test(file, only_regular_files)
{
	cr_assert_eq(symlinkat("f", at, "g"), 0);
	cr_assert_eq(read_as("g", 9, FILE_ANY), -ELOOP);
	cr_assert_eq(unlinkat(at, "g", 0), 0);
	cr_assert_eq(mkfifoat(at, "g", 0600), 0);
	cr_assert_eq(read_as("g", 9, FILE_ANY), -EPERM, "and no hanging in open");
	cr_assert_eq(read_as(".", 9, FILE_ANY), -EPERM);
	cr_assert_eq(read_as("/dev/zero", 9, FILE_ANY), -EPERM);
}

/* Files of /proc say they are empty; they are read to their end all the same, and bounded. */
Test(file, pseudo_files)
{
	owned_mem char *text = NULL;
	size_t len;

	cr_assert_eq(file_read(AT_FDCWD, "/proc/self/status", 65536, FILE_ANY, &text, &len), 0);
	cr_assert_gt(len, 100);
	cr_assert_eq(read_as("/proc/self/status", 10, FILE_ANY), -EFBIG);
}

/* Reads a number, adds one and writes it, @times. */
static void count_up(int times)
{
	for (int i = 0; i < times; i++) {
		owned_lock struct file_lock lock = FILE_LOCK_NONE;
		owned_mem char *text = NULL;
		char next[16];
		size_t len;

		if (file_lock(at, "g", &lock) < 0 ||
		    file_read(at, "g", 15, FILE_ANY, &text, &len) < 0)
			_exit(1);
		snprintf(next, sizeof(next), "%d", atoi(text) + 1);
		if (file_write(at, "g", next, strlen(next), 0600) < 0)
			_exit(1);
	}
}

Test(file, of_many_writers_at_once_each_counts)
{
	owned_mem char *text = NULL;
	size_t len;
	int status;

	cr_assert_eq(file_write(at, "g", "0", 1, 0600), 0);
	for (int i = 0; i < 6; i++) {
		pid_t pid = fork();

		cr_assert_geq(pid, 0);
		if (pid == 0) {
			count_up(20);
			_exit(0);
		}
	}
	for (int i = 0; i < 6; i++)
		cr_expect(wait(&status) > 0 && status == 0);
	cr_assert_eq(file_read(at, "g", 15, FILE_ANY, &text, &len), 0);
	cr_assert_str_eq(text, "120");
	cr_assert(faccessat(at, ".lock", F_OK, 0) < 0 && errno == ENOENT, "nothing is left");
}

Test(file, a_lock_is_of_who_may_write)
{
	struct file_lock lock = FILE_LOCK_NONE;
	struct stat st;

	file_unlock(&lock); /* none: nothing happens */
	cr_assert_eq(file_lock(at, "none/g", &lock), -ENOENT);
	cr_assert_eq(file_lock(at, "g", &lock), 0, "what is locked need not be there");
	cr_assert_eq(fstatat(at, ".lock", &st, 0), 0);
	cr_assert_eq(st.st_mode & 07777, 0600,
		     "nobody else can open it, so nobody else can hold it");
	file_unlock(&lock);
	cr_assert_eq(lock.fd, -1);
	cr_assert_eq(symlinkat("f", at, ".lock"), 0);
	cr_assert_eq(file_lock(at, "g", &lock), -ELOOP);
	cr_assert_eq(unlinkat(at, ".lock", 0), 0);
}

Test(file, directories)
{
	char deep[64];

	snprintf(deep, sizeof(deep), "%s/a//b/", dir);
	cr_assert_eq(dir_make(deep, 0700), 0);
	cr_assert_eq(dir_make(deep, 0700), 0, "is there already");
	snprintf(deep, sizeof(deep), "%s/f/b", dir);
	cr_assert_eq(dir_make(deep, 0700), -ENOTDIR);
	cr_assert_eq(unlinkat(at, "a/b", AT_REMOVEDIR), 0);
	cr_assert_eq(unlinkat(at, "a", AT_REMOVEDIR), 0);
	cr_assert_eq(file_write(at, "none/f", "", 0, 0600), -ENOENT);
	cr_assert_eq(file_write(at, "", "", 0, 0600), -EINVAL);
}
