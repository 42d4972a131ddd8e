/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts by which the pins are reached, and what would hide them (bpf/self.bpf.c): refused to root elsewhere, in every
 * mount namespace from which it spreads; and nobody else's mounts are.
 */
#include "world.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

bool self_mount_tests(void);

static const char fs[] = "/sys/fs/bpf", aside[] = "/tmp/cleat-mnt";

static bool is_bpffs(const char *path)
{
	struct statfs st;

	return statfs(path, &st) == 0 && st.f_type == BPF_FS_MAGIC;
}

static bool is_eperm(int result)
{
	return result == -1 && errno == EPERM;
}

static bool change(const char *path, unsigned long propagation)
{
	return mount(NULL, path, NULL, propagation, NULL) == 0;
}

static int by_mount(void *arg)
{
	char path[96];

	(void)arg;
	bool refused = is_eperm(umount2(fs, MNT_DETACH));

	check(refused, "  the file system is not unmounted lazily");
	if (!refused)
		return 1;
	check(is_eperm(umount2(fs, 0)), "  nor otherwise");
	check(umount2("/sys", MNT_DETACH) == -1 && errno == EPERM, "  nor with what holds it");
	check(mount("none", fs, "tmpfs", 0, NULL) == -1 && errno == EPERM, "  nor hidden");
	check(mount("none", world.pins, "tmpfs", 0, NULL) == -1 && errno == EPERM,
	      "  nor the directory alone");
	check(mount("/tmp", "/sys/fs", NULL, MS_BIND, NULL) == -1 && errno == EPERM,
	      "  nor from above");
	check(mount("/tmp", world.pins, NULL, MS_BIND | MS_PRIVATE, NULL) == -1 && errno == EPERM,
	      "  nor by a bind mount that says it changes propagation");
	check(mount(NULL, fs, NULL, MS_REMOUNT | MS_RDONLY, NULL) == -1 && errno == EPERM,
	      "  nor mounted anew");
	check(mount(world.pins, aside, NULL, MS_BIND, NULL) == 0, "  bound elsewhere");
	snprintf(path, sizeof(path), "%s/map", aside);
	check(bpf_obj_get(path) == -EACCES, "    it is refused as well");
	check(umount2(aside, 0) == 0, "    and may go");
	check(mount("none", aside, "tmpfs", 0, NULL) == 0 && umount2(aside, 0) == 0 &&
		      mount(NULL, "/", NULL, MS_PRIVATE, NULL) == 0,
	      "  mounts elsewhere are nobody's business");
	check(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		      umount2(fs, MNT_DETACH) == 0 && mount("none", "/sys", "tmpfs", 0, NULL) == 0,
	      "  nor what another mount namespace does to itself");
	return 0;
}

static bool move(const char *from, const char *to)
{
	return mount(from, to, NULL, MS_MOVE, NULL) == 0;
}

/* What is mounted there, by its descriptor. */
static bool move_by_fd(const char *from, const char *to)
{
	int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLOEXEC);
	bool moved = fd >= 0 && move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) == 0;
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return moved;
}

static void aside_paths(char first[64], char second[64])
{
	snprintf(first, 64, "%s/first", aside);
	snprintf(second, 64, "%s/second", aside);
}

/* A file system at @aside with two directories, the first of which is a mount as well. */
static bool aside_make(char first[64], char second[64])
{
	aside_paths(first, second);
	return mount("none", aside, "tmpfs", 0, NULL) == 0 && change(aside, MS_PRIVATE) &&
	       mkdir(first, 0700) == 0 && mkdir(second, 0700) == 0 &&
	       mount("none", first, "tmpfs", 0, NULL) == 0;
}

/* One that is not is undone: who follows has the root that was. */
static bool pivot_refused(const char *root)
{
	char put[80], back[80];
	bool refused;

	snprintf(put, sizeof(put), "%s/old", root);
	snprintf(back, sizeof(back), "/old%s", aside);
	refused = mkdir(put, 0700) == 0 && is_eperm((int)syscall(SYS_pivot_root, root, put));
	if (!refused)
		syscall(SYS_pivot_root, "/old", back);
	return refused;
}

/* Where all of init's mounts are private: each could be moved. */
static int by_move(void *arg)
{
	char first[64], second[64];
	bool refused;

	(void)arg;
	check(aside_make(first, second), "  a mount that is nobody's");
	refused = !move_by_fd(fs, second) && errno == EPERM;
	check(refused, "  the file system is not moved away");
	if (!refused)
		return 1;
	check(!move_by_fd("/sys", second) && errno == EPERM, "  nor what holds it");
	check(!move_by_fd(first, fs) && errno == EPERM, "  nor is another moved over it");
	refused = !move(fs, second) && errno == EPERM;
	check(refused, "  nor is it by mount(2)");
	if (!refused)
		return 1;
	check(!move("/sys", second) && errno == EPERM, "  nor what holds it");
	check(move_by_fd(first, second), "  what is nobody's is moved by its descriptor");
	refused = pivot_refused(second);
	check(refused, "  the root stays");
	if (!refused)
		return 1;
	check(umount2(aside, MNT_DETACH) == 0, "  and may go");
	return 0;
}

/* Where ours lie on mounts that spread, which the kernel does not move. */
static int by_move_elsewhere(void *arg)
{
	char first[64], second[64];

	(void)arg;
	check(aside_make(first, second) && move(first, second) && umount2(aside, MNT_DETACH) == 0,
	      "  where ours cannot be moved others are by mount(2)");
	check(unshare(CLONE_NEWNS) == 0 && change("/", MS_REC | MS_PRIVATE) &&
		      aside_make(first, second) && move(fs, second) &&
		      syscall(SYS_pivot_root, first, first) == 0,
	      "  another namespace moves its own, and has a root of its own");
	return 0;
}

/* In a namespace whose mounts are peers of init's. */
static int by_peer(void *arg)
{
	bool refused;

	(void)arg;
	refused = unshare(CLONE_NEWNS) == 0 && is_eperm(umount2(fs, MNT_DETACH));
	check(refused, "  nor by a copy of it from which that spreads");
	if (!refused)
		return 1;
	check(is_eperm(umount2("/sys", MNT_DETACH)), "  nor with what holds it");
	check(is_eperm(mount("none", fs, "tmpfs", 0, NULL)) &&
		      is_eperm(mount("none", world.pins, "tmpfs", 0, NULL)) &&
		      is_eperm(mount("none", "/sys", "tmpfs", 0, NULL)),
	      "  nor hidden from there");
	check(mount("none", aside, "tmpfs", 0, NULL) == 0 && umount2(aside, 0) == 0,
	      "  other mounts spread as ever");
	return 0;
}

/* In init's namespace: what is bound with everything below it is a peer as well. */
static int by_copy(void *arg)
{
	char path[96];

	(void)arg;
	snprintf(path, sizeof(path), "%s/fs/bpf", aside);
	check(mount("/sys", aside, NULL, MS_BIND | MS_REC, NULL) == 0 && is_bpffs(path),
	      "  bound elsewhere with all that is mounted there");
	check(is_eperm(umount2(path, MNT_DETACH)) && is_eperm(umount2(aside, MNT_DETACH)) &&
		      is_bpffs(fs),
	      "    it would take ours with it: refused");
	check(change(aside, MS_REC | MS_PRIVATE) && umount2(path, 0) == 0 &&
		      umount2(aside, MNT_DETACH) == 0 && is_bpffs(fs),
	      "    made private it may go");
	return 0;
}

/* What containers and services have. */
static int by_container(void *arg)
{
	const unsigned long *then = arg;

	check(unshare(CLONE_NEWNS) == 0 && change("/", MS_REC | MS_SLAVE) &&
		      (!*then || change("/", MS_REC | *then)) &&
		      mount("none", world.pins, "tmpfs", 0, NULL) == 0 &&
		      umount2(world.pins, 0) == 0 && umount2(fs, 0) == 0 &&
		      mount("none", fs, "bpf", 0, NULL) == 0 && umount2("/sys", MNT_DETACH) == 0 &&
		      mount("none", "/sys", "sysfs", 0, NULL) == 0 &&
		      mount("/sys", aside, NULL, MS_BIND | MS_REC, NULL) == 0 &&
		      umount2(aside, MNT_DETACH) == 0,
	      *then == MS_SHARED    ? "  a slave that has peers does as it likes"
	      : *then == MS_PRIVATE ? "  a private copy does as it likes"
				    : "  a slave does as it likes");
	return 0;
}

/* Root makes init's own mount a slave of a copy's, which is then unmounted. */
static int by_master(void *arg)
{
	int go[2], status = 0;
	char byte = 'x';
	pid_t pid;

	(void)arg;
	if (pipe(go) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		bool apart = unshare(CLONE_NEWNS) == 0 && write(go[1], &byte, 1) == 1;

		kill(getpid(), SIGSTOP);
		_exit(apart && is_eperm(umount2(fs, MNT_DETACH)) &&
				      is_eperm(umount2("/sys", MNT_DETACH))
			      ? 0
			      : 1);
	}
	check(read(go[0], &byte, 1) == 1 && waitpid(pid, &status, WUNTRACED) == pid &&
		      WIFSTOPPED(status) && change("/sys", MS_SLAVE),
	      "  init's mount is made a slave");
	kill(pid, SIGCONT);
	check(waitpid(pid, &status, 0) == pid && status == 0 && is_bpffs(fs),
	      "    its master is not unmounted");
	return change("/sys", MS_SHARED) ? 0 : 1;
}

/* An id that was ours is another mount's in another namespace, or on another device. */
static int by_old_id(void *arg)
{
	const int *own = arg;
	struct cleat_own_key key = { .kind = CLEAT_OWN_MOUNT };
	unsigned id, major_of, minor_of;
	char line[4096], point[4096];
	bool found = false;
	__u64 since = 1;
	FILE *f;

	check(unshare(CLONE_NEWNS) == 0 && change("/", MS_REC | MS_PRIVATE) &&
		      mount("none", aside, "tmpfs", 0, NULL) == 0,
	      "  a mount of another namespace");
	f = fopen("/proc/self/mountinfo", "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%u %*u %u:%u %*s %4095s", &id, &major_of, &minor_of, point) ==
				4 &&
			strcmp(point, aside) == 0;
	if (f)
		fclose(f);
	key.id = id;
	check(found && bpf_map_update_elem(*own, &key, &since, BPF_ANY) == 0,
	      "    has an id of ours");
	key.dev = major_of << 20 | minor_of;
	check(found && bpf_map_update_elem(*own, &key, &since, BPF_ANY) == 0, "    and its device");
	check(umount2(aside, 0) == 0, "    and may go");
	bpf_map_delete_elem(*own, &key);
	key.dev = 0;
	bpf_map_delete_elem(*own, &key);
	return 0;
}

/* The keeper moved it away. What is left bare is ours all the same. */
static int by_bare_place(void *arg)
{
	char path[128];

	(void)arg;
	check(is_eperm(umount2(aside, MNT_DETACH)), "    it is not unmounted there");
	check(is_eperm(mount("none", fs, "bpf", 0, NULL)) &&
		      is_eperm(mount("/tmp", fs, NULL, MS_BIND, NULL)),
	      "    and nothing is put in its place");
	snprintf(path, sizeof(path), "%s%s/map", aside, strrchr(world.pins, '/'));
	check(bpf_obj_get(path) == -EACCES, "    the pins are refused there as well");
	return 0;
}

/* As the keeper. */
static int own_map(void)
{
	for (__u32 id = 0; bpf_map_get_next_id(id, &id) == 0;) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = bpf_map_get_fd_by_id(id);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		    strcmp(info.name, "cleat_own") == 0)
			return fd;
		close(fd);
	}
	return -1;
}

/* The keeper may: a broken twin's guest is still needed. */
static void mount_again(void)
{
	char first[64], second[64];

	aside_paths(first, second);
	if (is_bpffs(second))
		move(second, fs);
	if (is_bpffs(aside))
		check(move(aside, fs), "the keeper moves it back");
	if (!is_bpffs(fs))
		mount("bpf", fs, "bpf", 0, "mode=0700");
}

static bool shared_tests(void)
{
	unsigned long then[] = { 0, MS_PRIVATE, MS_SHARED };
	bool ok = change("/", MS_REC | MS_SHARED) && child("plain", 0, by_peer, NULL) == 0 &&
		  child("plain", 0, by_copy, NULL) == 0 &&
		  child("plain", 0, by_master, NULL) == 0 &&
		  child("plain", 0, by_move_elsewhere, NULL) == 0;

	for (unsigned i = 0; i < 3 && ok; i++)
		ok = child("plain", 0, by_container, &then[i]) == 0 && is_bpffs(fs);
	change("/", MS_REC | MS_PRIVATE);
	return ok;
}

bool self_mount_tests(void)
{
	int own = own_map();
	bool ok;

	mkdir(aside, 0700);
	ok = child("plain", 0, by_mount, NULL) == 0 && shared_tests() &&
	     child("plain", 0, by_old_id, &own) == 0 && child("plain", 0, by_move, NULL) == 0;
	if (ok)
		check(move(fs, aside) && child("plain", 0, by_bare_place, NULL) == 0,
		      "  the keeper moves it away");
	mount_again();
	rmdir(aside);
	close(own);
	return ok;
}
