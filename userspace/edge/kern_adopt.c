/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of pins, recognised: every name known, every object of the kind, shape and program that it must be, or it is
 * foreign and the start is refused; everything there that must be, or it is unfit. See kern_adopt.h.
 */
#include "edge/kern_adopt.h"

#include "../bpf/abi.h"
#include "base/twin.h"
#include "edge/kern_ext.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFESTS_MAX 8

struct look {
	const struct kern_wanted *w;
	const char *set_name;
	int dir;
	struct kern_manifest *manifests; /* the first is the one called so */
	unsigned manifest_count;
	bool half; /* something of a take-over lies there */
	struct kern_set *set;
	char *text;
	size_t cap;
	bool unfit;
};

static int foreign(struct look *l, const char *name, const char *why)
{
	snprintf(
		l->text, l->cap,
		"%s/%s%s%s %s: nobody knows what it would do; see who made it, then `cleatd disarm` removes all of it",
		l->w->pins->path, l->set_name, *name ? "/" : "", name, why);
	return -EEXIST;
}

static void unfit(struct look *l, const char *name, const char *why)
{
	if (!l->unfit)
		snprintf(l->text, l->cap, "%s %s", name, why);
	l->unfit = true;
}

static bool starts(const char *name, const char *with, const char **ret_rest)
{
	size_t n = strlen(with);

	if (strncmp(name, with, n) != 0)
		return false;
	*ret_rest = name + n;
	return true;
}

/* ---- manifests ---- */

static int manifest_read(struct look *l, const char *name)
{
	owned_fd int fd = -1;
	int err = kern_pin_get(l->dir, name, &fd);

	if (err < 0)
		return err;
	if (l->manifest_count == MANIFESTS_MAX) {
		unfit(l, name, "is one more take-over that was cut off");
		return 0;
	}
	if (kern_pin_kind(fd) != KERN_PIN_MAP ||
	    kern_manifest_read(fd, &l->manifests[l->manifest_count]) < 0)
		return foreign(l, name, "is no manifest of ours");
	if (!l->manifest_count++)
		kern_set_hold(&l->set->manifest, take_fd(&fd));
	return 0;
}

static int each_manifest(void *ctx, int dir, const char *name)
{
	const char *rest;

	(void)dir;
	return starts(name, "manifest_", &rest) ? manifest_read(ctx, name) : 0;
}

static int manifests_read(struct look *l)
{
	int err = manifest_read(l, "manifest");

	if (err == -ENOENT)
		err = manifest_read(l, "manifest_new"); /* about to be put there again */
	if (err == -ENOENT) {
		unfit(l, "manifest", "is missing");
		return 0;
	}
	if (err == 0)
		err = kern_pin_each(l->dir, each_manifest, l);
	l->half = l->manifest_count > 1;
	return err;
}

/* ---- maps ---- */

static bool shape_is(int fd, const struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return false;
	return strncmp(info.name, bpf_map__name(map), sizeof(info.name) - 1) == 0 &&
	       info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

static int maps_read(struct look *l)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, l->w->object->bpf)
	{
		char name[KERN_PIN_NAME], beside[KERN_PIN_NAME + 4];
		int fd = -1, err;

		snprintf(name, sizeof(name), "map_%s", bpf_map__name(map));
		snprintf(beside, sizeof(beside), "%s_new", name);
		err = kern_pin_get(l->dir, name, &fd);
		if (err == -ENOENT)
			err = kern_pin_get(l->dir, beside, &fd);
		if (err == -ENOENT) {
			unfit(l, name, "is missing");
			continue;
		}
		if (err < 0)
			return foreign(l, name, "cannot be opened");
		if (kern_pin_kind(fd) != KERN_PIN_MAP || !shape_is(fd, map)) {
			close(fd);
			return foreign(l, name, "is not the map of that name");
		}
		err = kern_set_add_map(l->set, bpf_map__name(map), fd);
		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- programs and links ---- */

static bool is_known(const struct look *l, const char *program, int fd)
{
	for (unsigned i = 0; i < l->manifest_count; i++)
		if (kern_manifest_holds(&l->manifests[i], program, fd))
			return true;
	return false;
}

static bool is_named(const struct look *l, const char *program, bool is_walk)
{
	for (unsigned i = 0; i < l->manifest_count; i++) {
		const struct kern_manifest_program *p =
			kern_manifest_find(&l->manifests[i], program);

		if (p && !p->is_walk == !is_walk)
			return true;
	}
	return false;
}

static int program_read(struct look *l, const char *name, const char *program)
{
	owned_fd int fd = -1;
	int err = kern_pin_get(l->dir, name, &fd);

	if (err < 0)
		return foreign(l, name, "cannot be opened");
	if (kern_pin_kind(fd) != KERN_PIN_PROGRAM || !is_known(l, program, fd))
		return foreign(l, name, "is not the program of that name");
	kern_set_hold(&l->set->walk, take_fd(&fd));
	return 0;
}

/* A link that its cgroup's end or another configuration left elsewhere. */
static bool is_elsewhere(const struct look *l, const struct bpf_link_info *info)
{
	return info->type == BPF_LINK_TYPE_CGROUP && info->cgroup.cgroup_id != l->w->cgroup_id;
}

/* Where it is attached in a cgroup, it is at the point that its program is for. */
static bool is_at_point(const struct look *l, const struct bpf_link_info *info, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(l->w->object->bpf, name);

	return info->type != BPF_LINK_TYPE_CGROUP || !program ||
	       info->cgroup.attach_type == (uint32_t)bpf_program__expected_attach_type(program);
}

static int link_read(struct look *l, const char *name, const char *program)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	owned_fd int link = -1, fd = -1;
	int err = kern_pin_get(l->dir, name, &link);

	if (err < 0)
		return foreign(l, name, "cannot be opened");
	if (kern_pin_kind(link) != KERN_PIN_LINK || bpf_obj_get_info_by_fd(link, &info, &len) < 0)
		return foreign(l, name, "is no link");
	fd = bpf_prog_get_fd_by_id(info.prog_id);
	if (fd < 0)
		return foreign(l, name, "has a program that cannot be looked at");
	if (!is_known(l, program, fd))
		return foreign(l, name, "has another program than the manifest says");
	if (!is_at_point(l, &info, program))
		return foreign(l, name, "is attached to another point");
	if (is_elsewhere(l, &info))
		unfit(l, name, "is attached to another cgroup, or to none any more");
	return kern_set_add_link(l->set, program, take_fd(&link));
}

static bool is_map(const struct look *l, const char *name)
{
	return bpf_object__find_map_by_name(l->w->object->bpf, name) != NULL;
}

static int read_one(void *ctx, int dir, const char *name)
{
	struct look *l = ctx;
	char is[KERN_PIN_NAME];
	const char *rest;
	struct stat st;

	if (!kern_pin_is_ours(dir, name))
		return foreign(l, name, "is no file of root's alone");
	if (strcmp(name, "manifest") == 0 || starts(name, "manifest_", &rest))
		return 0;		  /* read already */
	if (kern_pin_is_beside(name, is)) /* attached beside the old one, or not yet put over it */
		l->half = true;
	else
		snprintf(is, sizeof(is), "%s", name);
	if (starts(is, "map_", &rest) && is_map(l, rest))
		return 0;
	if (!starts(is, "link_", &rest) && !starts(is, "prog_", &rest))
		return foreign(l, name, "is nothing of ours");
	/* without a manifest nothing says what these are; the set is replaced */
	if (!l->manifest_count)
		return 0;
	if (!is_named(l, rest, name[0] == 'p'))
		return foreign(l, name, "is named by no manifest");
	if (strcmp(is, name) != 0 && fstatat(dir, is, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* the take-over to come removes it */
	return name[0] == 'p' ? program_read(l, name, rest) : link_read(l, name, rest);
}

/* ---- programs over maps ---- */

static bool is_id_of(const struct kern_set *s, uint32_t id)
{
	for (unsigned i = 0; i < s->map_count; i++) {
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(s->maps[i].fd, &info, &len) == 0 && info.id == id)
			return true;
	}
	return false;
}

/* A program's tag does not tell which maps it is over. */
static bool is_over(const struct kern_set *s, int program)
{
	uint32_t ids[KERN_SET_MAX];
	struct bpf_prog_info info = { .nr_map_ids = KERN_SET_MAX, .map_ids = (uintptr_t)ids };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &len) < 0 || info.nr_map_ids > KERN_SET_MAX)
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids; i++)
		if (!is_id_of(s, ids[i]))
			return false;
	return true;
}

static int maps_match(struct look *l)
{
	if (l->set->walk >= 0 && !is_over(l->set, l->set->walk))
		return foreign(l, "prog", "works on other maps than those beside it");
	for (unsigned i = 0; i < l->set->link_count; i++) {
		struct bpf_link_info info = { 0 };
		uint32_t len = sizeof(info);
		owned_fd int program = -1;

		if (bpf_obj_get_info_by_fd(l->set->links[i].fd, &info, &len) == 0)
			program = bpf_prog_get_fd_by_id(info.prog_id);
		if (program < 0 || !is_over(l->set, program))
			return foreign(l, l->set->links[i].name,
				       "works on other maps than those beside it");
	}
	return 0;
}

/* ---- whole? ---- */

static const char *missing_of(const struct look *l, const struct kern_manifest *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct kern_manifest_program *p = &m->programs[i];

		if (p->is_walk ? l->set->walk < 0 : kern_set_link(l->set, p->name) < 0)
			return p->name;
	}
	return NULL;
}

/* Every program of one of the manifests is attached. */
static void missing_find(struct look *l)
{
	const char *missing = NULL;

	for (unsigned i = 0; i < l->manifest_count; i++) {
		missing = missing_of(l, &l->manifests[i]);
		if (!missing)
			return;
	}
	if (missing && kept(pins_whole))
		unfit(l, missing, "is missing");
}

/* A manifest that says it is of our object must name all of that. */
static void object_find(struct look *l)
{
	const struct bpf_program *walk = kern_object_walk(l->w->object);
	struct bpf_program *program = NULL;

	while ((program = kern_object_next(l->w->object, program)))
		if (kern_set_link(l->set, bpf_program__name(program)) < 0)
			unfit(l, bpf_program__name(program),
			      "is missing, and from the manifest, too");
	if (walk && l->set->walk < 0)
		unfit(l, bpf_program__name(walk), "is missing, and from the manifest, too");
}

static enum kern_found judge(struct look *l)
{
	const struct kern_manifest *m = &l->manifests[0];

	if (!l->unfit && l->w->lineage && kept(pins_lineage) &&
	    memcmp(m->lineage, l->w->lineage, sizeof(m->lineage)) != 0)
		unfit(l, l->set_name,
		      "holds the labels of another run-time directory, or of one that was emptied");
	if (l->unfit)
		return KERN_FOUND_UNFIT;
	if (l->half || memcmp(m->object, l->w->object->hash, sizeof(m->object)) != 0)
		return KERN_FOUND_CHANGE;
	if (kept(pins_whole))
		object_find(l);
	return l->unfit ? KERN_FOUND_UNFIT : KERN_FOUND_WHOLE;
}

/* What others may have put into them (freplace) their tags do not tell: nothing that they wrote is taken. */
static int closed_find(struct look *l)
{
	const char *name;
	int found = kern_ext_look(l->set, &name);

	if (found > 0)
		unfit(l, name, "can have a part replaced by another program (freplace)");
	return found < 0 ? found : 0;
}

static int look(struct look *l, enum kern_found *ret)
{
	int err = manifests_read(l);

	if (err == 0)
		err = kern_pin_each(l->dir, read_one, l);
	if (err == 0)
		err = maps_read(l);
	if (err == 0 && !l->unfit && kept(pins_over_maps))
		err = maps_match(l);
	if (err == 0 && !l->unfit && kept(pins_static))
		err = closed_find(l);
	if (err < 0)
		return err;
	missing_find(l);
	*ret = judge(l);
	return 0;
}

/* ---- which set ---- */

static int first_set(void *ctx, int dir, const char *name)
{
	(void)dir;
	snprintf(ctx, KERN_PIN_NAME, "%s", name);
	return 0;
}

static void set_name_of(const struct kern_wanted *w, char ret[KERN_PIN_NAME])
{
	kern_pin_set_name(CLEAT_ABI_VERSION, w->object->level, w->object->layout, ret);
	if (!kept(pins_layout)) /* the broken twin takes whatever is there */
		kern_pin_each(w->pins->dir, first_set, ret);
}

int kern_adopt_look(const struct kern_wanted *w, struct kern_set *ret, enum kern_found *ret_found,
		    char *text, size_t cap)
{
	char name[KERN_PIN_NAME];
	owned_fd int dir = -1;
	owned_mem struct kern_manifest *manifests = calloc(MANIFESTS_MAX, sizeof(*manifests));
	struct look l = { .w = w,
			  .set_name = name,
			  .manifests = manifests,
			  .set = ret,
			  .text = text,
			  .cap = cap };
	int err;

	if (!manifests)
		return -ENOMEM;
	set_name_of(w, name);
	err = kern_pin_set_open(w->pins, name, &dir);
	if (err == -ENOENT) {
		*ret_found = KERN_FOUND_NOTHING;
		return 0;
	}
	if (err < 0)
		return foreign(&l, "", "is no directory of root's alone");
	l.dir = dir;
	err = look(&l, ret_found);
	if (err == -EEXIST)
		return err;
	if (err < 0)
		return kern_complain(text, cap, err, name);
	if (*ret_found == KERN_FOUND_UNFIT)
		kern_set_close(ret);
	return 0;
}

/* ---- what a set of level full remembers ---- */

/* One of another shape, or that cannot be read, may have been: what it remembers is not given up. */
static bool may_have_been_armed(int set)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	struct cleat_config config;
	owned_fd int fd = -1;

	if (kern_pin_get(set, "map_cleat_config", &fd) < 0 ||
	    bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.key_size != sizeof(uint32_t) || info.value_size != sizeof(config) ||
	    kern_config_get(fd, &config) < 0)
		return true;
	return kern_was_armed(&config);
}

static bool is_of_lineage(int set, const uint8_t lineage[KERN_LINEAGE])
{
	owned_mem struct kern_manifest *m = calloc(1, sizeof(*m));
	owned_fd int fd = -1;

	return m && kern_pin_get(set, "manifest", &fd) == 0 && kern_pin_kind(fd) == KERN_PIN_MAP &&
	       kern_manifest_read(fd, m) == 0 &&
	       memcmp(m->lineage, lineage, sizeof(m->lineage)) == 0;
}

struct memory {
	const struct kern_pins *p;
	const uint8_t *lineage;
	char *name;
	size_t cap;
	bool is;
};

static int remembers_one(void *ctx, int dir, const char *name)
{
	struct memory *m = ctx;
	const char *full = strstr(name, "_full_");
	owned_fd int set = -1;

	(void)dir;
	if (!kern_pin_is_set_name(name) || !full || strlen(full) != strlen("_full_") + 16)
		return 0; /* one that was only begun is of no use */
	if (kern_pin_set_open(m->p, name, &set) < 0 || !is_of_lineage(set, m->lineage) ||
	    !may_have_been_armed(set))
		return 0;
	snprintf(m->name, m->cap, "%s", name);
	m->is = true;
	return 0;
}

bool kern_pins_remember(const struct kern_pins *p, const uint8_t lineage[KERN_LINEAGE],
			char *ret_name, size_t cap)
{
	struct memory m = { .p = p, .lineage = lineage, .name = ret_name, .cap = cap };

	kern_pin_each(p->dir, remembers_one, &m);
	return m.is;
}

/* ---- the directory ---- */

struct survey {
	const struct kern_pins *p;
	bool any;
	char *text;
	size_t cap;
};

static int survey_one(void *ctx, int dir, const char *name)
{
	struct survey *s = ctx;
	owned_fd int set = -1;

	(void)dir;
	s->any = true;
	if (kern_pin_is_set_name(name) && kern_pin_set_open(s->p, name, &set) == 0)
		return 0;
	snprintf(
		s->text, s->cap,
		"%s/%s is nothing of ours, or not root's alone: see who made it, then `cleatd disarm` removes all of it",
		s->p->path, name);
	return -EEXIST;
}

int kern_adopt_survey(const struct kern_pins *p, bool *ret_any, char *text, size_t cap)
{
	struct survey s = { .p = p, .text = text, .cap = cap };
	int err = kern_pin_each(p->dir, survey_one, &s);

	*ret_any = s.any;
	return err;
}
