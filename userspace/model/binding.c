// SPDX-License-Identifier: Apache-2.0
/* Binding: see binding.h. Layouts are those of token.md section 5, big-endian, held by vectors/cleat/conn_binding.json. */
#include "model/binding.h"
#include "base/bytes.h"
#include <string.h>

/* The terminating NUL is part of the domain separation. */
#define CB_DOMAIN "tcp-conn-v1"
#define NS_DOMAIN "netns-v1"
_Static_assert(sizeof(CB_DOMAIN) == 12 && sizeof(NS_DOMAIN) == 9, "the lengths in binding.h");

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

void binding_cb(const struct cleat_conn *conn, uint8_t ret[BINDING_CB_LEN])
{
	memcpy(ret, CB_DOMAIN, sizeof(CB_DOMAIN));
	memcpy(ret + 12, conn->client_addr, 16);
	put_be16(ret + 28, conn->client_port);
	memcpy(ret + 30, conn->server_addr, 16);
	put_be16(ret + 46, conn->server_port);
	put_be32(ret + 48, conn->client_isn);
	put_be32(ret + 52, conn->server_isn);
}

void binding_inst(const uint8_t bootseed[BOOTSEED_LEN], const struct cleat_proc *proc,
		  uint8_t ret[BINDING_INST_LEN])
{
	memcpy(ret, bootseed, BOOTSEED_LEN);
	put_be32(ret + BOOTSEED_LEN, proc->tgid);
	put_be64(ret + BOOTSEED_LEN + 4, proc->start_ns);
	put_be64(ret + BOOTSEED_LEN + 12, proc->exec_id);
}

void binding_ns(const uint8_t bootseed[BOOTSEED_LEN], uint64_t netns_cookie,
		uint8_t ret[BINDING_NS_LEN])
{
	memcpy(ret, NS_DOMAIN, sizeof(NS_DOMAIN));
	memcpy(ret + 9, bootseed, BOOTSEED_LEN);
	put_be64(ret + 9 + BOOTSEED_LEN, netns_cookie);
}

size_t binding_thumbprint(const uint8_t x[32], const uint8_t y[32], char ret[BINDING_THUMB_MAX])
{
	struct text t;

	text_init(&t, ret, BINDING_THUMB_MAX);
	text_puts(&t, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	text_b64url(&t, x, 32);
	text_puts(&t, "\",\"y\":\"");
	text_b64url(&t, y, 32);
	text_puts(&t, "\"}");
	return t.len;
}

static bool loopback(const uint8_t addr[16])
{
	static const uint8_t one[16] = { [15] = 1 };

	return !memcmp(addr, one, 16) || (!memcmp(addr, mapped, 12) && addr[12] == 127);
}

static bool link_local(const uint8_t addr[16])
{
	if (!memcmp(addr, mapped, 12))
		return addr[12] == 169 && addr[13] == 254;
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

bool binding_is_loopback(const struct cleat_conn *conn)
{
	return loopback(conn->client_addr) && loopback(conn->server_addr);
}

bool binding_is_link_local(const struct cleat_conn *conn)
{
	return link_local(conn->client_addr) || link_local(conn->server_addr);
}
