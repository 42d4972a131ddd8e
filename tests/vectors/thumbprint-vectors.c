// SPDX-License-Identifier: Apache-2.0
/*
 * thumbprint-vectors FILE...: RFC 7638 thumbprints of vectors/rfc/jwk_thumbprints.json. Cleat has P-256 keys only:
 * those must give the published value; keys of other kinds must be refused before there is anything to hash.
 */
#include "edge/jose.h"
#include "vectors.h"

static void run_case(struct tally *t, const json_t *c)
{
	const json_t *jwk = json_object_get(c, "jwk");
	bool ours = json_string_is(jwk, "crv", "P-256");
	char is[44] = "";
	struct point point;
	int err = jose_jwk_point(jwk, &point);

	if (err == 0)
		err = jose_thumbprint(&point, is);
	judge(t, ours ? err == 0 && !strcmp(is, text_of(c, "sha256")) : err < 0, "%s",
	      text_of(c, "name"));
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);
	const json_t *cases = json_object_get(set, "cases");

	for (size_t i = 0; i < json_array_size(cases); i++)
		run_case(t, json_array_get(cases, i));
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
