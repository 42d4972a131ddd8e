// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a compact token, and as the header and claims (two lines) of one: every reader of claims runs over what
 * was taken. A signature is never right, as no key of ours made one.
 */
#include "edge/jose.h"
#include <stdlib.h>
#include <string.h>

static struct sig_key *key;
static json_t *jwk;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct point p;
	char x[44], y[44];
	struct text t;

	(void)argc;
	(void)argv;
	if (sig_open() < 0 || sig_key_new(&key) < 0)
		abort();
	sig_key_point(key, &p);
	text_init(&t, x, sizeof(x));
	text_b64url(&t, p.x, 32);
	text_init(&t, y, sizeof(y));
	text_b64url(&t, p.y, 32);
	jwk = json_pack("{s:s,s:s,s:s,s:s}", "kty", "EC", "crv", "P-256", "x", x, "y", y);
	return 0;
}

static void read_all(const struct jose *j)
{
	static struct wit wit;
	static struct wpt wpt;
	char sub[SPIFFE_ID_MAX + 1], kid[JTI_MAX + 1];
	struct spiffe_id id;
	struct point cnf;

	memset(&wit, 0, sizeof(wit));
	memset(&wpt, 0, sizeof(wpt));
	jose_check_type(j, NAME_TYP_WIT);
	jose_check_type(j, NAME_TYP_WPT);
	jose_check_alg(j);
	jose_kid(j, kid);
	if (jose_sub(j, sub, &id) == REASON_OK && !spiffe_id_parse(sub, strlen(sub), &id))
		abort();
	jose_iss(j, sub);
	jose_aud(j, "spiffe://example.org/a", 22);
	if (jose_conn(j, &wpt) == REASON_OK && (wpt.seq < 1 || wpt.seq > SEQ_MAX || !wpt.role))
		abort();
	jose_wit_times(j, &wit);
	jose_wpt_times(j, &wpt);
	jose_cnf(j, &cnf);
	jose_wit(j, &wit);
	jose_wpt(j, &wpt);
	if (sig_verify(key, j->signing_input, j->signing_input_len, j->sig, j->sig_len) ==
	    REASON_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	const char *line = memchr(s, '\n', size);
	char token[TOKEN_MAX + 64];
	struct jose j;
	struct text t;

	if (jose_parse(s, size, &j) == REASON_OK) {
		read_all(&j);
		jose_drop(&j);
	}
	if (jose_verify_plain(s, size, jwk) == REASON_OK)
		abort();
	if (!line)
		return 0;
	text_init(&t, token, sizeof(token));
	text_b64url(&t, s, (size_t)(line - s));
	text_puts(&t, ".");
	text_b64url(&t, line + 1, size - (size_t)(line + 1 - s));
	text_puts(&t, ".AAAA");
	if (!t.overflown && jose_parse(token, t.len, &j) == REASON_OK) {
		read_all(&j);
		jose_drop(&j);
	}
	return 0;
}
