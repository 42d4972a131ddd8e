/* SPDX-License-Identifier: Apache-2.0 */
/* Can a part of our programs be replaced? See kern_ext.h. */
#include "edge/kern_ext.h"

#include "base/cleanup.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

static bool is_global(const struct btf_type *type)
{
	return btf_is_func(type) &&
	       btf_vlen(type) == BTF_FUNC_GLOBAL; /* a function's vlen is its linkage */
}

/* libbpf writes there in the same way, of hidden functions that are not a program's main one. */
void kern_ext_close(struct btf *btf)
{
	for (uint32_t id = 1; btf && id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);

		if (is_global(type))
			((struct btf_type *)(uintptr_t)type)->info -=
				BTF_FUNC_GLOBAL - BTF_FUNC_STATIC;
	}
}

static int btf_look(uint32_t id)
{
	struct btf *btf = btf__load_from_kernel_by_id(id);
	bool open = false;

	if (!btf)
		return -errno;
	for (uint32_t i = 1; i < btf__type_cnt(btf); i++)
		open |= is_global(btf__type_by_id(btf, i));
	btf__free(btf);
	return open;
}

/* @closed: the BTF that was looked at last, which most programs of a set share. One without any takes nobody in. */
static int program_look(int fd, uint32_t *closed)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int found;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.btf_id == 0 || info.btf_id == *closed)
		return 0;
	found = btf_look(info.btf_id);
	if (found == 0)
		*closed = info.btf_id;
	return found;
}

static int link_look(int link, uint32_t *closed)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	owned_fd int program = -1;

	if (bpf_obj_get_info_by_fd(link, &info, &len) < 0)
		return -errno;
	program = bpf_prog_get_fd_by_id(info.prog_id);
	return program < 0 ? -errno : program_look(program, closed);
}

int kern_ext_look(const struct kern_set *s, const char **ret_name)
{
	uint32_t closed = 0;
	int found = s->walk >= 0 ? program_look(s->walk, &closed) : 0;

	*ret_name = "the walk";
	for (unsigned i = 0; found == 0 && i < s->link_count; i++) {
		found = link_look(s->links[i].fd, &closed);
		*ret_name = s->links[i].name;
	}
	return found;
}
