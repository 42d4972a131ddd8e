/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow/sign: what it signs is what the facts say, under the identity policy gives; each refusal leaves no token; a
 * number is never given twice; identities are renewed at half life. The facts and the kernel's maps are played here.
 */
#include "flow/sign.h"

#include "base/clock.h"
#include "base/file.h"
#include "edge/bundle.h"
#include "edge/jose.h"
#include "edge/policy_yaml.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLER	"spiffe://prod.example/payments"
#define SERVICE "spiffe://prod.example/ledger"
#define NOW_S	1800000000ull
#define LOOPBACK                                                                                   \
	{                                                                                          \
		[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1                                     \
	}

/* ---- the world, played ---- */

static uint64_t now_s = NOW_S;
static bool synchronised = true, tag_same = true;
static enum reason facts = REASON_OK;
static struct connection_facts on;
static struct cleat_seq seq, others[4]; /* by descriptor */
static int seq_get_error, seq_put_error, seq_gets, seq_puts;

uint64_t clock_real_ns(void)
{
	return now_s * 1000000000;
}

bool clock_synchronised(void)
{
	return synchronised;
}

enum reason facts_connection(const struct facts_maps *maps, const struct policy_image *p,
			     const struct host_facts *host, const struct facts_asker *asker,
			     int sock_fd, struct connection_facts *ret)
{
	(void)maps;
	(void)p;
	(void)host;
	(void)asker;
	(void)sock_fd;
	*ret = on;
	return facts;
}

int kern_seq_get(int map, int sock_fd, struct cleat_seq *ret)
{
	(void)map;
	seq_gets++;
	*ret = sock_fd ? others[sock_fd] : seq;
	return seq_get_error;
}

int kern_seq_put(int map, int sock_fd, const struct cleat_seq *value)
{
	(void)map;
	seq_puts++;
	if (!seq_put_error)
		*(sock_fd ? &others[sock_fd] : &seq) = *value;
	return seq_put_error;
}

bool kern_tag_is(int map, int sock_fd, const struct cleat_tag *before)
{
	(void)map;
	(void)sock_fd;
	cr_assert_eq(memcmp(before, &on.tag, sizeof(on.tag)), 0);
	return tag_same;
}

/* ---- one host ---- */

static const char policy[] = "version: 1\n"
			     "trust_domain: prod.example\n"
			     "host: a\n"
			     "workloads:\n"
			     "  - { id: /payments, match: { cgroup: /payments } }\n"
			     "  - { id: /ledger, match: { cgroup: /ledger } }\n"
			     "call:\n"
			     "  - { from: /payments, to: [ /ledger ], life: 20s }\n"
			     "  - { from: /ledger, to: [ /payments ], as: server }\n";

static void *image;
static const struct policy_image *p;
static struct sign_identities *identities;
static struct seq_book *seqs;
static struct sig_key *host_key;
static struct sig_key *neighbour; /* in the bundle, too, as host b's */
static const struct host_facts host = { .ueid = { 1, 2, 3 }, .bootseed = { 4, 5, 6 } };
static struct cleat_caller caller;
static struct sign_ask ask;
static struct sign_result got;

static void bundle_write(int fd)
{
	struct bundle *b = bundle_new("prod.example");
	const char *const scopes[] = { "/" };
	struct point point;
	char *text;

	sig_key_point(host_key, &point);
	cr_assert_eq(bundle_add(b, &point, "spiffe://prod.example/host/a", scopes, 1), 0);
	sig_key_point(neighbour, &point);
	cr_assert_eq(bundle_add(b, &point, "spiffe://prod.example/host/b", scopes, 1), 0);
	cr_assert_eq(bundle_print(b, &text), 0);
	cr_assert_eq(mkdirat(fd, "trust", 0755), 0);
	cr_assert_eq(file_write(fd, "trust/prod.example.json", text, strlen(text), 0644), 0);
	free(text);
	bundle_free(b);
}

/* The policy as a daemon would read it; @previous as on a reload. */
static void policy_load(const char *text, const void *previous)
{
	char dir[] = "/tmp/sign-XXXXXX", error[512] = "";
	struct policy_source source = { .config_dir = dir,
					.previous = previous,
					.any_owner = true };
	size_t size;

	cr_assert(mkdtemp(dir));
	int fd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	cr_assert_eq(file_write(fd, "cleat.yaml", text, strlen(text), 0644), 0);
	bundle_write(fd);
	cr_assert_eq(policy_compile(&source, &image, &size, error, sizeof(error)), 0, "%s", error);
	unlinkat(fd, "cleat.yaml", 0);
	unlinkat(fd, "trust/prod.example.json", 0);
	unlinkat(fd, "trust", AT_REMOVEDIR);
	close(fd);
	rmdir(dir);
	p = image;
}

static void start(void)
{
	cr_assert_eq(sig_key_new(&host_key), 0);
	cr_assert_eq(sig_key_new(&neighbour), 0);
	policy_load(policy, NULL);
	cr_assert_eq(sign_identities_new(host_key, &host, &identities), 0);
	cr_assert_eq(seq_book_new(3, &seqs), 0);
	caller = (struct cleat_caller){ .owner = { 1, policy_workload_by_id(p, CALLER)->label,
						   1001 } };
	on = (struct connection_facts){
		.tag = { .conn = { .role = CLEAT_ROLE_CLIENT,
				   .generation = 1,
				   .client_addr = { [10] = 0xff, 0xff, 10, 0, 0, 1 },
				   .server_addr = { [10] = 0xff, 0xff, 10, 0, 0, 2 } },
			 .proc = { 77, 1, 812, 1 } },
		.cookie = 7,
		.est_ms = NOW_S * 1000 - 5,
		.level = CLEAT_LEVEL_FULL,
	};
	memset(on.cb, 0xcb, sizeof(on.cb));
	memset(on.ns, 0x22, sizeof(on.ns));
	ask = (struct sign_ask){ .audience = SERVICE,
				 .audience_len = strlen(SERVICE),
				 .seq = seqs };
}

static void stop(void)
{
	sign_identities_free(identities);
	seq_book_free(seqs);
	sig_key_free(host_key);
	sig_key_free(neighbour);
	free(image);
}

TestSuite(sign, .init = start, .fini = stop);

static enum reason run(void)
{
	static const struct facts_maps maps = { .tags = 1, .callers = 2 };

	const struct facts_asker asker = { &caller, CLEAT_LEVEL_FULL, -1 };

	memset(&got.wpt, 0xa5, 64);
	enum reason r = sign(p, identities, &maps, &host, &asker, &ask, &got);

	cr_assert((r == REASON_OK) == (got.wpt_len > 0), "no token with a refusal");
	cr_assert((r == REASON_OK) == (got.wit_len > 0));
	return r;
}

/* Both tokens read back as the other end would: by host key, then by the key the WIT names. */
static void read_back(struct wit *wit, struct wpt *wpt)
{
	struct jose a = { 0 }, b = { 0 };
	struct spiffe_id id;
	struct sig_key *proof;
	struct point cnf;
	uint8_t wth[32];

	cr_assert_eq(jose_parse(got.wit, got.wit_len, &a), REASON_OK);
	cr_assert_eq(jose_parse(got.wpt, got.wpt_len, &b), REASON_OK);
	cr_assert_eq(jose_check_type(&a, NAME_TYP_WIT), REASON_OK);
	cr_assert_eq(jose_check_type(&b, NAME_TYP_WPT), REASON_OK);
	cr_assert_eq(sig_verify(host_key, a.signing_input, a.signing_input_len, a.sig, a.sig_len),
		     REASON_OK);
	cr_assert_eq(jose_cnf(&a, &cnf), REASON_OK);
	cr_assert_eq(sig_key_of_point(&cnf, &proof), 0);
	cr_assert_eq(sig_verify(proof, b.signing_input, b.signing_input_len, b.sig, b.sig_len),
		     REASON_OK);
	cr_assert_eq(jose_sub(&a, wit->sub, &id), REASON_OK);
	cr_assert_eq(jose_iss(&a, wit->iss), REASON_OK);
	cr_assert_eq(jose_wit_times(&a, wit), REASON_OK);
	cr_assert_eq(jose_wpt_times(&b, wpt), REASON_OK);
	cr_assert_eq(jose_aud(&b, ask.audience, ask.audience_len), REASON_OK);
	cr_assert_eq(jose_conn(&b, wpt), REASON_OK);
	wit->cnf = cnf;
	cr_assert_eq(jose_wit(&a, wit), REASON_OK);
	cr_assert_eq(jose_wpt(&b, wpt), REASON_OK);
	cr_assert_eq(sig_sha256(got.wit, got.wit_len, wth), 0);
	cr_assert_eq(memcmp(wth, wpt->wth, 32), 0, "the proof is for this identity");
	cr_assert_null(json_object_get(a.claims, "aud"));
	jose_drop(&a);
	jose_drop(&b);
	sig_key_free(proof);
}

Test(sign, says_what_the_facts_say)
{
	static const uint8_t ath[32] = { 0xaa };
	uint8_t inst_bytes[BINDING_INST_LEN], inst[32];
	static struct wit wit;
	static struct wpt wpt;

	ask.ath = ath;
	cr_assert_eq(run(), REASON_OK);
	read_back(&wit, &wpt);
	cr_assert_str_eq(wit.sub, CALLER);
	cr_assert_str_eq(wit.iss, "spiffe://prod.example/host/a");
	cr_assert_eq(wit.exp, NOW_S + 3600);
	cr_assert_eq(memcmp(wit.ueid, host.ueid, UEID_LEN), 0);
	cr_assert_eq(memcmp(wit.bootseed, host.bootseed, BOOTSEED_LEN), 0);
	cr_assert_eq(wpt.iat, NOW_S);
	cr_assert_eq(wpt.exp, NOW_S + 20, "the rule's life");
	cr_assert_eq(wpt.role, CLEAT_ROLE_CLIENT);
	cr_assert_eq(wpt.level, CLEAT_LEVEL_FULL);
	cr_assert_eq(wpt.est_ms, on.est_ms);
	cr_assert_eq(wpt.seq, 1);
	cr_assert_eq(memcmp(wpt.cb, on.cb, 32), 0);
	cr_assert(!wpt.has_ns && wpt.has_ath && !wpt.has_tth && !wpt.has_oth && !wpt.has_exe);
	cr_assert_eq(memcmp(wpt.ath, ath, 32), 0);
	binding_inst(host.bootseed, &on.tag.proc, inst_bytes);
	sig_sha256(inst_bytes, sizeof(inst_bytes), inst);
	cr_assert_eq(memcmp(wpt.inst, inst, 32), 0);
	cr_assert_eq(got.rule->line, 8);

	on.local = true;
	on.level = CLEAT_LEVEL_REDUCED;
	ask.ath = NULL;
	ask.tth = ath;
	cr_assert_eq(run(), REASON_OK);
	read_back(&wit, &wpt);
	cr_assert(wpt.has_ns && !wpt.has_ath && wpt.has_tth);
	cr_assert_eq(memcmp(wpt.ns, on.ns, 32), 0);
	cr_assert_eq(wpt.level, CLEAT_LEVEL_REDUCED, "never more than the facts");
	cr_assert_eq(wpt.seq, 2);
}

static void link_local(uint8_t server)
{
	memcpy(on.tag.conn.client_addr, (uint8_t[16]){ 0xfe, 0x80, [15] = 1 }, 16);
	memcpy(on.tag.conn.server_addr, (uint8_t[16]){ 0xfe, 0x80, [15] = server }, 16);
	on.local = true;
}

/* Each row changes one thing; @signed_anyway: it must be signed all the same. */
#define ROWS(X)                                                                                    \
	X("good", (void)0, OK)                                                                     \
	X("no workload", caller.owner.label = 0, NO_WORKLOAD)                                      \
	X("a label policy forgot", caller.owner.label = 999, NO_WORKLOAD)                          \
	X("not the caller's", facts = REASON_NOT_OWNER, NOT_OWNER)                                 \
	X("forged", facts = REASON_FORGED, FORGED)                                                 \
	X("an audience no rule names", ask.audience = SERVICE "x", POLICY)                         \
	X("half an audience", (ask.audience = "spiffe://prod.example/ledge", ask.audience_len--),  \
	  POLICY)                                                                                  \
	X("the caller itself", ask.audience = CALLER, POLICY)                                      \
	X("the other end", on.tag.conn.role = CLEAT_ROLE_SERVER, POLICY)                           \
	X("another's rule", caller.owner.label = policy_workload_by_id(p, SERVICE)->label, POLICY) \
	X("no clock", synchronised = false, CLOCK)                                                 \
	X("link-local between hosts", link_local(2), LINK_LOCAL)                                   \
	X("link-local to itself", link_local(1), OK)                                               \
	X("no counter", (on.cookie = 8, seq_get_error = -ENOENT), UNTAGGED)                        \
	X("a counter that cannot be read", (on.cookie = 8, seq_get_error = -EIO), BUSY)            \
	X("a counter that cannot be written", seq_put_error = -ENOMEM, BUSY)                       \
	X("no number left", (on.cookie = 8, seq.generation = 1, seq.last = SEQ_MAX), BUSY)         \
	X("the last number", (on.cookie = 8, seq.generation = 1, seq.last = SEQ_MAX - 1), OK)      \
	X("a connection without a generation", on.tag.conn.generation = 0, BUSY)                   \
	X("connected anew meanwhile", tag_same = false, BUSY)

#define ROW(n, what, change, expect)                                                               \
	Test(sign, row_##n)                                                                        \
	{                                                                                          \
		cr_assert_eq(run(), REASON_OK);                                                    \
		change;                                                                            \
		enum reason r = run();                                                             \
		cr_expect(r != REASON_OK || REASON_##expect == REASON_OK,                          \
			  "accepted: twin=sign_unchanged: %s", what);                              \
		cr_assert_eq(r, REASON_##expect, "%s: %s", what, reason_word(r));                  \
	}
#define PASTE(n, what, change, expect) ROW(n, what, change, expect)
#define X(what, change, expect)	       PASTE(__COUNTER__, what, change, expect)
ROWS(X)
#undef X

Test(sign, a_number_is_never_given_twice)
{
	for (uint64_t n = 1; n < 50; n++) {
		if (n % 7 == 0) { /* spent, though nothing was signed */
			tag_same = false;
			cr_assert_eq(run(), REASON_BUSY);
			tag_same = true;
			continue;
		}
		cr_assert_eq(run(), REASON_OK);
		cr_assert_eq(got.claims.seq, n);
	}
	on.tag.conn.generation = 2; /* another connection on the same socket */
	cr_assert_eq(run(), REASON_OK);
	cr_assert_eq(got.claims.seq, 1);
	cr_assert_eq(seq.generation, 2);

	ask.sock_fd = 1; /* another socket, between two of the first's */
	on.cookie = 8;
	for (uint64_t n = 1; n < 40; n++) {
		cr_assert_eq(run(), REASON_OK);
		cr_assert_eq(got.claims.seq, n);
		cr_assert(others[1].last >= n && others[1].generation == 2);
	}
	ask.sock_fd = 0;
	on.cookie = 7;
	cr_assert_eq(run(), REASON_OK);
	cr_assert_eq(got.claims.seq, 2);
}

/* The next number of socket @fd, as asked without a signature. */
static uint64_t numbered(int fd, uint64_t cookie, uint32_t generation)
{
	uint64_t n = 0;

	cr_assert_eq(seq_next(seqs, fd, cookie, generation, &n), REASON_OK);
	cr_assert_geq(others[fd].last, n, "accepted: the next daemon gives %ju again",
		      (uintmax_t)n);
	cr_assert_eq(others[fd].generation, generation);
	return n;
}

Test(sign, a_number_that_is_remembered_is_not_asked_for)
{
	uint64_t n;

	others[1] = (struct cleat_seq){ .generation = 1, .last = 41 }; /* by the daemon before */
	cr_assert_eq(numbered(1, 7, 1), 42);
	cr_assert_eq(seq_gets, 1);
	cr_assert_eq(numbered(1, 7, 1), 43);
	cr_assert_eq(seq_gets, 1);
	cr_assert_eq(numbered(1, 7, 2), 1, "another connection");
	cr_assert_eq(numbered(1, 7, 2), 2);
	cr_assert_eq(numbered(2, 7 + 1024, 1), 1, "another socket in its place");
	cr_assert_eq(numbered(1, 7, 2), 3);
	cr_assert_eq(numbered(2, 7 + 1024, 1), 2);
	seq_put_error = -ENOMEM;
	cr_assert_eq(seq_next(seqs, 2, 7 + 1024, 1, &n), REASON_BUSY);
	seq_put_error = 0;
	cr_assert_eq(numbered(2, 7 + 1024, 1), 3);
	cr_assert_eq(numbered(3, 0, 1), 1, "without a cookie nothing is remembered");
	seq_gets = 0;
	cr_assert_eq(numbered(3, 0, 1), 2);
	cr_assert_eq(seq_gets, 1);
	others[2].last = SEQ_MAX - 1;
	cr_assert_eq(numbered(1, 7, 2), 4);
	cr_assert_eq(numbered(2, 7 + 1024, 1), SEQ_MAX);
	cr_assert_eq(seq_next(seqs, 2, 7 + 1024, 1, &n), REASON_BUSY, "the last is remembered");
}

/* Two busy connections in one place: none of their numbers is left out, or the receiver's window would hold few of them. */
Test(sign, numbers_of_two_in_one_place)
{
	for (uint64_t n = 1; n < 200; n++) {
		cr_assert_eq(numbered(1, 7, 1), n);
		cr_assert_eq(numbered(2, 7 + 1024, 1), n);
	}
}

/* Daemon after daemon, each with what the kernel was told: no number twice, none lost while one lives, and none where it could
 * not be told. */
Test(sign, numbers_written_ahead)
{
	uint64_t last = 0, n;
	int puts;

	for (int daemon = 0; daemon < 80; daemon++) {
		puts = seq_puts;
		for (int i = 0; i < daemon; i++) {
			n = numbered(1, 9, 1);
			cr_assert(i == 0 ? n > last && n <= last + 16 : n == last + 1,
				  "daemon %d: %ju after %ju", daemon, (uintmax_t)n,
				  (uintmax_t)last);
			last = n;
		}
		if (daemon > 20)
			cr_assert_leq(seq_puts - puts, 16 + daemon / 16);
		seq_book_free(seqs);
		cr_assert_eq(seq_book_new(3, &seqs), 0);
	}
	n = numbered(1, 9, 1);
	while (others[1].last > n) /* what was written ahead needs no write */
		n = numbered(1, 9, 1);
	seq_put_error = -ENOMEM;
	cr_assert_eq(seq_next(seqs, 1, 9, 1, &last), REASON_BUSY);
	seq_put_error = 0;
	cr_assert_eq(numbered(1, 9, 1), n + 1, "nothing was given meanwhile");
	cr_assert_eq(numbered(2, 11, 1), 1);
	cr_assert_eq(others[2].last, 1, "most connections have one");
}

static uint64_t identity_seen(char jti[JTI_MAX + 1], struct point *cnf)
{
	static struct wit wit;
	static struct wpt wpt;

	cr_assert_eq(run(), REASON_OK);
	read_back(&wit, &wpt);
	strcpy(jti, wit.jti);
	*cnf = wit.cnf;
	return (uint64_t)wit.exp;
}

Test(sign, identities_are_renewed_at_half_life_with_a_fresh_key)
{
	char first[JTI_MAX + 1], then[JTI_MAX + 1];
	struct point key, other;

	cr_assert_eq(identity_seen(first, &key), NOW_S + 3600);
	now_s = NOW_S + 1799;
	cr_assert_eq(identity_seen(then, &other), NOW_S + 3600,
		     "the same until half of it is over");
	cr_assert_str_eq(first, then);
	now_s = NOW_S + 1800;
	cr_assert_eq(identity_seen(then, &other), NOW_S + 1800 + 3600);
	cr_assert_str_neq(first, then);
	cr_assert_neq(memcmp(&key, &other, sizeof(key)), 0, "and a fresh key");
	now_s = NOW_S - 86400; /* the clock was set back: what is from the future is useless */
	cr_assert_eq(identity_seen(first, &key), now_s + 3600);
}

static bool signed_by(struct sig_key *key)
{
	struct jose a = { 0 };
	enum reason r;

	cr_assert_eq(run(), REASON_OK);
	cr_assert_eq(jose_parse(got.wit, got.wit_len, &a), REASON_OK);
	r = sig_verify(key, a.signing_input, a.signing_input_len, a.sig, a.sig_len);
	jose_drop(&a);
	return r == REASON_OK;
}

/* During rotation: the next key signs as soon as this host's own bundle names it for this host; not before, and not as
 * another host's. The bundle names host_key for this host and neighbour for host b. */
Test(sign, the_next_key_signs_once_it_is_trusted)
{
	owned(sig_key_owned) struct sig_key *fresh = NULL;

	cr_assert_eq(sig_key_new(&fresh), 0);
	const struct {
		const char *what;
		struct sig_key *current, *next, *signs;
	} rows[] = {
		{ "no rotation", host_key, NULL, host_key },
		{ "the next one is in no bundle", host_key, fresh, host_key },
		{ "the next one is another host's", host_key, neighbour, host_key },
		{ "the next one is trusted", fresh, host_key, host_key },
		{ "the next one was withdrawn", fresh, NULL, fresh },
		{ "finished", host_key, NULL, host_key },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(sign_identities_keys(identities, p, rows[i].current, rows[i].next), 0);
		cr_expect(signed_by(rows[i].signs), "%s", rows[i].what);
	}
}

Test(sign, identities_follow_the_policy)
{
	char text[sizeof(policy)], first[JTI_MAX + 1], then[JTI_MAX + 1];
	struct point key, other;
	void *before = image;

	identity_seen(first, &key);
	policy_load(policy, before);
	free(before);
	sign_identities_renew(identities, p);
	identity_seen(then, &other);
	cr_assert_str_eq(first, then, "a reload that changes nothing renews nothing");

	before = image;
	strcpy(text, policy);
	*strstr(text, "host: a") = '#';
	strcpy(strstr(text, "#ost: a"), "host: b");
	strcat(text, strstr(policy, "host: a") + 7);
	policy_load(text, before);
	free(before);
	sign_identities_renew(identities, p);
	identity_seen(then, &other);
	cr_assert_str_neq(first, then, "another host name is another issuer");
}

Test(sign, no_two_presentations_share_a_jti)
{
	static char seen[200][JTI_MAX + 1];

	for (unsigned i = 0; i < 200; i++) {
		cr_assert_eq(run(), REASON_OK);
		strcpy(seen[i], got.claims.jti);
		cr_assert_eq(strlen(seen[i]), 22);
		for (unsigned k = 0; k < i; k++)
			cr_assert_str_neq(seen[i], seen[k]);
	}
}
