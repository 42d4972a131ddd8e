// SPDX-License-Identifier: Apache-2.0
/* binding-vectors FILE...: cb, inst and ns of vectors/cleat/conn_binding.json through model/binding. */
#include "model/binding.h"
#include "vectors.h"
#include <arpa/inet.h>

static uint64_t number_of(const json_t *c, const char *name)
{
	const json_t *j = json_object_get(c, name);

	return json_is_string(j) ? strtoull(json_string_value(j), NULL, 10)
				 : (uint64_t)json_integer_value(j);
}

static bool hash_is(const uint8_t *bytes, size_t len, const json_t *c)
{
	uint8_t is[32], must[32];

	return sig_sha256(bytes, len, is) == 0 && json_get_bytes(c, "value", must, 32) &&
	       bytes_equal(is, must, 32);
}

static bool address(const json_t *c, const char *name, uint8_t ret[16])
{
	const char *s = text_of(c, name);

	memset(ret, 0, 16);
	ret[10] = ret[11] = 0xff;
	return inet_pton(AF_INET, s, ret + 12) == 1 || inet_pton(AF_INET6, s, ret) == 1;
}

static void run_cb(struct tally *t, const json_t *c)
{
	struct cleat_conn conn = {
		.client_port = (uint16_t)number_of(c, "client_port"),
		.server_port = (uint16_t)number_of(c, "server_port"),
		.client_isn = (uint32_t)number_of(c, "client_isn"),
		.server_isn = (uint32_t)number_of(c, "server_isn"),
	};
	uint8_t is[BINDING_CB_LEN], must[BINDING_CB_LEN];
	bool right = address(c, "client_addr", conn.client_addr) &&
		     address(c, "server_addr", conn.server_addr);

	binding_cb(&conn, is);
	right = right && hex_of(c, "preimage_hex", must, sizeof(must)) == sizeof(must) &&
		!memcmp(is, must, sizeof(is)) && hash_is(is, sizeof(is), c);
	right = right && binding_is_loopback(&conn) == !strcmp(text_of(c, "name"), "loopback");
	judge(t, right, "cb %s", text_of(c, "name"));
}

static void run_inst(struct tally *t, const json_t *c)
{
	struct cleat_proc proc = {
		.tgid = (uint32_t)number_of(c, "tgid"),
		.start_ns = number_of(c, "start_ns"),
		.exec_id = number_of(c, "self_exec_id"),
	};
	uint8_t bootseed[BOOTSEED_LEN], is[BINDING_INST_LEN];
	bool right = json_get_bytes(c, "bootseed", bootseed, sizeof(bootseed));

	if (right)
		binding_inst(bootseed, &proc, is);
	judge(t, right && hash_is(is, sizeof(is), c), "inst of tgid %u", proc.tgid);
}

static void run_ns(struct tally *t, const json_t *c)
{
	uint8_t bootseed[BOOTSEED_LEN], is[BINDING_NS_LEN];
	bool right = json_get_bytes(c, "bootseed", bootseed, sizeof(bootseed));

	if (right)
		binding_ns(bootseed, number_of(c, "cookie"), is);
	judge(t, right && hash_is(is, sizeof(is), c), "ns of cookie %s", text_of(c, "cookie"));
}

static void run_list(struct tally *t, const json_t *list,
		     void (*one)(struct tally *, const json_t *))
{
	for (size_t i = 0; i < json_array_size(list); i++)
		one(t, json_array_get(list, i));
}

static void run_file(struct tally *t, const char *path)
{
	owned(json_owned) json_t *set = load(t, path);

	run_list(t, json_object_get(set, "cases"), run_cb);
	run_list(t, json_object_get(json_object_get(set, "inst"), "cases"), run_inst);
	run_list(t, json_object_get(json_object_get(set, "ns"), "cases"), run_ns);
}

int main(int argc, char **argv)
{
	return run_files(argc, argv, run_file);
}
