// SPDX-License-Identifier: Apache-2.0
/* model/binding: every field of the connection changes cb; the published values are tests/vectors' work. */
#include "model/binding.h"
#include "edge/sig.h"
#include <criterion/criterion.h>
#include <string.h>

static const struct cleat_conn good = {
	.client_addr = { [10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 10 },
	.server_addr = { [10] = 0xff, [11] = 0xff, [12] = 198, 51, 100, 20 },
	.client_isn = 0x01020304,
	.server_isn = 0xa0b0c0d0,
	.client_port = 49152,
	.server_port = 443,
};

static void cb_of(const struct cleat_conn *conn, uint8_t ret[32])
{
	uint8_t bytes[BINDING_CB_LEN];

	binding_cb(conn, bytes);
	cr_assert_eq(sig_sha256(bytes, sizeof(bytes), ret), 0);
}

Test(binding, every_field_counts)
{
	struct cleat_conn rows[7];
	uint8_t a[32], b[32];

	for (int i = 0; i < 7; i++)
		rows[i] = good;
	rows[0].client_addr[15] ^= 1;
	rows[1].server_addr[0] ^= 1;
	rows[2].client_isn++;
	rows[3].server_isn++;
	rows[4].client_port++;
	rows[5].server_port++;
	memcpy(rows[6].client_addr, good.server_addr, 16);
	memcpy(rows[6].server_addr, good.client_addr, 16);
	cb_of(&good, a);
	for (int i = 0; i < 7; i++) {
		cb_of(&rows[i], b);
		cr_assert(memcmp(a, b, 32) != 0, "row %d", i);
	}
	rows[0] = good;
	rows[0].est_ns = 5;
	rows[0].role = CLEAT_ROLE_SERVER;
	rows[0].generation = 9;
	cb_of(&rows[0], b);
	cr_assert_arr_eq(a, b, 32, "both ends compute the same");
}

Test(binding, instance_and_namespace)
{
	static const uint8_t boot[BOOTSEED_LEN] = { 1, 2 }, other[BOOTSEED_LEN] = { 1, 3 };
	struct cleat_proc proc = { .start_ns = 7, .exec_id = 1, .tgid = 42 }, later = proc;
	uint8_t a[BINDING_INST_LEN], b[BINDING_INST_LEN], n[BINDING_NS_LEN], m[BINDING_NS_LEN];

	later.exec_id++;
	binding_inst(boot, &proc, a);
	binding_inst(boot, &later, b);
	cr_assert(memcmp(a, b, sizeof(a)) != 0, "an exec is another instance");
	binding_inst(other, &proc, b);
	cr_assert(memcmp(a, b, sizeof(a)) != 0, "a boot too");
	binding_ns(boot, 1, n);
	binding_ns(other, 1, m);
	cr_assert(memcmp(n, m, sizeof(n)) != 0);
	cr_assert_arr_eq(n, "netns-v1", 9);
}

Test(binding, which_addresses_are_local)
{
	struct cleat_conn c = good;

	cr_assert(!binding_is_loopback(&c) && !binding_is_link_local(&c));
	c.client_addr[12] = 127;
	cr_assert(!binding_is_loopback(&c), "one end is not both");
	c.server_addr[12] = 127;
	cr_assert(binding_is_loopback(&c));
	memset(c.client_addr, 0, 16);
	c.client_addr[15] = 1;
	memcpy(c.server_addr, c.client_addr, 16);
	cr_assert(binding_is_loopback(&c), "::1");
	c.server_addr[15] = 0;
	cr_assert(!binding_is_loopback(&c), "::");
	c = good;
	c.server_addr[12] = 169;
	c.server_addr[13] = 254;
	cr_assert(binding_is_link_local(&c));
	c = good;
	memset(c.client_addr, 0, 16);
	c.client_addr[0] = 0xfe;
	c.client_addr[1] = 0xbf;
	cr_assert(binding_is_link_local(&c));
	c.client_addr[1] = 0xc0;
	cr_assert(!binding_is_link_local(&c), "fec0::/10 is site-local");
}

Test(binding, thumbprint_input)
{
	uint8_t x[32] = { 0 }, y[32] = { 0 };
	char at[BINDING_THUMB_MAX];

	cr_assert_eq(binding_thumbprint(x, y, at), strlen(at));
	cr_assert_str_eq(at,
			 "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
			 "AAAAAAAAAAAAA\",\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}");
}
