// SPDX-License-Identifier: Apache-2.0
/*
 * What one would do instead: a full TLS 1.3 handshake in which both ends show a P-256 certificate of one authority and
 * check the other's. No resumption, no tickets; both ends run in this thread, so its CPU time is that of both.
 */
#include "bench.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static SSL_CTX *server_side, *client_side;

static X509 *certificate(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
	static long serial = 1;
	X509 *c = X509_new();
	X509_NAME *subject;

	if (!c)
		return NULL;
	X509_set_version(c, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c), -60);
	X509_gmtime_adj(X509_getm_notAfter(c), 3600);
	subject = X509_get_subject_name(c);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
				   0);
	X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer) : subject);
	X509_set_pubkey(c, key);
	if (!issuer) {
		X509_EXTENSION *ca =
			X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		X509_add_ext(c, ca, -1);
		X509_EXTENSION_free(ca);
	}
	return X509_sign(c, issuer_key, EVP_sha256()) > 0 ? c : NULL;
}

static SSL_CTX *side(const SSL_METHOD *method, const char *name, X509 *ca, EVP_PKEY *ca_key)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *c = key ? certificate(key, name, ca, ca_key) : NULL;

	if (!ctx || !c || SSL_CTX_use_certificate(ctx, c) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) != 1 ||
	    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "P-256") != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256") != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	return ctx;
}

int tls_open(void)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	X509 *ca = ca_key ? certificate(ca_key, "bench authority", NULL, ca_key) : NULL;

	if (!ca)
		return -1;
	server_side = side(TLS_server_method(), "server", ca, ca_key);
	client_side = side(TLS_client_method(), "client", ca, ca_key);
	return server_side && client_side ? 0 : -1;
}

static bool goes_on(SSL *s, int rc)
{
	int why = SSL_get_error(s, rc);

	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

int tls_handshake(const struct pair *p)
{
	SSL *server = SSL_new(server_side), *client = SSL_new(client_side);
	int s = -1, c = -1;

	fcntl(p->client, F_SETFL, O_NONBLOCK);
	fcntl(p->server, F_SETFL, O_NONBLOCK);
	SSL_set_fd(server, p->server);
	SSL_set_fd(client, p->client);
	for (int turn = 0; turn < 100 && (s != 1 || c != 1); turn++) {
		if (c != 1) {
			c = SSL_connect(client);
			if (c != 1 && !goes_on(client, c))
				break;
		}
		if (s != 1) {
			s = SSL_accept(server);
			if (s != 1 && !goes_on(server, s))
				break;
		}
	}
	bool good = s == 1 && c == 1 && SSL_get_verify_result(server) == X509_V_OK &&
		    SSL_get_verify_result(client) == X509_V_OK && !SSL_session_reused(client);

	SSL_free(server);
	SSL_free(client);
	return good ? 0 : -1;
}
