/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of a door. See share.h. */
#include "room/share.h"

#include "base/cleanup.h"
#include "base/twin.h"
#include <errno.h>

/* Kinds of nodes; an owner is below a group and a uid, of the reserve if it is of the reserve itself. Whom a group was refused
 * is below nothing. */
enum { UID, GROUP, OWNER, NEW_UID, NEW_OWNER, REFUSED };

/* One of a uid, a group or an owner. Lives while it has connections, descriptors being closed, or a place in a queue. */
struct share {
	uint64_t key;
	unsigned kind;
	bool known;		   /* in the table */
	struct share *chain;	   /* of its bucket, or of the free ones */
	struct share *uid, *group; /* of an owner */
	unsigned count;		   /* places held */
	unsigned owners;	   /* of a uid or a group: with places */
	unsigned children;	   /* of a uid or a group: owners that are known */
	struct reaper_charge charge;

	struct share_item *oldest, *newest;	/* an owner's, by last use */
	struct share *active_before, *active;	/* owners that hold places */
	struct share_item *first, *last;	/* an owner's that are ready */
	struct share *first_owner, *last_owner; /* a group's that are ready */
	struct share *before, *behind;		/* in the queue it stands in */
	bool queued;
};

struct shares {
	unsigned max, count, known;	/* without the reserve, but for what is known */
	unsigned groups;		/* that hold places */
	unsigned buckets, nodes, fresh; /* pool[fresh] and behind were never used */
	struct share **table;
	struct share *pool, *free;
	struct share *active;
	struct share *first, *last; /* groups that are ready */
};

/* Of the places, for a uid or a group; and the size of the reserve. */
static unsigned quarter(const struct shares *s)
{
	return (s->max + 3) / 4;
}

int shares_new(unsigned max, struct shares **ret)
{
	struct shares *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->max = max;
	s->buckets = 4 * max;
	/* three for each connection, and for owners that left descriptors in the reaper */
	s->nodes = 3 * (max + quarter(s) + REAPER_MAX);
	s->table = calloc(s->buckets, sizeof(struct share *));
	s->pool = calloc(s->nodes, sizeof(*s->pool));
	if (!s->table || !s->pool) {
		shares_free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void shares_free(struct shares *s)
{
	free(s->table);
	free(s->pool);
	free(s);
}

unsigned shares_known(const struct shares *s)
{
	return s->known;
}

/* ---- nodes ---- */

static struct share **bucket_of(struct shares *s, unsigned kind, uint64_t key)
{
	uint64_t mixed = (key ^ (uint64_t)kind << 61) * 0x9e3779b97f4a7c15u;

	return &s->table[(mixed >> 32) % s->buckets];
}

/* Found or made; NULL: there are no more. */
static struct share *node_of(struct shares *s, unsigned kind, uint64_t key)
{
	struct share **at = bucket_of(s, kind, key), *n;

	for (n = *at; n; n = n->chain)
		if (n->key == key && n->kind == kind)
			return n;
	if (!s->free && s->fresh < s->nodes)
		s->free = &s->pool[s->fresh++];
	n = s->free;
	if (!n)
		return NULL;
	s->free = n->chain;
	*n = (struct share){ .key = key, .kind = kind, .known = true, .chain = *at };
	*at = n;
	s->known++;
	return n;
}

static bool is_owner(const struct share *n)
{
	return n->kind == OWNER || n->kind == NEW_OWNER;
}

static bool needed(struct share *n)
{
	return n->count || n->children || n->queued || reaper_charge_held(&n->charge);
}

static void node_free(struct shares *s, struct share *n)
{
	struct share **at = bucket_of(s, n->kind, n->key);

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	*n = (struct share){ .chain = s->free };
	s->free = n;
	s->known--;
}

/* With an owner goes what it was the last below. */
static void owner_drop(struct shares *s, struct share *n)
{
	struct share *above[] = { n->uid, n->group };

	node_free(s, n);
	for (int i = 0; i < 2; i++)
		if (above[i] && --above[i]->children == 0 && !needed(above[i]))
			node_free(s, above[i]);
}

void shares_sweep(struct shares *s)
{
	for (unsigned i = 0; i < s->fresh; i++) {
		struct share *n = &s->pool[i];

		if (!n->known || needed(n))
			continue;
		if (is_owner(n))
			owner_drop(s, n);
		else
			node_free(s, n);
	}
}

/* @kind: OWNER, @part is its group; NEW_OWNER, @part is its process. */
static struct share *owner_find(struct shares *s, unsigned kind, uint32_t uid, uint32_t part)
{
	struct share *n = node_of(s, kind, (uint64_t)uid << 32 | part);
	uint32_t group = kind == OWNER ? part : SHARE_NEW;

	if (!n || n->group)
		return n;
	n->uid = node_of(s, kind == OWNER ? UID : NEW_UID, uid);
	if (n->uid)
		n->uid->children++;
	n->group = n->uid ? node_of(s, GROUP, kept(share_groups) ? group : uid) : NULL;
	if (!n->group) {
		owner_drop(s, n);
		return NULL;
	}
	n->group->children++;
	n->charge.above = &n->group->charge;
	return n;
}

static struct share *owner_of(struct shares *s, unsigned kind, uint32_t uid, uint32_t part)
{
	struct share *n = owner_find(s, kind, uid, part);

	if (n)
		return n;
	shares_sweep(s);
	return owner_find(s, kind, uid, part);
}

/* ---- places ---- */

/* Of the owners within a uid, a group or all places: who holds most; of all, in the group that holds most. */
static struct share *largest(struct shares *s, const struct share *within)
{
	struct share *most = NULL;

	for (struct share *n = s->active; n; n = n->active) {
		if (within ? n->uid != within && n->group != within : n->kind == NEW_OWNER)
			continue;
		if (!most || (!within && n->group->count > most->group->count) ||
		    ((within || n->group->count == most->group->count) && n->count > most->count))
			most = n;
	}
	return most;
}

/* May @n displace somebody in a scope of @count places and @parts parts, where it holds @held? */
static bool below_even(unsigned held, unsigned count, unsigned parts, bool new_part)
{
	return held + 1 <= count / (parts + new_part);
}

static unsigned uid_most(const struct shares *s, const struct share *n)
{
	return n->kind == OWNER ? quarter(s) : quarter(s) / 2;
}

/* Whose connection goes so that @n may have one; NULL: nobody's. */
static struct share *to_displace(struct shares *s, struct share *n)
{
	bool uid_full = n->uid->count >= uid_most(s, n), group_full = n->group->count >= quarter(s);
	struct share *within = uid_full ? n->uid : group_full ? n->group : NULL, *most;

	if (uid_full && group_full && n->kind == OWNER)
		return NULL; /* one would not do */
	if (within) {
		if (!below_even(n->count, within->count, within->owners, !n->count))
			return NULL;
		most = largest(s, within);
		return most && most->count > n->count + 1 ? most : NULL;
	}
	if (!below_even(n->group->count, s->count, s->groups, !n->group->count))
		return NULL;
	most = largest(s, NULL);
	return most && most->group->count > n->group->count + 1 ? most : NULL;
}

static bool full(const struct shares *s, const struct share *n)
{
	if (n->kind == OWNER && s->count >= s->max)
		return true;
	return kept(share_quarter) &&
	       (n->uid->count >= uid_most(s, n) || n->group->count >= quarter(s));
}

/* Places that a uid or a group holds. */
static unsigned held(struct shares *s, unsigned kind, uint32_t key)
{
	for (struct share *n = *bucket_of(s, kind, key); n; n = n->chain)
		if (n->kind == kind && n->key == key)
			return n->count;
	return 0;
}

enum share_part share_full(struct shares *s, uint32_t uid, uint32_t group)
{
	if (group == SHARE_NEW)
		return held(s, NEW_UID, uid) < quarter(s) / 2 ? SHARE_PART_WORKLOAD
							      : SHARE_PART_UID;
	if (held(s, UID, uid) >= quarter(s))
		return SHARE_PART_UID;
	return held(s, GROUP, group) < quarter(s) ? SHARE_PART_ALL : SHARE_PART_WORKLOAD;
}

static void used_last(struct share *n, struct share_item *i)
{
	i->older = n->newest;
	i->newer = NULL;
	*(n->newest ? &n->newest->newer : &n->oldest) = i;
	n->newest = i;
}

static void used_never(struct share *n, struct share_item *i)
{
	*(i->older ? &i->older->newer : &n->oldest) = i->newer;
	*(i->newer ? &i->newer->older : &n->newest) = i->older;
}

static void active_add(struct shares *s, struct share *n)
{
	n->uid->owners++;
	n->group->owners++;
	n->active_before = NULL;
	n->active = s->active;
	if (s->active)
		s->active->active_before = n;
	s->active = n;
}

static bool enter(struct shares *s, struct share *n, struct share_item *i,
		  struct share_item **ret_displaced)
{
	struct share *from;

	*ret_displaced = NULL;
	*i = (struct share_item){ 0 };
	if (!n)
		return false;
	if (full(s, n)) {
		from = to_displace(s, n);
		if (!from)
			return false;
		*ret_displaced = from->oldest;
	}
	if (n->count++ == 0)
		active_add(s, n);
	n->uid->count++;
	n->group->count++;
	if (n->kind == OWNER) {
		s->groups += n->group->count == 1;
		s->count++;
	}
	i->share = n;
	used_last(n, i);
	return true;
}

bool share_enter(struct shares *s, uint32_t uid, uint32_t group, struct share_item *i,
		 struct share_item **ret_displaced)
{
	return enter(s, owner_of(s, OWNER, uid, group), i, ret_displaced);
}

bool share_enter_new(struct shares *s, uint32_t uid, uint32_t pid, struct share_item *i,
		     struct share_item **ret_displaced)
{
	return enter(s, owner_of(s, NEW_OWNER, uid, pid), i, ret_displaced);
}

/* ---- queues: groups in that of all, owners in that of their group ---- */

static void queue_put(struct share **first, struct share **last, struct share *n)
{
	if (n->queued)
		return;
	n->queued = true;
	n->before = *last;
	n->behind = NULL;
	*(*last ? &(*last)->behind : first) = n;
	*last = n;
}

static void queue_take(struct share **first, struct share **last, struct share *n)
{
	*(n->before ? &n->before->behind : first) = n->behind;
	*(n->behind ? &n->behind->before : last) = n->before;
	n->queued = false;
}

static void group_queue(struct shares *s, struct share *g)
{
	queue_put(&s->first, &s->last, g);
}

static void owner_queue(struct share *n)
{
	queue_put(&n->group->first_owner, &n->group->last_owner, n);
}

static void owner_unqueue(struct share *n)
{
	queue_take(&n->group->first_owner, &n->group->last_owner, n);
}

/* An owner without places has nothing to say; its group may have to wait long for the turn in which that would be seen. */
static void owner_silent(struct shares *s, struct share *n)
{
	struct share *g = n->group;

	if (!n->queued)
		return;
	owner_unqueue(n);
	if (!g->first_owner && g->queued)
		queue_take(&s->first, &s->last, g);
}

/* ---- the end of a place ---- */

static void ready_take(struct share *n, struct share_item *i)
{
	*(i->before ? &i->before->behind : &n->first) = i->behind;
	*(i->behind ? &i->behind->before : &n->last) = i->before;
	i->ready = false;
}

void share_leave(struct shares *s, struct share_item *i)
{
	struct share *n = i->share;

	if (i->ready)
		ready_take(n, i);
	used_never(n, i);
	i->share = NULL;
	n->uid->count--;
	n->group->count--;
	if (n->kind == OWNER) {
		s->groups -= n->group->count == 0;
		s->count--;
	}
	if (--n->count)
		return;
	n->uid->owners--;
	n->group->owners--;
	*(n->active_before ? &n->active_before->active : &s->active) = n->active;
	if (n->active)
		n->active->active_before = n->active_before;
	owner_silent(s, n);
	if (!needed(n)) /* else the sweep will see */
		owner_drop(s, n);
}

struct reaper_charge *share_charge(struct share_item *i)
{
	return &i->share->charge;
}

struct reaper_charge *share_charge_refused(struct shares *s, uint32_t group)
{
	struct share *n = node_of(s, REFUSED, group);

	if (!n) {
		shares_sweep(s);
		n = node_of(s, REFUSED, group);
	}
	return n ? &n->charge : NULL;
}

/* ---- turns ---- */

void share_ready(struct shares *s, struct share_item *i)
{
	struct share *n = i->share;

	if (i->ready)
		return;
	i->ready = true;
	i->behind = NULL;
	i->before = n->last;
	*(n->last ? &n->last->behind : &n->first) = i;
	n->last = i;
	owner_queue(n);
	group_queue(s, n->group);
}

static struct share_item *owner_turn(struct share *n)
{
	struct share_item *i = n->first;

	ready_take(n, i);
	used_never(n, i);
	used_last(n, i);
	return i;
}

static bool must_wait(struct share *n, unsigned fds)
{
	return reaper_charge_held(&n->charge) >= fds ||
	       reaper_charge_parked(&n->charge) >= SHARE_PARKED;
}

/* The first of @g's owners that is ready and need not wait. The others stand behind again, in their order. */
static struct share_item *group_turn(struct shares *s, struct share *g)
{
	struct share *stop = g->last_owner, *n;
	bool reads = g->key != SHARE_NEW;

	if (reads && must_wait(g, SHARE_GROUP_FDS))
		return NULL;
	do {
		struct share_item *i = NULL;

		n = g->first_owner;
		owner_unqueue(n);
		if (n->first && !(reads && must_wait(n, SHARE_OWNER_FDS)))
			i = owner_turn(n);
		if (n->first)
			owner_queue(n);
		else if (!needed(n))
			owner_drop(s, n); /* @g stays: its caller has a word in it */
		if (i)
			return i;
	} while (n != stop);
	return NULL;
}

struct share_item *share_turn(struct shares *s)
{
	struct share *stop = s->last, *g;
	struct share_item *i;

	if (!stop)
		return NULL;
	do {
		g = s->first;
		queue_take(&s->first, &s->last, g);
		g->children++; /* stays while it is looked at */
		i = group_turn(s, g);
		if (g->first_owner)
			group_queue(s, g);
		if (--g->children == 0 && !needed(g))
			node_free(s, g);
		if (i)
			return i;
	} while (g != stop);
	return NULL;
}

bool share_waiting(const struct shares *s)
{
	return s->first != NULL;
}
