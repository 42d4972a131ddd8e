// SPDX-License-Identifier: Apache-2.0
/*
 * Puts a program in the place of another one (freplace), or beside it (fentry): replacer OBJECT PROGRAM PIN HOW [CGROUP]
 *
 *	for	loaded for PROGRAM, which it replaces
 *	turned	loaded for a program of our own, and turned to PROGRAM when it is attached
 *	listen	loaded for PROGRAM, to be called before it
 *	own	loaded for a program of our own, which it replaces, as another tool's would
 *
 * The descriptor of PROGRAM is got by its id, where we are; then we go into CGROUP, as who holds it from before. Says "ok" once
 * the link is pinned at PIN, or which errno it was at.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int program_of(const char *name)
{
	for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, name) == 0)
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static int enter(const char *cgroup)
{
	char path[256];
	int fd, err;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	err = fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
	close(fd);
	return err;
}

/* The program @name of the object alone, for the function @of of @target. */
static int load(const char *path, const char *name, int target, const char *of,
		struct bpf_program **ret)
{
	struct bpf_object *object = bpf_object__open(path);
	struct bpf_program *p;

	if (!object)
		return -errno;
	bpf_object__for_each_program(p, object)
		bpf_program__set_autoload(p, strcmp(bpf_program__name(p), name) == 0);
	*ret = bpf_object__find_program_by_name(object, name);
	if (target >= 0)
		bpf_program__set_attach_target(*ret, target, of);
	return bpf_object__load(object);
}

static int put(const char *path, const char *program, int target, const char *how, const char *pin)
{
	bool turned = strcmp(how, "turned") == 0, own = strcmp(how, "own") == 0;
	bool listen = strcmp(how, "listen") == 0;
	struct bpf_program *mine, *p;
	struct bpf_link *link;
	int err = load(path, "own", -1, NULL, &mine);

	if (err == 0)
		err = load(path, listen ? "listen" : "replace",
			   turned || own ? bpf_program__fd(mine) : target,
			   turned || own ? "own" : program, &p);
	if (err < 0)
		return err;
	link = turned ? bpf_program__attach_freplace(p, target, program) : bpf_program__attach(p);
	return link ? bpf_link__pin(link, pin) : -errno;
}

static int said(int err)
{
	printf("%s\n", err < 0 ? strerrorname_np(-err) : "ok");
	return err < 0;
}

int main(int argc, char **argv)
{
	int fd, err;

	if (argc < 5)
		return 2;
	libbpf_set_print(NULL);
	fd = strcmp(argv[4], "own") == 0 ? -1 : program_of(argv[2]);
	if (fd < -1)
		return said(fd);
	err = argc > 5 ? enter(argv[5]) : 0;
	return said(err < 0 ? err : put(argv[1], argv[2], fd, argv[4], argv[3]));
}
