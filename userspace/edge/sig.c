// SPDX-License-Identifier: Apache-2.0
/*
 * OpenSSL's part: see sig.h. Algorithms are fetched once and each key keeps its prepared contexts, because in OpenSSL
 * 3 fetching and preparing cost a good part of a P-256 signature. A key is therefore used by one thread at a time.
 * Every return is compared to 1; every way out of a failed call clears the error queue.
 */
#include "edge/sig.h"
#include "base/bytes.h"
#include <errno.h>
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <string.h>

#define PEM_BEGIN "-----BEGIN " PEM_STRING_PKCS8INF "-----"
#define DER_MAX	  72 /* of an ECDSA-Sig-Value over P-256 */

struct sig_key {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *signing;	 /* made at the first use */
	EVP_PKEY_CTX *verifying; /* made at the first use */
	struct point point;
	unsigned owners;
};

static EVP_MD *sha256;
static uint64_t calls;

uint64_t sig_calls(void)
{
	return calls;
}

/* The way out of every failure. */
static int failed(int err)
{
	ERR_clear_error();
	return err;
}

int sig_open(void)
{
	if (sha256)
		return 0;
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return failed(-EIO);
	sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	return sha256 ? 0 : failed(-EIO);
}

int sig_sha256(const void *bytes, size_t len, uint8_t ret[32])
{
	unsigned n = 0;

	if (sig_open() < 0 || EVP_Digest(bytes, len, ret, &n, sha256, NULL) != 1 || n != 32)
		return failed(-EIO);
	return 0;
}

int sig_random(void *bytes, size_t len)
{
	if (sig_open() < 0 || len > INT_MAX || RAND_bytes(bytes, (int)len) != 1)
		return failed(-EIO);
	return 0;
}

/* ---- keys ---- */

static void pkey_free(EVP_PKEY **at)
{
	EVP_PKEY_free(*at);
}

static void ctx_free(EVP_PKEY_CTX **at)
{
	EVP_PKEY_CTX_free(*at);
}

static void bn_free(BIGNUM **at)
{
	BN_free(*at);
}

static void bio_free(BIO **at)
{
	BIO_free(*at);
}

static int point_of(EVP_PKEY *pkey, struct point *ret)
{
	owned(bn_free) BIGNUM *x = NULL, *y = NULL;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1)
		return failed(-EBADMSG);
	if (BN_bn2binpad(x, ret->x, 32) != 32 || BN_bn2binpad(y, ret->y, 32) != 32)
		return failed(-EBADMSG);
	return 0;
}

/* Takes @pkey over where it succeeds. */
static int key_of(EVP_PKEY **pkey, struct sig_key **ret)
{
	struct sig_key *key = calloc(1, sizeof(*key));
	int err;

	if (!key)
		return -ENOMEM;
	err = point_of(*pkey, &key->point);
	if (err < 0) {
		free(key);
		return err;
	}
	key->pkey = take_ptr(*pkey);
	key->owners = 1;
	*ret = key;
	return 0;
}

int sig_key_new(struct sig_key **ret)
{
	owned(pkey_free) EVP_PKEY *pkey = NULL;

	if (sig_open() < 0)
		return -EIO;
	pkey = EVP_EC_gen("P-256");
	if (!pkey)
		return failed(-EIO);
	return key_of(&pkey, ret);
}

int sig_key_of_point(const struct point *point, struct sig_key **ret)
{
	owned(ctx_free) EVP_PKEY_CTX *ctx = NULL, *check = NULL;
	owned(pkey_free) EVP_PKEY *pkey = NULL;
	uint8_t octets[65] = { POINT_CONVERSION_UNCOMPRESSED };
	char group[] = SN_X9_62_prime256v1;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets, sizeof(octets)),
		OSSL_PARAM_construct_end(),
	};

	memcpy(octets + 1, point->x, 32);
	memcpy(octets + 33, point->y, 32);
	if (sig_open() < 0)
		return -EIO;
	ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1)
		return failed(-ENOMEM);
	if (EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return failed(-EBADMSG);
	check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (!check)
		return failed(-ENOMEM);
	/* Range, curve and infinity; the order needs no check where the cofactor is 1. */
	if (EVP_PKEY_public_check_quick(check) != 1)
		return failed(-EBADMSG);
	return key_of(&pkey, ret);
}

/* One PEM block "PRIVATE KEY" and nothing else but white space. */
static int pkcs8_of_pem(const char *pem, size_t len, PKCS8_PRIV_KEY_INFO **ret)
{
	owned(bio_free) BIO *bio = len > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	const unsigned char *at;
	long der_len = 0;
	int err = -EBADMSG;

	if (!bio)
		return failed(-ENOMEM);
	if (len < sizeof(PEM_BEGIN) - 1 || memcmp(pem, PEM_BEGIN, sizeof(PEM_BEGIN) - 1) != 0)
		return -EBADMSG; /* OpenSSL would skip what stands before it */
	if (PEM_read_bio(bio, &name, &header, &der, &der_len) != 1)
		return failed(-EBADMSG);
	at = der;
	if (!strcmp(name, PEM_STRING_PKCS8INF) && header[0] == '\0' && BIO_ctrl_pending(bio) == 0) {
		*ret = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, der_len);
		if (*ret && at != der + der_len) {
			PKCS8_PRIV_KEY_INFO_free(*ret);
			*ret = NULL;
		}
		err = *ret ? 0 : -EBADMSG;
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, (size_t)der_len);
	return err < 0 ? failed(err) : 0;
}

int sig_key_of_pem(const char *pem, size_t len, struct sig_key **ret)
{
	owned(pkey_free) EVP_PKEY *pkey = NULL;
	owned(ctx_free) EVP_PKEY_CTX *check = NULL;
	PKCS8_PRIV_KEY_INFO *pkcs8 = NULL;
	char group[64] = "";
	size_t group_len = 0;
	int err = sig_open();

	if (err == 0)
		err = pkcs8_of_pem(pem, len, &pkcs8);
	if (err < 0)
		return err;
	pkey = EVP_PKCS82PKEY(pkcs8);
	PKCS8_PRIV_KEY_INFO_free(pkcs8);
	if (!pkey || EVP_PKEY_is_a(pkey, "EC") != 1)
		return failed(-EBADMSG);
	if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), &group_len) != 1 ||
	    strcmp(group, SN_X9_62_prime256v1) != 0)
		return failed(-EBADMSG);
	check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (!check)
		return failed(-ENOMEM);
	if (EVP_PKEY_check(check) != 1) /* public and private part belong together */
		return failed(-EBADMSG);
	return key_of(&pkey, ret);
}

int sig_key_to_pem(const struct sig_key *key, char *ret, size_t cap, size_t *ret_len)
{
	owned(bio_free) BIO *bio = BIO_new(BIO_s_secmem());
	char *at = NULL;
	long len;

	if (!bio)
		return failed(-ENOMEM);
	if (PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
		return failed(-EIO);
	len = BIO_get_mem_data(bio, &at);
	if (len <= 0)
		return failed(-EIO);
	if ((size_t)len >= cap)
		return -ENOSPC;
	memcpy(ret, at, (size_t)len);
	ret[len] = '\0';
	*ret_len = (size_t)len;
	return 0;
}

void sig_key_point(const struct sig_key *key, struct point *ret)
{
	*ret = key->point;
}

struct sig_key *sig_key_share(struct sig_key *key)
{
	__atomic_add_fetch(&key->owners, 1, __ATOMIC_RELAXED);
	return key;
}

void sig_key_free(struct sig_key *key)
{
	if (!key || __atomic_sub_fetch(&key->owners, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	EVP_PKEY_CTX_free(key->signing);
	EVP_PKEY_CTX_free(key->verifying);
	EVP_PKEY_free(key->pkey); /* clears the private number */
	free(key);
}

/* ---- signatures ---- */

/* A number of a DER signature: 32 bytes big-endian -> INTEGER without needless zeroes. */
static size_t der_integer(const uint8_t *n, uint8_t *at)
{
	size_t skip = 0, pad;

	while (skip < 31 && n[skip] == 0)
		skip++;
	pad = n[skip] >> 7;
	at[0] = 0x02;
	at[1] = (uint8_t)(32 - skip + pad);
	at[2] = 0;
	memcpy(at + 2 + pad, n + skip, 32 - skip);
	return 2 + pad + 32 - skip;
}

static size_t der_of_raw(const uint8_t sig[SIG_LEN], uint8_t der[DER_MAX])
{
	size_t len = der_integer(sig, der + 2);

	len += der_integer(sig + 32, der + 2 + len);
	der[0] = 0x30;
	der[1] = (uint8_t)len;
	return 2 + len;
}

static int raw_of_der(const uint8_t *der, size_t len, uint8_t ret[SIG_LEN])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	int err = 0;

	if (!sig)
		return failed(-EIO);
	if (BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, 32) != 32 ||
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + 32, 32) != 32)
		err = failed(-EIO);
	ECDSA_SIG_free(sig);
	return err;
}

/* The prepared context of @key in @at, made where it is missing. */
static EVP_PKEY_CTX *prepared(struct sig_key *key, EVP_PKEY_CTX **at, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx;

	if (*at)
		return *at;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	if (ctx && init(ctx) != 1) {
		EVP_PKEY_CTX_free(ctx);
		ctx = NULL;
	}
	*at = ctx;
	return ctx;
}

int sig_sign(struct sig_key *key, const void *bytes, size_t len, uint8_t ret[SIG_LEN])
{
	EVP_PKEY_CTX *ctx = prepared(key, &key->signing, EVP_PKEY_sign_init);
	uint8_t digest[32], der[DER_MAX];
	size_t der_len = sizeof(der);

	calls++;
	if (!ctx)
		return failed(-ENOMEM);
	if (sig_sha256(bytes, len, digest) < 0)
		return -EIO;
	if (EVP_PKEY_sign(ctx, der, &der_len, digest, sizeof(digest)) != 1)
		return failed(-EIO);
	return raw_of_der(der, der_len, ret);
}

enum reason sig_verify(struct sig_key *key, const void *bytes, size_t len, const uint8_t *sig,
		       size_t sig_len)
{
	uint8_t digest[32], der[DER_MAX];
	EVP_PKEY_CTX *ctx;
	size_t der_len;

	if (sig_len != SIG_LEN)
		return REASON_SIGNATURE;
	calls++;
	ctx = prepared(key, &key->verifying, EVP_PKEY_verify_init);
	if (!ctx || sig_sha256(bytes, len, digest) < 0) {
		ERR_clear_error();
		return REASON_SIGNATURE;
	}
	der_len = der_of_raw(sig, der);
	if (EVP_PKEY_verify(ctx, der, der_len, digest, sizeof(digest)) != 1) {
		ERR_clear_error();
		return REASON_SIGNATURE;
	}
	return REASON_OK;
}
