/* SPDX-License-Identifier: MIT */
/*
 * What clients and rooms say to each other on sign.sock and check.sock: SOCK_SEQPACKET, one fixed struct
 * per message (verify: followed by the two tokens), exactly one descriptor (SCM_RIGHTS) where one
 * is needed, one answer per request. Native byte order: both ends are one machine. Every reserved
 * byte must be zero, every length exact: anything else is answered malformed. PROTOCOL.md is the same
 * for people.
 */
#ifndef CLEAT_MODEL_REQUEST_H
#define CLEAT_MODEL_REQUEST_H

#include <stdint.h>

#define CLEAT_PROTOCOL	     1u
#define CLEAT_ASK_ID_MAX     2048u
#define CLEAT_ASK_TOKEN_MAX  16384u
#define CLEAT_ASK_DETAIL_MAX 192u
#define CLEAT_ASK_MAX	     (sizeof(struct cleat_ask_verify) + 2u * CLEAT_ASK_TOKEN_MAX)

enum cleat_ask_type {
	CLEAT_ASK_SIGN = 1,   /* sign.sock, one descriptor */
	CLEAT_ASK_WHOAMI = 2, /* sign.sock, none */
	CLEAT_ASK_VERIFY = 3, /* check.sock, one descriptor */
	CLEAT_ASK_WHOIS = 4,  /* check.sock, one descriptor */
};

enum cleat_ask_flag {
	CLEAT_ASK_ATH = 1 << 0, /* ath holds SHA-256 of an access token sent along */
	CLEAT_ASK_TTH = 1 << 1, /* tth: of a transaction token */
};

struct cleat_ask_head {
	uint32_t protocol; /* CLEAT_PROTOCOL */
	uint32_t type;	   /* enum cleat_ask_type */
	uint64_t serial;   /* the client's own number, comes back in the answer */
};

struct cleat_ask_sign {
	struct cleat_ask_head head;
	uint32_t flags;
	uint32_t audience_len; /* 1 ... 2048, without NUL; the rest of audience is zero */
	uint8_t ath[32];
	uint8_t tth[32];
	char audience[CLEAT_ASK_ID_MAX];
};

struct cleat_ask_whoami {
	struct cleat_ask_head head;
};

/* Followed by wit_len + wpt_len bytes, no NUL, no separator. */
struct cleat_ask_verify {
	struct cleat_ask_head head;
	uint32_t flags;
	uint32_t expect_role; /* the signer's end: 1 client, 2 server */
	uint32_t wit_len;
	uint32_t wpt_len;
	uint8_t ath[32];
	uint8_t tth[32];
};

struct cleat_ask_whois {
	struct cleat_ask_head head;
};

struct cleat_answer_head {
	uint32_t protocol;
	uint32_t type;
	uint64_t serial;
	uint32_t reason; /* enum reason as the asker may know it; 1 = ok */
	uint32_t policy_generation;
	char word[32];			   /* the reason's word, NUL-terminated */
	char detail[CLEAT_ASK_DETAIL_MAX]; /* one line for people, NUL-terminated */
};

/* Followed by wit_len + wpt_len bytes when reason is ok. */
struct cleat_answer_sign {
	struct cleat_answer_head head;
	uint32_t wit_len;
	uint32_t wpt_len;
	int64_t expires; /* of the WPT, seconds since 1970 */
};

struct cleat_answer_whoami {
	struct cleat_answer_head head;
	uint32_t label;
	uint32_t level; /* 0 none, 1 reduced, 2 full */
	uint32_t pid;	/* that opened this API connection, initial pid namespace */
	uint32_t uid;
	char id[CLEAT_ASK_ID_MAX + 8]; /* SPIFFE ID, NUL-terminated, "" when no workload */
};

/* The recorded facts of a TCP socket's own end. */
struct cleat_answer_socket {
	uint8_t client_addr[16]; /* network order, IPv4 as ::ffff:a.b.c.d */
	uint8_t server_addr[16];
	uint16_t client_port; /* host order */
	uint16_t server_port;
	uint32_t role;	 /* this end: 1 client, 2 server */
	uint64_t age_ms; /* since establishment */
	uint32_t level;
	uint32_t flags; /* enum cleat_answer_flag */
};

enum cleat_answer_flag {
	CLEAT_ANSWER_COOKIE = 1 << 0,	/* accepted from a SYN cookie */
	CLEAT_ANSWER_FASTOPEN = 1 << 1, /* TCP Fast Open */
};

/* Who the peer is; all zero unless the presentation was accepted. */
struct cleat_answer_verify {
	struct cleat_answer_head head;
	struct cleat_answer_socket socket; /* kernel facts of the verifier's own end */
	uint32_t level;			   /* the issuing host's word: 1 reduced, 2 full */
	uint32_t
		caller_flags; /* enum cleat_ask_flag: the caller facts that were signed and matched */
	int64_t expires;      /* of the WPT, seconds since 1970 */
	int64_t age_ms;	      /* of the WPT: now - iat */
	uint64_t seq;
	uint8_t instance[32];		    /* inst: the issuing host's word */
	char subject[CLEAT_ASK_ID_MAX + 8]; /* NUL-terminated */
	char issuer[CLEAT_ASK_ID_MAX + 8];
	char unit[256];
};

struct cleat_answer_whois {
	struct cleat_answer_head head;
	struct cleat_answer_socket socket;
	uint32_t peer_known; /* 1: subject/issuer are of the last accepted presentation */
	uint32_t peer_level;
	int64_t peer_age_ms;		  /* since that accept */
	char owner[CLEAT_ASK_ID_MAX + 8]; /* this end's workload */
	char subject[CLEAT_ASK_ID_MAX + 8];
	char issuer[CLEAT_ASK_ID_MAX + 8];
};

#endif
