/* SPDX-License-Identifier: Apache-2.0 */
/* Can a part of a program be replaced (edge/kern_ext.h)? Of one that libbpf loads as it is compiled, of ours not. */
#include "edge/kern_ext.h"
#include "edge/kern_object.h"
#include "world.h"
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ext_tests(void);

/* What the kernel holds of one of our programs, loaded with or without that. */
static int look_loaded(bool close_first)
{
	owned(kern_object_owned) struct kern_object *o = NULL;
	struct bpf_program *p;
	char error[512];
	const char *name;
	struct kern_set s;
	int found = -1;

	if (kern_object_open(getenv("SMOKE_OBJECT"), CLEAT_LEVEL_REDUCED, &o, error,
			     sizeof(error)) < 0)
		return -1;
	bpf_object__for_each_program(p, o->bpf)
		bpf_program__set_autoload(p, strcmp(bpf_program__name(p), "reduced_birth") == 0);
	if (close_first)
		kern_ext_close(bpf_object__btf(o->bpf));
	kern_set_init(&s);
	p = bpf_object__find_program_by_name(o->bpf, "reduced_birth");
	if (bpf_object__load(o->bpf) == 0) {
		kern_set_hold(&s.walk, dup(bpf_program__fd(p)));
		found = kern_ext_look(&s, &name);
	}
	kern_set_close(&s);
	return found;
}

static int look_none(void)
{
	struct kern_set s;
	const char *name;
	int found;

	kern_set_init(&s);
	kern_set_add_link(&s, "none", open("/dev/null", O_RDONLY | O_CLOEXEC));
	found = kern_ext_look(&s, &name);
	kern_set_close(&s);
	return found;
}

void ext_tests(void)
{
	check(look_loaded(false) == 1, "a program as it is compiled: a part of it can be replaced");
	check(look_loaded(true) == 0, "  as the daemon loads it: none");
	check(look_none() < 0, "  one that cannot be looked at: nobody says none");
}
