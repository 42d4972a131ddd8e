/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's part: SHA-256, ES256 over raw R||S, random bytes. Every OpenSSL return is compared to 1 and
 * the error queue is cleared on the way out; OPENSSL_CONF is not read (sig_open()).
 */
#ifndef CLEAT_EDGE_SIG_H
#define CLEAT_EDGE_SIG_H

#include "base/cleanup.h"
#include "model/assertion.h"
#include <stddef.h>
#include <stdint.h>

#define SIG_LEN 64

struct sig_key; /* a P-256 key, private or public, parsed once; used by one thread at a time */

/* Once per program, before anything else: initialises libcrypto without any configuration file. */
int sig_open(void);
/* The same in a process that holds private keys: they lie in locked memory that no core file and no child has, and are
 * wiped when they are freed. -ENOMEM: it cannot be locked. */
int sig_open_secret(void);

int sig_sha256(const void *bytes, size_t len, uint8_t ret[32]);
int sig_random(void *bytes, size_t len);

/* A new private key. */
int sig_key_new(struct sig_key **ret);
/* A public key; -EBADMSG unless the point is on the curve and not infinity. */
int sig_key_of_point(const struct point *point, struct sig_key **ret);
/* From and to PKCS#8 PEM text (host.key). -EBADMSG unless it is one unencrypted P-256 private key. */
int sig_key_of_pem(const char *pem, size_t len, struct sig_key **ret);
int sig_key_to_pem(const struct sig_key *key, char *ret, size_t cap, size_t *ret_len);
void sig_key_point(const struct sig_key *key, struct point *ret);
/* Another owner of the same key (reference counted). */
struct sig_key *sig_key_share(struct sig_key *key);
/* Wipes the private part with the last owner. NULL is fine. */
void sig_key_free(struct sig_key *key);
DEFINE_OWNER(sig_key_owned, struct sig_key, sig_key_free)

/* ES256 (RFC 7518 3.4): ECDSA P-256 with SHA-256 over @len bytes. */
int sig_sign(struct sig_key *key, const void *bytes, size_t len, uint8_t ret[SIG_LEN]);
/* REASON_OK or REASON_SIGNATURE. @sig_len other than 64 is refused before OpenSSL sees it. */
enum reason sig_verify(struct sig_key *key, const void *bytes, size_t len, const uint8_t *sig,
		       size_t sig_len);
/* How often this process made or checked a signature: refusals that must come before any are tested by it. */
uint64_t sig_calls(void);

#endif
