// SPDX-License-Identifier: Apache-2.0
/*
 * token-vectors FILE...: cases of the form of vectors/cleat/token_cases.json through the daemon's own verify(). Each
 * case brings the verifier's world with it: an image is compiled from the file's bundle, the kernel's answers are
 * those written in ctx. Accept or reject is judged; which reason it was is not. -v as first argument prints each.
 */
#include "edge/policy_yaml.h"
#include "flow/verify.h"
#include "model/window.h"
#include "vectors.h"

static bool verbose;

/* The verifier's world of one case. */
struct world {
	struct connection_facts on;
	struct cleat_window window;
	bool cb_elsewhere;
};

static enum reason on_connection(void *ctx, struct connection_facts *ret)
{
	*ret = ((struct world *)ctx)->on;
	return REASON_OK;
}

static bool on_stands(void *ctx, const struct connection_facts *on)
{
	(void)ctx;
	(void)on;
	return true;
}

static enum reason on_cb_check(void *ctx, const struct connection_facts *on, uint32_t role)
{
	(void)on;
	(void)role;
	return ((struct world *)ctx)->cb_elsewhere ? REASON_OTHER_SOCKET : REASON_OK;
}

static enum reason on_consume(void *ctx, const struct connection_facts *on, uint32_t role,
			      uint64_t seq, double until_s)
{
	struct world *w = ctx;

	(void)role;
	(void)until_s;
	return window_admit(&w->window, on->tag.conn.generation, seq);
}

static uint32_t role_named(const char *word)
{
	if (!strcmp(word, "client"))
		return CLEAT_ROLE_CLIENT;
	return !strcmp(word, "server") ? CLEAT_ROLE_SERVER : CLEAT_ROLE_NONE;
}

/* A number of ctx, or @otherwise where there is none. */
static double number(const json_t *ctx, const char *name, double otherwise)
{
	const json_t *j = json_object_get(ctx, name);

	return json_is_number(j) ? json_number_value(j) : otherwise;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void seen_before(struct cleat_window *w, const json_t *list)
{
	size_t n = json_array_size(list);
	owned_mem uint64_t *seq = calloc(n + 1, sizeof(*seq));

	for (size_t i = 0; seq && i < n; i++)
		seq[i] = (uint64_t)json_integer_value(json_array_get(list, i));
	if (seq)
		qsort(seq, n, sizeof(*seq), by_size);
	for (size_t i = 0; seq && i < n; i++)
		window_admit(w, 1, seq[i]);
}

/* False where ctx is not one we understand. */
static bool world_of(const json_t *ctx, uint32_t role, struct world *ret)
{
	const json_t *cb = json_object_get(ctx, "conn_binding");
	struct world w = { .on = { .level = CLEAT_LEVEL_FULL } };
	size_t len;

	w.on.tag.conn.generation = 1;
	w.on.tag.conn.role = role == CLEAT_ROLE_CLIENT ? CLEAT_ROLE_SERVER : CLEAT_ROLE_CLIENT;
	w.on.est_ms = (uint64_t)number(ctx, "conn_established_ms", 0);
	if (b64url_decode(text_of(ctx, "conn_binding"), json_string_length(cb), w.on.cb, 32, &len) <
		    0 ||
	    len != 32)
		return false;
	w.cb_elsewhere = json_is_true(json_object_get(ctx, "cb_on_other_socket"));
	seen_before(&w.window, json_object_get(ctx, "seq_seen"));
	*ret = w;
	return role != CLEAT_ROLE_NONE;
}

static int image_of(const char *trust_domain, const char *bundle, const json_t *ctx, void **ret)
{
	uint32_t level = !strcmp(text_of(ctx, "require_level"), "full") ? CLEAT_LEVEL_FULL
									: CLEAT_LEVEL_REDUCED;
	double leeway = number(ctx, "leeway", LEEWAY_S);
	double tolerance = number(ctx, "est_tolerance_ms", EST_TOLERANCE_MS);
	char error[512] = "";
	size_t size;
	int err;

	err = policy_compile_single(
		trust_domain, bundle, strlen(bundle), text_of(ctx, "aud"), level,
		(unsigned)(leeway > LEEWAY_MAX_S ? LEEWAY_MAX_S : leeway),
		(unsigned)(tolerance > EST_TOLERANCE_MAX_MS ? EST_TOLERANCE_MAX_MS : tolerance),
		ret, &size, error, sizeof(error));
	if (err < 0)
		printf("no image: %s\n", error);
	return err;
}

static enum reason verdict_of(const struct policy_image *image, const json_t *c, uint32_t role,
			      struct world *w)
{
	static const struct host_facts host;
	owned_mem struct verify_verdict *verdict = calloc(1, sizeof(*verdict));
	const json_t *ctx = json_object_get(c, "ctx");
	const json_t *wit = json_object_get(c, "wit"), *wpt = json_object_get(c, "wpt");
	const struct policy_workload *service = policy_workload_by_id(image, text_of(ctx, "aud"));
	struct verify_cache *cache = NULL;
	struct verify_ask ask = {
		.wit = text_of(c, "wit"),
		.wit_len = json_string_length(wit),
		.wpt = text_of(c, "wpt"),
		.wpt_len = json_string_length(wpt),
		.service = service ? service->label : 0,
		.expect_role = role,
	};
	struct verify_world world = {
		.ctx = w,
		.now_s = number(ctx, "now", 0),
		.wpt_life_max_s = (unsigned)number(ctx, "max_wpt_lifetime", WPT_LIFE_MAX_S),
		.host = &host,
		.connection = on_connection,
		.stands = on_stands,
		.cb_check = on_cb_check,
		.consume = on_consume,
	};
	enum reason r;

	if (!verdict || verify_cache_new(4, &cache) < 0)
		return REASON_INTERNAL;
	r = verify(image, cache, &ask, &world, verdict);
	verify_cache_free(cache);
	return r;
}

static void run_case(struct tally *t, const json_t *set, const char *bundle, const json_t *c)
{
	const json_t *ctx = json_object_get(c, "ctx");
	uint32_t role = role_named(text_of(ctx, "expect_role"));
	const char *expect = text_of(c, "expect");
	bool accept = strstr(expect, "accept") == expect;
	owned_mem void *image = NULL;
	struct world w;
	enum reason r;

	if (!world_of(ctx, role, &w) ||
	    image_of(text_of(set, "trust_domain"), bundle, ctx, &image) < 0) {
		judge(t, false, "%s: its ctx cannot be built", text_of(c, "id"));
		return;
	}
	r = verdict_of(image, c, role, &w);
	if (verbose)
		printf("%-50s %-28s %s\n", text_of(c, "id"), expect, reason_word(r));
	judge(t, (r == REASON_OK) == accept, "%s: %s, but verify says %s", text_of(c, "id"), expect,
	      reason_word(r));
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);
	const json_t *cases = json_object_get(set, "cases");
	owned_mem char *bundle = NULL;

	if (!set)
		return;
	bundle = json_dumps(json_object_get(set, "bundle"), 0);
	if (!bundle) {
		judge(t, false, "%s: no bundle in it", path);
		return;
	}
	for (size_t i = 0; i < json_array_size(cases); i++)
		run_case(t, set, bundle, json_array_get(cases, i));
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-v")) {
		verbose = true;
		argv[1] = argv[0];
		argc--;
		argv++;
	}
	return run_files(argc, argv, run_file);
}
