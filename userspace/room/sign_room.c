/* SPDX-License-Identifier: Apache-2.0 */
/* The sign room. See sign_room.h. */
#include "room/sign_room.h"

#include "base/clock.h"
#include "base/twin.h"
#include "edge/keys.h"
#include "flow/sign.h"
#include "room/front.h"
#include "room/host_key.h"
#include "room/jail.h"
#include "room/rooms.h"
#include <stdio.h>
#include <string.h>

struct sign_room {
	struct front front;
	struct host_key current;
	struct host_key next; /* during rotation, else it is none */
	struct sign_identities *identities;
	struct seq_book *seq;
	struct sign_result result; /* of the request in hand */
};

/* ---- sign ---- */

/* The fixed-size fields are what the protocol says: zero where nothing belongs. */
static bool ask_well_formed(const struct cleat_ask_sign *a)
{
	return !(a->flags & ~(uint32_t)(CLEAT_ASK_ATH | CLEAT_ASK_TTH)) &&
	       (a->flags & CLEAT_ASK_ATH || bytes_zero(a->ath, sizeof(a->ath))) &&
	       (a->flags & CLEAT_ASK_TTH || bytes_zero(a->tth, sizeof(a->tth))) &&
	       a->audience_len >= 1 && a->audience_len <= sizeof(a->audience) &&
	       !memchr(a->audience, 0, a->audience_len) &&
	       bytes_zero(a->audience + a->audience_len, sizeof(a->audience) - a->audience_len);
}

static void account_signed(struct sign_room *s)
{
	const struct front *f = &s->front;
	const struct sign_result *r = &s->result;
	struct account *a = &s->front.account;
	uint64_t now_ms = clock_real_ns() / 1000000;

	audit_str(&a->line, "audience", r->claims.aud);
	account_socket(a, f->image, &r->on.tag);
	audit_str(&a->line, "jti", r->claims.jti);
	audit_u64(&a->line, "seq", r->claims.seq);
	audit_i64(&a->line, "age_ms", (int64_t)(now_ms - r->on.est_ms));
	audit_str(&a->line, "level", level_word(r->claims.level));
}

static enum reason account_sign(struct sign_room *s, const struct door_call *call,
				enum reason reason, const char *audience)
{
	struct account *a = &s->front.account;
	const struct policy_call *rule = s->result.rule;

	account_charge(a, call->caller->share_uid, call->caller->tag.owner.label);
	account_begin(a, call->ask_name, reason);
	account_caller(a, s->front.image, &call->caller->tag);
	if (reason == REASON_OK) {
		account_signed(s);
	} else {
		audit_str(&a->line, "claimed_audience", audience);
		front_account_fd(&s->front, call, reason);
	}
	if (rule)
		account_rule(a, s->front.image, rule->file, rule->line);
	return account_end(a, s->front.image, reason);
}

static enum reason decide(struct sign_room *s, const struct door_call *call, const char *audience)
{
	const struct cleat_ask_sign *m = call->ask;
	const struct caller *c = call->caller;

	s->result.rule = NULL;
	if (kept(request_exact) && !ask_well_formed(m))
		return REASON_MALFORMED;
	if (c->reason != REASON_OK)
		return c->reason;
	struct sign_ask ask = {
		.audience = audience,
		.audience_len = m->audience_len,
		.ath = m->flags & CLEAT_ASK_ATH ? m->ath : NULL,
		.tth = m->flags & CLEAT_ASK_TTH ? m->tth : NULL,
		.sock_fd = call->fd,
		.seq = s->seq,
	};

	const struct facts_asker asker = caller_asker(c);

	return sign(s->front.image, s->identities, &s->front.maps, &s->front.host, &asker, &ask,
		    &s->result);
}

static enum reason on_sign(void *room, const struct door_call *call, struct door_answer *answer)
{
	struct sign_room *s = ((struct front *)room)->room;
	const struct cleat_ask_sign *m = call->ask;
	struct cleat_answer_sign *body = answer->body;
	char audience[CLEAT_ASK_ID_MAX + 1];
	enum reason reason;

	memcpy(audience, m->audience, CLEAT_ASK_ID_MAX);
	audience[CLEAT_ASK_ID_MAX] = '\0';
	reason = decide(s, call, audience);
	reason = account_sign(s, call, reason, audience);
	answer->generation = s->front.image->generation;
	if (reason != REASON_OK)
		return reason;
	body->wit_len = (uint32_t)s->result.wit_len;
	body->wpt_len = (uint32_t)s->result.wpt_len;
	body->expires = (int64_t)s->result.claims.exp;
	answer->tail[0] = (struct iovec){ s->result.wit, s->result.wit_len };
	answer->tail[1] = (struct iovec){ s->result.wpt, s->result.wpt_len };
	answer->tails = 2;
	return REASON_OK;
}

/* ---- whoami ---- */

static enum reason on_whoami(void *room, const struct door_call *call, struct door_answer *answer)
{
	struct sign_room *s = ((struct front *)room)->room;
	struct account *a = &s->front.account;
	struct cleat_answer_whoami *body = answer->body;
	const struct caller *c = call->caller;
	const struct policy_workload *w = policy_workload(s->front.image, c->tag.owner.label);
	/* to be nobody is an answer too */
	enum reason reason = c->reason == REASON_NO_WORKLOAD ? REASON_OK : c->reason;

	account_charge(a, call->caller->share_uid, call->caller->tag.owner.label);
	account_begin(a, call->ask_name, reason);
	account_caller(a, s->front.image, &c->tag);
	reason = account_end(a, s->front.image, reason);
	answer->generation = s->front.image->generation;
	body->label = w ? w->label : 0;
	body->level = c->level;
	body->pid = c->tag.proc.tgid;
	body->uid = c->tag.owner.uid;
	if (w)
		snprintf(body->id, sizeof(body->id), "%s", policy_string(s->front.image, w->id));
	return reason;
}

static const struct door_entry entries[] = {
	{ CLEAT_ASK_SIGN, "sign", sizeof(struct cleat_ask_sign), sizeof(struct cleat_answer_sign),
	  false, true, on_sign },
	{ CLEAT_ASK_WHOAMI, "whoami", sizeof(struct cleat_ask_whoami),
	  sizeof(struct cleat_answer_whoami), false, false, on_whoami },
};

/* ---- life ---- */

static void on_settled(void *room)
{
	struct sign_room *s = room;

	host_key_settle(&s->current);
	host_key_settle(&s->next);
}

static int on_start(void *room)
{
	struct sign_room *s = room;
	int err;

	host_key_take(&s->current);
	host_key_take(&s->next);
	on_settled(s); /* no generation before to go back to */
	err = sign_identities_new(s->current.now, &s->front.host, &s->identities);
	return err < 0 ? err
		       : sign_identities_keys(s->identities, s->front.image, s->current.now,
					      s->next.now);
}

/* A key read anew counts with the image that follows, and which of the two signs is known then. */
static int on_key(void *room, bool next, int fd)
{
	struct sign_room *s = room;
	struct host_key *at = next ? &s->next : &s->current;
	struct sig_key *key = NULL;
	int err = fd < 0 ? 0 : keys_read(fd, &key);

	host_key_unstage(at);
	if (err < 0) { /* the one before stays: a file that is no key must not end the service */
		log_error("host-key", "which=%s kept=1 error=\"%s\"", next ? "next" : "current",
			  strerror(-err));
		return 1;
	}
	host_key_stage(at, key);
	return 0;
}

static void on_renew(void *room, bool back)
{
	struct sign_room *s = room;

	(back ? host_key_back : host_key_take)(&s->current);
	(back ? host_key_back : host_key_take)(&s->next);
	if (sign_identities_keys(s->identities, s->front.image, s->current.now, s->next.now) < 0)
		abort(); /* never on under a key that may not be the right one */
	sign_identities_renew(s->identities, s->front.image);
}

int sign_room_main(void)
{
	static struct sign_room room;
	int err = front_open(&room.front, "sign");

	if (err == 0)
		err = sig_open_secret();
	if (err == 0)
		err = jail_enter();
	if (err == 0)
		err = keys_read(ROOM_FD_HOST_KEY, &room.current.now); /* before the first client */
	if (err == 0)
		err = seq_book_new(ROOM_FD_SEQ, &room.seq);
	if (err < 0) {
		log_error("open", "error=\"%s\"", strerror(-err));
		return 1;
	}
	close(ROOM_FD_HOST_KEY);
	room.front.room = &room;
	room.front.door.entries = entries;
	room.front.door.count = sizeof(entries) / sizeof(entries[0]);
	room.front.start = on_start;
	room.front.renew = on_renew;
	room.front.key = on_key;
	room.front.settled = on_settled;
	int code = front_run(&room.front);

	if (room.identities)
		sign_identities_free(room.identities);
	seq_book_free(room.seq);
	host_key_free(&room.current);
	host_key_free(&room.next);
	return code;
}
