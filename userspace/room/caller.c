/* SPDX-License-Identifier: Apache-2.0 */
/* Who opened an API connection. See caller.h. */
#include "room/caller.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/twin.h"
#include "edge/peer.h"
#include <string.h>
#include <sys/socket.h>

/* design.md 3: at level reduced the caller is who connected, by pidfd, and its cgroup is read between two liveness
 * checks. */
static enum reason identify_reduced(const struct policy_image *p, const struct cleat_config *config,
				    int api_fd, struct caller *ret)
{
	char path[POLICY_PATH_MAX];
	struct peer_facts f;
	int pidfd;

	if (peer_reduced(api_fd, &f, path, sizeof(path), &pidfd) < 0)
		return REASON_PEER_GONE;
	ret->pidfd = pidfd;
	ret->level = CLEAT_LEVEL_REDUCED;
	ret->tag = (struct cleat_caller){
		.owner = { .netns = f.netns,
			   .uid = f.uid,
			   .label = policy_label_at(p, path, f.uid, f.gid) },
		.proc = { .tgid = f.pid },
		.born_ns = clock_boot_ns(),
		.cgroup_id = f.cgroup_id,
		.epoch = config->epoch,
		.policy_gen = p->generation,
		.gid = f.gid,
	};
	return ret->tag.owner.label ? REASON_OK : REASON_NO_WORKLOAD;
}

void caller_identify(const struct facts_maps *maps, const struct policy_image *p, int api_fd,
		     struct caller *ret)
{
	struct cleat_config config;

	*ret = (struct caller){ .pidfd = -1 };
	if (kern_config_look(maps->config, &config) < 0 || !kern_was_armed(&config))
		ret->reason = REASON_NOT_ARMED;
	else if (config.level == CLEAT_LEVEL_FULL)
		ret->reason = facts_caller(maps, p, api_fd, &ret->tag, &ret->level);
	else if (config.level == CLEAT_LEVEL_REDUCED)
		ret->reason = identify_reduced(p, &config, api_fd, ret);
	else
		ret->reason = REASON_NOT_ARMED;
	ret->who = ret->reason;
}

void caller_again(const struct facts_maps *maps, struct caller *c)
{
	enum reason now;

	c->level = CLEAT_LEVEL_NONE;
	now = facts_caller_now(maps, &c->tag, &c->level);
	c->reason = now == REASON_OK ? c->who : now;
}

/* The number alone names a process as long as that one lives: it had the number when it connected, messages come after
 * that, and who is alive now, behind the message, has had it all the time. The kernel writes the credentials
 * (unix(7), SCM_CREDENTIALS); another's number stands there only if the sender has CAP_SYS_ADMIN in its pid namespace and
 * that one is in it, or if it sends by an io_uring with a thread of that one's (SQPOLL). */
bool caller_sent(const struct caller *c, const struct ucred *sender)
{
	const struct cleat_caller *is = &c->tag;

	if (c->pidfd < 0)
		return true; /* level full: the kernel refused everybody else's message */
	if (kept(api_sender) && (uint32_t)sender->pid != is->proc.tgid)
		return false;
	if (kept(sender_ids) && (sender->uid != is->owner.uid || sender->gid != is->gid))
		return false;
	return true;
}

bool caller_alive(const struct caller *c)
{
	return !kept(caller_alive) || c->pidfd < 0 || peer_alive(c->pidfd);
}

struct facts_asker caller_asker(const struct caller *c)
{
	return (struct facts_asker){ &c->tag, c->level, c->pidfd };
}
