/* SPDX-License-Identifier: Apache-2.0 */
/* Who replaces a part of our programs. See kern_ext.h. */
#include "edge/kern_ext.h"

#include "base/cleanup.h"
#include "base/twin.h"
#include <bpf/bpf.h>
#include <string.h>

struct ours {
	unsigned count;
	uint32_t programs[KERN_SET_MAX + 1];
	uint32_t btfs[KERN_SET_MAX + 1];
};

static bool program_of(int fd, struct bpf_prog_info *ret)
{
	uint32_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return fd >= 0 && bpf_obj_get_info_by_fd(fd, ret, &len) == 0;
}

static bool program_by_id(uint32_t id, struct bpf_prog_info *ret)
{
	owned_fd int fd = bpf_prog_get_fd_by_id(id);

	return program_of(fd, ret);
}

static bool link_of(int fd, struct bpf_link_info *ret)
{
	uint32_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return fd >= 0 && bpf_obj_get_info_by_fd(fd, ret, &len) == 0;
}

static void add(struct ours *o, const struct bpf_prog_info *program)
{
	o->programs[o->count] = program->id;
	o->btfs[o->count++] = program->btf_id;
}

static void ours_of(const struct kern_set *s, struct ours *ret)
{
	struct bpf_prog_info walk;

	*ret = (struct ours){ 0 };
	if (program_of(s->walk, &walk))
		add(ret, &walk);
	for (unsigned i = 0; i < s->link_count; i++) {
		struct bpf_prog_info program;
		struct bpf_link_info link;

		if (!link_of(s->links[i].fd, &link) || !program_by_id(link.prog_id, &program))
			continue;
		add(ret, &program);
	}
}

static bool is_among(const uint32_t *at, unsigned count, uint32_t id)
{
	for (unsigned i = 0; i < count; i++)
		if (id && at[i] == id)
			return true;
	return false;
}

/* Loaded for one of ours: until it is attached it says so itself. */
static bool loaded_for(const struct ours *o)
{
	struct bpf_prog_info program;
	uint32_t id = 0;

	while (bpf_prog_get_next_id(id, &id) == 0)
		if (program_by_id(id, &program) && program.type == BPF_PROG_TYPE_EXT &&
		    is_among(o->btfs, o->count, program.attach_btf_obj_id))
			return true;
	return false;
}

/* Attached to one of ours: from then on its link does. */
static bool attached_to(const struct ours *o)
{
	struct bpf_prog_info program;
	struct bpf_link_info link;
	uint32_t id = 0;

	while (bpf_link_get_next_id(id, &id) == 0) {
		owned_fd int fd = bpf_link_get_fd_by_id(id);

		if (link_of(fd, &link) && link.type == BPF_LINK_TYPE_TRACING &&
		    is_among(o->programs, o->count, link.tracing.target_obj_id) &&
		    program_by_id(link.prog_id, &program) && program.type == BPF_PROG_TYPE_EXT)
			return true;
	}
	return false;
}

bool kern_ext_find(const struct kern_set *s)
{
	struct ours o;

	if (!kept(pins_replaced))
		return false;
	ours_of(s, &o);
	return loaded_for(&o) || attached_to(&o);
}
