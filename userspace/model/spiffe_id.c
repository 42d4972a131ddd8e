// SPDX-License-Identifier: Apache-2.0
/* SPIFFE IDs: see spiffe_id.h. Bytes are compared with bytes; no locale, no normalising, no NUL stops anything. */
#include "model/spiffe_id.h"
#include "base/twin.h"
#include <string.h>

#define SCHEME	   "spiffe://"
#define SCHEME_LEN (sizeof(SCHEME) - 1)

static bool trust_domain_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool spiffe_trust_domain_valid(const char *s, size_t len)
{
	if (len < 1 || len > SPIFFE_TRUST_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!trust_domain_byte(s[i]))
			return false;
	return true;
}

static bool segment_valid(const char *s, size_t len)
{
	if (len == 0 || (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!trust_domain_byte(s[i]) && !(s[i] >= 'A' && s[i] <= 'Z'))
			return false;
	return true;
}

bool spiffe_path_valid(const char *s, size_t len)
{
	const char *end = s + len;

	if (len == 0 || len > SPIFFE_ID_MAX)
		return false;
	while (s < end) {
		const char *from = s + 1;

		if (*s != '/')
			return false;
		s = memchr(from, '/', (size_t)(end - from));
		if (!s)
			s = end;
		if (!segment_valid(from, (size_t)(s - from)))
			return false;
	}
	return true;
}

bool spiffe_id_parse(const char *s, size_t len, struct spiffe_id *ret)
{
	struct spiffe_id id;
	const char *slash;

	if (len > SPIFFE_ID_MAX || len < SCHEME_LEN || memcmp(s, SCHEME, SCHEME_LEN) != 0)
		return false;
	id.trust_domain = s + SCHEME_LEN;
	slash = memchr(id.trust_domain, '/', len - SCHEME_LEN);
	id.path = slash ? slash : s + len;
	id.trust_domain_len = (size_t)(id.path - id.trust_domain);
	id.path_len = (size_t)(s + len - id.path);
	if (!spiffe_trust_domain_valid(id.trust_domain, id.trust_domain_len))
		return false;
	if (kept(subject) && slash && !spiffe_path_valid(id.path, id.path_len))
		return false;
	*ret = id;
	return true;
}

bool spiffe_path_within(const char *path, size_t path_len, const char *prefix, size_t prefix_len)
{
	if (prefix_len == 1 && prefix[0] == '/')
		return path_len > 0 && path[0] == '/';
	if (prefix_len == 0 || path_len < prefix_len || memcmp(path, prefix, prefix_len) != 0)
		return false;
	return path_len == prefix_len || path[prefix_len] == '/';
}

bool spiffe_path_is_host(const char *path, size_t path_len)
{
	return spiffe_path_within(path, path_len, "/host", 5);
}
