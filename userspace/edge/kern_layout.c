/* SPDX-License-Identifier: Apache-2.0 */
/* What the bytes of the maps mean: written out as a text, and hashed. See kern_layout.h. */
#include "edge/kern_layout.h"

#include "../bpf/abi.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "edge/sig.h"
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#define TEXT_MAX  65536
#define DEPTH_MAX 16

static void type_print(struct text *t, const struct btf *btf, uint32_t id, unsigned depth);

static void members_print(struct text *t, const struct btf *btf, const struct btf_type *type,
			  unsigned depth)
{
	const struct btf_member *m = btf_members(type);

	text_puts(t, "{");
	for (unsigned i = 0; i < btf_vlen(type); i++) {
		text_printf(t, "%u %s ", btf_member_bit_offset(type, i),
			    btf__name_by_offset(btf, m[i].name_off));
		type_print(t, btf, m[i].type, depth + 1);
		text_puts(t, ";");
	}
	text_puts(t, "}");
}

/* Kinds and sizes all the way down; typedefs and qualifiers are looked through. */
static void type_print(struct text *t, const struct btf *btf, uint32_t id, unsigned depth)
{
	const struct btf_type *type;
	int is = btf__resolve_type(btf, id);

	if (id == 0 || is < 0 || depth > DEPTH_MAX)
		return;
	type = btf__type_by_id(btf, (uint32_t)is);
	text_printf(t, "%u:", btf_kind(type));
	if (btf_is_composite(type)) {
		text_printf(t, "%u", type->size);
		members_print(t, btf, type, depth);
	} else if (btf_is_array(type)) {
		text_printf(t, "%u*", btf_array(type)->nelems);
		type_print(t, btf, btf_array(type)->type, depth + 1);
	} else if (btf_is_int(type)) {
		text_printf(t, "%u/%x", type->size, btf_int_encoding(type));
	}
}

static void map_print(struct text *t, const struct btf *btf, const struct bpf_map *map)
{
	text_printf(t, "%s %u %u %u %u %x ", bpf_map__name(map), bpf_map__type(map),
		    bpf_map__key_size(map), bpf_map__value_size(map), bpf_map__max_entries(map),
		    bpf_map__map_flags(map));
	type_print(t, btf, bpf_map__btf_key_type_id(map), 0);
	text_puts(t, " ");
	type_print(t, btf, bpf_map__btf_value_type_id(map), 0);
	text_puts(t, "\n");
}

int kern_layout_of(const struct bpf_object *object, uint32_t level, uint64_t *ret)
{
	owned_mem char *bytes = malloc(TEXT_MAX);
	const struct bpf_map *map;
	uint8_t hash[32];
	struct text t;
	int err;

	if (!bytes)
		return -ENOMEM;
	text_init(&t, bytes, TEXT_MAX);
	text_printf(&t, "abi %u level %u\n", CLEAT_ABI_VERSION, level);
	bpf_object__for_each_map(map, object) map_print(&t, bpf_object__btf(object), map);
	if (t.overflown)
		return -E2BIG;
	err = sig_sha256(t.at, t.len, hash);
	if (err == 0)
		memcpy(ret, hash, sizeof(*ret));
	return err;
}
