/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sign. See sign.h. The identities live here too: per workload a WIT under the host key and the proof key it
 * names, made on first use, renewed at half life with a fresh key, never written anywhere.
 */
#include "flow/sign.h"

#include "base/clock.h"
#include "base/twin.h"
#include "edge/jose.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WIT_MAX	   8192 /* text of one WIT: two ids of 2048 in base64url, and the rest */
#define JTI_BYTES  16
#define CLAIMS_MAX 8192
#define NS_PER_S   1000000000ull

struct identity {
	struct sig_key *key; /* proof key */
	uint64_t issued_s;
	uint8_t wth[32];
	size_t wit_len;
	char *sub;
	char *iss;
	char wit[]; /* WIT_MAX */
};

struct sign_identities {
	struct sig_key *host_key;
	struct host_facts host;
	char kid[44];
	struct identity **by_label;
	uint32_t labels;
	uint8_t random[32 * JTI_BYTES]; /* of the next jtis: each is used once, then wiped */
	size_t random_left;
};

/* ---- identities ---- */

static void identity_free(struct identity *i)
{
	sig_key_free(i->key);
	free(i->sub);
	free(i->iss);
	free(i);
}
DEFINE_OWNER(identity_owned, struct identity, identity_free)

int sign_identities_new(struct sig_key *host_key, const struct host_facts *host,
			struct sign_identities **ret)
{
	struct sign_identities *s = calloc(1, sizeof(*s));
	struct point point;
	int err;

	if (!s)
		return -ENOMEM;
	sig_key_point(host_key, &point);
	err = jose_thumbprint(&point, s->kid);
	if (err < 0) {
		free(s);
		return err;
	}
	s->host_key = sig_key_share(host_key);
	s->host = *host;
	*ret = s;
	return 0;
}

void sign_identities_free(struct sign_identities *s)
{
	for (uint32_t l = 0; l < s->labels; l++)
		if (s->by_label[l])
			identity_free(s->by_label[l]);
	free(s->by_label);
	sig_key_free(s->host_key);
	free(s);
}

/* "spiffe://<trust domain>/host/<name>" */
static void issuer_print(const struct policy_image *p, char ret[SPIFFE_ID_MAX + 1])
{
	snprintf(ret, SPIFFE_ID_MAX + 1, "spiffe://%s/host/%s", policy_string(p, p->trust_domain),
		 policy_string(p, p->host));
}

void sign_identities_renew(struct sign_identities *s, const struct policy_image *p)
{
	char iss[SPIFFE_ID_MAX + 1];

	issuer_print(p, iss);
	for (uint32_t l = 0; l < s->labels; l++) {
		struct identity *i = s->by_label[l];
		const struct policy_workload *w = policy_workload(p, l);

		if (!i ||
		    (w && strcmp(i->sub, policy_string(p, w->id)) == 0 && strcmp(i->iss, iss) == 0))
			continue;
		identity_free(i);
		s->by_label[l] = NULL;
	}
}

/* Does this host's own bundle name the key, for this host? */
static bool is_own(const struct policy_image *p, const char kid[44])
{
	const char *name = policy_string(p, p->trust_domain);
	const struct policy_domain *d = policy_domain(p, name, strlen(name));
	const struct policy_key *k = d ? policy_key(p, d, kid) : NULL;
	char iss[SPIFFE_ID_MAX + 1];

	issuer_print(p, iss);
	return k && strcmp(policy_string(p, k->issuer), iss) == 0;
}

static int kid_of(const struct sig_key *key, char ret[44])
{
	struct point point;

	sig_key_point(key, &point);
	return jose_thumbprint(&point, ret);
}

int sign_identities_keys(struct sign_identities *s, const struct policy_image *p,
			 struct sig_key *current, struct sig_key *next)
{
	struct sig_key *use = current;
	char kid[44], next_kid[44];
	int err = kid_of(current, kid);

	if (err == 0 && next)
		err = kid_of(next, next_kid);
	if (err < 0)
		return err;
	if (next && (!kept(next_trusted) || is_own(p, next_kid))) {
		use = next;
		memcpy(kid, next_kid, sizeof(kid));
	}
	if (strcmp(kid, s->kid) == 0)
		return 0;
	for (uint32_t l = 0; l < s->labels; l++) {
		if (s->by_label[l])
			identity_free(s->by_label[l]);
		s->by_label[l] = NULL;
	}
	sig_key_free(s->host_key);
	s->host_key = sig_key_share(use);
	memcpy(s->kid, kid, sizeof(kid));
	return 0;
}

static int jti_new(struct sign_identities *s, char ret[JTI_MAX + 1])
{
	struct text t;
	int err;

	if (!s->random_left) {
		err = sig_random(s->random, sizeof(s->random));
		if (err < 0)
			return err;
		s->random_left = sizeof(s->random);
	}
	s->random_left -= JTI_BYTES;
	text_init(&t, ret, JTI_MAX + 1);
	text_b64url(&t, s->random + s->random_left, JTI_BYTES);
	bytes_wipe(s->random + s->random_left, JTI_BYTES);
	return 0;
}

/* The WIT of @i, signed by the host key. */
static int wit_sign(struct sign_identities *s, struct identity *i)
{
	struct wit wit = { .iat = (double)i->issued_s, .exp = (double)(i->issued_s + WIT_LIFE_S) };
	char header[256], claims[CLAIMS_MAX];
	struct text h, c, t;
	int err = jti_new(s, wit.jti);

	if (err < 0)
		return err;
	snprintf(wit.sub, sizeof(wit.sub), "%s", i->sub);
	snprintf(wit.iss, sizeof(wit.iss), "%s", i->iss);
	memcpy(wit.ueid, s->host.ueid, sizeof(wit.ueid));
	memcpy(wit.bootseed, s->host.bootseed, sizeof(wit.bootseed));
	sig_key_point(i->key, &wit.cnf);

	text_init(&h, header, sizeof(header));
	text_init(&c, claims, sizeof(claims));
	text_init(&t, i->wit, WIT_MAX);
	assertion_print_wit_header(&h, s->kid);
	assertion_print_wit(&c, &wit);
	if (h.overflown || c.overflown)
		return -ENOSPC;
	err = jose_sign(&t, header, claims, s->host_key);
	if (err < 0 || t.overflown)
		return err < 0 ? err : -ENOSPC;
	i->wit_len = t.len;
	return sig_sha256(i->wit, i->wit_len, i->wth);
}

static int identity_new(struct sign_identities *s, const struct policy_image *p,
			const struct policy_workload *w, uint64_t now_s, struct identity **ret)
{
	owned(identity_owned) struct identity *i = calloc(1, sizeof(*i) + WIT_MAX);
	char iss[SPIFFE_ID_MAX + 1];
	int err;

	if (!i)
		return -ENOMEM;
	issuer_print(p, iss);
	i->sub = strdup(policy_string(p, w->id));
	i->iss = strdup(iss);
	if (!i->sub || !i->iss)
		return -ENOMEM;
	i->issued_s = now_s;
	err = sig_key_new(&i->key);
	if (err == 0)
		err = wit_sign(s, i);
	if (err < 0)
		return err;
	*ret = take_ptr(i);
	return 0;
}

static int labels_grow(struct sign_identities *s, uint32_t labels)
{
	struct identity **more = reallocarray(s->by_label, labels, sizeof(*more));

	if (!more)
		return -ENOMEM;
	memset(more + s->labels, 0, (labels - s->labels) * sizeof(*more));
	s->by_label = more;
	s->labels = labels;
	return 0;
}

/* The identity of @w with at least half of its life before it. */
static int identity_of(struct sign_identities *s, const struct policy_image *p,
		       const struct policy_workload *w, uint64_t now_s, struct identity **ret)
{
	struct identity *fresh, *have;
	int err;

	if (w->label >= s->labels) {
		err = labels_grow(s, w->label + 64);
		if (err < 0)
			return err;
	}
	have = s->by_label[w->label];
	/* the clock may have been set back: then it is from the future */
	if (!have || now_s >= have->issued_s + WIT_LIFE_S / 2 || now_s < have->issued_s) {
		err = identity_new(s, p, w, now_s, &fresh);
		if (err < 0)
			return err;
		if (have)
			identity_free(have);
		s->by_label[w->label] = have = fresh;
	}
	*ret = have;
	return 0;
}

/* ---- one presentation ---- */

static bool revoked(const struct policy_image *p, const struct policy_workload *w)
{
	char iss[SPIFFE_ID_MAX + 1];

	issuer_print(p, iss);
	return policy_revoked(p, policy_string(p, w->id)) || policy_revoked(p, iss);
}

/* A link-local address means something on one link of one host only: both ends must be this very address. */
static bool link_local_between_hosts(const struct cleat_conn *c)
{
	return binding_is_link_local(c) &&
	       memcmp(c->client_addr, c->server_addr, sizeof(c->client_addr)) != 0;
}

static int claims_fill(struct sign_identities *s, const struct identity *i,
		       const struct host_facts *host, const struct sign_ask *ask,
		       const struct policy_call *rule, const struct connection_facts *on,
		       uint64_t now_s, uint64_t seq, struct wpt *ret)
{
	uint8_t inst[BINDING_INST_LEN];
	int err = jti_new(s, ret->jti);

	if (err < 0)
		return err;
	memcpy(ret->aud, ask->audience, ask->audience_len);
	ret->aud[ask->audience_len] = '\0';
	ret->iat = (double)now_s;
	ret->exp = (double)(now_s + rule->life_s);
	memcpy(ret->wth, i->wth, sizeof(ret->wth));
	ret->has_ath = ask->ath;
	if (ask->ath)
		memcpy(ret->ath, ask->ath, sizeof(ret->ath));
	ret->has_tth = ask->tth;
	if (ask->tth)
		memcpy(ret->tth, ask->tth, sizeof(ret->tth));
	ret->has_oth = ret->has_nonce = ret->has_exe = false;
	ret->unit[0] = '\0';
	ret->role = on->tag.conn.role;
	ret->level = on->level;
	memcpy(ret->cb, on->cb, sizeof(ret->cb));
	ret->est_ms = on->est_ms;
	ret->seq = seq;
	ret->has_ns = on->local;
	memcpy(ret->ns, on->ns, sizeof(ret->ns));
	binding_inst(host->bootseed, &on->tag.proc, inst);
	return sig_sha256(inst, sizeof(inst), ret->inst);
}

static int wpt_sign(const struct identity *i, const struct wpt *claims, struct sign_result *ret)
{
	char header[128], body[CLAIMS_MAX];
	struct text h, c, t;
	int err;

	text_init(&h, header, sizeof(header));
	text_init(&c, body, sizeof(body));
	text_init(&t, ret->wpt, sizeof(ret->wpt));
	assertion_print_wpt_header(&h);
	assertion_print_wpt(&c, claims);
	if (h.overflown || c.overflown)
		return -ENOSPC;
	err = jose_sign(&t, header, body, i->key);
	if (err < 0 || t.overflown)
		return err < 0 ? err : -ENOSPC;
	ret->wpt_len = t.len;
	memcpy(ret->wit, i->wit, i->wit_len);
	ret->wit_len = i->wit_len;
	return 0;
}

enum reason sign(const struct policy_image *p, struct sign_identities *identities,
		 const struct facts_maps *maps, const struct host_facts *host,
		 const struct facts_asker *asker, const struct sign_ask *ask,
		 struct sign_result *ret)
{
	uint64_t now_s = clock_real_ns() / NS_PER_S;
	struct identity *identity;
	enum reason reason;
	uint64_t seq;

	ret->wit_len = ret->wpt_len = 0;
	ret->rule = NULL;
	ret->workload = policy_workload(p, asker->caller->owner.label);
	if (!ret->workload)
		return REASON_NO_WORKLOAD;
	reason = facts_connection(maps, p, host, asker, ask->sock_fd, &ret->on);
	if (reason != REASON_OK)
		return reason;
	if (kept(sign_revoked) && revoked(p, ret->workload))
		return REASON_REVOKED;
	if (kept(link_local) && link_local_between_hosts(&ret->on.tag.conn))
		return kern_tag_is(maps->tags, ask->sock_fd, &ret->on.tag) ? REASON_LINK_LOCAL
									   : REASON_BUSY;
	if (kept(sign_clock) && !(p->flags & POLICY_CLOCK_UNSYNC_OK) && !clock_synchronised())
		return REASON_CLOCK;

	/* the audience is compared as bytes with its length: it has no NUL inside, and its own behind it */
	ret->rule =
		policy_call(p, asker->caller->owner.label, ask->audience, ret->on.tag.conn.role);
	if (kept(sign_policy) && !ret->rule)
		return REASON_POLICY;
	const struct policy_call any = { .life_s = WPT_LIFE_S }; /* the twin's: sign_policy cut */

	if (identity_of(identities, p, ret->workload, now_s, &identity) < 0)
		return REASON_INTERNAL;
	reason =
		seq_next(ask->seq, ask->sock_fd, ret->on.cookie, ret->on.tag.conn.generation, &seq);
	if (reason != REASON_OK)
		return reason;
	/* since the first look the socket may have been connected anew or passed on */
	if (kept(sign_unchanged) && !kern_tag_is(maps->tags, ask->sock_fd, &ret->on.tag))
		return REASON_BUSY;
	if (claims_fill(identities, identity, host, ask, ret->rule ? ret->rule : &any, &ret->on,
			now_s, seq, &ret->claims) < 0 ||
	    wpt_sign(identity, &ret->claims, ret) < 0)
		return REASON_INTERNAL;
	return REASON_OK;
}
