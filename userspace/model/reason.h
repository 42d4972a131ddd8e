/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why: one list makes the enum, the word (protocol, log, audit, counters, tests) and the sentence.
 * The asker of an API reads reason_public(): what would tell a stranger about others' sockets is
 * one answer, not-yours; the exact reason stands in audit and counters.
 */
#ifndef CLEAT_MODEL_REASON_H
#define CLEAT_MODEL_REASON_H

#include <stdint.h>

/* X(name, word, public name, sentence) */
#define REASONS(X)                                                                                                     \
	X(UNDECIDED, "undecided", UNDECIDED, "nobody said yes")                                                        \
	X(OK, "ok", OK, "accepted")                                                                                    \
	X(MALFORMED, "malformed", MALFORMED, "not a well-formed message or token")                                     \
	X(TOO_LARGE, "too-large", TOO_LARGE, "larger than allowed")                                                    \
	X(TYPE, "wrong-type", TYPE, "typ is not the one of this kind of token")                                        \
	X(CRIT, "crit", CRIT, "a header demands an extension that is not understood")                                  \
	X(ALG, "wrong-alg", ALG, "alg is not the algorithm of the key")                                                \
	X(SUBJECT, "bad-subject", SUBJECT, "sub is not a workload's SPIFFE ID")                                        \
	X(TRUST_DOMAIN, "unknown-trust-domain", TRUST_DOMAIN, "no bundle for this trust domain")                       \
	X(KEY, "unknown-key", KEY, "kid is not in the bundle")                                                         \
	X(AUDIENCE, "wrong-audience", AUDIENCE, "the assertion is for another service")                                \
	X(CLAIM, "bad-claim", CLAIM, "a mandatory claim is missing or of the wrong form")                              \
	X(NOT_TCP, "not-tcp", NOT_TCP, "the descriptor is not a TCP socket")                                           \
	X(NOT_ESTABLISHED, "not-established", NOT_ESTABLISHED, "the socket is not an established connection")          \
	X(UNSUPPORTED, "unsupported", UNSUPPORTED, "this kind of connection cannot be bound")                          \
	X(NOT_YOURS, "not-yours", NOT_YOURS, "only the owner of the socket can ask about it")                          \
	X(NOT_OWNER, "not-owner", NOT_YOURS, "the socket belongs to another workload, uid or network namespace")       \
	X(HANDED_OVER, "handed-over", NOT_YOURS, "the socket was passed on; only its owner can obtain an assertion")   \
	X(UNTAGGED, "untagged", NOT_YOURS, "the kernel side did not see this socket's birth")                          \
	X(NO_WORKLOAD, "no-workload", NO_WORKLOAD, "the caller is not a workload that policy names")                   \
	X(FORGED, "forged", FORGED, "the connection was not made by an ordinary handshake")                            \
	X(NETNS, "wrong-netns", NETNS, "another network namespace, or one that policy does not allow")                 \
	X(LINK_LOCAL, "link-local", LINK_LOCAL, "link-local addresses between hosts are not bound")                    \
	X(WRONG_HOST, "wrong-host", WRONG_HOST, "a local connection, but the assertion is from another host or boot")  \
	X(WRONG_CONNECTION, "wrong-connection", WRONG_CONNECTION, "the assertion is for another connection")           \
	X(WRONG_ROLE, "wrong-role", WRONG_ROLE, "the assertion was signed by the other end")                           \
	X(WRONG_TIME, "wrong-establishment", WRONG_TIME, "the connection was established at another time")             \
	X(OTHER_SOCKET, "other-socket", OTHER_SOCKET, "this connection's assertion was accepted on another socket")    \
	X(REPLAYED, "replayed", REPLAYED, "this presentation was used already")                                        \
	X(NOT_YET, "not-yet-valid", NOT_YET, "the token is from the future")                                           \
	X(EXPIRED, "expired", EXPIRED, "the token has expired")                                                        \
	X(LIFE, "life-too-long", LIFE, "the token lives longer than allowed")                                          \
	X(SIGNATURE, "bad-signature", SIGNATURE, "the signature is not of the key")                                    \
	X(ISSUER, "wrong-issuer", ISSUER, "iss is not the host of the key")                                            \
	X(SCOPE, "out-of-scope", SCOPE, "the host may not issue this id")                                              \
	X(PROOF_KEY, "bad-proof-key", PROOF_KEY, "cnf does not hold a P-256 public key")                               \
	X(WRONG_WIT, "wrong-wit", WRONG_WIT, "the proof is for another identity token")                                \
	X(OTHER_TOKEN, "wrong-other-token", OTHER_TOKEN, "a token sent along is not the one that was signed")          \
	X(NONCE, "bad-nonce", NONCE, "not the nonce that was issued")                                                  \
	X(POLICY, "policy", POLICY, "no rule allows it")                                                               \
	X(LEVEL, "level", LEVEL, "the level is less than policy demands")                                              \
	X(COOKIE, "syn-cookie", COOKIE, "policy refuses connections made with a SYN cookie")                           \
	X(CLOCK, "clock", CLOCK, "the kernel calls this host's clock unsynchronised")                                  \
	X(NOT_ARMED, "not-armed", NOT_ARMED, "the kernel side is not complete")                                        \
	X(BUSY, "busy", BUSY, "no room now; try again")                                                                \
	X(PEER_GONE, "peer-gone", PEER_GONE, "the caller could not be identified")                                     \
	X(NO_AUDIT, "no-audit", BUSY, "the audit line could not be written")                                           \
	X(INTERNAL, "internal", INTERNAL, "the daemon could not do it; see its log")                                   \
	X(NOT_ROOT, "not-root", NOT_ROOT, "only root may ask here")                                                    \
	X(NOT_RELOADED, "not-reloaded", NOT_RELOADED, "the generation before stays in force")                          \
	X(REVOKED, "revoked", REVOKED, "the administrator of this host revoked this host or workload")

enum reason {
#define X(name, word, shown, sentence) REASON_##name,
	REASONS(X)
#undef X
	REASON_COUNT
};

/* The word and the sentence; a number outside the list gives those of UNDECIDED. */
const char *reason_word(enum reason r);
const char *reason_sentence(enum reason r);
/* What the asker is told. */
enum reason reason_public(enum reason r);
/* The reason of a word, or REASON_UNDECIDED. */
enum reason reason_of_word(const char *word);

#endif
