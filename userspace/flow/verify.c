// SPDX-License-Identifier: Apache-2.0
/*
 * Verify: see verify.h. The stages below are called in the order of token.md section 6, each a few of its steps; the
 * first refusal ends it. A WIT known to the cache has passed every check of its own under this generation, so only
 * its times are looked at again. Nothing is marked used before step 17, the last.
 */
#include "flow/verify.h"
#include "base/twin.h"
#include "flow/verify_cache.h"
#include <string.h>

/* One call under way. */
struct verifying {
	const struct policy_image *p;
	struct verify_cache *cache;
	const struct verify_ask *ask;
	const struct verify_world *world;
	uint8_t wit_hash[32];
	const struct verify_known *known; /* or NULL: wit_jose is filled instead */
	struct jose wit_jose;
	struct jose wpt_jose;
	struct spiffe_id sub;
	uint32_t key; /* the host's, index in the image */
	struct sig_key *proof;
	struct verify_verdict v;
};

/* Steps 1 to 4: form, kinds, algorithm of the WIT. */
static enum reason check_form(struct verifying *s)
{
	enum reason r;

	if (s->ask->wit_len > TOKEN_MAX || s->ask->wpt_len > TOKEN_MAX)
		return REASON_TOO_LARGE;
	if (sig_sha256(s->ask->wit, s->ask->wit_len, s->wit_hash) < 0)
		return REASON_INTERNAL;
	s->known = verify_known(s->cache, s->p, s->wit_hash, s->world->now_s);
	if (!s->known) {
		r = jose_parse(s->ask->wit, s->ask->wit_len, &s->wit_jose);
		if (r != REASON_OK)
			return r;
	}
	r = jose_parse(s->ask->wpt, s->ask->wpt_len, &s->wpt_jose);
	if (r == REASON_OK && !s->known)
		r = jose_check_type(&s->wit_jose, NAME_TYP_WIT);
	if (r == REASON_OK)
		r = jose_check_type(&s->wpt_jose, NAME_TYP_WPT);
	if (r == REASON_OK && !s->known)
		r = jose_check_alg(&s->wit_jose);
	return r;
}

/* The key of the WIT's kid in its domain's bundle. In the twin without the check, the domain's first. */
static enum reason find_key(struct verifying *s, const struct policy_domain *domain)
{
	const struct policy_key *keys = policy_at(s->p, &s->p->keys), *key;
	char *kid = s->v.wit.kid;

	if (jose_kid(&s->wit_jose, kid) != REASON_OK && kept(kid))
		return REASON_KEY;
	key = policy_key(s->p, domain, kid);
	if (!key && kept(kid))
		return REASON_KEY;
	if (!key && domain->keys.count == 0)
		return REASON_KEY;
	s->key = key ? (uint32_t)(key - keys) : domain->keys.at;
	return REASON_OK;
}

/* Steps 5 and 6: whose, and by which key. */
static enum reason check_subject(struct verifying *s)
{
	const struct policy_domain *domain;
	struct wit *wit = &s->v.wit;
	enum reason r;

	if (s->known) {
		*wit = s->known->wit;
		s->key = s->known->key;
		strcpy(s->v.claimed_sub, wit->sub);
		return REASON_OK;
	}
	r = jose_sub(&s->wit_jose, wit->sub, &s->sub);
	if (r != REASON_OK)
		return r;
	strcpy(s->v.claimed_sub, wit->sub);
	domain = policy_domain(s->p, s->sub.trust_domain, s->sub.trust_domain_len);
	return domain ? find_key(s, domain) : REASON_TRUST_DOMAIN;
}

/* Step 7: is it for the caller at all? */
static enum reason check_audience(struct verifying *s)
{
	const struct policy_workload *service = policy_workload(s->p, s->ask->service);
	const char *id = service ? policy_string(s->p, service->id) : NULL;
	enum reason r;

	if (!id)
		return REASON_NO_WORKLOAD;
	r = jose_aud(&s->wpt_jose, id, strlen(id));
	if (r == REASON_OK)
		strcpy(s->v.wpt.aud, id);
	return r;
}

/* On loopback and link-local addresses: the WIT's host must be this one in this boot, the namespace the same. What is
 * read of the WIT here is verified later, in the same buffer. */
static enum reason check_local(struct verifying *s)
{
	const struct host_facts *host = s->world->host;
	const struct connection_facts *on = &s->v.on;
	struct wit *wit = &s->v.wit;

	if (!on->local)
		return REASON_OK;
	if (!s->known && jose_wit(&s->wit_jose, wit) != REASON_OK)
		return REASON_CLAIM;
	if (kept(host) && (!bytes_equal(wit->ueid, host->ueid, UEID_LEN) ||
			   !bytes_equal(wit->bootseed, host->bootseed, BOOTSEED_LEN)))
		return binding_is_link_local(&on->tag.conn) ? REASON_LINK_LOCAL : REASON_WRONG_HOST;
	if (kept(ns) && (!s->v.wpt.has_ns || !bytes_equal(s->v.wpt.ns, on->ns, 32)))
		return REASON_NETNS;
	return REASON_OK;
}

/* Of step 8: the claims against the record. */
static enum reason compare(struct verifying *s)
{
	const struct connection_facts *on = &s->v.on;
	uint32_t own =
		s->ask->expect_role == CLEAT_ROLE_CLIENT ? CLEAT_ROLE_SERVER : CLEAT_ROLE_CLIENT;
	struct wpt *wpt = &s->v.wpt;
	uint64_t apart;
	enum reason r;

	if (kept(cb) && !bytes_equal(wpt->cb, on->cb, 32))
		return REASON_WRONG_CONNECTION;
	if (kept(role) && (wpt->role != s->ask->expect_role || on->tag.conn.role != own))
		return REASON_WRONG_ROLE;
	if (kept(verify_clock) && s->world->clock_unsynchronised &&
	    !(s->p->flags & POLICY_CLOCK_UNSYNC_OK))
		return REASON_CLOCK;
	apart = wpt->est_ms > on->est_ms ? wpt->est_ms - on->est_ms : on->est_ms - wpt->est_ms;
	if (kept(est) && apart > s->p->est_tolerance_ms)
		return REASON_WRONG_TIME;
	r = check_local(s);
	if (r != REASON_OK)
		return r;
	r = s->world->cb_check(s->world->ctx, on, wpt->role);
	return kept(cb_memory) || r != REASON_OTHER_SOCKET ? r : REASON_OK;
}

/* Step 8: this connection, this end, this establishment, this socket. */
static enum reason check_connection(struct verifying *s)
{
	enum reason r = s->world->connection(s->world->ctx, &s->v.on);

	if (r == REASON_OK)
		r = jose_conn(&s->wpt_jose, &s->v.wpt);
	if (r != REASON_OK)
		return r;
	r = compare(s);
	return r == REASON_OK || s->world->stands(s->world->ctx, &s->v.on) ? r : REASON_BUSY;
}

/* Step 9. */
static enum reason check_times(struct verifying *s)
{
	unsigned life = s->world->wpt_life_max_s;
	enum reason r = REASON_OK;

	if (life == 0 || life > WPT_LIFE_MAX_S)
		life = WPT_LIFE_MAX_S;
	if (!s->known)
		r = jose_wit_times(&s->wit_jose, &s->v.wit);
	if (r == REASON_OK)
		r = jose_wpt_times(&s->wpt_jose, &s->v.wpt);
	if (r != REASON_OK)
		return r;
	r = assertion_times(&s->v.wit, &s->v.wpt, s->world->now_s, s->p->leeway_s, life);
	return kept(times) ? r : REASON_OK;
}

/* Steps 10 to 12: the host said so, it may, and it named the workload's key. */
static enum reason check_identity(struct verifying *s)
{
	const struct policy_key *key =
		(const struct policy_key *)policy_at(s->p, &s->p->keys) + s->key;
	struct jose *j = &s->wit_jose;
	struct wit *wit = &s->v.wit;
	struct sig_key *host;
	enum reason r;

	if (s->known) {
		s->proof = sig_key_share(s->known->proof);
		return REASON_OK;
	}
	host = verify_host_key(s->cache, s->p, s->key);
	if (!host)
		return REASON_KEY;
	r = sig_verify(host, j->signing_input, j->signing_input_len, j->sig, j->sig_len);
	if (kept(wit_sig) && r != REASON_OK)
		return r;
	r = jose_iss(j, wit->iss);
	if (r != REASON_OK && kept(issuer))
		return r;
	if (kept(issuer) && strcmp(wit->iss, policy_string(s->p, key->issuer)) != 0)
		return REASON_ISSUER;
	if (kept(scope) && !policy_key_allows(s->p, key, s->sub.path, s->sub.path_len))
		return REASON_SCOPE;
	r = jose_cnf(j, &wit->cnf);
	if (r == REASON_OK && sig_key_of_point(&wit->cnf, &s->proof) < 0)
		r = REASON_PROOF_KEY;
	return r;
}

/* Behind step 11: what the administrator took back, at once, remembered WITs included. */
static enum reason check_revoked(struct verifying *s)
{
	const struct wit *wit = &s->v.wit;

	if (kept(revoked) && (policy_revoked(s->p, wit->sub) || policy_revoked(s->p, wit->iss)))
		return REASON_REVOKED;
	return REASON_OK;
}

static bool other_token(const uint8_t *sent, bool has, const uint8_t *hash)
{
	return (sent != NULL) != has || (has && !bytes_equal(sent, hash, 32));
}

/* Steps 13 to 15: the workload's key said so, nothing is missing, and it is about these tokens. */
static enum reason check_proof(struct verifying *s)
{
	const struct verify_ask *ask = s->ask;
	struct jose *j = &s->wpt_jose;
	struct wpt *wpt = &s->v.wpt;
	enum reason r;

	r = jose_check_alg(j);
	if (r != REASON_OK)
		return r;
	r = sig_verify(s->proof, j->signing_input, j->signing_input_len, j->sig, j->sig_len);
	if (kept(wpt_sig) && r != REASON_OK)
		return r;
	if (!s->known) {
		r = jose_wit(&s->wit_jose, &s->v.wit);
		if (r != REASON_OK)
			return r;
		verify_remember(s->cache, s->p, s->wit_hash, s->key, &s->v.wit, s->proof);
	}
	r = jose_wpt(j, wpt);
	if (r != REASON_OK)
		return r;
	if (kept(wth) && !bytes_equal(wpt->wth, s->wit_hash, 32))
		return REASON_WRONG_WIT;
	if (kept(ath) && other_token(ask->ath, wpt->has_ath, wpt->ath))
		return REASON_OTHER_TOKEN;
	if (kept(tth) && other_token(ask->tth, wpt->has_tth, wpt->tth))
		return REASON_OTHER_TOKEN;
	if (kept(oth) && wpt->has_oth)
		return REASON_OTHER_TOKEN;
	return REASON_OK; /* nonce: this daemon issues none, so none is demanded (token.md 5) */
}

/* The twin that marks too early: a presentation is spent by whoever shows it first, with whatever socket. */
static enum reason consume_first(struct verifying *s)
{
	enum reason r;

	if (kept(consume_last))
		return REASON_OK;
	r = s->world->connection(s->world->ctx, &s->v.on);
	if (r == REASON_OK)
		r = jose_conn(&s->wpt_jose, &s->v.wpt);
	if (r == REASON_OK)
		memcpy(s->v.on.cb, s->v.wpt.cb, sizeof(s->v.on.cb));
	if (r == REASON_OK)
		r = s->world->consume(s->world->ctx, &s->v.on, s->v.wpt.role, s->v.wpt.seq,
				      s->world->now_s + WPT_LIFE_MAX_S);
	return r;
}

/* Step 16. */
static enum reason check_policy(struct verifying *s)
{
	static const struct policy_accept nothing; /* for the twin without the check */
	const char *host = strrchr(s->v.wit.iss, '/');
	enum reason r;

	r = policy_accept(s->p, s->ask->service, s->v.wit.sub, s->v.wpt.role, host ? host + 1 : "",
			  s->v.wpt.level, &s->v.rule);
	if (r == REASON_LEVEL && !kept(level))
		r = REASON_OK;
	if (r == REASON_POLICY && !kept(policy))
		r = REASON_OK;
	if (!s->v.rule)
		s->v.rule = &nothing;
	return r;
}

/* Step 17, the only one with effects. */
static enum reason consume(struct verifying *s)
{
	double until = s->v.wpt.exp + s->p->leeway_s;
	enum reason r =
		s->world->consume(s->world->ctx, &s->v.on, s->v.wpt.role, s->v.wpt.seq, until);

	if (!kept(consume_last) && r == REASON_REPLAYED)
		return REASON_OK;
	return kept(cb_memory) || r != REASON_OTHER_SOCKET ? r : REASON_OK;
}

enum reason verify(const struct policy_image *p, struct verify_cache *cache,
		   const struct verify_ask *ask, const struct verify_world *world,
		   struct verify_verdict *ret)
{
	static enum reason (*const stages[])(struct verifying *) = {
		check_form,	  check_subject, check_audience, consume_first,
		check_connection, check_times,	 check_identity, check_revoked,
		check_proof,	  check_policy,	 consume,
	};
	struct verifying s = { .p = p, .cache = cache, .ask = ask, .world = world };
	enum reason r =
		ask->expect_role == CLEAT_ROLE_CLIENT || ask->expect_role == CLEAT_ROLE_SERVER
			? REASON_OK
			: REASON_MALFORMED;

	for (size_t i = 0; r == REASON_OK && i < sizeof(stages) / sizeof(stages[0]); i++)
		r = stages[i](&s);
	if (r == REASON_OK) {
		*ret = s.v;
	} else {
		memset(ret, 0, sizeof(*ret));
		ret->on = s.v.on;
		memcpy(ret->claimed_sub, s.v.claimed_sub, sizeof(ret->claimed_sub));
	}
	jose_drop(&s.wit_jose);
	jose_drop(&s.wpt_jose);
	sig_key_free(s.proof);
	return r;
}
