/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One cb, one socket; each number once; both or none; a full map or share refuses and never forgets (token.md 5,
 * attacks.md 24, 29, 43). The kernel's maps are played by this file, so that they can be full or fail.
 */
#include "room/memory.h"

#include "base/clock.h"
#include "model/policy.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define S 1000000000ull

/* ---- the kernel side, played ---- */

static struct {
	struct cleat_cb_key key;
	struct cleat_cb value;
} cbs[CLEAT_CB_MAX];
static unsigned cb_count, cb_cap = CLEAT_CB_MAX, looked, cb_gets;
static struct cleat_window window;
static int window_get_error, window_put_error;
static bool tag_changed;
static struct connection_facts on; /* the connection in hand */
static uint64_t now = 100 * S;

uint64_t clock_boot_ns(void)
{
	return now;
}

int kern_cb_get(int map, const struct cleat_cb_key *key, struct cleat_cb *ret)
{
	(void)map;
	cb_gets++;
	for (unsigned i = 0; i < cb_count; i++)
		if (memcmp(&cbs[i].key, key, sizeof(*key)) == 0)
			return *ret = cbs[i].value, 0;
	return -ENOENT;
}

int kern_cb_put(int map, const struct cleat_cb_key *key, const struct cleat_cb *value)
{
	(void)map;
	for (unsigned i = 0; i < cb_count; i++)
		if (memcmp(&cbs[i].key, key, sizeof(*key)) == 0)
			return cbs[i].value = *value, 0;
	if (cb_count == cb_cap)
		return -E2BIG;
	cbs[cb_count].key = *key;
	cbs[cb_count++].value = *value;
	return 0;
}

int kern_cb_sweep(int map, uint64_t boot_ns, struct kern_cb_walk *walk, unsigned most,
		  void (*each)(void *ctx, const struct cleat_cb *value, bool gone), void *ctx)
{
	(void)map;
	looked = 0;
	while (walk->seen < cb_count && looked < most) { /* seen: where it is */
		struct cleat_cb value = cbs[walk->seen].value;
		bool gone = value.until_ns < boot_ns;

		if (gone)
			cbs[walk->seen] = cbs[--cb_count];
		else
			walk->seen++;
		looked++;
		each(ctx, &value, gone);
	}
	if (walk->seen < cb_count)
		return 1;
	walk->seen = 0;
	return 0;
}

int kern_window_get(int map, int sock_fd, struct cleat_window *ret)
{
	(void)map;
	(void)sock_fd;
	*ret = window;
	return window_get_error;
}

int kern_window_put(int map, int sock_fd, const struct cleat_window *w)
{
	(void)map;
	(void)sock_fd;
	if (!window_put_error)
		window = *w;
	return window_put_error;
}

bool kern_tag_is(int map, int sock_fd, const struct cleat_tag *before)
{
	(void)map;
	cr_assert_eq(sock_fd, 9);
	cr_assert_eq(memcmp(before, &on.tag, sizeof(*before)), 0);
	return !tag_changed;
}

/* ---- a world ---- */

static struct memory *m;

static void start(void)
{
	cr_assert_eq(memory_new(1, 2, 3, &m), 0);
	on = (struct connection_facts){ .cookie = 7,
					.tag = { .owner.label = 5, .conn.generation = 1 } };
	memset(on.cb, 0xcb, sizeof(on.cb));
}

static void stop(void)
{
	memory_free(m);
}

TestSuite(memory, .init = start, .fini = stop);

static enum reason consume(uint64_t seq)
{
	return memory_consume(m, 9, &on, 1, seq, now + 60 * S);
}

Test(memory, each_number_once)
{
	cr_assert_eq(consume(1), REASON_OK);
	cr_assert_eq(consume(1), REASON_REPLAYED);
	cr_assert_eq(consume(3), REASON_OK);
	cr_assert_eq(consume(2), REASON_OK);
	cr_assert_eq(consume(2), REASON_REPLAYED);
	cr_assert_eq(cb_count, 1, "one connection, one entry");
}

Test(memory, another_socket_is_refused_while_it_is_remembered)
{
	cr_assert_eq(consume(1), REASON_OK);
	static const struct {
		const char *what;
		uint64_t cookie;
		uint32_t generation, role;
		uint64_t later;
		enum reason expect;
	} rows[] = {
		{ "the same", 7, 1, 1, 0, REASON_OK },
		{ "another socket", 8, 1, 1, 0, REASON_OTHER_SOCKET },
		{ "the same socket, connected anew", 7, 2, 1, 0, REASON_OTHER_SOCKET },
		{ "the other end: loopback has both", 8, 1, 2, 0, REASON_OK },
		{ "another socket, a moment too early", 8, 1, 1, 60 * S - 1, REASON_OTHER_SOCKET },
		{ "another socket, when nobody can present it any more", 8, 1, 1, 60 * S,
		  REASON_OK },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct connection_facts other = on;

		other.cookie = rows[i].cookie;
		other.tag.conn.generation = rows[i].generation;
		now = 100 * S + rows[i].later;
		cr_assert_eq(memory_look(m, &other, rows[i].role), rows[i].expect, "%s",
			     rows[i].what);
	}
	/* and the same at the very end, where it counts */
	now = 100 * S;
	on.cookie = 8;
	cr_assert_eq(consume(1), REASON_REPLAYED);
	memset(&window, 0, sizeof(window));
	cr_assert_eq(consume(1), REASON_OTHER_SOCKET);
	cr_assert_eq(window.highest, 0, "nothing was marked");
}

Test(memory, the_latest_accept_counts)
{
	cr_assert_eq(memory_consume(m, 9, &on, 1, 1, now + 60 * S), REASON_OK);
	cr_assert_eq(memory_consume(m, 9, &on, 1, 2, now + 10 * S), REASON_OK);
	cr_assert_eq(cbs[0].value.until_ns, now + 60 * S, "never shortened");
	cr_assert_eq(memory_consume(m, 9, &on, 1, 3, now + 90 * S), REASON_OK);
	cr_assert_eq(cbs[0].value.until_ns, now + 90 * S);
}

Test(memory, both_or_none)
{
	window_put_error = -EIO;
	cr_assert_eq(consume(1), REASON_BUSY);
	struct connection_facts other = on;

	other.cookie = 8;
	cr_assert_eq(memory_look(m, &other, 1), REASON_OK, "the cb is not taken");
	window_put_error = 0;
	cr_assert_eq(consume(1), REASON_OK, "and the number neither");

	window_get_error = -ENOENT;
	cr_assert_eq(consume(2), REASON_UNTAGGED);
	window_get_error = -EIO;
	cr_assert_eq(consume(2), REASON_BUSY);
	window_get_error = 0;
	tag_changed = true;
	enum reason anew = consume(2);

	cr_expect(anew != REASON_OK, "accepted: twin=verify_unchanged: connected anew meanwhile");
	cr_assert(anew == REASON_BUSY);
	tag_changed = false;
	cr_assert_eq(consume(2), REASON_OK);
}

/* What one request found counts for that one alone. */
Test(memory, a_look_is_not_kept)
{
	const struct connection_facts first = on;

	cr_assert_eq(memory_look(m, &on, 1), REASON_OK);
	cr_assert_eq(cb_gets, 1);
	cr_assert_eq(consume(1), REASON_OK);
	cr_assert_eq(cb_gets, 1, "asked once");
	cr_assert_eq(consume(2), REASON_OK);
	cr_assert_eq(cb_gets, 2, "without a look before it asks itself");

	memset(cbs, 0, sizeof(cbs));
	cb_count = 0;
	cr_assert_eq(memory_look(m, &first, 1), REASON_OK, "free; and refused for something else");
	on.cookie = 8;
	cr_assert_eq(memory_look(m, &on, 1), REASON_OK);
	cr_assert_eq(consume(3), REASON_OK, "another socket has it");
	on = first;
	cr_assert_eq(memory_look(m, &on, 1), REASON_OTHER_SOCKET);
	cr_assert_eq(consume(4), REASON_OTHER_SOCKET);
}

static void fill(unsigned n, uint32_t label)
{
	for (unsigned i = 0; i < n && cb_count < cb_cap; i++) {
		struct cleat_cb_key key = { .role = 1 };

		memcpy(key.cb, &i, sizeof(i));
		memcpy(key.cb + 4, &label, sizeof(label));
		cbs[cb_count].key = key;
		cbs[cb_count++].value =
			(struct cleat_cb){ .label = label, .until_ns = now + 60 * S };
	}
}

/* In the broken twin it says so in these words. */
static void busy(enum reason r, const char *what)
{
	cr_expect(r != REASON_OK, "accepted: twin=cb_full: %s", what);
	cr_expect(r == REASON_OK || r == REASON_BUSY, "%s: %s", what, reason_word(r));
}

Test(memory, attack_098_a_full_map_refuses_and_a_renewal_needs_no_place)
{
	cr_assert_eq(consume(1), REASON_OK);
	cb_cap = 10;
	fill(20, 6);
	cr_assert_eq(consume(2), REASON_OK, "renewed in its place");
	on.cb[0] ^= 1;
	on.cookie = 8;
	busy(consume(3), "no place in the map");
	cr_assert_eq(window.highest, 2, "and the number is not spent");
	now += 61 * S;
	memory_sweep(m);
	cr_assert_eq(consume(3), REASON_OK, "what ended makes room");
}

Test(memory, attack_098_a_share_is_a_quarter_and_others_have_theirs)
{
	fill(CLEAT_CB_MAX / 4, 5);
	memory_sweep(m);
	busy(consume(1), "no place in the share");
	on.tag.owner.label = 6;
	cr_assert_eq(consume(1), REASON_OK, "another workload's");
	on.tag.owner.label = 5;
	on.cb[0] ^= 1;
	busy(consume(2), "nor a little later");
	now += 61 * S;
	cr_assert_eq(consume(2), REASON_OK, "a full share looks for what ended by itself");
}

/* Whoever has the map's descriptor may have written there: an entry is nobody's share, and costs nobody memory. */
Test(memory, a_label_that_is_none)
{
	static const uint32_t labels[] = { POLICY_LABEL_MAX, 0x7fffffff, 0xffffffc0, 0xffffffff };

	fill(1, 700);
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		fill(3, labels[i]);
	memory_sweep(m);
	memory_sweep(m);
	cr_assert_eq(consume(1), REASON_OK, "an honest one has its place");
	on.tag.owner.label = 0xffffffc0;
	on.cb[0] ^= 1;
	busy(consume(2), "no place for what is no label");
	on.tag.owner.label = POLICY_LABEL_MAX - 1;
	cr_assert_eq(consume(3), REASON_OK, "the last label is one");
}

/* One more accept of @label, on a connection that was not there before. */
static enum reason one_more(uint32_t label)
{
	static uint64_t serial;

	on.tag.owner.label = label;
	memcpy(on.cb, &(uint64_t){ ~++serial }, sizeof(serial));
	memset(&window, 0, sizeof(window));
	return consume(1);
}

Test(memory, attack_098_who_takes_all_leaves_as_much_for_the_next)
{
	const unsigned quarter = CLEAT_CB_MAX / 4;

	for (uint32_t label = 11; label < 14; label++)
		fill(quarter, label);
	fill(quarter / 2 - 1, 14); /* so much more, and there is no more free than that */
	memory_sweep(m);
	cr_assert_eq(one_more(14), REASON_OK);
	busy(one_more(14), "it has as much as is free");
	busy(one_more(11), "and others more");
	cr_assert_eq(one_more(15), REASON_OK, "who comes next finds a place");
	fill(quarter / 2 - 2, 15);
	memory_sweep(m);
	busy(one_more(15), "but not the last ones");
	cr_assert_eq(one_more(16), REASON_OK, "they are the next one's");
}

Test(memory, a_place_is_counted_for_who_has_it)
{
	cr_assert_eq(one_more(6), REASON_OK);
	struct connection_facts overtaken = on;

	fill(CLEAT_CB_MAX / 4 - 1, 5);
	memory_sweep(m);
	now += 60 * S; /* past, and not swept */
	for (unsigned i = 0; i < cb_count; i++)
		if (cbs[i].value.label == 5)
			cbs[i].value.until_ns = now + 60 * S;
	on = overtaken;
	on.tag.owner.label = 5;
	window_put_error = -EIO;
	memset(&window, 0, sizeof(window));
	cr_assert_eq(consume(1), REASON_BUSY);
	window_put_error = 0;
	cr_assert_eq(consume(1), REASON_OK, "the share has one place more: none was lost");
	busy(one_more(5), "and now none");
	cr_assert_eq(one_more(6), REASON_OK);
}

/* The room has one thread: no request waits for the whole map. */
Test(memory, a_sweep_is_made_of_slices)
{
	unsigned slices = 1;

	fill(CLEAT_CB_MAX / 4, 5);
	memory_sweep(m);
	now += S;
	busy(one_more(5), "nothing is past");
	cr_assert_eq(looked, 512);
	looked = 0;
	busy(one_more(5), "nor now");
	cr_assert_eq(looked, 0, "not looked for again at once");
	while (memory_sweep_slice(m))
		;
	now += 61 * S;
	while (memory_sweep_slice(m)) {
		cr_assert_leq(looked, 512);
		slices++;
	}
	cr_expect_eq(cb_count, 0);
	cr_expect_geq(slices, CLEAT_CB_MAX / 4 / 512);
	fill(CLEAT_CB_MAX / 4 - 1, 5); /* not counted: none of these came by the room */
	cr_assert_eq(one_more(5), REASON_OK);
}

Test(memory, peers_are_of_one_connection)
{
	static struct verify_verdict v = { .wpt.level = 2 };
	struct connection_facts other = on;

	strcpy(v.wit.sub, "spiffe://d/a");
	strcpy(v.wit.iss, "spiffe://d/host/h");
	cr_assert_null(memory_peer(m, &on));
	memory_peer_set(m, &on, &v);
	memory_peer_set(m, &on, &v);
	cr_assert_str_eq(memory_peer(m, &on)->subject, "spiffe://d/a");
	other.tag.conn.generation = 2;
	cr_assert_null(memory_peer(m, &other));
	other = on;
	other.cookie = 8;
	cr_assert_null(memory_peer(m, &other));
	for (uint64_t c = 100; c < 10000; c++) {
		other.cookie = c;
		memory_peer_set(m, &other, &v);
		cr_assert_not_null(memory_peer(m, &other));
	}
	cr_assert(!memory_peer(m, &on) || memory_peer(m, &on)->cookie == on.cookie);
}
