/* SPDX-License-Identifier: Apache-2.0 */
/* The check room. See check_room.h. */
#include "room/check_room.h"

#include "base/clock.h"
#include "base/twin.h"
#include "edge/json.h"
#include "flow/verify.h"
#include "room/front.h"
#include "room/jail.h"
#include "room/memory.h"
#include "room/rooms.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define CACHE_WITS 4096
#define SWEEP_S	   5

struct check_room {
	struct front front;
	struct memory *memory;
	struct verify_cache *cache;
	struct loop_source sweep; /* a timer on the boot clock */
	bool sweeping;		  /* some of the memory in each round */
	const struct door_call *call;
	double now_s; /* the one reading of the clock that decides the request in hand */
	struct verify_verdict verdict; /* of the request in hand */
};

/* ---- what flow/verify asks of the outside ---- */

static enum reason world_connection(void *ctx, struct connection_facts *ret)
{
	struct check_room *c = ctx;
	const struct facts_asker asker = caller_asker(c->call->caller);

	return facts_connection(&c->front.maps, c->front.image, &c->front.host, &asker, c->call->fd,
				ret);
}

static bool world_stands(void *ctx, const struct connection_facts *on)
{
	struct check_room *c = ctx;

	return kern_tag_is(c->front.maps.tags, c->call->fd, &on->tag);
}

static enum reason world_cb_check(void *ctx, const struct connection_facts *on, uint32_t role)
{
	struct check_room *c = ctx;

	return memory_look(c->memory, on, role);
}

static enum reason world_consume(void *ctx, const struct connection_facts *on, uint32_t role,
				 uint64_t seq, double until_s)
{
	struct check_room *c = ctx;
	double left_s = until_s - c->now_s;
	uint64_t until = clock_boot_ns() + (left_s > 0 ? (uint64_t)(left_s * 1e9) : 0);

	return memory_consume(c->memory, c->call->fd, on, role, seq, until);
}

/* ---- verify ---- */

static bool ask_well_formed(const struct cleat_ask_verify *a, size_t len)
{
	return !(a->flags & ~(uint32_t)(CLEAT_ASK_ATH | CLEAT_ASK_TTH)) &&
	       (a->flags & CLEAT_ASK_ATH || bytes_zero(a->ath, sizeof(a->ath))) &&
	       (a->flags & CLEAT_ASK_TTH || bytes_zero(a->tth, sizeof(a->tth))) &&
	       (a->expect_role == CLEAT_ROLE_CLIENT || a->expect_role == CLEAT_ROLE_SERVER) &&
	       a->wit_len <= CLEAT_ASK_TOKEN_MAX && a->wpt_len <= CLEAT_ASK_TOKEN_MAX &&
	       len == sizeof(*a) + a->wit_len + a->wpt_len;
}

static enum reason decide(struct check_room *c, const struct door_call *call)
{
	const struct cleat_ask_verify *m = call->ask;
	const char *wit = (const char *)(m + 1);
	c->now_s = (double)clock_real_ns() / 1e9;
	struct verify_world world = {
		.ctx = c,
		.now_s = c->now_s,
		.clock_unsynchronised =
			!(c->front.image->flags & POLICY_CLOCK_UNSYNC_OK) && !clock_synchronised(),
		.host = &c->front.host,
		.connection = world_connection,
		.stands = world_stands,
		.cb_check = world_cb_check,
		.consume = world_consume,
	};

	memset(&c->verdict, 0, sizeof(c->verdict));
	if (!ask_well_formed(m, call->len))
		return REASON_MALFORMED;
	if (call->caller->reason != REASON_OK)
		return call->caller->reason;
	struct verify_ask ask = {
		.wit = wit,
		.wit_len = m->wit_len,
		.wpt = wit + m->wit_len,
		.wpt_len = m->wpt_len,
		.service = call->caller->tag.owner.label,
		.expect_role = m->expect_role,
		.ath = m->flags & CLEAT_ASK_ATH ? m->ath : NULL,
		.tth = m->flags & CLEAT_ASK_TTH ? m->tth : NULL,
	};

	c->call = call;
	return verify(c->front.image, c->cache, &ask, &world, &c->verdict);
}

static void account_accepted(struct check_room *c)
{
	const struct verify_verdict *v = &c->verdict;
	struct account *a = &c->front.account;
	uint64_t now_ms = clock_real_ns() / 1000000;

	audit_str(&a->line, "subject", v->wit.sub);
	audit_str(&a->line, "issuer", v->wit.iss);
	audit_hex(&a->line, "inst", v->wpt.inst, 8);
	account_socket(a, c->front.image, &v->on.tag);
	audit_str(&a->line, "jti", v->wpt.jti);
	audit_u64(&a->line, "seq", v->wpt.seq);
	audit_i64(&a->line, "age_ms", (int64_t)(now_ms - v->on.est_ms));
	audit_str(&a->line, "level", level_word(v->wpt.level));
}

static enum reason account_verify(struct check_room *c, const struct door_call *call,
				  enum reason reason)
{
	const struct verify_verdict *v = &c->verdict;
	struct account *a = &c->front.account;

	account_charge(a, call->caller->share_uid, call->caller->tag.owner.label);
	account_begin(a, call->ask_name, reason);
	account_caller(a, c->front.image, &call->caller->tag);
	if (reason == REASON_OK) {
		account_accepted(c);
	} else {
		if (v->claimed_sub[0])
			audit_str(&a->line, "claimed_subject", v->claimed_sub);
		front_account_fd(&c->front, call, reason);
	}
	if (v->rule)
		account_rule(a, c->front.image, v->rule->file, v->rule->line);
	return account_end(a, c->front.image, reason);
}

/* The recorded facts of the asker's own end. */
static void socket_fill(const struct connection_facts *on, struct cleat_answer_socket *ret)
{
	const struct cleat_conn *c = &on->tag.conn;
	uint64_t now_ms = clock_real_ns() / 1000000;

	memcpy(ret->client_addr, c->client_addr, sizeof(ret->client_addr));
	memcpy(ret->server_addr, c->server_addr, sizeof(ret->server_addr));
	ret->client_port = c->client_port;
	ret->server_port = c->server_port;
	ret->role = c->role;
	ret->age_ms = now_ms > on->est_ms ? now_ms - on->est_ms : 0;
	ret->level = on->level;
	ret->flags = (on->tag.flags & CLEAT_TAG_COOKIE ? CLEAT_ANSWER_COOKIE : 0) |
		     (on->tag.flags & CLEAT_TAG_FASTOPEN ? CLEAT_ANSWER_FASTOPEN : 0);
}

static void verdict_fill(const struct verify_verdict *v, struct cleat_answer_verify *ret)
{
	socket_fill(&v->on, &ret->socket);
	ret->level = v->wpt.level;
	ret->caller_flags =
		(v->wpt.has_ath ? CLEAT_ASK_ATH : 0) | (v->wpt.has_tth ? CLEAT_ASK_TTH : 0);
	ret->expires = (int64_t)v->wpt.exp;
	ret->age_ms = (int64_t)(clock_real_ns() / 1000000) - (int64_t)(v->wpt.iat * 1000);
	ret->seq = v->wpt.seq;
	memcpy(ret->instance, v->wpt.inst, sizeof(ret->instance));
	snprintf(ret->subject, sizeof(ret->subject), "%s", v->wit.sub);
	snprintf(ret->issuer, sizeof(ret->issuer), "%s", v->wit.iss);
	snprintf(ret->unit, sizeof(ret->unit), "%s", v->wpt.unit);
}

static enum reason on_verify(void *room, const struct door_call *call, struct door_answer *answer)
{
	struct check_room *c = ((struct front *)room)->room;
	enum reason reason = decide(c, call);

	reason = account_verify(c, call, reason);
	answer->generation = c->front.image->generation;
	if (reason != REASON_OK)
		return reason;
	memory_peer_set(c->memory, &c->verdict.on, &c->verdict);
	verdict_fill(&c->verdict, answer->body);
	return REASON_OK;
}

/* ---- whois ---- */

static void whois_fill(const struct check_room *c, const struct connection_facts *on,
		       struct cleat_answer_whois *ret)
{
	const struct policy_workload *w = policy_workload(c->front.image, on->tag.owner.label);
	const struct memory_peer *peer = memory_peer(c->memory, on);

	socket_fill(on, &ret->socket);
	if (w)
		snprintf(ret->owner, sizeof(ret->owner), "%s",
			 policy_string(c->front.image, w->id));
	if (!peer)
		return;
	ret->peer_known = 1;
	ret->peer_level = peer->level;
	ret->peer_age_ms = (int64_t)((clock_boot_ns() - peer->accepted_ns) / 1000000);
	snprintf(ret->subject, sizeof(ret->subject), "%s", peer->subject);
	snprintf(ret->issuer, sizeof(ret->issuer), "%s", peer->issuer);
}

static enum reason on_whois(void *room, const struct door_call *call, struct door_answer *answer)
{
	struct check_room *c = ((struct front *)room)->room;
	struct account *a = &c->front.account;
	struct connection_facts on;
	enum reason reason = call->caller->reason;

	c->call = call;
	if (reason == REASON_OK) {
		reason = world_connection(c, &on);
		if (reason == REASON_OK && !world_stands(c, &on))
			reason = REASON_BUSY;
	}
	account_charge(a, call->caller->share_uid, call->caller->tag.owner.label);
	account_begin(a, call->ask_name, reason);
	account_caller(a, c->front.image, &call->caller->tag);
	front_account_fd(&c->front, call, reason);
	reason = account_end(a, c->front.image, reason);
	answer->generation = c->front.image->generation;
	if (reason == REASON_OK)
		whois_fill(c, &on, answer->body);
	return reason;
}

static const struct door_entry entries[] = {
	{ CLEAT_ASK_VERIFY, "verify", sizeof(struct cleat_ask_verify),
	  sizeof(struct cleat_answer_verify), true, true, on_verify },
	{ CLEAT_ASK_WHOIS, "whois", sizeof(struct cleat_ask_whois),
	  sizeof(struct cleat_answer_whois), false, true, on_whois },
};

/* ---- life ---- */

static void on_sweep(struct loop_source *s, uint32_t events)
{
	struct check_room *c = s->owner;
	uint64_t times;

	(void)events;
	if (read(s->fd, &times, sizeof(times)) == sizeof(times))
		c->sweeping = true;
}

static bool on_round(void *room)
{
	struct check_room *c = room;

	c->sweeping = c->sweeping && memory_sweep_slice(c->memory);
	return c->sweeping;
}

static int sweep_open(struct check_room *c)
{
	struct itimerspec every = { { SWEEP_S, 0 }, { SWEEP_S, 0 } };

	c->sweep = (struct loop_source){ timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK),
					 on_sweep, c };
	if (c->sweep.fd < 0 || timerfd_settime(c->sweep.fd, 0, &every, NULL) < 0)
		return -errno;
	return 0;
}

static int on_start(void *room)
{
	struct check_room *c = room;

	return loop_add(c->front.loop, &c->sweep, EPOLLIN);
}

static void on_renew(void *room, bool back)
{
	struct check_room *c = room;

	(void)back;
	if (kept(cache_generation)) /* it would notice by itself; memory goes back sooner so */
		verify_cache_drop(c->cache);
}

int check_room_main(void)
{
	static struct check_room room;
	int err = front_open(&room.front, "check");

	if (err == 0)
		err = sig_open();
	if (err == 0)
		err = json_open();
	if (err == 0)
		err = jail_enter();
	if (err == 0)
		err = verify_cache_new(CACHE_WITS, &room.cache);
	if (err == 0)
		err = memory_new(ROOM_FD_CB, ROOM_FD_WINDOW, ROOM_FD_TAGS, &room.memory);
	if (err == 0)
		err = sweep_open(&room);
	if (err < 0) {
		log_error("open", "error=\"%s\"", strerror(-err));
		return 1;
	}
	memory_sweep(room.memory); /* what the daemon before accepted counts on the shares */
	room.front.room = &room;
	room.front.door.entries = entries;
	room.front.door.count = sizeof(entries) / sizeof(entries[0]);
	room.front.start = on_start;
	room.front.renew = on_renew;
	room.front.round = on_round;
	int code = front_run(&room.front);

	memory_free(room.memory);
	verify_cache_free(room.cache);
	return code;
}
