// SPDX-License-Identifier: Apache-2.0
/*
 * bundle-vectors FILE...: the published SPIFFE bundles (FILE is bundle_expectations.json; the bundles lie beside it)
 * through bundle_parse(). None of them was made for Cleat: their keys carry no cleat_issuer and no cleat_scope, so
 * what is judged is the form of every entry, how many there are, and that not one of them becomes a key of ours.
 */
#include "edge/bundle.h"
#include "vectors.h"

/* How many entries are there, but for those of @use? */
static size_t entries_but(const json_t *bundle, const char *use)
{
	const json_t *keys = json_object_get(bundle, "keys");
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(keys); i++)
		n += !json_string_is(json_array_get(keys, i), "use", use);
	return n;
}

static bool is_what_it_says(const struct bundle *b, const json_t *raw, const json_t *c)
{
	size_t named = (size_t)(json_integer_value(json_object_get(c, "keys")) +
				json_integer_value(json_object_get(c, "jwt_keys")) +
				json_integer_value(json_object_get(c, "wit_keys")));

	return b->key_count == 0 &&
	       b->foreign_count == json_array_size(json_object_get(raw, "keys")) &&
	       entries_but(raw, "x509-svid") == named &&
	       b->sequence == (uint64_t)json_integer_value(json_object_get(c, "sequence")) &&
	       b->refresh_hint_s ==
		       (uint64_t)json_integer_value(json_object_get(c, "refresh_hint"));
}

static void run_case(struct tally *t, const char *dir, const json_t *c)
{
	const char *file = text_of(c, "file");
	bool ok = json_is_true(json_object_get(c, "ok"));
	owned(bundle_owned) struct bundle *b = NULL;
	owned(json_owned) json_t *raw = NULL;
	owned_mem char *text = NULL;
	char path[4096], error[512] = "";
	int err;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	raw = load(t, path);
	text = raw ? json_dumps(raw, 0) : NULL;
	if (!text)
		return;
	err = bundle_parse("domain.test", text, strlen(text), &b, error, sizeof(error));
	if ((err == 0) != ok || (err < 0 && !error[0]))
		judge(t, false, "%s: %s, but we say '%s'", file, ok ? "good" : "bad", error);
	else
		judge(t, !ok || is_what_it_says(b, raw, c), "%s: other contents than it says",
		      file);
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);
	const json_t *cases = json_object_get(set, "cases");
	owned_mem char *dir = strdup(path);
	char *slash = strrchr(dir, '/');

	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < json_array_size(cases); i++)
		run_case(t, slash ? dir : ".", json_array_get(cases, i));
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
