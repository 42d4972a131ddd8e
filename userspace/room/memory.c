/* SPDX-License-Identifier: Apache-2.0 */
/* What the check room remembers of accepts. See memory.h. */
#include "room/memory.h"

#include "base/clock.h"
#include "base/twin.h"
#include "model/policy.h"
#include "model/window.h"
#include <errno.h>
#include <string.h>

#define SHARE_MAX  (CLEAT_CB_MAX / 4)	  /* of one workload */
#define CROWDED	   (CLEAT_CB_MAX / 4 * 3) /* from here on nobody has more than is free */
#define SLICE_KEYS 512			  /* looked at in a row: well under a millisecond */
#define SLICE_NS   10000000		  /* between two slices that a refusal causes */
#define PEERS	   1024			  /* power of two */

struct memory {
	int cb_map;
	int window_map;
	int tags_map;
	struct kern_cb_walk walk;
	uint64_t swept_ns; /* the last slice */
	struct {
		bool valid, found;
		struct cleat_cb_key key;
		struct cleat_cb value;
	} looked;	 /* at cb_map, by the request in hand: nobody else writes there */
	uint32_t *share; /* by label: entries of cb_map */
	size_t labels;
	uint32_t total;
	struct memory_peer peers[PEERS];
};

int memory_new(int cb_map, int window_map, int tags_map, struct memory **ret)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->cb_map = cb_map;
	m->window_map = window_map;
	m->tags_map = tags_map;
	*ret = m;
	return 0;
}

static void peer_drop(struct memory_peer *p)
{
	free(p->subject);
	free(p->issuer);
	*p = (struct memory_peer){ 0 };
}

void memory_free(struct memory *m)
{
	for (unsigned i = 0; i < PEERS; i++)
		peer_drop(&m->peers[i]);
	free(m->share);
	free(m);
}

/* ---- one cb, one socket ---- */

static void key_of(const struct connection_facts *on, uint32_t role, struct cleat_cb_key *ret)
{
	*ret = (struct cleat_cb_key){ .role = role };
	memcpy(ret->cb, on->cb, sizeof(ret->cb));
}

/* What stands there is of @on, is over, or is another socket's. *@ret_found false: nothing stands there. */
static enum reason cb_look(struct memory *m, const struct cleat_cb_key *key,
			   const struct connection_facts *on, struct cleat_cb *ret, bool *ret_found)
{
	if (!m->looked.valid || memcmp(&m->looked.key, key, sizeof(*key)) != 0) {
		int err = kern_cb_get(m->cb_map, key, &m->looked.value);

		m->looked.valid = err == 0 || err == -ENOENT;
		m->looked.found = err == 0;
		m->looked.key = *key;
	}
	if (!m->looked.valid)
		return REASON_BUSY;
	*ret = m->looked.value;
	*ret_found = m->looked.found;
	if (!*ret_found)
		return REASON_OK;
	if (ret->until_ns <= clock_boot_ns())
		return REASON_OK;
	if (kept(cb_memory) &&
	    (ret->cookie != on->cookie || ret->generation != on->tag.conn.generation))
		return REASON_OTHER_SOCKET;
	return REASON_OK;
}

enum reason memory_look(struct memory *m, const struct connection_facts *on, uint32_t role)
{
	struct cleat_cb_key key;
	struct cleat_cb have;
	bool found;

	m->looked.valid = false;
	key_of(on, role, &key);
	return cb_look(m, &key, on, &have, &found);
}

/* NULL: no memory, or no label; the map may have been in a stranger's hands. */
static uint32_t *share_of(struct memory *m, uint32_t label)
{
	const size_t wanted = (size_t)label + 64;

	if (label >= POLICY_LABEL_MAX)
		return NULL;
	if (label >= m->labels) {
		uint32_t *more = reallocarray(m->share, wanted, sizeof(*more));

		if (!more)
			return NULL;
		memset(more + m->labels, 0, (wanted - m->labels) * sizeof(*more));
		m->share = more;
		m->labels = wanted;
	}
	return &m->share[label];
}

/* Only this room writes the map, so what it counts is what is there. */
static void share_add(struct memory *m, uint32_t label)
{
	uint32_t *share = share_of(m, label);

	m->total++;
	if (share)
		(*share)++;
}

static void share_take(struct memory *m, uint32_t label)
{
	uint32_t *share = share_of(m, label);

	m->total -= m->total > 0;
	if (share)
		*share -= *share > 0;
}

static void count(void *ctx, const struct cleat_cb *value, bool gone)
{
	if (!gone)
		share_add(ctx, value->label);
}

static void uncount(void *ctx, const struct cleat_cb *value, bool gone)
{
	if (gone)
		share_take(ctx, value->label);
}

void memory_sweep(struct memory *m)
{
	m->swept_ns = clock_boot_ns();
	m->walk = (struct kern_cb_walk){ 0 };
	m->total = 0;
	if (m->labels)
		memset(m->share, 0, m->labels * sizeof(*m->share));
	kern_cb_sweep(m->cb_map, m->swept_ns, &m->walk, 2 * CLEAT_CB_MAX, count, m);
}

bool memory_sweep_slice(struct memory *m)
{
	m->swept_ns = clock_boot_ns();
	return kern_cb_sweep(m->cb_map, m->swept_ns, &m->walk, SLICE_KEYS, uncount, m) > 0;
}

static bool has_room(struct memory *m, uint32_t label)
{
	const uint32_t *share = share_of(m, label);

	return share && *share < SHARE_MAX &&
	       (m->total < CROWDED ||
		(m->total < CLEAT_CB_MAX && *share < CLEAT_CB_MAX - m->total));
}

/* Is there a place for one more of @label? Where there is none, some of what is past is looked for, now and then. */
static bool make_room(struct memory *m, uint32_t label)
{
	if (!has_room(m, label) && clock_boot_ns() - m->swept_ns >= SLICE_NS)
		memory_sweep_slice(m);
	return has_room(m, label);
}

/* Remembers or renews; *@before is what stood there, and gets until_ns 0 where nothing did. */
static enum reason cb_put(struct memory *m, const struct cleat_cb_key *key,
			  const struct connection_facts *on, uint64_t until, bool found,
			  struct cleat_cb *before)
{
	struct cleat_cb value = {
		.cookie = on->cookie,
		.generation = on->tag.conn.generation,
		.label = on->tag.owner.label,
		.until_ns = until,
	};

	if (!found) {
		*before = value;
		before->until_ns = 0;
		if (kept(cb_full) && !make_room(m, value.label))
			return REASON_BUSY;
	}
	if (before->cookie == value.cookie && before->generation == value.generation &&
	    before->until_ns > until)
		value.until_ns = before->until_ns;
	if (kern_cb_put(m->cb_map, key, &value) < 0 && kept(cb_full))
		return REASON_BUSY; /* full: it refuses, it never forgets */
	if (found)
		share_take(m, before->label); /* past, and it may have been another's */
	share_add(m, value.label);
	return REASON_OK;
}

enum reason memory_consume(struct memory *m, int sock_fd, const struct connection_facts *on,
			   uint32_t role, uint64_t seq, uint64_t until_boot_ns)
{
	struct cleat_window window;
	struct cleat_cb_key key;
	struct cleat_cb before;
	enum reason reason;
	bool found;
	int err;

	err = kern_window_get(m->window_map, sock_fd, &window);
	if (err < 0)
		return err == -ENOENT ? REASON_UNTAGGED : REASON_BUSY;
	reason = window_admit(&window, on->tag.conn.generation, seq); /* in our copy */
	if (kept(seq) && reason != REASON_OK)
		return reason;
	key_of(on, role, &key);
	reason = cb_look(m, &key, on, &before, &found);
	m->looked.valid = false;
	if (reason != REASON_OK)
		return reason;
	/* since it was judged the socket may have been connected anew or passed on */
	if (kept(verify_unchanged) && !kern_tag_is(m->tags_map, sock_fd, &on->tag))
		return REASON_BUSY;

	reason = cb_put(m, &key, on, until_boot_ns, found, &before);
	if (reason != REASON_OK)
		return reason;
	if (kern_window_put(m->window_map, sock_fd, &window) < 0) {
		kern_cb_put(m->cb_map, &key,
			    &before); /* as it was: until 0 is past, the sweep takes it */
		share_take(m, on->tag.owner.label);
		share_add(m, before.label);
		return REASON_BUSY;
	}
	return REASON_OK;
}

/* ---- the peer of the last accept ---- */

static unsigned slot_of(uint64_t cookie)
{
	return (unsigned)(cookie * 0x9e3779b97f4a7c15u >> 54); /* the upper 10 bits */
}
_Static_assert(PEERS == 1 << 10, "slot_of gives 10 bits");

void memory_peer_set(struct memory *m, const struct connection_facts *on,
		     const struct verify_verdict *v)
{
	struct memory_peer *p = &m->peers[slot_of(on->cookie)];
	struct memory_peer fresh = {
		.cookie = on->cookie,
		.generation = on->tag.conn.generation,
		.level = v->wpt.level,
		.accepted_ns = clock_boot_ns(),
	};

	/* the same peer again, as on every further request of a connection: nothing to copy */
	if (p->subject && p->cookie == fresh.cookie && p->generation == fresh.generation &&
	    strcmp(p->subject, v->wit.sub) == 0 && strcmp(p->issuer, v->wit.iss) == 0) {
		p->level = fresh.level;
		p->accepted_ns = fresh.accepted_ns;
		return;
	}
	peer_drop(p);
	fresh.subject = strdup(v->wit.sub);
	fresh.issuer = strdup(v->wit.iss);
	if (fresh.subject && fresh.issuer)
		*p = fresh;
	else
		peer_drop(&fresh);
}

const struct memory_peer *memory_peer(const struct memory *m, const struct connection_facts *on)
{
	const struct memory_peer *p = &m->peers[slot_of(on->cookie)];

	return p->subject && p->cookie == on->cookie && p->generation == on->tag.conn.generation
		       ? p
		       : NULL;
}
