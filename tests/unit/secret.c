/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attacks.md 181: where a private key's bytes lie in the process that holds it. A child reads a key as the sign room does,
 * signs, and gives it back; meanwhile this test reads the child's memory as root, all of it, and looks for the private number
 * as bytes, as OpenSSL keeps it, and as the text of its file. While the key is in use every copy lies in a mapping that is
 * locked, in no core file and empty in a child; afterwards there is none.
 */
#include "base/bytes.h"
#include "edge/keys.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AS_BYTES, AS_NUMBER, AS_TEXT, NEEDLES };
static const char *const forms[NEEDLES] = { "bytes", "number", "text" };

struct needle {
	uint8_t at[32];
};

/* ---- the child ---- */

/* Says where it is, and goes on when told. */
static void step(int talk, char done)
{
	char go;

	if (write(talk, &done, 1) != 1 || read(talk, &go, 1) != 1)
		_exit(2);
}

static void child(int talk, int file)
{
	char go;

	if (read(talk, &go, 1) != 1)
		_exit(1);
	struct sig_key *key = NULL, *other = NULL;
	uint8_t signature[SIG_LEN];
	int err = sig_open_secret();

	if (err == 0)
		err = keys_read(file, &key);
	if (err == 0) /* and anew, as at every reload */
		err = keys_read(file, &other);
	sig_key_free(other);
	other = NULL;
	if (err == 0)
		step(talk, 'r');
	for (int i = 0; i < 3 && err == 0; i++)
		err = sig_sign(key, "claims", 6, signature);
	if (err < 0)
		_exit(3);
	step(talk, 'u');
	sig_key_free(key);
	step(talk, 'f');
	if (sig_key_new(&other) < 0) /* a proof key: the heap serves on */
		_exit(4);
	step(talk, 'n');
	_exit(0);
}

/* Before libcriterion uses libcrypto: this very program, executed anew. */
__attribute__((constructor)) static void child_maybe(void)
{
	const char *fds = getenv("SECRET_CHILD");
	int talk, file;

	if (fds && sscanf(fds, "%d %d", &talk, &file) == 2)
		child(talk, file);
}

static pid_t child_start(int talk, int file)
{
	char name[] = "secret", *argv[] = { name, NULL };
	char fds[64];
	char *envp[] = { fds, NULL };
	pid_t pid = fork();

	snprintf(fds, sizeof(fds), "SECRET_CHILD=%d %d", talk, file);
	if (pid == 0) {
		execve("/proc/self/exe", argv, envp);
		_exit(127);
	}
	return pid;
}

/* ---- the search ---- */

struct found {
	unsigned safe, elsewhere;
	char where[256]; /* the last one elsewhere */
};

static bool has(const uint8_t *bytes, size_t len, const struct needle *n)
{
	return memmem(bytes, len, n->at, sizeof(n->at)) != NULL;
}

static void mapping_search(int mem, unsigned long from, unsigned long to, bool safe,
			   const char *line, const struct needle needles[NEEDLES], struct found *f)
{
	uint8_t *bytes = malloc(to - from);
	ssize_t n = bytes ? pread(mem, bytes, to - from, (off_t)from) : -1;

	for (int i = 0; i < NEEDLES && n > 0; i++) {
		if (!has(bytes, (size_t)n, &needles[i]))
			continue;
		if (safe) {
			f->safe++;
			continue;
		}
		f->elsewhere++;
		snprintf(f->where, sizeof(f->where), "as %s in %.200s", forms[i], line);
	}
	free(bytes);
}

/* Every mapping of @pid that can be read. */
static void search(pid_t pid, const struct needle needles[NEEDLES], struct found *ret)
{
	char path[64], line[512], head[512] = "";
	unsigned long from = 0, to = 0, a, b;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	owned_fd int mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	owned_file FILE *f = fopen(path, "re");

	cr_assert(mem >= 0 && f, "%s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			from = a;
			to = b;
			snprintf(head, sizeof(head), "%.*s", (int)strcspn(line, "\n"), line);
		} else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " rd ")) {
			bool safe = strstr(line, " lo ") && strstr(line, " dd ") &&
				    strstr(line, " wf ");

			mapping_search(mem, from, to, safe, head, needles, ret);
		}
	}
}

/* ---- the key ---- */

static void needles_of(const char *pem, size_t len, struct needle ret[NEEDLES])
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIGNUM *d = NULL;

	cr_assert(key && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1);
	cr_assert_eq(BN_bn2binpad(d, ret[AS_BYTES].at, 32), 32);
	cr_assert_eq(BN_bn2lebinpad(d, ret[AS_NUMBER].at, 32), 32);
	memcpy(ret[AS_TEXT].at, strchr(pem, '\n') + 1 + 32,
	       32); /* a line of it, where the number is */
	BN_clear_free(d);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

/* A host key into a file of memory, as kernel_reload.c does. */
static void key_write(int fd, struct needle needles[NEEDLES])
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	char pem[KEYS_BYTES_MAX];
	size_t len;

	cr_assert_eq(sig_key_new(&key), 0);
	cr_assert_eq(sig_key_to_pem(key, pem, sizeof(pem), &len), 0);
	cr_assert_eq(pwrite(fd, pem, len, 0), (ssize_t)len);
	needles_of(pem, len, needles);
}

/* The steps of a key's life in the child: at each of them @look, if there is one. */
static void live(void (*look)(pid_t pid, char step, const struct needle needles[NEEDLES]))
{
	/* the child is made before there is a key, so that it inherits none */
	owned_fd int file = memfd_create("key", 0);
	struct needle needles[NEEDLES];
	int talk[2], status;
	char said;

	cr_assert(file >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, talk) == 0);
	pid_t pid = child_start(talk[1], file);

	close(talk[1]);
	key_write(file, needles);
	for (const char *step = "rufn"; *step; step++) {
		cr_assert_eq(write(talk[0], "g", 1), 1);
		cr_assert_eq(read(talk[0], &said, 1), 1, "the child ended before '%c'", *step);
		cr_assert_eq(said, *step);
		if (look)
			look(pid, *step, needles);
	}
	cr_assert_eq(write(talk[0], "g", 1), 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	close(talk[0]);
}

static void look(pid_t pid, char at, const struct needle needles[NEEDLES])
{
	bool in_use = at == 'r' || at == 'u';
	struct found f;

	search(pid, needles, &f);
	if (in_use)
		cr_expect_gt(f.safe + f.elsewhere, 0,
			     "no key is found at all: that proves nothing");
	else
		cr_expect_eq(f.safe, 0, "accepted: twin=key_wiped: '%c': it is still there", at);
	cr_expect_eq(f.elsewhere, 0, "accepted: twin=%s: '%c': the key lies %s",
		     f.safe || !in_use ? "key_wiped" : "key_heap", at, f.where);
}

Test(secret, the_heap_serves, .timeout = 60)
{
	live(NULL);
}

Test(secret, attack_181_keys_in_memory, .timeout = 60)
{
#ifdef __SANITIZE_ADDRESS__
	cr_skip_test("the sanitizer's own memory is most of the address space");
#endif
	if (geteuid() != 0)
		cr_skip_test("needs root to read the child's memory");
	live(look);
}
