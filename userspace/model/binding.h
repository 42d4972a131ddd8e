/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes under the hashes that bind: cb, inst, ns (token.md section 5) and the JWK thumbprint (RFC
 * 7638). Pure: the SHA-256 over them is edge/sig's.
 */
#ifndef CLEAT_MODEL_BINDING_H
#define CLEAT_MODEL_BINDING_H

#include "../bpf/abi.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOTSEED_LEN 16
#define UEID_LEN     17 /* type byte 1 + 16 bytes (RFC 9711 4.2.1) */

#define BINDING_CB_LEN	 (12 + 16 + 2 + 16 + 2 + 4 + 4)
#define BINDING_INST_LEN (BOOTSEED_LEN + 4 + 8 + 8)
#define BINDING_NS_LEN	 (9 + BOOTSEED_LEN + 8)

void binding_cb(const struct cleat_conn *conn, uint8_t ret[BINDING_CB_LEN]);
void binding_inst(const uint8_t bootseed[BOOTSEED_LEN], const struct cleat_proc *proc,
		  uint8_t ret[BINDING_INST_LEN]);
void binding_ns(const uint8_t bootseed[BOOTSEED_LEN], uint64_t netns_cookie,
		uint8_t ret[BINDING_NS_LEN]);
/* {"crv":"P-256","kty":"EC","x":"...","y":"..."} of a P-256 point; returns its length. */
#define BINDING_THUMB_MAX 160
size_t binding_thumbprint(const uint8_t x[32], const uint8_t y[32], char ret[BINDING_THUMB_MAX]);

/* Both ends of the connection are addresses of this host only: 127/8, ::1 or v4-mapped 127/8. */
bool binding_is_loopback(const struct cleat_conn *conn);
/* Either end is link-local: 169.254/16 or fe80::/10. */
bool binding_is_link_local(const struct cleat_conn *conn);

#endif
