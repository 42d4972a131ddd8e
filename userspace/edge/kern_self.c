/* SPDX-License-Identifier: Apache-2.0 */
/* What is ours. See kern_self.h. */
#include "edge/kern_self.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "edge/kern_map.h"
#include "edge/kern_object.h"
#include "edge/kern_pin.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

void kern_self_begin(struct kern_self *s, int own, int self)
{
	*s = (struct kern_self){ .own = own, .self = self, .since = clock_boot_ns() };
}

static int say(const struct kern_self *s, enum cleat_own kind, __u64 id, __u32 dev)
{
	const struct cleat_own_key key = { .id = id, .kind = kind, .dev = dev };

	return kern_map_put(s->own, &key, &s->since, BPF_ANY);
}

static int say_object(const struct kern_self *s, enum cleat_own kind, int fd)
{
	struct bpf_prog_info program = { 0 };
	struct bpf_map_info map = { 0 };
	bool is_map = kind == CLEAT_OWN_MAP;
	__u32 len = is_map ? sizeof(map) : sizeof(program);
	int err = bpf_obj_get_info_by_fd(fd, is_map ? (void *)&map : &program, &len);

	return err < 0 ? err : say(s, kind, is_map ? map.id : program.id, 0);
}

static int say_loaded(const struct kern_self *s, struct bpf_object *object)
{
	struct bpf_program *program;
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, object)
	{
		if (err == 0 && bpf_map__fd(map) >= 0)
			err = say_object(s, CLEAT_OWN_MAP, bpf_map__fd(map));
	}
	bpf_object__for_each_program(program, object)
	{
		if (err == 0 && bpf_program__fd(program) >= 0)
			err = say_object(s, CLEAT_OWN_PROGRAM, bpf_program__fd(program));
	}
	return err;
}

/* A link and its program, whose descriptor nobody holds. */
static int say_link(const struct kern_self *s, int fd)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (err == 0)
		err = say(s, CLEAT_OWN_LINK, info.id, 0);
	return err < 0 ? err : say(s, CLEAT_OWN_PROGRAM, info.prog_id, 0);
}

int kern_self_link(const struct kern_self *s, int link)
{
	return s ? say_link(s, link) : 0;
}

static int say_set(const struct kern_self *s, const struct kern_set *set)
{
	int err = set->walk >= 0 ? say_object(s, CLEAT_OWN_PROGRAM, set->walk) : 0;

	for (unsigned i = 0; i < set->map_count && err == 0; i++)
		err = say_object(s, CLEAT_OWN_MAP, set->maps[i].fd);
	for (unsigned i = 0; i < set->link_count && err == 0; i++)
		err = say_link(s, set->links[i].fd);
	return err;
}

int kern_self_keeper(struct kern_self *s, const char *path, __u64 id)
{
	if (strlen(path) >= sizeof(s->is.cgroup) - 1)
		return -ENAMETOOLONG;
	memset(s->is.cgroup, 0, sizeof(s->is.cgroup));
	strcpy(s->is.cgroup, path);
	s->is.cgroup_id = id;
	return 0;
}

/* A device as the kernel's own s_dev counts it. */
static __u32 dev_of(const struct stat *st)
{
	return major(st->st_dev) << 20 | minor(st->st_dev);
}

/* The directory that is covered by what is mounted at @path: when that is moved away, nothing is put there instead. */
static int say_covered(const struct kern_self *s, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	owned_fd int above = -1;
	char parent[4096];
	struct stat st;

	snprintf(parent, sizeof(parent), "%.*s", (int)(name - path), path);
	above = open_tree(AT_FDCWD, parent, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (above < 0)
		return errno == EINVAL ? 0 : -errno;
	if (fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return -errno;
	return say(s, CLEAT_OWN_WAY, st.st_ino, dev_of(&st));
}

/* Every directory of @dir's path but the root: who mounts there hides the pins. */
static int say_way(const struct kern_self *s, const char *dir)
{
	char path[4096];
	struct stat st;
	int err = 0;

	if (strlen(dir) >= sizeof(path))
		return -ENAMETOOLONG;
	for (const char *at = dir + 1; at && err == 0;) {
		at = strchr(at, '/');
		snprintf(path, sizeof(path), "%.*s", at ? (int)(at++ - dir) : (int)strlen(dir),
			 dir);
		err = stat(path, &st) < 0 ? -errno : say(s, CLEAT_OWN_WAY, st.st_ino, dev_of(&st));
		if (err == 0)
			err = say_covered(s, path);
	}
	return err;
}

/* The next character of a path in mountinfo, where blanks and backslashes are octal. */
static char point_next(const char **at)
{
	const char *p = *at;
	bool octal = p[0] == '\\' && strspn(p + 1, "01234567") >= 3;

	*at = p + (octal ? 4 : 1);
	return octal ? (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0')) : p[0];
}

static bool is_on_way(const char *point, const char *dir)
{
	if (strcmp(point, "/") == 0)
		return true;
	while (*point && *dir)
		if (point_next(&point) != *dir++)
			return false;
	return !*point && (*dir == '/' || !*dir);
}

/* Every mount on the way to @dir in init's mount namespace. The daemon's own may be another: that ends with it, and its
 * mounts' ids are other mounts' then. */
static int say_mounts(const struct kern_self *s, const char *dir)
{
	owned_file FILE *f = fopen("/proc/1/mountinfo", "re");
	unsigned id, major_of, minor_of;
	owned_mem char *line = NULL;
	char point[4096];
	size_t cap = 0;
	int err = 0;

	if (!f)
		return -errno;
	while (err == 0 && getline(&line, &cap, f) > 0)
		if (sscanf(line, "%u %*u %u:%u %*s %4095s", &id, &major_of, &minor_of, point) ==
			    4 &&
		    is_on_way(point, dir))
			err = say(s, CLEAT_OWN_MOUNT, id, major_of << 20 | minor_of);
	return err;
}

int kern_self_pins(struct kern_self *s, const char *dir)
{
	struct statfs fs;
	struct stat st;
	int err;

	if (dir[0] != '/')
		return -EINVAL;
	if (statfs(dir, &fs) < 0 || stat(dir, &st) < 0)
		return -errno;
	if (fs.f_type != BPF_FS_MAGIC)
		return -EINVAL;
	err = say_way(s, dir);
	if (err == 0)
		err = say_mounts(s, dir);
	if (err < 0)
		return err;
	s->is.pins_ino = st.st_ino;
	s->is.pins_dev = dev_of(&st);
	return 0;
}

static int switch_on(const struct kern_self *s)
{
	struct cleat_keeper is = s->is;
	__u32 zero = 0;

	if (!is.cgroup_id)
		return -EINVAL; /* nobody could touch anything */
	is.on = 1;
	return kern_map_put(s->self, &zero, &is, BPF_ANY);
}

static int forget_others(const struct kern_self *s)
{
	struct cleat_own_key key, next;
	int err = kern_map_next(s->own, NULL, &key);
	__u64 since;

	/* the next key is asked for before this one goes: after that the walk would begin anew */
	for (unsigned i = 0; err == 0 && i < 2 * CLEAT_OWN_MAX; i++) {
		bool old = kern_map_get(s->own, &key, &since, 0) == 0 && since < s->since;

		err = kern_map_next(s->own, &key, &next);
		if (old)
			kern_map_drop(s->own, &key);
		key = next;
	}
	return err == -ENOENT ? 0 : err;
}

static int say_manifest(const struct kern_self *s, const struct kern_pins *pins,
			const struct kern_object *object)
{
	char name[KERN_PIN_NAME];
	owned_fd int dir = -1, fd = -1;
	int err;

	kern_pin_set_name(CLEAT_ABI_VERSION, object->level, object->layout, name);
	err = kern_pin_set_open(pins, name, &dir);
	if (err == 0)
		err = kern_pin_get(dir, "manifest", &fd);
	return err < 0 ? err : say_object(s, CLEAT_OWN_MAP, fd);
}

int kern_self_before(const struct kern_self *s, const struct kern_object *object,
		     const struct kern_set *set)
{
	int err = say_loaded(s, object->bpf);

	if (err == 0)
		err = say_set(s, set);
	return err < 0 ? err : switch_on(s);
}

int kern_self_after(const struct kern_self *s, const struct kern_pins *pins,
		    const struct kern_object *object, const struct kern_set *set)
{
	int err = say_set(s, set);

	if (err == 0 && pins)
		err = say_manifest(s, pins, object);
	return err < 0 ? err : forget_others(s);
}
