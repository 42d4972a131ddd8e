// SPDX-License-Identifier: Apache-2.0
/* edge/sig: hashes, keys and raw ES256 signatures. */
#include "edge/sig.h"
#include "base/bytes.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static void setup(void)
{
	cr_assert_eq(sig_open(), 0);
}

TestSuite(sig, .init = setup);

Test(sig, sha256_of_abc)
{
	uint8_t is[32], must[32];

	cr_assert_eq(hex_decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
				64, must, 32),
		     0);
	cr_assert_eq(sig_sha256("abc", 3, is), 0);
	cr_assert_arr_eq(is, must, 32);
}

/* What is signed verifies, under the private key and under its point alone; one changed bit does not. */
Test(sig, sign_and_verify)
{
	owned(sig_key_owned) struct sig_key *key = NULL, *public = NULL;
	struct point point;
	uint8_t sig[SIG_LEN + 1] = { 0 };

	cr_assert_eq(sig_key_new(&key), 0);
	sig_key_point(key, &point);
	cr_assert_eq(sig_key_of_point(&point, &public), 0);
	for (int round = 0; round < 50; round++) {
		cr_assert_eq(sig_sign(key, "abc", 3, sig), 0);
		cr_assert_eq(sig_verify(key, "abc", 3, sig, SIG_LEN), REASON_OK);
		cr_assert_eq(sig_verify(public, "abc", 3, sig, SIG_LEN), REASON_OK);
		cr_assert_eq(sig_verify(public, "abd", 3, sig, SIG_LEN), REASON_SIGNATURE);
		sig[round] ^= 1;
		cr_assert_eq(sig_verify(public, "abc", 3, sig, SIG_LEN), REASON_SIGNATURE);
	}
}

Test(sig, other_lengths_never_reach_openssl)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	uint8_t sig[80] = { 0 };
	uint64_t before;

	cr_assert_eq(sig_key_new(&key), 0);
	cr_assert_eq(sig_sign(key, "abc", 3, sig), 0);
	before = sig_calls();
	for (size_t len = 0; len <= sizeof(sig); len++)
		if (len != SIG_LEN)
			cr_assert_eq(sig_verify(key, "abc", 3, sig, len), REASON_SIGNATURE);
	cr_assert_eq(sig_calls(), before);
	cr_assert_eq(sig_verify(key, "abc", 3, sig, SIG_LEN), REASON_OK);
	cr_assert_eq(sig_calls(), before + 1);
}

/* r and s at and beyond their ends: 0, n, all ones. */
Test(sig, edge_values)
{
	static const char n[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	owned(sig_key_owned) struct sig_key *key = NULL;
	uint8_t good[SIG_LEN], sig[SIG_LEN], order[32], ones[32], zero[32] = { 0 };
	const uint8_t *edges[] = { zero, order, ones };

	memset(ones, 0xff, 32);
	cr_assert_eq(hex_decode(n, 64, order, 32), 0);
	cr_assert_eq(sig_key_new(&key), 0);
	cr_assert_eq(sig_sign(key, "abc", 3, good), 0);
	for (int half = 0; half < 2; half++)
		for (int edge = 0; edge < 3; edge++) {
			memcpy(sig, good, SIG_LEN);
			memcpy(sig + 32 * half, edges[edge], 32);
			cr_assert_eq(sig_verify(key, "abc", 3, sig, SIG_LEN), REASON_SIGNATURE);
		}
	memset(sig, 0, SIG_LEN);
	cr_assert_eq(sig_verify(key, "abc", 3, sig, SIG_LEN), REASON_SIGNATURE);
	cr_assert_eq(sig_verify(key, "abc", 3, good, SIG_LEN), REASON_OK);
}

Test(sig, points_off_the_curve)
{
	owned(sig_key_owned) struct sig_key *key = NULL, *none = NULL;
	struct point good, bad;

	cr_assert_eq(sig_key_new(&key), 0);
	sig_key_point(key, &good);
	memset(&bad, 0, sizeof(bad));
	cr_assert_eq(sig_key_of_point(&bad, &none), -EBADMSG, "all zero");
	memset(&bad, 0xff, sizeof(bad));
	cr_assert_eq(sig_key_of_point(&bad, &none), -EBADMSG, "beyond the field");
	bad = good;
	bad.y[31] ^= 1;
	cr_assert_eq(sig_key_of_point(&bad, &none), -EBADMSG, "one bit off");
	cr_assert_null(none);
}

Test(sig, pem_there_and_back)
{
	owned(sig_key_owned) struct sig_key *key = NULL, *again = NULL, *none = NULL;
	char pem[512], changed[600];
	struct point a, b;
	size_t len;

	cr_assert_eq(sig_key_new(&key), 0);
	cr_assert_eq(sig_key_to_pem(key, pem, sizeof(pem), &len), 0);
	cr_assert_eq(sig_key_to_pem(key, pem, len, &len), -ENOSPC);
	cr_assert_eq(sig_key_to_pem(key, pem, sizeof(pem), &len), 0);
	cr_assert_eq(sig_key_of_pem(pem, len, &again), 0);
	sig_key_point(key, &a);
	sig_key_point(again, &b);
	cr_assert_arr_eq(&a, &b, sizeof(a));

	cr_assert_eq(sig_key_of_pem(pem, len - 1 - strlen("-----END PRIVATE KEY-----"), &none),
		     -EBADMSG);
	cr_assert_eq(sig_key_of_pem("", 0, &none), -EBADMSG);
	snprintf(changed, sizeof(changed), "%sx", pem);
	cr_assert_eq(sig_key_of_pem(changed, len + 1, &none), -EBADMSG, "bytes behind it");
	snprintf(changed, sizeof(changed), "x\n%s", pem);
	cr_assert_eq(sig_key_of_pem(changed, len + 2, &none), -EBADMSG, "bytes before it");
	snprintf(changed, sizeof(changed), "%s", pem);
	changed[60] = changed[60] == 'A' ? 'B' : 'A';
	cr_assert_eq(sig_key_of_pem(changed, len, &none), -EBADMSG, "a changed digit");
	cr_assert_null(none);
}

/* Published keys of other kinds: P-384, Ed25519, an encrypted one. */
Test(sig, other_keys_are_refused)
{
	static const char *const pems[] = {
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
		"-----END PRIVATE KEY-----\n",
		"-----BEGIN PUBLIC KEY-----\n"
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEkXqnA2Op7hgd4zRMbw0iFcc/hDxU\n"
		"xhojxOFVGjE2gkuf/9We88xHTbX7n1QCzRv2oNMVP4Rm1PrFI2z/EWyQug==\n"
		"-----END PUBLIC KEY-----\n",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	};
	owned(sig_key_owned) struct sig_key *none = NULL;

	for (size_t i = 0; i < sizeof(pems) / sizeof(pems[0]); i++)
		cr_assert_eq(sig_key_of_pem(pems[i], strlen(pems[i]), &none), -EBADMSG);
	cr_assert_null(none);
}

Test(sig, shared_owners)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	struct sig_key *second;
	uint8_t sig[SIG_LEN];

	cr_assert_eq(sig_key_new(&key), 0);
	second = sig_key_share(key);
	sig_key_free(second);
	cr_assert_eq(sig_sign(key, "abc", 3, sig), 0);
	sig_key_free(NULL);
}

Test(sig, random_differs)
{
	uint8_t a[16], b[16];

	cr_assert_eq(sig_random(a, sizeof(a)), 0);
	cr_assert_eq(sig_random(b, sizeof(b)), 0);
	cr_assert(memcmp(a, b, sizeof(a)) != 0);
}
