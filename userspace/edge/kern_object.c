/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbpf's part: open, load, attach. Which program belongs to which level is in its name: reduced_* to level reduced,
 * every other one to level full. See kern_object.h.
 */
#include "edge/kern_object.h"

#include "edge/kern.h"

#include "../bpf/abi.h"
#include "base/file.h"
#include "base/twin.h"
#include "edge/kern_ext.h"
#include "edge/kern_layout.h"
#include "edge/machine.h"
#include "edge/sig.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "cleat.skel.h"
#pragma GCC diagnostic pop
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OBJECT_MAX (16 << 20)

/* The first line libbpf warned with: it names the program or map that did not load. */
static __thread char said[512];

static int listen_to_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN || said[0])
		return 0;
	vsnprintf(said, sizeof(said), format, args);
	said[strcspn(said, "\n")] = '\0';
	return 0;
}

void kern_hush(void)
{
	said[0] = '\0';
}

static bool file_says(const char *path, const char *word)
{
	owned_mem char *text = NULL;
	size_t len;

	return file_read(AT_FDCWD, path, 4096, FILE_ANY, &text, &len) == 0 && strstr(text, word);
}

bool kern_full_possible(void)
{
	return !kept(lsm_listed) || machine_lsm_listed();
}

int kern_complain(char *error, size_t cap, int err, const char *what)
{
	const char *way = "";

	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		way = "; the kernel has no BTF (/sys/kernel/btf/vmlinux): use one built with CONFIG_DEBUG_INFO_BTF=y";
	else if (err == -EPERM && geteuid() != 0)
		way = "; run as root (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN)";
	else if (err == -EPERM && file_says("/sys/kernel/security/lockdown", "[confidentiality]"))
		way = "; the kernel is locked down: boot it with lockdown=integrity or without, or use level reduced";
	else if (err == -EPERM)
		way = "; the kernel refuses such programs (lockdown, or another security module): see its log";
	snprintf(error, cap, "%s: %s%s%s%s", what, strerror(-err), way, said[0] ? "; libbpf: " : "",
		 said);
	return err;
}

/* ---- what it is ---- */

static bool program_is_of(const struct bpf_program *program, uint32_t level)
{
	bool reduced = strncmp(bpf_program__name(program), "reduced_", 8) == 0;

	return reduced == (level == CLEAT_LEVEL_REDUCED);
}

static bool is_walk(const struct bpf_program *program)
{
	return bpf_program__expected_attach_type(program) == BPF_TRACE_ITER;
}

static int bytes_open(struct kern_object *o, const void *bytes, size_t size)
{
	int err = sig_sha256(bytes, size, o->hash);

	if (err < 0)
		return err;
	o->bpf = bpf_object__open_mem(bytes, size, NULL);
	return o->bpf ? 0 : -errno;
}

static int object_open(struct kern_object *o, const char *path)
{
	owned_mem char *bytes = NULL;
	size_t size;
	int err;

	if (!path) {
		const void *embedded = cleat_bpf__elf_bytes(&size);

		return bytes_open(o, embedded, size);
	}
	err = file_read(AT_FDCWD, path, OBJECT_MAX, FILE_ANY, &bytes, &size);
	return err < 0 ? err : bytes_open(o, bytes, size);
}

int kern_object_open(const char *path, uint32_t level, struct kern_object **ret, char *error,
		     size_t cap)
{
	owned(kern_object_owned) struct kern_object *o = calloc(1, sizeof(*o));
	int err;

	kern_hush();
	libbpf_set_print(listen_to_libbpf);
	if (level == CLEAT_LEVEL_FULL && !kern_full_possible()) {
		snprintf(
			error, cap,
			"level full needs BPF LSM, and /sys/kernel/security/lsm does not name bpf: boot with lsm=...,bpf (and CONFIG_BPF_LSM=y), with securityfs mounted");
		return -EOPNOTSUPP;
	}
	if (!o)
		return kern_complain(error, cap, -ENOMEM, "the BPF object");
	o->level = level;
	err = object_open(o, path);
	if (err == 0)
		err = kern_layout_of(o->bpf, level, &o->layout);
	if (err < 0)
		return kern_complain(error, cap, err, "the BPF object cannot be read");
	*ret = take_ptr(o);
	return 0;
}

void kern_object_free(struct kern_object *o)
{
	if (o->bpf)
		bpf_object__close(o->bpf);
	free(o);
}

/* ---- into the kernel ---- */

static int maps_reuse(struct kern_object *o, const struct kern_set *reuse)
{
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, o->bpf)
	{
		int fd = kern_set_map(reuse, bpf_map__name(map));

		if (err == 0 && fd >= 0)
			err = bpf_map__reuse_fd(map, fd);
	}
	return err;
}

int kern_object_load(struct kern_object *o, const struct kern_set *reuse, char *error, size_t cap)
{
	struct bpf_program *program;
	char what[64];
	int err = reuse ? maps_reuse(o, reuse) : 0;

	if (kept(functions_static))
		kern_ext_close(bpf_object__btf(o->bpf));
	bpf_object__for_each_program(program, o->bpf)
		bpf_program__set_autoload(program, program_is_of(program, o->level));
	if (err == 0)
		err = bpf_object__load(o->bpf);
	if (err == 0)
		return 0;
	snprintf(what, sizeof(what), "the programs of level %s do not load",
		 o->level == CLEAT_LEVEL_FULL ? "full" : "reduced");
	return kern_complain(error, cap, err, what);
}

struct bpf_program *kern_object_next(const struct kern_object *o, struct bpf_program *after)
{
	do
		after = bpf_object__next_program(o->bpf, after);
	while (after && (!program_is_of(after, o->level) || is_walk(after)));
	return after;
}

struct bpf_program *kern_object_walk(const struct kern_object *o)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, o->bpf) if (program_is_of(program, o->level) &&
							  is_walk(program)) return program;
	return NULL;
}

bool kern_object_is_cgroups(const struct bpf_program *program)
{
	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_CGROUP_SYSCTL:
	case BPF_PROG_TYPE_SOCK_OPS:
		return true;
	default:
		return false;
	}
}

int kern_object_attach(struct bpf_program *program, int cgroup, int *ret_link)
{
	struct bpf_link *link = kern_object_is_cgroups(program)
					? bpf_program__attach_cgroup(program, cgroup)
					: bpf_program__attach(program);
	int fd;

	if (!link)
		return -errno;
	/* libbpf's own descriptor goes with its struct, and with it nothing but that */
	fd = fcntl(bpf_link__fd(link), F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		fd = -errno;
	bpf_link__destroy(link);
	if (fd < 0)
		return fd;
	*ret_link = fd;
	return 0;
}
