// SPDX-License-Identifier: Apache-2.0
/* spiffe-id-vectors FILE...: ids of the form of vectors/spiffe/spiffe_id_cases.json through the daemon's grammar; of
 * the valid ones the parts must be the published ones too. */
#include "model/spiffe_id.h"
#include "vectors.h"

static bool part_is(const json_t *c, const char *name, const char *at, size_t len)
{
	const json_t *part = json_object_get(c, name);

	return !part ||
	       (json_string_length(part) == len && !memcmp(json_string_value(part), at, len));
}

static void run_case(struct tally *t, const json_t *c, size_t index)
{
	const json_t *input = json_object_get(c, "input");
	bool valid = json_is_true(json_object_get(c, "valid"));
	struct spiffe_id id;
	bool is;

	if (!json_is_string(input) || !json_is_boolean(json_object_get(c, "valid"))) {
		judge(t, false, "case %zu: cannot be read", index);
		return;
	}
	is = spiffe_id_parse(json_string_value(input), json_string_length(input), &id);
	if (is == valid && is)
		is = part_is(c, "trust_domain", id.trust_domain, id.trust_domain_len) &&
		     part_is(c, "path", id.path, id.path_len);
	judge(t, is == valid, "case %zu (%s): %s, but we say otherwise", index,
	      text_of(c, "reason"), valid ? "valid" : "not valid");
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);
	const json_t *cases = json_object_get(set, "cases");

	for (size_t i = 0; i < json_array_size(cases); i++)
		run_case(t, json_array_get(cases, i), i);
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
