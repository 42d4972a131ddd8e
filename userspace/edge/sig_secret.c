/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where private keys lie: in OpenSSL's secure heap, one mapping that is locked, in no core file, and empty in a child;
 * between pages that fault. What OpenSSL keeps elsewhere on its way there is wiped when it is freed: 3.0 frees the DER of
 * a key that it reads as it is.
 */
#include "base/twin.h"
#include "edge/sig.h"
#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP_BYTES (2u << 20) /* a key takes 32 bytes; pages are there once they are used */
#define HEAP_LEAST 32

static void *plain_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n ? malloc(n) : NULL;
}

static void wiping_free(void *at, const char *file, int line)
{
	(void)file;
	(void)line;
	if (at && kept(key_wiped))
		explicit_bzero(at, malloc_usable_size(at));
	free(at);
}

/* Never in place of a larger one that was moved: the old bytes are wiped like any. */
static void *wiping_realloc(void *at, size_t n, const char *file, int line)
{
	size_t had = at ? malloc_usable_size(at) : 0;
	void *to;

	if (!at || !n) {
		wiping_free(at, file, line);
		return plain_malloc(n, file, line);
	}
	if (n <= had)
		return at;
	to = malloc(n);
	if (to) {
		memcpy(to, at, had);
		wiping_free(at, file, line);
	}
	return to;
}

/* The whole heap as one block: the only way to learn where it lies. */
static int heap_unforkable(void)
{
	void *all = CRYPTO_secure_malloc(HEAP_BYTES, __FILE__, __LINE__);
	int err = 0;

	if (!all)
		return -ENOMEM;
	if (madvise(all, HEAP_BYTES, MADV_WIPEONFORK) < 0)
		err = -errno;
	CRYPTO_secure_free(all, __FILE__, __LINE__);
	return err;
}

int sig_open_secret(void)
{
	int err = 0;

	if (CRYPTO_set_mem_functions(plain_malloc, wiping_realloc, wiping_free) != 1)
		return -EBUSY; /* libcrypto was used before */
	if (kept(key_heap)) {
		/* 2: the heap is there, but not locked or not guarded */
		if (CRYPTO_secure_malloc_init(HEAP_BYTES, HEAP_LEAST) != 1)
			return -ENOMEM;
		err = heap_unforkable();
	}
	return err < 0 ? err : sig_open();
}
