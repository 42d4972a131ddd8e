// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an id: what is taken must be the grammar, said here a second time and slowly. */
#include "model/spiffe_id.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must(bool what)
{
	if (!what)
		abort();
}

static void check_bytes(const char *s, size_t len, const char *allowed)
{
	for (size_t i = 0; i < len; i++)
		must(s[i] != '\0' && strchr(allowed, s[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	struct spiffe_id id;

	if (!spiffe_id_parse(s, size, &id))
		return 0;
	must(size <= SPIFFE_ID_MAX && id.trust_domain_len <= SPIFFE_TRUST_DOMAIN_MAX);
	must(id.trust_domain == s + 9 && id.trust_domain_len > 0);
	must(9 + id.trust_domain_len + id.path_len == size);
	check_bytes(id.trust_domain, id.trust_domain_len,
		    "abcdefghijklmnopqrstuvwxyz0123456789._-");
	check_bytes(id.path, id.path_len,
		    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/");
	if (id.path_len) {
		must(id.path[0] == '/' && id.path[id.path_len - 1] != '/');
		must(!memmem(id.path, id.path_len, "//", 2) &&
		     !memmem(id.path, id.path_len, "/./", 3));
		must(!memmem(id.path, id.path_len, "/../", 4));
		must(spiffe_path_within(id.path, id.path_len, "/", 1));
		must(spiffe_path_within(id.path, id.path_len, id.path, id.path_len));
	}
	return 0;
}
