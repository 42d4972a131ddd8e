/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system of one file for unit tests, whose server falls silent when it is told to: what is closed then waits past
 * every signal, until the server ends. Tests are skipped where none can be mounted.
 */
#ifndef CLEAT_TESTS_STALLING_H
#define CLEAT_TESTS_STALLING_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char mounted[] = "/tmp/stalling-XXXXXX";
static pid_t server_pid;
static atomic_bool *silent; /* shared with the server */

static void stalling_reply(int fuse, uint64_t unique, int error, const void *body, size_t len)
{
	struct fuse_out_header h = { (uint32_t)(sizeof(h) + len), error, unique };
	char bytes[256];

	memcpy(bytes, &h, sizeof(h));
	if (len)
		memcpy(bytes + sizeof(h), body, len);
	if (write(fuse, bytes, h.len) < 0 && errno != ENOENT)
		_exit(1);
}

static void stalling_answer(int fuse, const struct fuse_in_header *in)
{
	const struct fuse_write_in *write_in = (const struct fuse_write_in *)(in + 1);
	const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
					    .minor = FUSE_KERNEL_MINOR_VERSION,
					    .flags = FUSE_WRITEBACK_CACHE,
					    .max_write = 65536 };
	const struct fuse_attr_out attr = {
		.attr_valid = 3600,
		.attr = { .ino = 1, .mode = S_IFREG | 0600, .nlink = 1, .blksize = 4096 }
	};
	const struct fuse_open_out opened = { .open_flags = FOPEN_KEEP_CACHE };

	if (in->opcode == FUSE_INIT)
		stalling_reply(fuse, in->unique, 0, &init, sizeof(init));
	else if (in->opcode == FUSE_GETATTR || in->opcode == FUSE_SETATTR)
		stalling_reply(fuse, in->unique, 0, &attr, sizeof(attr));
	else if (in->opcode == FUSE_OPEN)
		stalling_reply(fuse, in->unique, 0, &opened, sizeof(opened));
	else if (in->opcode == FUSE_WRITE && !*silent)
		stalling_reply(fuse, in->unique, 0,
			       &(struct fuse_write_out){ .size = write_in->size },
			       sizeof(struct fuse_write_out));
	else if (in->opcode == FUSE_FLUSH && !*silent)
		stalling_reply(fuse, in->unique, 0, NULL, 0);
	else if (in->opcode == FUSE_RELEASE)
		stalling_reply(fuse, in->unique, 0, NULL, 0);
	else if (in->opcode != FUSE_FLUSH && in->opcode != FUSE_WRITE && in->opcode != FUSE_FORGET)
		stalling_reply(fuse, in->unique, -ENOSYS, NULL, 0);
}

/* A process of its own: with its end every wait for it ends, whatever became of the test. */
static void stalling_serve(int fuse)
{
	static char bytes[1 << 20];

	alarm(40);
	while (read(fuse, bytes, sizeof(bytes)) > 0)
		stalling_answer(fuse, (const struct fuse_in_header *)bytes);
	_exit(0);
}

static void stalling_mount(void)
{
	char options[64];
	int fuse, fd = mkstemp(mounted);

	cr_assert_geq(fd, 0);
	close(fd);
	silent = mmap(NULL, sizeof(*silent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", fuse);
	if (fuse < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("stalling", mounted, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		cr_skip_test("no FUSE can be mounted: %s", strerror(errno));
	server_pid = fork();
	if (server_pid == 0)
		stalling_serve(fuse);
	close(fuse);
}

static void stalling_end(void)
{
	kill(server_pid, SIGKILL);
	waitpid(server_pid, NULL, 0);
}

static void stalling_umount(void)
{
	if (server_pid > 0)
		stalling_end();
	umount2(mounted, MNT_FORCE | MNT_DETACH);
	unlink(mounted);
}

static int stalling_open(void)
{
	int fd = open(mounted, O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	return fd;
}

#endif
