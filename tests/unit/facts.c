/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow/facts on one look at a tag: nobody is refused for half of one, and who asks must live. The kernel's maps and the
 * socket layer are played here.
 */
#include "flow/facts.h"

#include "edge/peer.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* ---- the world, played ---- */

static struct cleat_config config;
static struct cleat_tag tag;
static bool tagged;
static enum reason stands;
static int asked_fd, asked_pidfd;
static const struct policy_workload workload = { .label = 1 };

int kern_config_look(const struct cleat_config *view, struct cleat_config *ret)
{
	*ret = *view;
	return 0;
}

/* What is seen first is @half, so often; then @tag, in which it may go on writing. */
static struct cleat_tag half;
static int halves;
static bool writing;
static unsigned peeks;

int kern_tag_peek(int map, int sock_fd, struct cleat_tag *ret)
{
	(void)map, (void)sock_fd;
	peeks++;
	*ret = halves > 0 ? half : tag;
	halves--;
	return tagged ? 0 : -ENOENT;
}

bool kern_tag_is(int map, int sock_fd, const struct cleat_tag *before)
{
	(void)map, (void)sock_fd;
	return !writing && memcmp(before, &tag, sizeof(tag)) == 0;
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
	tagged = true;
	writing = false;
	halves = 0;
	peeks = 0;
	stands = REASON_OK;
	asked_fd = asked_pidfd = -2;
}

TestSuite(facts, .init = start);

static enum reason ask(void)
{
	return facts_connection(&maps, &image, &host, &asker, 9, &on);
}

Test(facts, nobody_is_refused_for_half_a_tag)
{
	cr_assert_eq(ask(), REASON_OK);
	cr_expect_eq(peeks, 1, "the hot path looks once");
	half = tag;
	half.owner.label = 2;
	halves = 3;
	cr_expect_eq(ask(), REASON_OK, "accepted: twin=facts_again: half a tag refuses");
	cr_expect_eq(on.tag.owner.label, 1);
	half = tag;
	half.epoch = 0;
	halves = 1;
	cr_expect_eq(ask(), REASON_OK, "accepted: twin=facts_again: half a tag refuses");

	tag.owner.label = 2;
	peeks = 0;
	cr_expect_eq(ask(), REASON_NOT_OWNER, "it stands");
	cr_expect_eq(peeks, 1);
	cr_expect_eq(on.tag.owner.label, 2, "whose it is, for the account");
	writing = true;
	cr_expect_eq(ask(), REASON_BUSY, "accepted: twin=facts_again: being written all the time");
}

Test(facts, without_a_tag)
{
	tagged = false;
	writing = true;
	cr_assert_eq(ask(), REASON_UNTAGGED);
	config.epoch = 0;
	cr_assert_eq(ask(), REASON_NOT_ARMED);
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
