// SPDX-License-Identifier: Apache-2.0
/*
 * wit-refusals FILE...: the WIT-SVID list of vectors/spiffe/svid_rejections.json (names only; go-spiffe makes its
 * tokens at run time, and so do we). Each named case is made from a good presentation by one change, signed by the
 * host key of the bundle (but where the case says otherwise), and judged by verify(): every refusal must be refused,
 * with the good one accepted before and after, and every accept accepted. A name we do not know is a failure.
 */
#include "../mint.h"
#include "vectors.h"

static json_t *jwk_of(struct mint *m)
{
	return json_object_get(json_object_get(m->wit, "cnf"), "jwk");
}

static void put(json_t *object, const char *name, const char *value)
{
	json_object_set_new(object, name, mint_json(value));
}

static void drop(json_t *object, const char *name)
{
	if (json_object_del(object, name) < 0)
		abort();
}

/* Each changes one thing of the good presentation. */
#define CASES(X)                                                                                   \
	X("valid", (void)m)                                                                        \
	X("nbf in the past", put(m->wit, "nbf", "1789996400"))                                     \
	X("exp within 1 min leeway", put(m->wit, "exp", "1789999980"))                             \
	X("HS256", put(m->wit_header, "alg", "'HS256'"))                                           \
	X("typ JWT", put(m->wit_header, "typ", "'JWT'"))                                           \
	X("typ missing", drop(m->wit_header, "typ"))                                               \
	X("kid missing", drop(m->wit_header, "kid"))                                               \
	X("sub missing", drop(m->wit, "sub"))                                                      \
	X("exp missing", drop(m->wit, "exp"))                                                      \
	X("aud present", put(m->wit, "aud", "'" MINT_SERVICE "'"))                                 \
	X("sub not a SPIFFE ID", put(m->wit, "sub", "'https://example.org/web'"))                  \
	X("expired beyond leeway", put(m->wit, "exp", "1789999900"))                               \
	X("nbf in future", put(m->wit, "nbf", "1790000100"))                                       \
	X("cnf missing", drop(m->wit, "cnf"))                                                      \
	X("cnf not object", put(m->wit, "cnf", "'jwk'"))                                           \
	X("cnf.jwk missing", drop(json_object_get(m->wit, "cnf"), "jwk"))                          \
	X("cnf.jwk not object", put(json_object_get(m->wit, "cnf"), "jwk", "'jwk'"))               \
	X("cnf.jwk.alg missing", drop(jwk_of(m), "alg"))                                           \
	X("cnf.jwk.alg not string", put(jwk_of(m), "alg", "256"))                                  \
	X("cnf.jwk.alg HS256", put(jwk_of(m), "alg", "'HS256'"))                                   \
	X("cnf.jwk contains private key",                                                          \
	  put(jwk_of(m), "d", "'NRHs9bfMUcF49AV_NIoeh3UGopW4AXZLfv5G2px1WcY'"))                    \
	X("no bundle for trust domain", put(m->wit, "sub", "'spiffe://other.org/a'"))              \
	X("kid not in bundle",                                                                     \
	  put(m->wit_header, "kid", "'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'"))

/* The two that are not a change of a header or claim. */
static enum reason judge_four_parts(struct mint *m)
{
	owned_mem char *wit = mint_wit(m), *wpt = mint_wpt(m, wit);
	owned_mem char *four = malloc(strlen(wit) + 8);

	sprintf(four, "%s.AAAA", wit);
	return mint_ask(m, four, strlen(four), wpt, strlen(wpt));
}

static enum reason judge_other_key(struct mint *m)
{
	owned_mem char *wit = mint_token(m->wit_header, m->wit, m->rogue);
	owned_mem char *wpt = mint_wpt(m, wit);

	return mint_ask(m, wit, strlen(wit), wpt, strlen(wpt));
}

/* REASON_UNDECIDED: no such case here. */
static enum reason judge_named(struct mint *m, const char *name)
{
	mint_afresh(m);
	if (!strcmp(name, "malformed (4 parts)"))
		return judge_four_parts(m);
	if (!strcmp(name, "signature by another key"))
		return judge_other_key(m);
#define X(word, change)                                                                            \
	if (!strcmp(name, word)) {                                                                 \
		change;                                                                            \
		return mint_judge(m);                                                              \
	}
	CASES(X)
#undef X
	return REASON_UNDECIDED;
}

static void run_list(struct tally *t, struct mint *m, const json_t *list, bool accept)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		bool before = mint_good(m) == REASON_OK;
		enum reason r = judge_named(m, name);
		bool after = mint_good(m) == REASON_OK;

		if (r == REASON_UNDECIDED)
			judge(t, false, "%s: no such case here", name);
		else
			judge(t, (r == REASON_OK) == accept && before && after, "%s: we say %s",
			      name, reason_word(r));
	}
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);
	const json_t *cases = json_object_get(set, "wit_svid");
	struct mint m;

	if (mint_open(&m) < 0) {
		judge(t, false, "no world to judge in");
		return;
	}
	run_list(t, &m, json_object_get(cases, "accept"), true);
	run_list(t, &m, json_object_get(cases, "reject"), false);
	mint_close(&m);
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
