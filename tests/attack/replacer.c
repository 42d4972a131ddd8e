// SPDX-License-Identifier: Apache-2.0
/*
 * Puts a program in the place of a function of another one (freplace): replacer OBJECT PROGRAM PIN [CGROUP|-]
 *
 * The descriptor of PROGRAM is got by its id, where we are; then we go into CGROUP, as who holds it from before. With - it is
 * asked for until there is such a program. Says "ok" once the link is pinned at PIN, or which errno it was at.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
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

static int replace(const char *path, int target, const char *pin)
{
	struct bpf_object *object = bpf_object__open(path);
	struct bpf_program *program = object ? bpf_object__next_program(object, NULL) : NULL;
	struct bpf_link *link;
	int err;

	if (!program)
		return -errno;
	err = bpf_program__set_attach_target(program, target, "label_of_place");
	if (err == 0)
		err = bpf_object__load(object);
	if (err < 0)
		return err;
	link = bpf_program__attach_freplace(program, 0, NULL);
	return link ? bpf_link__pin(link, pin) : -errno;
}

static int said(int err)
{
	printf("%s\n", err < 0 ? strerrorname_np(-err) : "ok");
	return err < 0;
}

int main(int argc, char **argv)
{
	const char *where = argc > 4 ? argv[4] : "";
	int fd, err;

	if (argc < 4)
		return 2;
	libbpf_set_print(NULL);
	do
		fd = program_of(argv[2]);
	while (fd < 0 && *where == '-');
	if (fd < 0)
		return said(fd);
	err = *where == '/' ? enter(where) : 0;
	return said(err < 0 ? err : replace(argv[1], fd, argv[3]));
}
