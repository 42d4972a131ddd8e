// SPDX-License-Identifier: Apache-2.0
/*
 * Facts. See facts.h. Everything is asked of the kernel's maps by the two descriptors; nothing of the caller's words is
 * in here. The first thing that does not hold is the reason, and nothing is written to the result before all did, but
 * for the tag itself, which the audit line needs to say whose the socket is.
 */
#include "flow/facts.h"

#include "base/clock.h"
#include "base/twin.h"
#include "edge/peer.h"
#include "edge/sig.h"
#include <errno.h>
#include <string.h>

#define LOOKS 16 /* at a tag that is being written */

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* What may be said of something born in arming epoch @epoch: seen from its birth on without a gap, or not. */
static uint32_t level_of_epoch(const struct cleat_config *now, uint32_t epoch)
{
	return epoch && (epoch == now->epoch || !kept(epoch_now)) ? CLEAT_LEVEL_FULL
								  : CLEAT_LEVEL_REDUCED;
}

static enum reason armed(const struct cleat_config *view, struct cleat_config *ret)
{
	if (kern_config_look(view, ret) < 0 || !kern_is_armed(ret))
		return REASON_NOT_ARMED;
	return REASON_OK;
}

/* The epoch of a connection that was opened before counts now: it may have changed since. */
static uint32_t level_of_caller(const struct cleat_config *now, const struct cleat_caller *c)
{
	return least(now->level,
		     least(level_of_epoch(now, c->epoch), level_of_epoch(now, c->proc.epoch)));
}

/* Level reduced has another proof of who sent a message. */
static bool messages_seen(const struct cleat_config *now, const struct cleat_caller *c)
{
	return now->level != CLEAT_LEVEL_FULL || c->epoch == now->epoch || !kept(api_epoch);
}

enum reason facts_caller_now(const struct facts_maps *maps, const struct cleat_caller *c,
			     uint32_t *ret_level)
{
	struct cleat_config now;
	enum reason r = armed(maps->config, &now);

	if (r != REASON_OK)
		return r;
	if (!messages_seen(&now, c))
		return REASON_PEER_GONE;
	*ret_level = level_of_caller(&now, c);
	return REASON_OK;
}

enum reason facts_caller(const struct facts_maps *maps, const struct policy_image *p, int api_fd,
			 struct cleat_caller *ret, uint32_t *ret_level)
{
	struct cleat_config now;
	enum reason r = armed(maps->config, &now);

	if (r != REASON_OK)
		return r;
	if (kern_caller_get(maps->callers, api_fd, ret) < 0 || !messages_seen(&now, ret))
		return REASON_PEER_GONE;
	*ret_level = level_of_caller(&now, ret);
	return policy_workload(p, ret->owner.label) ? REASON_OK : REASON_NO_WORKLOAD;
}

/* The asker's workload lets another one accept for it (inetd, systemd's Accept=yes): then that one's tag is as good. */
static bool accepted_for(const struct policy_image *p, const struct cleat_tag *tag,
			 const struct cleat_owner *asker)
{
	const struct policy_workload *w = policy_workload(p, asker->label);

	return w && w->accepted_by && w->accepted_by == tag->owner.label &&
	       tag->conn.role == CLEAT_ROLE_SERVER && tag->owner.netns == asker->netns;
}

static enum reason owned_by(const struct policy_image *p, const struct cleat_tag *tag,
			    const struct cleat_owner *asker)
{
	const struct cleat_owner *o = &tag->owner;

	if (!kept(owner))
		return REASON_OK;
	if (o->label && o->label == asker->label && o->uid == asker->uid &&
	    o->netns == asker->netns)
		return REASON_OK;
	if (asker->label && accepted_for(p, tag, asker))
		return REASON_OK;
	return tag->flags & CLEAT_TAG_HANDED ? REASON_HANDED_OVER : REASON_NOT_OWNER;
}

/* Made as connections are made, in a namespace that counts. */
static enum reason ordinary(const struct policy_image *p, const struct cleat_tag *tag,
			    const struct cleat_owner *asker)
{
	const struct policy_workload *w = policy_workload(p, asker->label);

	if (kept(forged) && (tag->flags & CLEAT_TAG_FORGED))
		return REASON_FORGED;
	if (kept(netns) && (tag->flags & CLEAT_TAG_NETNS_FOREIGN) &&
	    !(w && (w->flags & POLICY_WORKLOAD_NETNS)))
		return REASON_NETNS;
	if ((p->flags & POLICY_COOKIE_REFUSE) && (tag->flags & CLEAT_TAG_COOKIE))
		return REASON_COOKIE;
	return REASON_OK;
}

static int compute(const struct host_facts *host, struct connection_facts *f)
{
	uint8_t cb[BINDING_CB_LEN], ns[BINDING_NS_LEN];
	int err;

	f->est_ms = clock_boot_to_real_ms(f->tag.conn.est_ns);
	f->local = binding_is_loopback(&f->tag.conn) || binding_is_link_local(&f->tag.conn);
	binding_cb(&f->tag.conn, cb);
	err = sig_sha256(cb, sizeof(cb), f->cb);
	if (err < 0 || !f->local)
		return err;
	binding_ns(host->bootseed, f->tag.owner.netns, ns);
	return sig_sha256(ns, sizeof(ns), f->ns);
}

/* One look. *@ret_tagged: there is a tag, in f->tag, whatever is wrong. */
static enum reason judge(const struct facts_maps *maps, const struct policy_image *p,
			 const struct facts_asker *asker, int sock_fd,
			 const struct cleat_config *now, struct connection_facts *f,
			 bool *ret_tagged)
{
	const struct cleat_owner *who = &asker->caller->owner;
	enum reason r;

	/* only TCP and MPTCP sockets are ever tagged: what has no tag is asked what it is instead */
	*ret_tagged = kern_tag_peek(maps->tags, sock_fd, &f->tag) == 0;
	if (!*ret_tagged) {
		r = peer_tcp(sock_fd, &f->cookie);
		return r == REASON_OK ? REASON_UNTAGGED : r;
	}
	if (f->tag.flags & CLEAT_TAG_MPTCP)
		return REASON_UNSUPPORTED;
	if (!f->tag.epoch || !peer_cookie(sock_fd, &f->cookie) || f->tag.cookie != f->cookie)
		return REASON_UNTAGGED;
	r = owned_by(p, &f->tag, who);
	if (r != REASON_OK)
		return r;
	if (f->tag.state != CLEAT_STATE_OWNED || f->tag.conn.role == CLEAT_ROLE_NONE)
		return REASON_NOT_ESTABLISHED;
	/* no hook of level reduced sees the end of a connection */
	if (now->level != CLEAT_LEVEL_FULL || asker->pidfd >= 0)
		r = peer_stands(sock_fd, asker->pidfd);
	return r == REASON_OK ? ordinary(p, &f->tag, who) : r;
}

enum reason facts_connection(const struct facts_maps *maps, const struct policy_image *p,
			     const struct host_facts *host, const struct facts_asker *asker,
			     int sock_fd, struct connection_facts *ret)
{
	struct connection_facts f = { 0 };
	struct cleat_config now;
	bool tagged = false;
	enum reason r;

	memset(ret, 0, sizeof(*ret));
	r = armed(maps->config, &now);
	if (r != REASON_OK)
		return r;
	/* half of a tag may look like anything: nobody is refused for it */
	for (unsigned i = 0; i < LOOKS; i++) {
		r = judge(maps, p, asker, sock_fd, &now, &f, &tagged);
		if (r == REASON_OK || !tagged || !kept(facts_again) ||
		    kern_tag_is(maps->tags, sock_fd, &f.tag))
			break;
		r = REASON_BUSY;
	}
	if (tagged)
		ret->tag = f.tag;
	if (r != REASON_OK)
		return r;
	if (compute(host, &f) < 0)
		return REASON_INTERNAL;
	f.level = least(
		least(level_of_caller(&now, asker->caller), asker->level),
		least(level_of_epoch(&now, f.tag.epoch), level_of_epoch(&now, f.tag.proc.epoch)));
	*ret = f;
	return REASON_OK;
}
