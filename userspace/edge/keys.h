/* SPDX-License-Identifier: Apache-2.0 */
/* The host key's file and descriptor, and its ueid. The key is only ever 0600 root, made O_EXCL. */
#ifndef CLEAT_EDGE_KEYS_H
#define CLEAT_EDGE_KEYS_H

#include "edge/sig.h"

#define KEYS_BYTES_MAX 4096
#define KEYS_HOST_FILE "host.key"
#define KEYS_NEXT_FILE "host.key.next" /* during rotation */
#define KEYS_UEID_FILE "ueid"

/* Makes host.key and ueid in @dir (made 0700 if missing). -EEXIST where a key is there already. */
int keys_make(const char *dir);
/* Opens host.key: regular, root's, mode 0600 or less, one link, no symlink; -EPERM else. -EREMOTE: on a network file
 * system. */
int keys_open(const char *dir, int *ret_fd);
/* What is wrong with a key's file, and the way out. */
const char *keys_trouble(int err);
/* The key that follows: made beside host.key, opened, and put in its place. -ENOENT where there is none. */
int keys_make_next(const char *dir);
int keys_open_next(const char *dir, int *ret_fd);
int keys_take_next(const char *dir);
/* Reads the key from an open descriptor; the buffer it went through is wiped. */
int keys_read(int fd, struct sig_key **ret);
int keys_ueid(const char *dir, uint8_t ret[UEID_LEN]);
/* 16 bytes that differ per boot, from the kernel's boot_id. */
int keys_bootseed(uint8_t ret[BOOTSEED_LEN]);

#endif
