/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: read with a bound, written so that a reader sees the old or the new one. */
#ifndef CLEAT_BASE_FILE_H
#define CLEAT_BASE_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

enum file_trust {
	FILE_ANY, /* any regular file */
	FILE_ROOT_OWNED, /* regular, owner root (or us, where we are not root), not writable by group or others */
	FILE_ROOT_PRIVATE, /* the same, and no permission at all for group and others */
};

/* Reads all of @path (below @dirfd, O_NOFOLLOW on the last component) into fresh memory with a NUL
 * behind it. -EFBIG over @max bytes, -EPERM where @trust does not hold, -errno else. The caller frees
 * *ret with free(). */
int file_read(int dirfd, const char *path, size_t max, enum file_trust trust, char **ret,
	      size_t *ret_len);
/* The same from an open descriptor's start. */
int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len);
/* Temporary file beside it, fsync, rename, fsync of the directory. */
int file_write(int dirfd, const char *path, const void *bytes, size_t len, mode_t mode);

/* Held over reading, changing and writing what lies in a directory: of two who do so at once both count. It is a file
 * beside it, 0600 and gone again afterwards: a directory can be locked, for ever, by whoever may look at it. */
struct file_lock {
	int dir;
	int fd;
};
#define FILE_LOCK_NONE ((struct file_lock){ -1, -1 })
/* Waits until the directory of @path (below @dirfd) is ours; @ret, its descriptor in it, is for file_unlock(). */
int file_lock(int dirfd, const char *path, struct file_lock *ret);
void file_unlock(struct file_lock *lock);
#define owned_lock __attribute__((cleanup(file_unlock)))

/* fstat(2) by the call that takes no name, for a process whose filter has no other: some C libraries make newfstatat of
 * theirs. -errno. */
int file_stat(int fd, struct stat *ret);
/* A file in memory that may be sealed and, where the kernel can say so, is no program: then it has F_SEAL_EXEC already.
 * vm.memfd_noexec gives the seal to whoever does not ask, and may refuse a file that does not. */
int file_memory(const char *name, int *ret_fd);
/* write(2) until all is out. */
int write_all(int fd, const void *bytes, size_t len);
/* mkdir -p with @mode for what is made. */
int dir_make(const char *path, mode_t mode);

#endif
