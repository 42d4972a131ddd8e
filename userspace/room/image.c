/* SPDX-License-Identifier: Apache-2.0 */
/* The policy image as a descriptor. See image.h. */
#include "room/image.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "edge/keys.h"
#include "edge/sig.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int image_seal(const void *bytes, size_t size, int *ret_fd)
{
	owned_fd int fd = -1;
	int err = file_memory("cleat policy", &fd);

	if (err == 0)
		err = write_all(fd, bytes, size);
	if (err < 0)
		return err;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int image_map(int fd, const struct policy_image **ret)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *at;

	if (seals < 0 || (seals & SEALS) != SEALS) /* one more takes nothing back */
		return -EPERM;
	if (file_stat(fd, &st) < 0)
		return -EBADF;
	if (st.st_size < (off_t)sizeof(struct policy_image) || st.st_size > POLICY_MAX)
		return -EBADMSG;
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	if (policy_check(at, (size_t)st.st_size) < 0) {
		munmap(at, (size_t)st.st_size);
		return -EBADMSG;
	}
	*ret = at;
	return 0;
}

void image_unmap(const struct policy_image *p)
{
	/* the one place where a mapping's pointer loses its const: munmap wants it so */
	munmap((void *)(uintptr_t)p, p->size);
}

/* "image.<this boot>" */
static int kept_name(char *ret, size_t cap)
{
	uint8_t seed[BOOTSEED_LEN];
	struct text t;
	int err = keys_bootseed(seed);

	if (err < 0)
		return err;
	text_init(&t, ret, cap);
	text_puts(&t, "image.");
	text_hex(&t, seed, sizeof(seed));
	return t.overflown ? -ENOSPC : 0;
}

int image_keep(int dirfd, const struct policy_image *p)
{
	char name[64];
	int err = kept_name(name, sizeof(name));

	return err < 0 ? err : file_write(dirfd, name, p, p->size, 0600);
}

int image_kept(int dirfd, int *ret_fd)
{
	struct stat st;
	char name[64];
	int err = kept_name(name, sizeof(name));

	if (err < 0)
		return err;
	owned_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (fd >= 0) {
		if (fstat(fd, &st) < 0)
			return -errno;
		if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
			return -EPERM;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int image_lineage(int dirfd, bool kept, uint8_t *ret, size_t len)
{
	owned_mem char *bytes = NULL;
	size_t got;
	int err =
		kept ? file_read(dirfd, "lineage", len, FILE_ROOT_PRIVATE, &bytes, &got) : -ENOENT;

	if (err == 0 && got == len) {
		memcpy(ret, bytes, len);
		return 0;
	}
	if (err != -ENOENT) /* a read that failed says nothing about the pins that lie there */
		return err < 0 ? err : -EBADMSG;
	err = sig_random(ret, len);
	return err < 0 ? err : file_write(dirfd, "lineage", ret, len, 0600);
}
