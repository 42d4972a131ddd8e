/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/sig and edge/keys when OpenSSL fails (attacks.md 151 and 182, fault F5): whatever one of its calls returns but 1, the
 * answer is an error, never a yes; nothing stays in the error queue, and nothing left there before makes a difference. No
 * environment variable and no file chooses what computes. Without entropy there is no key and no signature.
 */
#include "edge/keys.h"
#include "edge/sig.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- OpenSSL's own functions, which can be told to fail ---- */

static const char *faulty; /* the function that fails, or NULL */
static int returned;	   /* what it then returns */
static unsigned hits;

static bool fails(const char *function)
{
	bool hit = faulty && strcmp(faulty, function) == 0;

	hits += hit;
	return hit;
}

#define FAULTY(function, parameters, arguments)                                                    \
	int function parameters                                                                    \
	{                                                                                          \
		int(*real) parameters;                                                             \
                                                                                                   \
		*(void **)&real = dlsym(RTLD_NEXT, #function);                                     \
		if (!fails(#function))                                                             \
			return real arguments;                                                     \
		ERR_raise(ERR_LIB_EVP, ERR_R_INTERNAL_ERROR);                                      \
		return returned;                                                                   \
	}

FAULTY(RAND_bytes, (unsigned char *to, int n), (to, n))
FAULTY(EVP_Digest,
       (const void *bytes, size_t len, unsigned char *md, unsigned *size, const EVP_MD *type,
	ENGINE *e),
       (bytes, len, md, size, type, e))
FAULTY(EVP_PKEY_sign,
       (EVP_PKEY_CTX * c, unsigned char *sig, size_t *n, const unsigned char *tbs, size_t len),
       (c, sig, n, tbs, len))
FAULTY(EVP_PKEY_sign_init, (EVP_PKEY_CTX * c), (c))
FAULTY(EVP_PKEY_verify,
       (EVP_PKEY_CTX * c, const unsigned char *sig, size_t n, const unsigned char *tbs, size_t len),
       (c, sig, n, tbs, len))
FAULTY(EVP_PKEY_verify_init, (EVP_PKEY_CTX * c), (c))
FAULTY(EVP_PKEY_fromdata_init, (EVP_PKEY_CTX * c), (c))
FAULTY(EVP_PKEY_fromdata, (EVP_PKEY_CTX * c, EVP_PKEY **ret, int which, OSSL_PARAM *p),
       (c, ret, which, p))
FAULTY(EVP_PKEY_public_check_quick, (EVP_PKEY_CTX * c), (c))
FAULTY(EVP_PKEY_check, (EVP_PKEY_CTX * c), (c))
FAULTY(EVP_PKEY_get_bn_param, (const EVP_PKEY *k, const char *name, BIGNUM **ret), (k, name, ret))
FAULTY(EVP_PKEY_is_a, (const EVP_PKEY *k, const char *name), (k, name))
FAULTY(BN_bn2binpad, (const BIGNUM *n, unsigned char *to, int len), (n, to, len))

/* ---- what is asked of edge/sig: 0 is the only yes ---- */

static struct sig_key *key;
static struct point point;
static uint8_t signature[SIG_LEN];
static char pem[1024];
static size_t pem_len;

static void start(void)
{
	cr_assert_eq(sig_open(), 0);
	cr_assert_eq(sig_key_new(&key), 0);
	cr_assert_eq(sig_sign(key, "abc", 3, signature), 0);
	cr_assert_eq(sig_key_to_pem(key, pem, sizeof(pem), &pem_len), 0);
	sig_key_point(key, &point);
}

static void stop(void)
{
	sig_key_free(key);
}

TestSuite(sig_faults, .init = start, .fini = stop);

static int random_bytes(void)
{
	uint8_t bytes[16];

	return sig_random(bytes, sizeof(bytes));
}

static int digest(void)
{
	uint8_t bytes[32];

	return sig_sha256("abc", 3, bytes);
}

static int kept_key(int err, struct sig_key *made)
{
	if (err == 0)
		sig_key_free(made);
	return err;
}

static int new_key(void)
{
	struct sig_key *made = NULL;
	int err = sig_key_new(&made);

	return kept_key(err, made);
}

static int key_of_point(void)
{
	struct sig_key *made = NULL;
	int err = sig_key_of_point(&point, &made);

	return kept_key(err, made);
}

static int key_of_pem(void)
{
	struct sig_key *made = NULL;
	int err = sig_key_of_pem(pem, pem_len, &made);

	return kept_key(err, made);
}

/* Each with a fresh key, so that nothing is prepared yet. */
static int sign_now(void)
{
	struct sig_key *fresh = NULL;
	uint8_t sig[SIG_LEN];
	const char *later = faulty;
	int err;

	faulty = NULL;
	cr_assert_eq(sig_key_of_pem(pem, pem_len, &fresh), 0);
	faulty = later;
	err = sig_sign(fresh, "abc", 3, sig);
	sig_key_free(fresh);
	return err;
}

static int verify_now(void)
{
	struct sig_key *fresh = NULL;
	const char *later = faulty;
	enum reason r;

	faulty = NULL;
	cr_assert_eq(sig_key_of_point(&point, &fresh), 0);
	faulty = later;
	r = sig_verify(fresh, "abc", 3, signature, SIG_LEN);
	sig_key_free(fresh);
	cr_assert(r == REASON_OK || r == REASON_SIGNATURE);
	return r == REASON_OK ? 0 : -1;
}

static const struct {
	const char *function;
	int (*ask)(void);
} rows[] = {
	{ "RAND_bytes", random_bytes },
	{ "EVP_Digest", digest },
	{ "EVP_Digest", sign_now },
	{ "EVP_Digest", verify_now },
	{ "EVP_PKEY_sign_init", sign_now },
	{ "EVP_PKEY_sign", sign_now },
	{ "BN_bn2binpad", sign_now },
	{ "EVP_PKEY_verify_init", verify_now },
	{ "EVP_PKEY_verify", verify_now },
	{ "EVP_PKEY_fromdata_init", key_of_point },
	{ "EVP_PKEY_fromdata", key_of_point },
	{ "EVP_PKEY_public_check_quick", key_of_point },
	{ "EVP_PKEY_get_bn_param", key_of_point },
	{ "EVP_PKEY_get_bn_param", new_key },
	{ "BN_bn2binpad", new_key },
	{ "EVP_PKEY_is_a", key_of_pem },
	{ "EVP_PKEY_check", key_of_pem },
};

/* 0, negative, and a number that is true and not 1. */
Test(sig_faults, attack_182_only_one_is_yes)
{
	static const int values[] = { 0, -1, -2, 2 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			cr_assert_eq(rows[i].ask(), 0, "before %s", rows[i].function);
			faulty = rows[i].function;
			returned = values[v];
			hits = 0;
			int err = rows[i].ask();

			faulty = NULL;
			cr_expect(err < 0, "%s returned %d and it was a yes", rows[i].function,
				  values[v]);
			cr_expect_gt(hits, 0, "%s is not called", rows[i].function);
			cr_expect_eq(ERR_peek_error(), 0, "%s left its error behind",
				     rows[i].function);
			cr_assert_eq(rows[i].ask(), 0, "after %s", rows[i].function);
		}
}

/* What another call left in the queue says nothing about this one. */
Test(sig_faults, attack_182_stale_errors)
{
	uint8_t wrong[SIG_LEN];

	memcpy(wrong, signature, SIG_LEN);
	wrong[40] ^= 1;
	for (int i = 0; i < 20; i++) { /* one prepared context, many uses */
		ERR_raise(ERR_LIB_EVP, ERR_R_INTERNAL_ERROR);
		cr_expect_eq(sig_verify(key, "abc", 3, signature, SIG_LEN), REASON_OK);
		ERR_raise(ERR_LIB_EVP, ERR_R_INTERNAL_ERROR);
		cr_expect_eq(sig_verify(key, "abc", 3, wrong, SIG_LEN), REASON_SIGNATURE);
		cr_expect_eq(ERR_peek_error(), 0);
		ERR_raise(ERR_LIB_EVP, ERR_R_INTERNAL_ERROR);
		cr_expect_eq(sig_sign(key, "abc", 3, signature), 0);
		memcpy(wrong, signature, SIG_LEN);
		wrong[40] ^= 1;
	}
}

/* Runs @what in a process of its own; how it ended. */
static int apart(int (*what)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(what() == 0 ? 0 : 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A child goes on with other numbers than its parent. */
Test(sig_faults, attack_182_fork_draws_other_numbers)
{
	static uint8_t seen[65][16];
	int ends[2];

	cr_assert_eq(sig_random(seen[0], 16), 0);
	cr_assert_eq(pipe(ends), 0);
	for (int i = 1; i < 65; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			uint8_t bytes[16];

			_exit(sig_random(bytes, 16) < 0 || write(ends[1], bytes, 16) != 16);
		}
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		cr_assert_eq(read(ends[0], seen[i], 16), 16);
		for (int k = 0; k < i; k++)
			cr_assert_neq(memcmp(seen[i], seen[k], 16), 0);
	}
}

/* ---- without entropy ---- */

static int no_bytes(unsigned char *to, int n)
{
	(void)to;
	(void)n;
	return 0;
}

static int no_status(void)
{
	return 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void no_entropy(void)
{
	static const RAND_METHOD none = { .bytes = no_bytes,
					  .pseudorand = no_bytes,
					  .status = no_status };

	cr_assert_eq(RAND_set_rand_method(&none), 1);
}
#pragma GCC diagnostic pop

Test(sig_faults, attack_151_no_entropy_no_key)
{
	char dir[] = "/tmp/entropy-XXXXXX", path[64];
	struct sig_key *made = NULL;
	uint8_t sig[SIG_LEN];

	cr_assert(mkdtemp(dir));
	no_entropy();
	cr_expect_lt(random_bytes(), 0);
	cr_expect_lt(sig_key_new(&made), 0);
	cr_expect_null(made);
	cr_expect_lt(sig_sign(key, "abc", 3, sig), 0,
		     "a signature with a number that is no secret");
	cr_expect_lt(keys_make(dir), 0);
	cr_expect_eq(ERR_peek_error(), 0);
	for (const char *const *name = (const char *const[]){ "host.key", "ueid", NULL }; *name;
	     name++) {
		snprintf(path, sizeof(path), "%s/%s", dir, *name);
		cr_expect_neq(access(path, F_OK), 0, "%s was made", *name);
	}
	rmdir(dir);
}

/* ---- the environment ---- */

static const char conf[] = "openssl_conf = cleat\n"
			   "[cleat]\nproviders = chosen\n"
			   "[chosen]\nnull = only\n"
			   "[only]\nactivate = 1\n";

static int sign_and_verify(void)
{
	struct sig_key *made = NULL;
	uint8_t sig[SIG_LEN];

	if (sig_key_new(&made) < 0 || sig_sign(made, "abc", 3, sig) < 0)
		return -1;
	return sig_verify(made, "abc", 3, sig, SIG_LEN) == REASON_OK ? 0 : -1;
}

/* The same configuration where it is obeyed: no SHA-256 is left. */
static int obeyed(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	return EVP_MD_fetch(NULL, "SHA2-256", NULL) ? 0 : -1;
}

Test(sig_environment, attack_182_no_variable_chooses_what_computes)
{
	char path[] = "/tmp/openssl-XXXXXX";
	int fd = mkstemp(path);

	cr_assert_eq(write(fd, conf, sizeof(conf) - 1), (ssize_t)sizeof(conf) - 1);
	close(fd);
	setenv("OPENSSL_CONF", path, 1);
	setenv("OPENSSL_MODULES", "/nowhere", 1);
	cr_expect_eq(apart(obeyed), 1, "the control: who obeys it cannot hash");
	cr_expect_eq(apart(sign_and_verify), 0);
	unlink(path);
}
