/* SPDX-License-Identifier: Apache-2.0 */
/* What a set of pins says of itself. See kern_manifest.h. */
#include "edge/kern_manifest.h"

#include "edge/kern_map.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FORMAT 1
#define NAME   "cleat_manifest"

static int program_of(const struct bpf_program *program, bool is_walk,
		      struct kern_manifest_program *ret)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (strlen(bpf_program__name(program)) >= sizeof(ret->name))
		return -ENAMETOOLONG;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &len) < 0)
		return -errno;
	memset(ret, 0, sizeof(*ret));
	strcpy(ret->name, bpf_program__name(program));
	memcpy(ret->tag, info.tag, sizeof(ret->tag));
	ret->type = info.type;
	ret->attach_btf_id = info.attach_btf_id;
	ret->is_walk = is_walk;
	return 0;
}

int kern_manifest_of(const struct kern_object *o, const uint8_t lineage[KERN_LINEAGE],
		     struct kern_manifest *ret)
{
	struct bpf_program *program = NULL, *walk = kern_object_walk(o);
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	ret->format = FORMAT;
	memcpy(ret->object, o->hash, sizeof(ret->object));
	memcpy(ret->lineage, lineage, sizeof(ret->lineage));
	while (err == 0 && (program = kern_object_next(o, program)))
		err = ret->count == KERN_SET_MAX - 1
			      ? -E2BIG
			      : program_of(program, false, &ret->programs[ret->count++]);
	if (err == 0 && walk)
		err = program_of(walk, true, &ret->programs[ret->count++]);
	return err;
}

int kern_manifest_freeze(const struct kern_manifest *m, int *ret_map)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, NAME, sizeof(uint32_t), sizeof(*m), 1, NULL);
	uint32_t zero = 0;
	int err;

	if (map < 0)
		return -errno;
	err = kern_map_put(map, &zero, m, BPF_ANY);
	if (err == 0 && bpf_map_freeze(map) < 0)
		err = -errno;
	if (err < 0) {
		close(map);
		return err;
	}
	*ret_map = map;
	return 0;
}

int kern_manifest_read(int map, struct kern_manifest *ret)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info), zero = 0;
	int err;

	if (bpf_obj_get_info_by_fd(map, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.key_size != sizeof(zero) ||
	    info.value_size != sizeof(*ret) || info.max_entries != 1 || strcmp(info.name, NAME) ||
	    info.map_flags)
		return -EPERM;
	err = kern_map_get(map, &zero, ret, 0);
	if (err < 0)
		return err;
	/* one that takes what it holds was not frozen; one made for reading, or to be mapped, would not take it either,
	 * and be written to another way: it has flags */
	if (kern_map_put(map, &zero, ret, BPF_ANY) != -EPERM)
		return -EPERM;
	if (ret->format != FORMAT || ret->count > KERN_SET_MAX)
		return -EPERM;
	for (uint32_t i = 0; i < ret->count; i++)
		if (!memchr(ret->programs[i].name, '\0', KERN_NAME_MAX))
			return -EPERM;
	return 0;
}

const struct kern_manifest_program *kern_manifest_find(const struct kern_manifest *m,
						       const char *name)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (strcmp(m->programs[i].name, name) == 0)
			return &m->programs[i];
	return NULL;
}

bool kern_manifest_holds(const struct kern_manifest *m, const char *name, int program)
{
	const struct kern_manifest_program *is = kern_manifest_find(m, name);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (!is || bpf_obj_get_info_by_fd(program, &info, &len) < 0)
		return false;
	return strncmp(info.name, is->name, sizeof(info.name) - 1) == 0 && info.type == is->type &&
	       info.attach_btf_id == is->attach_btf_id &&
	       memcmp(info.tag, is->tag, sizeof(is->tag)) == 0;
}
