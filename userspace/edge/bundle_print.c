// SPDX-License-Identifier: Apache-2.0
/* The canonical text of a bundle: one key a line, so that a diff of two bundles shows who came and went. */
#include "base/bytes.h"
#include "edge/bundle.h"
#include <errno.h>
#include <string.h>

#define KEY_TEXT_MAX 512 /* of a key without its issuer and scopes */

static void print_id(struct text *t, const char *trust_domain, const char *path)
{
	char id[SPIFFE_ID_MAX + 16];

	snprintf(id, sizeof(id), "spiffe://%s%s", trust_domain, strcmp(path, "/") ? path : "");
	text_json(t, id, strlen(id));
}

static void print_key(struct text *t, const struct bundle *b, const struct bundle_key *key)
{
	text_printf(t, "{\"use\":\"%s\",\"kid\":\"%s\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"",
		    NAME_USE, key->kid);
	text_b64url(t, key->point.x, 32);
	text_puts(t, "\",\"y\":\"");
	text_b64url(t, key->point.y, 32);
	text_puts(t, "\",\"" NAME_ISSUER "\":");
	text_json(t, key->issuer, strlen(key->issuer));
	text_puts(t, ",\"" NAME_SCOPE "\":[");
	for (size_t i = 0; i < key->scope_count; i++) {
		text_puts(t, i ? "," : "");
		print_id(t, b->trust_domain, key->scopes[i]);
	}
	text_puts(t, "]}");
}

static size_t room_for(const struct bundle *b)
{
	size_t room = 256;

	for (size_t i = 0; i < b->key_count; i++) {
		room += KEY_TEXT_MAX + strlen(b->keys[i].issuer);
		for (size_t k = 0; k < b->keys[i].scope_count; k++)
			room += strlen(b->keys[i].scopes[k]) + sizeof(b->trust_domain) + 16;
	}
	return room;
}

int bundle_print(const struct bundle *b, char **ret)
{
	size_t room = room_for(b);
	char *at = malloc(room);
	struct text t;

	if (!at)
		return -ENOMEM;
	text_init(&t, at, room);
	text_puts(&t, "{\"spiffe_sequence\":");
	text_u64(&t, b->sequence);
	if (b->refresh_hint_s) {
		text_puts(&t, ",\"spiffe_refresh_hint\":");
		text_u64(&t, b->refresh_hint_s);
	}
	text_puts(&t, ",\"keys\":[");
	for (size_t i = 0; i < b->key_count; i++) {
		text_puts(&t, i ? ",\n" : "\n");
		print_key(&t, b, &b->keys[i]);
	}
	text_puts(&t, b->key_count ? "\n]}\n" : "]}\n");
	if (t.overflown) {
		free(at);
		return -ENOSPC;
	}
	*ret = at;
	return 0;
}

int bundle_print_key(const struct bundle *b, size_t i, char **ret)
{
	size_t room = room_for(b);
	char *at = malloc(room);
	struct text t;

	if (!at)
		return -ENOMEM;
	text_init(&t, at, room);
	print_key(&t, b, &b->keys[i]);
	text_puts(&t, "\n");
	if (t.overflown) {
		free(at);
		return -ENOSPC;
	}
	*ret = at;
	return 0;
}
