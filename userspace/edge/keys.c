// SPDX-License-Identifier: Apache-2.0
/*
 * The host key's files: see keys.h. Both are made O_EXCL and never changed; a file is judged on the descriptor that is
 * then read. Key bytes pass through one buffer here, which is wiped.
 */
#include "edge/keys.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/twin.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* The directory, which must be ours alone to write. */
static int dir_open(const char *dir, int *ret_fd)
{
	owned_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (kept(key_place) && (st.st_uid != geteuid() || (st.st_mode & 022)))
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* A new file with these bytes, on disk before it returns; nothing stays where it failed. */
static int file_make(int dir, const char *name, const void *bytes, size_t len, mode_t mode)
{
	owned_fd int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int err;

	if (fd < 0)
		return -errno;
	err = fchmod(fd, mode) < 0 ? -errno : write_all(fd, bytes, len);
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (err < 0)
		unlinkat(dir, name, 0);
	return err;
}

static int ueid_make(int dir)
{
	uint8_t ueid[UEID_LEN] = { 1 }; /* type 1: random (RFC 9711 4.2.1) */
	char at[B64URL_LEN(UEID_LEN) + 2];
	struct text t;
	int err = sig_random(ueid + 1, UEID_LEN - 1);

	if (err < 0)
		return err;
	text_init(&t, at, sizeof(at));
	text_b64url(&t, ueid, UEID_LEN);
	text_puts(&t, "\n");
	err = file_make(dir, KEYS_UEID_FILE, t.at, t.len, 0644);
	return err == -EEXIST ? 0 : err; /* the host keeps its name when it gets a new key */
}

/* A new key as file @name. */
static int key_make(int dir, const char *name)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	char pem[KEYS_BYTES_MAX];
	size_t len;
	int err = sig_key_new(&key);

	if (err == 0)
		err = sig_key_to_pem(key, pem, sizeof(pem), &len);
	if (err == 0)
		err = file_make(dir, name, pem, len, 0600);
	bytes_wipe(pem, sizeof(pem));
	if (err < 0)
		return err;
	return fsync(dir) < 0 ? -errno : 0;
}

int keys_make(const char *dir)
{
	owned_fd int fd = -1;
	int err = dir_make(dir, 0700);

	if (err == 0)
		err = dir_open(dir, &fd);
	if (err == 0 && faccessat(fd, KEYS_HOST_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		err = -EEXIST;
	if (err == 0)
		err = ueid_make(fd);
	return err < 0 ? err : key_make(fd, KEYS_HOST_FILE);
}

int keys_make_next(const char *dir)
{
	owned_fd int fd = -1;
	int err = dir_open(dir, &fd);

	return err < 0 ? err : key_make(fd, KEYS_NEXT_FILE);
}

int keys_take_next(const char *dir)
{
	owned_fd int fd = -1;
	int err = dir_open(dir, &fd);

	if (err < 0)
		return err;
	if (renameat(fd, KEYS_NEXT_FILE, fd, KEYS_HOST_FILE) < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* Where whoever has the server, or the wire to it, has the key. */
static bool on_the_net(const struct statfs *fs)
{
	static const uint32_t kinds[] = {
		0x6969,				    /* NFS */
		0x517b,	    0xff534d42, 0xfe534d42, /* SMB */
		0x5346414f, 0x6b414653,		    /* AFS */
		0x00c36400,			    /* Ceph */
		0x73757245,			    /* Coda */
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((uint32_t)fs->f_type == kinds[i])
			return true;
	return false;
}

static int key_open(const char *dir, const char *name, int *ret_fd)
{
	owned_fd int at = -1, fd = -1;
	struct statfs fs;
	struct stat st;
	int err = dir_open(dir, &at);

	if (err < 0)
		return err;
	fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (kept(key_private) && (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
				  (st.st_mode & 077) || st.st_nlink != 1))
		return -EPERM;
	if (kept(key_net) && on_the_net(&fs))
		return -EREMOTE;
	*ret_fd = take_fd(&fd);
	return 0;
}

const char *keys_trouble(int err)
{
	if (err == -EPERM)
		return "must be root's alone: 0600, one link, no symlink, in a directory that is root's to write";
	if (err == -EREMOTE)
		return "lies on a network file system: move it to a disk of this host";
	return strerror(-err);
}

int keys_open(const char *dir, int *ret_fd)
{
	return key_open(dir, KEYS_HOST_FILE, ret_fd);
}

int keys_open_next(const char *dir, int *ret_fd)
{
	return key_open(dir, KEYS_NEXT_FILE, ret_fd);
}

int keys_read(int fd, struct sig_key **ret)
{
	char pem[KEYS_BYTES_MAX];
	size_t len = 0;
	int err = 0;

	while (len < sizeof(pem)) {
		ssize_t n = pread(fd, pem + len, sizeof(pem) - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? -errno : 0;
			break;
		}
		len += (size_t)n;
	}
	if (err == 0)
		err = len < sizeof(pem) ? sig_key_of_pem(pem, len, ret) : -EFBIG;
	if (kept(key_wiped))
		bytes_wipe(pem, sizeof(pem));
	return err;
}

int keys_ueid(const char *dir, uint8_t ret[UEID_LEN])
{
	owned_fd int at = -1;
	owned_mem char *text = NULL;
	uint8_t ueid[UEID_LEN];
	size_t len, n;
	int err = dir_open(dir, &at);

	if (err == 0)
		err = file_read(at, KEYS_UEID_FILE, 64, FILE_ROOT_OWNED, &text, &len);
	if (err < 0)
		return err;
	if (len && text[len - 1] == '\n')
		len--;
	if (b64url_decode(text, len, ueid, sizeof(ueid), &n) < 0 || n != UEID_LEN || ueid[0] != 1)
		return -EBADMSG;
	memcpy(ret, ueid, UEID_LEN);
	return 0;
}

int keys_bootseed(uint8_t ret[BOOTSEED_LEN])
{
	static const size_t groups[] = { 8, 4, 4, 4, 12 };
	owned_mem char *text = NULL;
	char digits[2 * BOOTSEED_LEN];
	size_t len, at = 0, to = 0;
	int err = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, FILE_ANY, &text, &len);

	if (err < 0)
		return err;
	if (len != 37 || text[36] != '\n')
		return -EBADMSG;
	for (unsigned i = 0; i < 5; i++) {
		memcpy(digits + to, text + at, groups[i]);
		to += groups[i];
		at += groups[i] + 1;
	}
	return hex_decode(digits, sizeof(digits), ret, BOOTSEED_LEN);
}
