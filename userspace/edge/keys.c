// SPDX-License-Identifier: Apache-2.0
/* The host key's file. See keys.h. */
#include "edge/keys.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_MAX	     4096
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

/* The directory itself must be ours alone to change: who may rename in it may exchange the key. */
static int dir_open(const char *dir, int *ret_fd)
{
	owned_fd int fd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* A new file that nobody had a moment to open: made exclusively, synced before it counts. */
static int file_make(int dirfd, const char *name, const void *bytes, size_t len)
{
	owned_fd int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, bytes, len);
	if (err == 0 && (fsync(fd) < 0 || fsync(dirfd) < 0))
		err = -errno;
	if (err < 0)
		unlinkat(dirfd, name, 0);
	return err;
}

static int ueid_make(int dirfd)
{
	uint8_t ueid[UEID_LEN] = { 1 };
	char hex[2 * UEID_LEN + 2];
	struct text t;
	int err = sig_random(ueid + 1, UEID_LEN - 1);

	if (err < 0)
		return err;
	text_init(&t, hex, sizeof(hex));
	text_hex(&t, ueid, sizeof(ueid));
	text_puts(&t, "\n");
	err = file_make(dirfd, KEYS_UEID_FILE, hex, t.len);
	return err == -EEXIST ? 0
			      : err; /* the host stays who it is when only its key is made anew */
}

int keys_make(const char *dir)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	owned_fd int fd = -1;
	char pem[PEM_MAX];
	size_t len;
	int err = dir_make(dir, 0700);

	if (err == 0)
		err = dir_open(dir, &fd);
	if (err == 0)
		err = ueid_make(fd);
	if (err == 0)
		err = sig_key_new(&key);
	if (err == 0)
		err = sig_key_to_pem(key, pem, sizeof(pem), &len);
	if (err == 0)
		err = file_make(fd, KEYS_HOST_FILE, pem, len);
	bytes_wipe(pem, sizeof(pem));
	return err;
}

int keys_open(const char *dir, int *ret_fd)
{
	owned_fd int at = -1, fd = -1;
	struct stat st;
	int err = dir_open(dir, &at);

	if (err < 0)
		return err;
	fd = openat(at, KEYS_HOST_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) ||
	    st.st_nlink != 1)
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}

int keys_read(int fd, struct sig_key **ret)
{
	owned_mem char *pem = NULL;
	size_t len;
	int err = file_read_fd(fd, PEM_MAX, &pem, &len);

	if (err < 0)
		return err;
	err = sig_key_of_pem(pem, len, ret);
	bytes_wipe(pem, len);
	return err;
}

int keys_ueid(const char *dir, uint8_t ret[UEID_LEN])
{
	owned_mem char *hex = NULL;
	uint8_t ueid[UEID_LEN];
	owned_fd int fd = -1;
	size_t len;
	int err = dir_open(dir, &fd);

	if (err == 0)
		err = file_read(fd, KEYS_UEID_FILE, 64, FILE_ROOT_OWNED, &hex, &len);
	if (err < 0)
		return err;
	if (len != 2 * UEID_LEN + 1 || hex[len - 1] != '\n')
		return -EBADMSG;
	err = hex_decode(hex, len - 1, ueid, UEID_LEN);
	if (err < 0 || ueid[0] != 1)
		return -EBADMSG;
	memcpy(ret, ueid, UEID_LEN);
	return 0;
}

int keys_bootseed(uint8_t ret[BOOTSEED_LEN])
{
	char plain[2 * BOOTSEED_LEN + 1];
	owned_mem char *id = NULL;
	size_t len, n = 0;
	int err = file_read(AT_FDCWD, BOOT_ID_PATH, 64, FILE_ANY, &id, &len);

	if (err < 0)
		return err;
	for (size_t i = 0; i < len && n < sizeof(plain); i++)
		if (id[i] != '-' && id[i] != '\n')
			plain[n++] = id[i];
	if (n != 2 * BOOTSEED_LEN)
		return -EBADMSG;
	return hex_decode(plain, n, ret, BOOTSEED_LEN);
}
