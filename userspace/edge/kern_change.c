/* SPDX-License-Identifier: Apache-2.0 */
/* A set of pins, made and taken over: the order of the steps is the promise. See kern_adopt.h. */
#include "edge/kern_adopt.h"

#include "../bpf/abi.h"
#include "base/bytes.h"
#include "base/twin.h"
#include "edge/kern_self.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int failed(char *error, size_t cap, int err, const char *what, const char *name)
{
	char text[160];

	snprintf(text, sizeof(text), "%s %s", what, name);
	return kern_complain(error, cap, err, text);
}

/* ---- made ---- */

static int pin_as(int dir, const char *kind, const char *name, int fd)
{
	char pin[KERN_PIN_NAME];

	snprintf(pin, sizeof(pin), "%s_%s", kind, name);
	return kern_pin_put(dir, pin, fd);
}

static int links_make(const struct kern_wanted *w, int dir, int cgroup, struct kern_set *set,
		      char *error, size_t cap)
{
	struct bpf_program *program = NULL;
	int err;

	while ((program = kern_object_next(w->object, program))) {
		const char *name = bpf_program__name(program);
		int fd = -1;

		err = kern_object_attach(program, cgroup, &fd);
		if (err < 0)
			return failed(error, cap, err, "cannot attach", name);
		err = kern_self_link(w->self, fd);
		if (err == 0)
			err = pin_as(dir, "link", name, fd);
		if (err == 0)
			err = kern_set_add_link(set, name, fd);
		else
			close(fd);
		if (err < 0)
			return failed(error, cap, err, "cannot pin the link of", name);
	}
	return 0;
}

static int maps_pin(int dir, const struct kern_set *set, char *error, size_t cap)
{
	for (unsigned i = 0; i < set->map_count; i++) {
		int err = pin_as(dir, "map", set->maps[i].name, set->maps[i].fd);

		if (err < 0)
			return failed(error, cap, err, "cannot pin the map", set->maps[i].name);
	}
	return 0;
}

static int manifest_pin(const struct kern_wanted *w, int dir, const char *name, char *error,
			size_t cap)
{
	owned_mem struct kern_manifest *m = calloc(1, sizeof(*m));
	owned_fd int fd = -1;
	int err = m ? kern_manifest_of(w->object, w->lineage, m) : -ENOMEM;

	if (err == 0)
		err = kern_manifest_freeze(m, &fd);
	if (err == 0)
		err = kern_pin_put(dir, name, fd);
	return err < 0 ? failed(error, cap, err, "cannot make the", name) : 0;
}

static int manifest_hold(int dir, struct kern_set *set)
{
	int fd = -1, err = kern_pin_get(dir, "manifest", &fd);

	kern_set_hold(&set->manifest, fd);
	return err;
}

static int walk_pin(const struct kern_wanted *w, int dir, const struct kern_set *set, char *error,
		    size_t cap)
{
	struct bpf_program *walk = kern_object_walk(w->object);
	char name[KERN_PIN_NAME];
	int err;

	if (!walk)
		return 0;
	snprintf(name, sizeof(name), "prog_%s", bpf_program__name(walk));
	err = kern_pin_replace(dir, name, set->walk);
	return err < 0 ? failed(error, cap, err, "cannot pin", name) : 0;
}

struct set_names {
	char is[KERN_PIN_NAME], begun[KERN_PIN_NAME + 8];
};

static void names_of(const struct kern_wanted *w, struct set_names *ret)
{
	kern_pin_set_name(CLEAT_ABI_VERSION, w->object->level, w->object->layout, ret->is);
	snprintf(ret->begun, sizeof(ret->begun), "%s_new", ret->is);
}

/* In one step: what had the name has that of what was begun then, and stays attached until the others go. */
static int set_name_take(const struct kern_pins *p, const struct set_names *n)
{
	if (renameat2(p->dir, n->begun, p->dir, n->is, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	return renameat(p->dir, n->begun, p->dir, n->is) < 0 ? -errno : 0;
}

int kern_adopt_make(const struct kern_wanted *w, int cgroup, struct kern_set *set, char *error,
		    size_t cap)
{
	struct set_names n;
	owned_fd int dir = -1;
	int err;

	names_of(w, &n);
	err = kern_pin_set_remove(w->pins, n.begun); /* what a death left */
	if (err == 0 && mkdirat(w->pins->dir, n.begun, 0700) < 0)
		err = -errno;
	if (err == 0)
		err = kern_pin_set_open(w->pins, n.begun, &dir);
	if (err < 0)
		return failed(error, cap, err, "cannot make the pins", n.begun);
	err = links_make(w, dir, cgroup, set, error, cap);
	if (err == 0)
		err = maps_pin(dir, set, error, cap);
	if (err == 0)
		err = walk_pin(w, dir, set, error, cap);
	if (err == 0)
		err = manifest_pin(w, dir, "manifest", error, cap);
	if (err == 0) {
		err = manifest_hold(dir, set);
		if (err == 0)
			err = set_name_take(w->pins, &n);
		if (err < 0)
			failed(error, cap, err, "cannot name the pins", n.is);
	}
	if (err < 0)
		kern_pin_set_remove(w->pins, n.begun);
	return err;
}

void kern_adopt_unmake(const struct kern_wanted *w)
{
	struct set_names n;

	names_of(w, &n);
	if (renameat2(w->pins->dir, n.begun, w->pins->dir, n.is, RENAME_EXCHANGE) == 0)
		kern_pin_set_remove(w->pins, n.begun);
	else
		kern_pin_set_remove(w->pins, n.is);
}

/* ---- taken over ---- */

/* A pin that a death left beside its name: one that was lost and about to be made again takes it, any other goes. */
static int beside_settle(void *ctx, int dir, const char *name)
{
	char is[KERN_PIN_NAME];
	struct stat st;

	(void)ctx;
	if (!kern_pin_is_beside(name, is))
		return 0;
	if (fstatat(dir, is, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return unlinkat(dir, name, 0) < 0 ? -errno : 0;
	return renameat(dir, name, dir, is) < 0 ? -errno : 0;
}

static int unlink_other_manifests(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return strncmp(name, "manifest_", 9) == 0 && unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

static bool takes_another(int link, const struct bpf_program *program)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	return kern_object_is_cgroups(program) && bpf_obj_get_info_by_fd(link, &info, &len) == 0 &&
	       info.type == BPF_LINK_TYPE_CGROUP;
}

/* Where a link takes another program that is one step; where not the new one is attached before the old one goes. */
static int link_change(const struct kern_wanted *w, int dir, int cgroup, struct kern_set *set,
		       struct bpf_program *program)
{
	const char *name = bpf_program__name(program);
	char pin[KERN_PIN_NAME];
	int old = kern_set_link(set, name), fd = -1, err;

	if (old >= 0 && takes_another(old, program) &&
	    bpf_link_update(old, bpf_program__fd(program), NULL) == 0)
		return 0;
	err = kern_object_attach(program, cgroup, &fd);
	if (err < 0)
		return err;
	snprintf(pin, sizeof(pin), "link_%s", name);
	err = kern_self_link(w->self, fd);
	if (err == 0)
		err = kern_pin_replace(dir, pin, fd);
	if (err < 0) {
		close(fd);
		return err;
	}
	return kern_set_add_link(set, name, fd);
}

static int links_change(const struct kern_wanted *w, int dir, int cgroup, struct kern_set *set,
			char *error, size_t cap)
{
	struct bpf_program *program = NULL;

	while ((program = kern_object_next(w->object, program))) {
		int err = link_change(w, dir, cgroup, set, program);

		if (err < 0)
			return failed(error, cap, err, "cannot replace",
				      bpf_program__name(program));
	}
	return 0;
}

/* What the object before had and this one has not. */
static int links_drop(const struct kern_wanted *w, int dir, struct kern_set *set)
{
	for (unsigned i = 0; i < set->link_count;) {
		struct bpf_program *program = NULL;
		char pin[KERN_PIN_NAME];

		while ((program = kern_object_next(w->object, program)))
			if (strcmp(bpf_program__name(program), set->links[i].name) == 0)
				break;
		if (program) {
			i++;
			continue;
		}
		snprintf(pin, sizeof(pin), "link_%s", set->links[i].name);
		if (unlinkat(dir, pin, 0) < 0)
			return -errno;
		kern_set_drop_link(set, set->links[i].name);
	}
	return 0;
}

static int manifest_settle(int dir, const char *name, struct kern_set *set)
{
	int err;

	if (renameat(dir, name, dir, "manifest") < 0)
		return -errno;
	err = kern_pin_each(dir, unlink_other_manifests, NULL);
	return err < 0 ? err : manifest_hold(dir, set);
}

int kern_adopt_change(const struct kern_wanted *w, int cgroup, struct kern_set *set, char *error,
		      size_t cap)
{
	char manifest[KERN_PIN_NAME] = "manifest_";
	struct set_names n;
	owned_fd int dir = -1;
	struct text t;
	int err;

	names_of(w, &n);
	text_init(&t, manifest + 9, sizeof(manifest) - 9);
	text_hex(&t, w->object->hash, 8);
	err = kern_pin_set_open(w->pins, n.is, &dir);
	if (err == 0)
		err = kern_pin_each(dir, beside_settle, NULL);
	if (err < 0)
		return failed(error, cap, err, "cannot take over", n.is);
	/* from here on who looks knows the new programs too */
	if (!kern_pin_is_ours(dir, manifest))
		err = manifest_pin(w, dir, manifest, error, cap);
	if (err == 0)
		err = links_change(w, dir, cgroup, set, error, cap);
	if (err == 0)
		err = walk_pin(w, dir, set, error, cap);
	if (err < 0)
		return err;
	/* the new one's are all attached: the old one's may miss one */
	err = links_drop(w, dir, set);
	if (err == 0)
		err = manifest_settle(dir, manifest, set);
	return err < 0 ? failed(error, cap, err, "cannot end the take-over of", n.is) : 0;
}

/* ---- the others go ---- */

struct tidy {
	const struct kern_pins *p;
	const char *stays;
};

static int tidy_one(void *ctx, int dir, const char *name)
{
	const struct tidy *t = ctx;

	(void)dir;
	return strcmp(name, t->stays) == 0 ? 0 : kern_pin_set_remove(t->p, name);
}

int kern_adopt_tidy(const struct kern_wanted *w, char *error, size_t cap)
{
	struct set_names n;
	struct tidy t = { w->pins, n.is };
	int err;

	names_of(w, &n);
	err = kern_pin_each(w->pins->dir, tidy_one, &t);
	return err < 0 ? failed(error, cap, err, "cannot remove the sets before", n.is) : 0;
}

int kern_adopt_relink(const struct kern_wanted *w, const char *name, int fd)
{
	char pin[KERN_PIN_NAME];
	struct set_names n;
	owned_fd int dir = -1;
	int err;

	names_of(w, &n);
	snprintf(pin, sizeof(pin), "link_%s", name);
	err = kern_pin_set_open(w->pins, n.is, &dir);
	return err < 0 ? err : kern_pin_replace(dir, pin, fd);
}

static bool same_object(int a, int b)
{
	/* link, map and program infos all begin with type and id */
	struct {
		uint32_t type, id;
		char rest[512];
	} ia = { 0 }, ib = { 0 };
	uint32_t la = sizeof(ia), lb = sizeof(ib);

	return bpf_obj_get_info_by_fd(a, &ia, &la) == 0 &&
	       bpf_obj_get_info_by_fd(b, &ib, &lb) == 0 && ia.id == ib.id &&
	       kern_pin_kind(a) == kern_pin_kind(b);
}

/* 1: it was not there, or another thing was, and it is there again. */
static int repin(int dir, const char *kind, const char *name, int held)
{
	char pin[KERN_PIN_NAME];
	owned_fd int fd = -1;
	int err;

	snprintf(pin, sizeof(pin), "%s%s", kind, name);
	err = kern_pin_get(dir, pin, &fd);
	if (err == 0 && same_object(fd, held))
		return 0;
	err = kern_pin_replace(dir, pin, held);
	return err < 0 ? err : 1;
}

static int repin_all(int dir, const char *kind, const struct kern_named *held, unsigned count,
		     unsigned *lost)
{
	int err = 0;

	for (unsigned i = 0; err >= 0 && i < count; i++) {
		err = repin(dir, kind, held[i].name, held[i].fd);
		*lost += err > 0;
	}
	return err < 0 ? err : 0;
}

static int repin_one(int dir, const char *kind, const char *name, int held, unsigned *lost)
{
	int err = held >= 0 ? repin(dir, kind, name, held) : 0;

	*lost += err > 0;
	return err < 0 ? err : 0;
}

int kern_adopt_repin(const struct kern_wanted *w, const struct kern_set *set, unsigned *ret_lost)
{
	const struct bpf_program *walk = kern_object_walk(w->object);
	struct set_names n;
	owned_fd int dir = -1;
	int err;

	*ret_lost = 0;
	names_of(w, &n);
	err = kern_pin_set_open(w->pins, n.is, &dir);
	if (err == 0)
		err = repin_all(dir, "link_", set->links, set->link_count, ret_lost);
	if (err == 0)
		err = repin_all(dir, "map_", set->maps, set->map_count, ret_lost);
	if (err == 0 && walk)
		err = repin_one(dir, "prog_", bpf_program__name(walk), set->walk, ret_lost);
	if (err == 0)
		err = repin_one(dir, "", "manifest", set->manifest, ret_lost);
	return err;
}
