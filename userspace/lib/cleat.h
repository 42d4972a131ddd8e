/* SPDX-License-Identifier: MIT */
/*
 * libcleat: assertions about TCP connections, from this host's cleatd.
 *
 * A caller asks for an assertion about its connected socket and sends it to the service; the service gives it,
 * with its own accepted socket, to cleat_verify(). Both sockets stay as they are.
 *
 * Every function that asks the daemon returns
 *	0	done: the result is filled
 *	> 0	refused: the reason's number; cleat_reason_word() gives its word, the result's detail a line for people
 *	< 0	-errno: no answer. -ENOENT, -ECONNREFUSED: no daemon; -ETIMEDOUT; -EACCES: the socket is not the daemon's;
 *		-EPROTO: not an answer; -EINVAL: a bad argument
 * On anything but 0 every member of the result but reason, word and detail is zero: who ignores the return value
 * learns nothing false. All functions are thread-safe; none keeps a connection. See libcleat(3).
 */
#ifndef CLEAT_H
#define CLEAT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEAT_ID_CAP		 2056 /* a SPIFFE ID and its NUL */
#define CLEAT_TIMEOUT_DEFAULT_MS 2000

enum cleat_end { /* of a TCP connection */
		 CLEAT_END_NONE = 0,
		 CLEAT_END_CLIENT = 1, /* who connected */
		 CLEAT_END_SERVER = 2, /* who accepted */
};

enum cleat_strength { /* how much of the kernel side vouches */
		      CLEAT_STRENGTH_NONE = 0,
		      CLEAT_STRENGTH_REDUCED = 1,
		      CLEAT_STRENGTH_FULL = 2,
};

/* Where the daemon is and how long to wait for it; zero members are the defaults. */
struct cleat_where {
	const char *runtime_dir; /* $CLEAT_RUNTIME_DIR, then /run/cleat */
	int timeout_ms;		 /* of the whole call */
};

/* What the kernel recorded of the socket that was passed: this end's view. */
struct cleat_socket {
	uint8_t client_addr[16]; /* network order, IPv4 as ::ffff:a.b.c.d */
	uint8_t server_addr[16];
	uint16_t client_port; /* host order */
	uint16_t server_port;
	uint32_t end;	   /* enum cleat_end: which one this socket is */
	uint64_t age_ms;   /* since establishment */
	uint32_t strength; /* enum cleat_strength */
	uint32_t cookie;   /* 1: accepted from a SYN cookie */
	uint32_t fastopen; /* 1: TCP Fast Open */
	uint32_t zero;
};

/* ---- ask for an assertion ---- */

struct cleat_sign_options {
	struct cleat_where where;
	const uint8_t *ath; /* SHA-256 (32 bytes) of an access token sent along, or NULL */
	const uint8_t *tth; /* of a transaction token, or NULL */
};

struct cleat_assertion {
	char *wit; /* Workload-Identity-Token, NUL-terminated; freed by cleat_assertion_clear() */
	char *wpt; /* Workload-Proof-Token: for this one presentation */
	size_t wit_len;
	size_t wpt_len;
	int64_t expires; /* of the proof, seconds since 1970 */
	uint32_t policy_generation;
	int reason;
	char word[32];
	char detail[192];
};

/* @fd: a connected TCP socket of the calling process; @audience: SPIFFE ID of the service. @opt may be NULL. */
int cleat_sign(int fd, const char *audience, const struct cleat_sign_options *opt,
	       struct cleat_assertion *ret);
/* Wipes and frees; the struct can be used again. */
void cleat_assertion_clear(struct cleat_assertion *a);

/* ---- check one ---- */

struct cleat_verify_options {
	struct cleat_where where;
	uint32_t expect;    /* enum cleat_end of the signer; 0: CLEAT_END_CLIENT */
	const uint8_t *ath; /* SHA-256 of the access token that came along, or NULL: none came */
	const uint8_t *tth;
};

struct cleat_verdict {
	/* kernel facts of this host */
	struct cleat_socket socket;
	/* who presented; verified */
	char subject[CLEAT_ID_CAP];
	char issuer[CLEAT_ID_CAP];
	/* the issuing host's word */
	char unit[256];
	uint8_t instance[32];
	uint32_t strength; /* enum cleat_strength */
	/* what the presenter itself stated, and was signed */
	uint32_t ath_matched;
	uint32_t tth_matched;
	uint32_t policy_generation;
	int64_t expires; /* of the proof, seconds since 1970 */
	int64_t age_ms;	 /* of the proof */
	uint64_t seq;
	int reason;
	char word[32];
	char detail[192];
};

/* @fd: the connection the assertion came in on. 0 covers this one presentation, never later requests. */
int cleat_verify(int fd, const char *wit, const char *wpt, const struct cleat_verify_options *opt,
		 struct cleat_verdict *ret);
/* The same of "WIT~WPT". */
int cleat_verify_string(int fd, const char *assertion, const struct cleat_verify_options *opt,
			struct cleat_verdict *ret);

/* ---- questions ---- */

struct cleat_self {
	uint32_t strength;
	uint32_t pid; /* in the initial pid namespace */
	uint32_t uid;
	uint32_t policy_generation;
	char id[CLEAT_ID_CAP]; /* "": no workload that policy names */
	int reason;
	char word[32];
	char detail[192];
};

int cleat_whoami(const struct cleat_where *where, struct cleat_self *ret);

struct cleat_peer {
	struct cleat_socket socket;
	char owner[CLEAT_ID_CAP]; /* the workload of this end */
	uint32_t peer_known;	  /* 1: what follows is of the last accepted presentation */
	uint32_t peer_strength;
	int64_t peer_age_ms; /* since that accept */
	char peer[CLEAT_ID_CAP];
	char peer_issuer[CLEAT_ID_CAP];
	uint32_t policy_generation;
	int reason;
	char word[32];
	char detail[192];
};

/* @fd: a TCP connection of the calling process. */
int cleat_whois(int fd, const struct cleat_where *where, struct cleat_peer *ret);

/* The word of a positive return value, or of -errno: "not-yours", "no-daemon", "timeout", ... */
const char *cleat_reason_word(int result);

#ifdef __cplusplus
}
#endif

#endif
