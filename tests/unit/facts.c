/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow/facts on one look at a tag: a refusal that may be a half-written tag's is none, and who asks must live. The kernel's
 * maps and the socket layer are played here.
 */
#include "flow/facts.h"

#include "edge/peer.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* ---- the world, played ---- */

static struct cleat_config config;
static struct cleat_tag tag;
static bool tagged, tag_same;
static enum reason stands;
static int asked_fd, asked_pidfd;
static const struct policy_workload workload = { .label = 1 };

int kern_config_look(const struct cleat_config *view, struct cleat_config *ret)
{
	*ret = *view;
	return 0;
}

int kern_tag_peek(int map, int sock_fd, struct cleat_tag *ret)
{
	(void)map, (void)sock_fd;
	*ret = tag;
	return tagged ? 0 : -ENOENT;
}

bool kern_tag_is(int map, int sock_fd, const struct cleat_tag *before)
{
	(void)map, (void)sock_fd;
	return tag_same && memcmp(before, &tag, sizeof(tag)) == 0;
}

int kern_caller_get(int map, int sock_fd, struct cleat_caller *ret)
{
	(void)map, (void)sock_fd, (void)ret;
	return -ENOENT;
}

bool peer_cookie(int fd, uint64_t *ret_cookie)
{
	(void)fd;
	*ret_cookie = 7;
	return true;
}

enum reason peer_tcp(int fd, uint64_t *ret_cookie)
{
	return peer_cookie(fd, ret_cookie) ? REASON_OK : REASON_NOT_TCP;
}

enum reason peer_stands(int fd, int pidfd)
{
	asked_fd = fd;
	asked_pidfd = pidfd;
	return stands;
}

const struct policy_workload *policy_workload(const struct policy_image *p, uint32_t label)
{
	(void)p;
	return label == 1 ? &workload : NULL;
}

/* ---- one request ---- */

static const struct facts_maps maps = { .config = &config };
static const struct host_facts host;
static struct policy_image image;
static struct cleat_caller caller;
static struct facts_asker asker;
static struct connection_facts on;

static void start(void)
{
	config = (struct cleat_config){ .level = CLEAT_LEVEL_FULL, .epoch = 3 };
	tag = (struct cleat_tag){
		.owner = { .netns = 5, .label = 1, .uid = 1001 },
		.state = CLEAT_STATE_OWNED,
		.epoch = 3,
		.cookie = 7,
		.proc = { .epoch = 3 },
		.conn = { .role = CLEAT_ROLE_CLIENT, .generation = 1 },
	};
	caller = (struct cleat_caller){ .owner = tag.owner, .proc = { .epoch = 3 }, .epoch = 3 };
	asker = (struct facts_asker){ &caller, CLEAT_LEVEL_FULL, -1 };
	tagged = tag_same = true;
	stands = REASON_OK;
	asked_fd = asked_pidfd = -2;
}

TestSuite(facts, .init = start);

static enum reason ask(void)
{
	return facts_connection(&maps, &image, &host, &asker, 9, &on);
}

static enum reason settled(enum reason reason)
{
	return facts_settled(&maps, 9, &on, reason);
}

Test(facts, a_refusal_of_a_tag_that_was_being_written_is_none)
{
	cr_assert_eq(ask(), REASON_OK);
	cr_assert_eq(settled(REASON_OK), REASON_OK);
	tag.owner.label = 2;
	cr_assert_eq(ask(), REASON_NOT_OWNER);
	cr_expect_eq(settled(REASON_NOT_OWNER), REASON_NOT_OWNER);
	tag.owner.label = 1; /* what was seen was half of it */
	cr_expect_eq(settled(REASON_NOT_OWNER), REASON_BUSY,
		     "accepted: twin=facts_settled: half a tag");
	cr_assert_eq(ask(), REASON_OK);
	tag_same = false;
	cr_expect_eq(settled(REASON_POLICY), REASON_BUSY, "accepted: twin=facts_settled: later");
	cr_expect_eq(settled(REASON_OK), REASON_BUSY, "accepted: twin=facts_settled: whois");
}

Test(facts, without_a_tag_there_is_nothing_to_settle)
{
	tagged = tag_same = false;
	cr_assert_eq(ask(), REASON_UNTAGGED);
	cr_expect_eq(settled(REASON_UNTAGGED), REASON_UNTAGGED);
	config.epoch = 0;
	cr_assert_eq(ask(), REASON_NOT_ARMED);
	cr_expect_eq(settled(REASON_NOT_ARMED), REASON_NOT_ARMED);
}

Test(facts, level_reduced_asks_for_both_ends_of_the_question)
{
	cr_assert_eq(ask(), REASON_OK);
	cr_expect_eq(asked_fd, -2, "level full knows");
	config.level = CLEAT_LEVEL_REDUCED;
	asker.pidfd = 11;
	cr_assert_eq(ask(), REASON_OK);
	cr_expect_eq(on.level, CLEAT_LEVEL_REDUCED);
	cr_expect_eq(asked_fd, 9);
	cr_expect_eq(asked_pidfd, 11);
	stands = REASON_PEER_GONE;
	cr_expect_eq(ask(), REASON_PEER_GONE);
	stands = REASON_NOT_ESTABLISHED;
	cr_expect_eq(ask(), REASON_NOT_ESTABLISHED);
	/* whatever the level is now, who was known by a pidfd is asked for by it */
	stands = REASON_PEER_GONE;
	config.level = CLEAT_LEVEL_FULL;
	cr_expect_eq(ask(), REASON_PEER_GONE);
}
