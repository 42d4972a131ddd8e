/* SPDX-License-Identifier: Apache-2.0 */
/* What a room gives up before it answers anybody. See jail.h. */
#include "room/jail.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/twin.h"
#include "edge/cgroupfs.h"
#include "edge/peer.h"
#include "room/rooms.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>

/* NOSYMFOLLOW holds for the links of procfs too: "self/fd/N" would lead into whatever tree a client passed a directory of.
 * Linux 5.14; level reduced wants a later one. */
#define QUIET_MOUNT                                                                                \
	(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |            \
	 MOUNT_ATTR_NOSYMFOLLOW)

/* No capability by being root, none by changing the user, none ambient; and none of these bits is ever cleared. */
#define LOCKED_BITS                                                                                \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                           \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |   \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/* The room this process is. */
static const struct jail *self;
static bool has_windows;
static pid_t daemon_pid;

static int failed(const char *step, int err, const char *way_out)
{
	log_error("jail", "room=%s step=\"%s\" error=\"%s%s\"", self ? self->room : "kernel", step,
		  strerror(-err), way_out);
	return err;
}

static int result(int n)
{
	return n < 0 ? -errno : 0;
}

/* ---- dumps ---- */

static int no_core(void)
{
	return kept(jail_core) ? result(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 })) : 0;
}

/* An exec allows them again, and changing the user sets the flag to whatever fs.suid_dumpable says. */
static int no_dumps(void)
{
	return kept(jail_core) ? result(prctl(PR_SET_DUMPABLE, 0))
			       : result(prctl(PR_SET_DUMPABLE, 1));
}

/* ---- begin ---- */

/* Standard ones, and those of enum room_fd that this room is given: one more is a leak of who started us. */
static int only_named_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int last = ROOM_FD_CHANNEL + (int)self->fds, err = 0;
	unsigned seen = 0;
	struct dirent *e;

	if (!d)
		return -errno;
	while ((errno = 0, e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.' || fd == dirfd(d))
			continue;
		if (fd >= last && kept(jail_fds))
			err = -EMFILE;
		seen += fd < last;
	}
	if (errno)
		err = -errno;
	closedir(d);
	return err < 0 ? err : seen == (unsigned)last ? 0 : -EBADF;
}

/* What is on the way to a window lies above both. */
static int out_of_the_way(int fd)
{
	owned_fd int from = fd;

	return from < 0 ? from : fcntl(from, F_DUPFD_CLOEXEC, ROOM_FD_CGROUP_ROOT + 1);
}

static int window_put(int fd, int at)
{
	owned_fd int from = out_of_the_way(fd);

	return from < 0 ? -errno : result(dup3(from, at, O_CLOEXEC));
}

/* Processes and nothing else of procfs, whatever the host's own mount shows or hides. */
static int proc_window(void)
{
	owned_fd int fs = out_of_the_way(fsopen("proc", FSOPEN_CLOEXEC));

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	return window_put(fsmount(fs, FSMOUNT_CLOEXEC, QUIET_MOUNT), ROOM_FD_PROC);
}

static int cgroup_window(void)
{
	struct mount_attr quiet = { .attr_set = QUIET_MOUNT };
	char mount[PATH_MAX];
	int err = cgroupfs_find(mount, sizeof(mount));

	if (err < 0)
		return err;
	owned_fd int tree =
		out_of_the_way(open_tree(AT_FDCWD, mount, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &quiet, sizeof(quiet)) < 0)
		return -errno;
	return window_put(take_fd(&tree), ROOM_FD_CGROUP_ROOT);
}

int jail_begin(const char *room, bool reduced)
{
	int err;

	self = jail_of(room);
	daemon_pid = getppid();
	if (!self)
		return -EINVAL;
	has_windows = reduced && self->fds == ROOM_FDS;
	err = no_dumps();
	if (err < 0)
		return failed("no dumps", err, "");
	err = only_named_descriptors();
	if (err < 0)
		return failed("descriptors", err, "");
	if (!has_windows)
		return 0;
	err = proc_window();
	if (err < 0)
		return failed("processes", err, "");
	err = cgroup_window();
	if (err < 0)
		return failed("cgroups", err, "");
	peer_windows(ROOM_FD_PROC, ROOM_FD_CGROUP_ROOT);
	return 0;
}

/* ---- enter ---- */

static int order_none(const void *a, const void *b)
{
	(void)a;
	(void)b;
	return 0;
}

/* What the C library would do at first use and could not any more: the time zone's file; the size of memory, which qsort(3)
 * asks for before it sorts what is no small array (until glibc 2.37); a heap for each thread. */
static int settle_libc(void)
{
	char large[4096] = "";

	qsort(large, 64, sizeof(large) / 64, order_none);
	tzset();
	mallopt(M_ARENA_MAX, 1);
	return 0;
}

static int limits(void)
{
	const struct rlimit files = { self->files, self->files };
	const struct rlimit size = { self->file_size, self->file_size };

	if (self->files && setrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	return self->file_size ? result(setrlimit(RLIMIT_FSIZE, &size)) : 0;
}

/* A root of its own, empty and read-only; what was there is unmounted behind us. */
static int empty_root(void)
{
	static const char here[] = "/proc"; /* any directory; in our own namespace only */
	unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("cleat", here, "tmpfs", flags, "mode=0555,size=4k,nr_inodes=2") < 0 ||
	    chdir(here) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -errno;
	return result(chdir("/"));
}

static int bounding_drop(uint64_t keep)
{
	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(keep & 1ull << cap) && prctl(PR_CAPBSET_DROP, cap) < 0)
			return -errno;
	return result(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
}

static int capabilities_set(uint64_t keep)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	uint32_t low = (uint32_t)keep, high = (uint32_t)(keep >> 32);
	const struct __user_cap_data_struct sets[2] = { { low, low, 0 }, { high, high, 0 } };

	return result((int)syscall(SYS_capset, &head, sets));
}

static int no_bounding(void)
{
	return bounding_drop(0);
}

static int locked_bits(void)
{
	return result(prctl(PR_SET_SECUREBITS, LOCKED_BITS));
}

static uid_t uid;
static gid_t gid;

static int known_user(void)
{
	return jail_user(self->user, &uid, &gid);
}

static int no_groups(void)
{
	return result(setgroups(0, NULL));
}

static int own_group(void)
{
	return result(setresgid(gid, gid, gid));
}

static int own_user(void)
{
	return result(setresuid(uid, uid, uid));
}

static int no_capabilities(void)
{
	return capabilities_set(0);
}

static int no_new_privileges(void)
{
	return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* A room that hangs must not outlive who would notice; a change of user forgets the order that room_spawn() gave. */
static int die_with_the_daemon(void)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == daemon_pid ? 0 : -ESRCH;
}

/* No capability that a program could give, none that one would keep. */
static bool none_to_be_had(void)
{
	unsigned cap = 0;
	int has;

	for (; (has = prctl(PR_CAPBSET_READ, cap)) >= 0; cap++)
		if (has || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) != 0)
			return false;
	return cap > CAP_SYS_ADMIN; /* it was an answer */
}

static bool is_empty(const char *dir)
{
	owned_fd int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), there = -1;
	struct statfs fs;

	if (root < 0 || fstatfs(root, &fs) < 0)
		return false;
	there = openat(root, "proc", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return there < 0 && errno == ENOENT && fs.f_type == TMPFS_MAGIC && fs.f_flags & ST_RDONLY;
}

/* What is mounted on a root is seen from above it only, and pivot_root leaves the old one there. */
static bool root_is_empty(void)
{
	return is_empty("/") && is_empty("/..");
}

static bool dumps_are_off(void)
{
	struct rlimit core = { 1, 1 };

	return !kept(jail_core) || (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 &&
				    core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0);
}

/* Read back from the kernel: is it so? A step may have been answered, by a filter of who started us, and not made. */
static int as_it_should_be(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2], none[2] = { 0 };
	uid_t u[3];
	gid_t g[3];

	if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0 ||
	    syscall(SYS_capget, &head, sets) < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (u[i] != uid || g[i] != gid || u[i] == 0 || g[i] == 0)
			return -EPERM;
	if (getgroups(0, NULL) != 0 || memcmp(sets, none, sizeof(sets)) != 0 ||
	    prctl(PR_GET_SECUREBITS) != LOCKED_BITS || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return -EPERM;
	return none_to_be_had() && root_is_empty() && dumps_are_off() ? 0 : -EPERM;
}

/* The visible paragraph: all a room gives up, in this order. */
static const struct {
	const char *what;
	int (*take)(void);
	const char *way_out;
} steps[] = {
	{ "libc", settle_libc, "" },
	{ "user", known_user, ": no such user in /etc/passwd, run systemd-sysusers" },
	{ "no core files", no_core, "" },
	{ "limits", limits, "" },
	{ "an empty root", empty_root, "" },
	{ "no capability to be had", no_bounding, "" },
	{ "secure bits", locked_bits, "" },
	{ "no supplementary groups", no_groups, "" },
	{ "own group", own_group, "" },
	{ "own user", own_user, "" },
	{ "no capabilities", no_capabilities, "" },
	{ "no new privileges", no_new_privileges, "" },
	{ "no dumps", no_dumps, "" },
	{ "no life without the daemon", die_with_the_daemon, "" },
	{ "all of that is so", as_it_should_be, "" },
};

int jail_enter(void)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int err = steps[i].take();

		if (err < 0)
			return failed(steps[i].what, err, steps[i].way_out);
	}
	return 0;
}

/* ---- seal ---- */

static int calls_seal(const struct seccomp_table *tables, size_t count)
{
	int err = kept(jail_calls) ? seccomp_seal(tables, count) : 0;

	return err < 0 ? failed("system calls", err, "") : 0;
}

int jail_seal(void)
{
	const struct seccomp_table tables[] = { self->calls, has_windows ? jail_window_calls
									 : jail_no_window_calls };
	int err;

	err = result(setrlimit(RLIMIT_NPROC, &(struct rlimit){ 0, 0 }));
	if (err < 0)
		return failed("no more processes", err, "");
	return calls_seal(tables, sizeof(tables) / sizeof(tables[0]));
}

/* ---- the kernel room ---- */

/* What it is for: the kernel side, its maps and pins; the rooms, which it starts as root, lets drop to their users, limits
 * and ends; looking at files of whatever owner, which it judges itself. */
static const unsigned kernel_caps[] = {
	CAP_BPF,    CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_RESOURCE,    CAP_SETUID,
	CAP_SETGID, CAP_SETPCAP, CAP_KILL,	CAP_IPC_LOCK,  CAP_DAC_READ_SEARCH,
};

int jail_kernel_room(void)
{
	uint64_t keep = 0;
	int err = no_core();

	for (size_t i = 0; i < sizeof(kernel_caps) / sizeof(kernel_caps[0]); i++)
		keep |= 1ull << kernel_caps[i];
	/* Where it was started with less it goes on with that, and what is missing says so itself: without CAP_SETPCAP
	 * here, for what is to be had is taken away by it, from this room as from the others. */
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct has[2];

	if (err == 0)
		err = result((int)syscall(SYS_capget, &head, has));
	if (err == 0)
		keep &= (uint64_t)has[1].permitted << 32 | has[0].permitted;
	if (err == 0)
		err = bounding_drop(keep);
	if (err == 0)
		err = capabilities_set(keep);
	if (err == 0)
		err = no_new_privileges();
	if (err == 0)
		err = no_dumps();
	return err < 0 ? failed("capabilities", err, "") : 0;
}

int jail_kernel_seal(bool elsewhere)
{
	settle_libc();
	return calls_seal(jail_kernel_calls, elsewhere ? 3 : 2);
}
