/* SPDX-License-Identifier: MIT */
/*
 * libcleat. See cleat.h. One connection per call: nothing is kept between calls, so fork, exec and a change of
 * credentials need no care. The result is filled only after the whole answer was checked.
 */
#include "cleat.h"

#include "base/twin.h"
#include "lib/ask.h"
#include "model/request.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

_Static_assert(CLEAT_ID_CAP == CLEAT_ASK_ID_MAX + 8, "ids fit");

static struct cleat_ask_head head(uint32_t type)
{
	return (struct cleat_ask_head){ .protocol = CLEAT_PROTOCOL, .type = type, .serial = 1 };
}

/* Whatever becomes of the call: nothing of what stood there before is left. */
static void clear(void *result, size_t len)
{
	if (kept(zeroed))
		memset(result, 0, len);
}

/* reason, word and detail: the only members a refusal fills. */
static void tell(const struct cleat_question *q, int result, int *reason, char word[32],
		 char detail[192])
{
	const struct cleat_answer_head *h = q->answer;

	if (result < 0)
		return;
	*reason = (int)h->reason;
	memcpy(word, h->word, sizeof(h->word));
	memcpy(detail, h->detail, sizeof(h->detail));
}

static void copy_socket(const struct cleat_answer_socket *s, struct cleat_socket *ret)
{
	memcpy(ret->client_addr, s->client_addr, sizeof(ret->client_addr));
	memcpy(ret->server_addr, s->server_addr, sizeof(ret->server_addr));
	ret->client_port = s->client_port;
	ret->server_port = s->server_port;
	ret->end = s->role;
	ret->age_ms = s->age_ms;
	ret->strength = s->level;
	ret->cookie = !!(s->flags & CLEAT_ANSWER_COOKIE);
	ret->fastopen = !!(s->flags & CLEAT_ANSWER_FASTOPEN);
}

static uint32_t hashes(const uint8_t *ath, const uint8_t *tth, uint8_t ath_at[32],
		       uint8_t tth_at[32])
{
	if (ath)
		memcpy(ath_at, ath, 32);
	if (tth)
		memcpy(tth_at, tth, 32);
	return (ath ? CLEAT_ASK_ATH : 0) | (tth ? CLEAT_ASK_TTH : 0);
}

/* ---- sign ---- */

struct sign_answer {
	struct cleat_answer_sign fixed;
	char tokens[2 * CLEAT_ASK_TOKEN_MAX];
};

static int copy_assertion(const struct sign_answer *a, size_t got, struct cleat_assertion *ret)
{
	size_t wit_len = a->fixed.wit_len, wpt_len = a->fixed.wpt_len;

	if (!wit_len || !wpt_len || wit_len > CLEAT_ASK_TOKEN_MAX ||
	    wpt_len > CLEAT_ASK_TOKEN_MAX || got != sizeof(a->fixed) + wit_len + wpt_len ||
	    memchr(a->tokens, 0, wit_len + wpt_len))
		return -EPROTO;
	char *wit = strndup(a->tokens, wit_len), *wpt = strndup(a->tokens + wit_len, wpt_len);

	if (!wit || !wpt) {
		free(wit);
		free(wpt);
		return -ENOMEM;
	}
	*ret = (struct cleat_assertion){
		.wit = wit,
		.wpt = wpt,
		.wit_len = wit_len,
		.wpt_len = wpt_len,
		.expires = a->fixed.expires,
		.policy_generation = a->fixed.head.policy_generation,
	};
	return 0;
}

API int cleat_sign(int fd, const char *audience, const struct cleat_sign_options *opt,
		   struct cleat_assertion *ret)
{
	struct cleat_ask_sign m = { .head = head(CLEAT_ASK_SIGN) };
	size_t len = audience ? strlen(audience) : 0;
	int result;

	clear(ret, sizeof(*ret));
	if (fd < 0 || len < 1 || len > sizeof(m.audience))
		return -EINVAL;
	m.audience_len = (uint32_t)len;
	memcpy(m.audience, audience, len);
	if (opt)
		m.flags = hashes(opt->ath, opt->tth, m.ath, m.tth);
	struct sign_answer *a = malloc(sizeof(*a));
	struct cleat_question q = {
		.where = opt ? &opt->where : NULL,
		.socket = "sign.sock",
		.ask = { { &m, sizeof(m) } },
		.asks = 1,
		.pass_fd = fd,
		.answer = a,
		.answer_len = sizeof(a->fixed),
		.answer_cap = sizeof(*a),
	};

	if (!a)
		return -ENOMEM;
	result = cleat_ask(&q);
	if (result == 0)
		result = copy_assertion(a, q.got, ret);
	tell(&q, result, &ret->reason, ret->word, ret->detail);
	explicit_bzero(a, sizeof(*a));
	free(a);
	return result;
}

API void cleat_assertion_clear(struct cleat_assertion *a)
{
	if (a->wit)
		explicit_bzero(a->wit, a->wit_len);
	if (a->wpt)
		explicit_bzero(a->wpt, a->wpt_len);
	free(a->wit);
	free(a->wpt);
	memset(a, 0, sizeof(*a));
}

/* ---- verify ---- */

static bool terminated(const char *s, size_t cap)
{
	return memchr(s, 0, cap);
}

static int copy_verdict(const struct cleat_answer_verify *a, size_t got, struct cleat_verdict *ret)
{
	if (got != sizeof(*a) || !terminated(a->subject, sizeof(a->subject)) ||
	    !terminated(a->issuer, sizeof(a->issuer)) || !terminated(a->unit, sizeof(a->unit)) ||
	    !a->subject[0])
		return -EPROTO;
	copy_socket(&a->socket, &ret->socket);
	memcpy(ret->subject, a->subject, sizeof(ret->subject));
	memcpy(ret->issuer, a->issuer, sizeof(ret->issuer));
	memcpy(ret->unit, a->unit, sizeof(ret->unit));
	memcpy(ret->instance, a->instance, sizeof(ret->instance));
	ret->strength = a->level;
	ret->ath_matched = !!(a->caller_flags & CLEAT_ASK_ATH);
	ret->tth_matched = !!(a->caller_flags & CLEAT_ASK_TTH);
	ret->policy_generation = a->head.policy_generation;
	ret->expires = a->expires;
	ret->age_ms = a->age_ms;
	ret->seq = a->seq;
	return 0;
}

static int verify(int fd, const char *wit, size_t wit_len, const char *wpt, size_t wpt_len,
		  const struct cleat_verify_options *opt, struct cleat_verdict *ret)
{
	struct cleat_ask_verify m = { .head = head(CLEAT_ASK_VERIFY),
				      .expect_role = CLEAT_END_CLIENT };
	struct cleat_answer_verify a;
	int result;

	if (fd < 0 || wit_len > CLEAT_ASK_TOKEN_MAX || wpt_len > CLEAT_ASK_TOKEN_MAX)
		return -EINVAL;
	m.wit_len = (uint32_t)wit_len;
	m.wpt_len = (uint32_t)wpt_len;
	if (opt)
		m.flags = hashes(opt->ath, opt->tth, m.ath, m.tth);
	if (opt && opt->expect)
		m.expect_role = opt->expect;
	struct cleat_question q = {
		.where = opt ? &opt->where : NULL,
		.socket = "check.sock",
		.ask = { { &m, sizeof(m) },
			 { (void *)(uintptr_t)wit, wit_len }, /* iovec's missing const */
			 { (void *)(uintptr_t)wpt, wpt_len } },
		.asks = 3,
		.pass_fd = fd,
		.answer = &a,
		.answer_len = sizeof(a),
		.answer_cap = sizeof(a),
	};

	result = cleat_ask(&q);
	if (result == 0)
		result = copy_verdict(&a, q.got, ret);
	tell(&q, result, &ret->reason, ret->word, ret->detail);
	return result;
}

API int cleat_verify(int fd, const char *wit, const char *wpt,
		     const struct cleat_verify_options *opt, struct cleat_verdict *ret)
{
	clear(ret, sizeof(*ret));
	if (!wit || !wpt)
		return -EINVAL;
	return verify(fd, wit, strlen(wit), wpt, strlen(wpt), opt, ret);
}

API int cleat_verify_string(int fd, const char *assertion, const struct cleat_verify_options *opt,
			    struct cleat_verdict *ret)
{
	const char *wave = assertion ? strchr(assertion, '~') : NULL;

	clear(ret, sizeof(*ret));
	if (!wave)
		return -EINVAL;
	/* a second '~' is in no token's alphabet: the daemon refuses it */
	return verify(fd, assertion, (size_t)(wave - assertion), wave + 1, strlen(wave + 1), opt,
		      ret);
}

/* ---- questions ---- */

API int cleat_whoami(const struct cleat_where *where, struct cleat_self *ret)
{
	struct cleat_ask_whoami m = { .head = head(CLEAT_ASK_WHOAMI) };
	struct cleat_answer_whoami a;
	struct cleat_question q = {
		.where = where,
		.socket = "sign.sock",
		.ask = { { &m, sizeof(m) } },
		.asks = 1,
		.pass_fd = -1,
		.answer = &a,
		.answer_len = sizeof(a),
		.answer_cap = sizeof(a),
	};
	int result;

	clear(ret, sizeof(*ret));
	result = cleat_ask(&q);
	if (result == 0 && (q.got != sizeof(a) || !terminated(a.id, sizeof(a.id))))
		result = -EPROTO;
	if (result == 0) {
		ret->strength = a.level;
		ret->pid = a.pid;
		ret->uid = a.uid;
		ret->policy_generation = a.head.policy_generation;
		memcpy(ret->id, a.id, sizeof(ret->id));
	}
	tell(&q, result, &ret->reason, ret->word, ret->detail);
	return result;
}

static int copy_peer(const struct cleat_answer_whois *a, size_t got, struct cleat_peer *ret)
{
	if (got != sizeof(*a) || !terminated(a->owner, sizeof(a->owner)) ||
	    !terminated(a->subject, sizeof(a->subject)) ||
	    !terminated(a->issuer, sizeof(a->issuer)))
		return -EPROTO;
	copy_socket(&a->socket, &ret->socket);
	memcpy(ret->owner, a->owner, sizeof(ret->owner));
	ret->peer_known = a->peer_known;
	ret->peer_strength = a->peer_level;
	ret->peer_age_ms = a->peer_age_ms;
	memcpy(ret->peer, a->subject, sizeof(ret->peer));
	memcpy(ret->peer_issuer, a->issuer, sizeof(ret->peer_issuer));
	ret->policy_generation = a->head.policy_generation;
	return 0;
}

API int cleat_whois(int fd, const struct cleat_where *where, struct cleat_peer *ret)
{
	struct cleat_ask_whois m = { .head = head(CLEAT_ASK_WHOIS) };
	struct cleat_answer_whois a;
	struct cleat_question q = {
		.where = where,
		.socket = "check.sock",
		.ask = { { &m, sizeof(m) } },
		.asks = 1,
		.pass_fd = fd,
		.answer = &a,
		.answer_len = sizeof(a),
		.answer_cap = sizeof(a),
	};
	int result;

	clear(ret, sizeof(*ret));
	if (fd < 0)
		return -EINVAL;
	result = cleat_ask(&q);
	if (result == 0)
		result = copy_peer(&a, q.got, ret);
	tell(&q, result, &ret->reason, ret->word, ret->detail);
	return result;
}

API const char *cleat_reason_word(int result)
{
	if (result == 0)
		return "ok";
	if (result > 0)
		return cleat_ask_word(result);
	switch (result) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ECONNRESET:
		return "no-daemon";
	case -ETIMEDOUT:
		return "timeout";
	case -EACCES:
		return "not-the-daemon";
	case -EPROTO:
		return "not-an-answer";
	case -EINVAL:
		return "bad-argument";
	default:
		return "failed";
	}
}
