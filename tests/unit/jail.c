/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail, by trying what is forbidden: a child enters a room's jail and makes one attempt. It must be killed by SIGSYS,
 * or refused with the errno of the row; the good rows are what the room lives on. attacks.md 128: what a room that was
 * taken over can reach.
 */
#include "room/jail.h"

#include "room/rooms.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED	  (-SIGSYS)
#define NOT_MADE  250 /* the jail itself could not be entered */
#define BIND	  "/run/cleat-unit-jail"
#define RO	  (O_RDONLY | O_CLOEXEC)
#define DONE(how) ((how) < 0 ? errno : 0)

/* The root of the test, as a client would pass it. */
#define DIRECTORY      ROOM_FD_LISTEN
#define DIRECTORY_TEXT "5"
_Static_assert(DIRECTORY == 5, "its text");

/* ---- attempts: 0: it was done; else the errno ---- */

#define ATTEMPT(name, how)                                                                         \
	static int name(void)                                                                      \
	{                                                                                          \
		return DONE(how);                                                                  \
	}

static char buffer[256];
static struct sockaddr_un nowhere = { .sun_family = AF_UNIX, .sun_path = BIND };
static union bpf_attr attr;

static int map_as(int prot)
{
	return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int protect_as(int prot)
{
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? -1 : mprotect(at, 4096, prot);
}

static void *thread_main(void *arg)
{
	return arg;
}

static int thread_make(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, thread_main, NULL) ? -1 : 0;
}

static int option_take(int level, int option)
{
	socklen_t len = sizeof(buffer);

	return getsockopt(0, level, option, buffer, &len);
}

static int descriptor_send(void)
{
	struct iovec iov = { buffer, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return (int)sendmsg(0, &msg, MSG_NOSIGNAL);
}

/* getpid of the 32-bit and of the x32 world */
static long other_world(void)
{
	long n = 20;

	__asm__ volatile("int $0x80" : "+a"(n) : : "memory", "r8", "r9", "r10", "r11");
	return n;
}

static int order(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

/* A policy of some thousand workloads. */
static int sorted(void)
{
	static char many[1 << 20];

	qsort(many, sizeof(many) / 64, 64, order);
	return 0;
}

ATTEMPT(nothing, getpid())
ATTEMPT(large_sort, sorted())
ATTEMPT(memory, map_as(PROT_READ | PROT_WRITE))
ATTEMPT(randomness, (int)syscall(SYS_getrandom, buffer, 8, 0))
ATTEMPT(message, descriptor_send())
ATTEMPT(map_read, (int)syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)))
ATTEMPT(map_write, (int)syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)))
ATTEMPT(map_walk, (int)syscall(SYS_bpf, BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr)))
ATTEMPT(map_erase, (int)syscall(SYS_bpf, BPF_MAP_DELETE_ELEM, &attr, sizeof(attr)))
ATTEMPT(map_make, (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)))
ATTEMPT(map_find, (int)syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &attr, sizeof(attr)))
ATTEMPT(map_freeze, (int)syscall(SYS_bpf, BPF_MAP_FREEZE, &attr, sizeof(attr)))
ATTEMPT(prog_load, (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)))
ATTEMPT(pin_open, (int)syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr)))
ATTEMPT(link_detach, (int)syscall(SYS_bpf, BPF_LINK_DETACH, &attr, sizeof(attr)))
ATTEMPT(link_update, (int)syscall(SYS_bpf, BPF_LINK_UPDATE, &attr, sizeof(attr)))
ATTEMPT(prog_run, (int)syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)))
ATTEMPT(prog_attach, (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)))
ATTEMPT(prog_find, (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr)))
ATTEMPT(file_open, open("/etc/passwd", RO))
ATTEMPT(file_make, open("/x", O_CREAT | O_WRONLY, 0600))
ATTEMPT(file_by_handle, (int)syscall(SYS_open_by_handle_at, 0, buffer, RO))
ATTEMPT(file_remove, unlink("/etc/passwd"))
ATTEMPT(directory_make, mkdir("/x", 0700))
ATTEMPT(memory_file, memfd_create("x", 0))
ATTEMPT(socket_make, socket(AF_INET, SOCK_STREAM, 0))
ATTEMPT(socket_raw, socket(AF_INET, SOCK_RAW, IPPROTO_TCP))
ATTEMPT(socket_packet, socket(AF_PACKET, SOCK_RAW, 0))
ATTEMPT(socket_netlink, socket(AF_NETLINK, SOCK_RAW, 0))
ATTEMPT(socket_pair, socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)buffer))
ATTEMPT(socket_connect, connect(0, (struct sockaddr *)&nowhere, sizeof(nowhere)))
ATTEMPT(socket_bind, bind(0, (struct sockaddr *)&nowhere, sizeof(nowhere)))
ATTEMPT(socket_listen, listen(0, 1))
ATTEMPT(socket_set, setsockopt(0, SOL_SOCKET, SO_LINGER, buffer, 8))
ATTEMPT(socket_cookie, option_take(SOL_SOCKET, SO_COOKIE))
ATTEMPT(socket_listens, option_take(SOL_SOCKET, SO_ACCEPTCONN))
ATTEMPT(socket_info, option_take(IPPROTO_TCP, TCP_INFO))
ATTEMPT(socket_bytes, option_take(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE))
ATTEMPT(socket_end, shutdown(0, SHUT_RDWR))
ATTEMPT(socket_end_write, shutdown(0, SHUT_WR))
ATTEMPT(socket_end_read, shutdown(0, SHUT_RD))
ATTEMPT(program, execl("/bin/true", "true", NULL))
ATTEMPT(process, (int)syscall(SYS_fork))
ATTEMPT(process_v, (int)syscall(SYS_vfork))
ATTEMPT(process_3, (int)syscall(SYS_clone3, buffer, 64))
ATTEMPT(thread, thread_make())
ATTEMPT(code_map, map_as(PROT_READ | PROT_EXEC))
ATTEMPT(code_protect, protect_as(PROT_READ | PROT_EXEC))
ATTEMPT(code_key, (int)syscall(SYS_pkey_mprotect, buffer, 4096, PROT_EXEC, -1))
ATTEMPT(signal_parent, kill(getppid(), SIGTERM))
ATTEMPT(signal_own, (int)syscall(SYS_tgkill, getpid(), getpid(), SIGTERM))
ATTEMPT(trace, (int)ptrace(PTRACE_ATTACH, 1, NULL, NULL))
ATTEMPT(trace_me, (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL))
ATTEMPT(peek, (int)syscall(SYS_process_vm_readv, 1, buffer, 1, buffer, 1, 0))
ATTEMPT(steal, (int)syscall(SYS_pidfd_getfd, 0, 0, 0))
ATTEMPT(find, (int)syscall(SYS_pidfd_open, 1, 0))
ATTEMPT(be_root, setuid(0))
ATTEMPT(be_root_really, (int)syscall(SYS_setresuid, 0, 0, 0))
ATTEMPT(have_groups, (int)syscall(SYS_setgroups, 0, NULL))
ATTEMPT(have_capabilities, (int)syscall(SYS_capset, buffer, buffer + 16))
ATTEMPT(be_dumped, prctl(PR_SET_DUMPABLE, 1))
ATTEMPT(have_limits, setrlimit(RLIMIT_CORE, &(struct rlimit){ 1, 1 }))
ATTEMPT(namespaces, unshare(CLONE_NEWUSER))
ATTEMPT(enter_namespace, setns(0, 0))
ATTEMPT(mounting, mount("x", "/", "tmpfs", 0, NULL))
ATTEMPT(unmounting, umount("/"))
ATTEMPT(new_root, chroot("/"))
ATTEMPT(duplicate, dup(0))
ATTEMPT(duplicate_so, fcntl(0, F_DUPFD, 10))
ATTEMPT(status_flags, fcntl(0, F_SETFL, O_NONBLOCK))
ATTEMPT(seals, fcntl(0, F_GET_SEALS))
ATTEMPT(seal, fcntl(0, F_ADD_SEALS, F_SEAL_WRITE))
ATTEMPT(device, ioctl(0, FIONREAD, buffer))
ATTEMPT(ring, (int)syscall(SYS_io_uring_setup, 1, buffer))
ATTEMPT(faults, (int)syscall(SYS_userfaultfd, 0))
ATTEMPT(counters, (int)syscall(SYS_perf_event_open, buffer, 0, -1, -1, 0))
ATTEMPT(keys, (int)syscall(SYS_keyctl, 0, -3, 0))
ATTEMPT(persona, personality(READ_IMPLIES_EXEC))
ATTEMPT(another_filter, (int)syscall(SYS_seccomp, 1, 0, NULL))
ATTEMPT(module, (int)syscall(SYS_finit_module, -1, "", 0))
ATTEMPT(another_kernel, (int)syscall(SYS_kexec_file_load, -1, -1, 0, "", 0))
ATTEMPT(the_end_of_it_all, (int)syscall(SYS_reboot, 0, 0, 0, NULL))
ATTEMPT(own_file_system, (int)syscall(SYS_fsopen, "tmpfs", 0))
ATTEMPT(mount_moved, (int)syscall(SYS_move_mount, -1, "", -1, "", 0))
ATTEMPT(signal_other, kill(getppid(), 0))
ATTEMPT(the_clock, (int)syscall(SYS_clock_settime, CLOCK_REALTIME, buffer))
ATTEMPT(world_32, (int)other_world())
ATTEMPT(world_x32, (int)syscall(0x40000000 | SYS_getpid))

/* A file of its own directory in the window of processes. */
static int own(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", getpid(), name);
	return (int)openat(ROOM_FD_PROC, path, RO);
}

static int close_all_but_the_windows(void)
{
	for (long fd = 0; fd < ROOM_NOFILE; fd++)
		if (fd != ROOM_FD_PROC && fd != ROOM_FD_CGROUP_ROOT)
			syscall(SYS_close, fd);
	return 0;
}

ATTEMPT(the_time, (int)syscall(SYS_time, NULL) < 0 ? -1 : 0)
ATTEMPT(time_of_day, (int)syscall(SYS_gettimeofday, buffer, NULL))
ATTEMPT(file_looked_at, (int)syscall(SYS_fstat, 0, buffer))
ATTEMPT(file_looked_at_by_name, (int)syscall(SYS_newfstatat, 0, "", buffer, AT_EMPTY_PATH))
ATTEMPT(file_below_a_directory,
	(int)syscall(SYS_newfstatat, DIRECTORY, "etc/passwd", buffer, AT_EMPTY_PATH))
ATTEMPT(close_all, close_all_but_the_windows())
ATTEMPT(close_proc, (int)syscall(SYS_close, ROOM_FD_PROC))
ATTEMPT(close_cgroups, (int)syscall(SYS_close, ROOM_FD_CGROUP_ROOT))
ATTEMPT(close_by_half, (int)syscall(SYS_close, 1l << 32 | ROOM_FD_PROC))
ATTEMPT(windows_open, own("status"))
ATTEMPT(window_pidfd, own("fdinfo/0"))
ATTEMPT(window_self, (int)openat(ROOM_FD_PROC, "self/status", RO))
ATTEMPT(window_thread, (int)openat(ROOM_FD_PROC, "thread-self/status", RO))
ATTEMPT(window_passed, own("fd/" DIRECTORY_TEXT "/etc/passwd"))
ATTEMPT(window_passed_up, own("fd/" DIRECTORY_TEXT "/../etc/passwd"))
ATTEMPT(window_passed_by_task, own("task/../fd/" DIRECTORY_TEXT "/etc/passwd"))
ATTEMPT(window_passed_file, own("fd/0"))
ATTEMPT(window_own_root, own("root/etc/passwd"))
ATTEMPT(window_own_mounts, own("ns/mnt"))
ATTEMPT(window_write, (int)openat(ROOM_FD_PROC, "self/comm", O_RDWR | O_CLOEXEC))
ATTEMPT(window_up, (int)openat(ROOM_FD_PROC, "../etc/passwd", RO))
ATTEMPT(window_far_up, (int)openat(ROOM_FD_PROC, "../../../../etc/passwd", RO))
ATTEMPT(window_root, (int)openat(ROOM_FD_PROC, "self/root/etc/passwd", RO))
ATTEMPT(window_cwd, (int)openat(ROOM_FD_PROC, "self/cwd/etc/passwd", RO))
ATTEMPT(window_init, (int)openat(ROOM_FD_PROC, "1/root/etc/passwd", RO))
ATTEMPT(window_memory, (int)openat(ROOM_FD_PROC, "1/mem", RO))
ATTEMPT(window_sysctl, (int)openat(ROOM_FD_PROC, "sys/kernel/hostname", RO))
ATTEMPT(window_absolute, (int)openat(ROOM_FD_PROC, "/etc/passwd", RO))
ATTEMPT(cgroup_open, (int)openat(ROOM_FD_CGROUP_ROOT, "cgroup.procs", RO))

/* ---- what each room must make of them ---- */

enum { SIGN, CHECK, READER, ROOMS };
static const char *const names[ROOMS] = { "sign", "check", "reader" };
#define ALL_KILLED                                                                                 \
	{                                                                                          \
		KILLED, KILLED, KILLED                                                             \
	}

/* sign, check, reader; at level full. 0 is done. */
static const struct {
	const char *what;
	int (*attempt)(void);
	int expect[ROOMS];
} rows[] = {
	{ "good: a call it lives on", nothing, { 0, 0, 0 } },
	{ "good: memory", memory, { 0, 0, 0 } },
	{ "good: a large array is sorted", large_sort, { 0, 0, 0 } },
	{ "good: random numbers", randomness, { 0, 0, 0 } },
	{ "good: a message (to what is no socket)", message, { ENOTSOCK, ENOTSOCK, ENOTSOCK } },
	{ "good: a map is read (none is there)", map_read, { EINVAL, EINVAL, KILLED } },
	{ "good: a map is written", map_write, { EINVAL, EINVAL, KILLED } },
	{ "good: only the check room walks a map", map_walk, { KILLED, EINVAL, KILLED } },
	{ "good: only the check room erases", map_erase, { KILLED, EINVAL, KILLED } },
	{ "good: a socket is asked", socket_cookie, { ENOTSOCK, ENOTSOCK, KILLED } },
	{ "good: a connection takes no more", socket_end_read, { ENOTSOCK, ENOTSOCK, KILLED } },
	{ "good: only the reader makes an image", memory_file, { KILLED, KILLED, 0 } },
	{ "good: the time, where it is a call", the_time, { 0, 0, KILLED } },
	{ "good: the time of day", time_of_day, { 0, 0, KILLED } },
	{ "good: a descriptor is looked at", file_looked_at, { 0, 0, KILLED } },
	{ "good: any is closed", close_proc, { EBADF, EBADF, EBADF } },
	{ "a descriptor is looked at by the call that takes a name", file_looked_at_by_name,
	  ALL_KILLED },
	{ "a file below a directory that was passed", file_below_a_directory, ALL_KILLED },
	{ "good: the rooms ask for an image's seals", seals, { EINVAL, EINVAL, KILLED } },
	{ "good: only the reader sets them", seal, { KILLED, KILLED, EINVAL } },
	{ "a map is made", map_make, ALL_KILLED },
	{ "a map is found by its number", map_find, ALL_KILLED },
	{ "a map is frozen", map_freeze, ALL_KILLED },
	{ "a program is loaded", prog_load, ALL_KILLED },
	{ "a pin is opened", pin_open, ALL_KILLED },
	{ "a link is detached", link_detach, ALL_KILLED },
	{ "a file is opened", file_open, ALL_KILLED },
	{ "a file is made", file_make, ALL_KILLED },
	{ "a file is opened by handle", file_by_handle, ALL_KILLED },
	{ "a file is removed", file_remove, ALL_KILLED },
	{ "a directory is made", directory_make, ALL_KILLED },
	{ "a socket", socket_make, ALL_KILLED },
	{ "a pair of sockets", socket_pair, ALL_KILLED },
	{ "connect", socket_connect, ALL_KILLED },
	{ "bind", socket_bind, ALL_KILLED },
	{ "listen", socket_listen, ALL_KILLED },
	{ "a socket is changed", socket_set, ALL_KILLED },
	{ "bytes of a socket, by getsockopt", socket_bytes, ALL_KILLED },
	{ "what waits for a socket's lock", socket_info, ALL_KILLED },
	{ "shutdown, both ways", socket_end, ALL_KILLED },
	{ "shutdown, the way out", socket_end_write, ALL_KILLED },
	{ "a program is executed", program, ALL_KILLED },
	{ "fork", process, ALL_KILLED },
	{ "vfork", process_v, ALL_KILLED },
	{ "clone3", process_3, ALL_KILLED },
	{ "a thread", thread, ALL_KILLED },
	{ "memory becomes code, by mmap", code_map, ALL_KILLED },
	{ "memory becomes code, by mprotect", code_protect, ALL_KILLED },
	{ "memory becomes code, by pkey_mprotect", code_key, ALL_KILLED },
	{ "a signal to the daemon", signal_parent, ALL_KILLED },
	{ "a signal to itself that is no abort", signal_own, ALL_KILLED },
	{ "ptrace", trace, ALL_KILLED },
	{ "ptrace, traced", trace_me, ALL_KILLED },
	{ "another process' memory", peek, ALL_KILLED },
	{ "another process' descriptor", steal, ALL_KILLED },
	{ "another process", find, ALL_KILLED },
	{ "setuid", be_root, ALL_KILLED },
	{ "setresuid", be_root_really, ALL_KILLED },
	{ "setgroups", have_groups, ALL_KILLED },
	{ "capset", have_capabilities, ALL_KILLED },
	{ "dumps are allowed again", be_dumped, ALL_KILLED },
	{ "limits", have_limits, ALL_KILLED },
	{ "a user namespace", namespaces, ALL_KILLED },
	{ "another's namespace", enter_namespace, ALL_KILLED },
	{ "mount", mounting, ALL_KILLED },
	{ "umount", unmounting, ALL_KILLED },
	{ "chroot", new_root, ALL_KILLED },
	{ "dup", duplicate, ALL_KILLED },
	{ "F_DUPFD", duplicate_so, ALL_KILLED },
	{ "F_SETFL, which shows in the application", status_flags, ALL_KILLED },
	{ "ioctl", device, ALL_KILLED },
	{ "io_uring", ring, ALL_KILLED },
	{ "userfaultfd", faults, ALL_KILLED },
	{ "perf_event_open", counters, ALL_KILLED },
	{ "keyctl", keys, ALL_KILLED },
	{ "personality", persona, ALL_KILLED },
	{ "another filter", another_filter, ALL_KILLED },
	{ "the clock is set", the_clock, ALL_KILLED },
	{ "the 32-bit way in", world_32, ALL_KILLED },
	{ "the x32 way in", world_x32, ALL_KILLED },
	{ "no window at level full", windows_open, ALL_KILLED },
};

/* The kernel room, which loads nothing more and goes on starting programs. */
static const struct {
	const char *what;
	int (*attempt)(void);
	int expect;
} kernel_rows[] = {
	{ "good: a call it lives on", nothing, 0 },
	{ "good: a large array is sorted", large_sort, 0 },
	{ "good: a map is read (none is there)", map_read, EINVAL },
	{ "good: a map is written", map_write, EINVAL },
	{ "good: a map is walked", map_walk, EINVAL },
	{ "good: an element is erased", map_erase, EINVAL },
	{ "good: a pin is opened", pin_open, EFAULT },
	{ "good: a file is opened", file_open, 0 },
	{ "good: an image is made", memory_file, 0 },
	{ "good: a file is looked at, as the C library does it", file_looked_at_by_name, 0 },
	{ "good: and as a newer one does", file_looked_at, 0 },
	{ "good: the time, where it is a call", the_time, 0 },
	{ "good: a program, which goes on with the same filter", program, 0 },
	{ "a map is made", map_make, KILLED },
	{ "a map is found by its number", map_find, KILLED },
	{ "a map is frozen", map_freeze, KILLED },
	{ "a program is loaded", prog_load, KILLED },
	{ "a program is found by its number", prog_find, KILLED },
	{ "a program is attached", prog_attach, KILLED },
	{ "a program is run", prog_run, KILLED },
	{ "a link is detached", link_detach, KILLED },
	{ "a link gets another program", link_update, KILLED },
	{ "a file is opened by handle", file_by_handle, KILLED },
	{ "a raw socket", socket_raw, KILLED },
	{ "a packet socket", socket_packet, KILLED },
	{ "a netlink socket", socket_netlink, KILLED },
	{ "a socket is changed", socket_set, KILLED },
	{ "bytes of a socket, by getsockopt", socket_bytes, KILLED },
	{ "shutdown, both ways", socket_end, KILLED },
	{ "a thread", thread, KILLED },
	{ "fork, not as the C library does it", process, KILLED },
	{ "clone3", process_3, KILLED },
	{ "memory becomes code, by pkey_mprotect", code_key, KILLED },
	{ "a signal that is no kill", signal_other, KILLED },
	{ "a signal to itself that is no abort", signal_own, KILLED },
	{ "ptrace", trace, KILLED },
	{ "ptrace, traced", trace_me, KILLED },
	{ "another process' memory", peek, KILLED },
	{ "another process' descriptor", steal, KILLED },
	{ "setuid", be_root, KILLED },
	{ "dumps are allowed again", be_dumped, KILLED },
	{ "a user namespace", namespaces, KILLED },
	{ "another's namespace", enter_namespace, KILLED },
	{ "a file system of its own", own_file_system, KILLED },
	{ "a mount is moved", mount_moved, KILLED },
	{ "chroot", new_root, KILLED },
	{ "dup", duplicate, KILLED },
	{ "F_SETFL", status_flags, KILLED },
	{ "ioctl", device, KILLED },
	{ "io_uring", ring, KILLED },
	{ "userfaultfd", faults, KILLED },
	{ "perf_event_open", counters, KILLED },
	{ "keyctl", keys, KILLED },
	{ "personality", persona, KILLED },
	{ "a kernel module", module, KILLED },
	{ "another kernel", another_kernel, KILLED },
	{ "reboot", the_end_of_it_all, KILLED },
	{ "the clock is set", the_clock, KILLED },
	{ "the 32-bit way in", world_32, KILLED },
	{ "the x32 way in", world_x32, KILLED },
};

/* Level reduced: what the windows show, and what they do not lead to. */
static const struct {
	const char *what;
	int (*attempt)(void);
	int expect;
} window_rows[] = {
	{ "good: a process", windows_open, 0 },
	{ "good: its own pidfds", window_pidfd, 0 },
	{ "good: every other descriptor is closed", close_all, 0 },
	{ "the window of processes is closed", close_proc, KILLED },
	{ "that of cgroups is", close_cgroups, KILLED },
	{ "it is closed, and half the register is nobody's", close_by_half, KILLED },
	{ "a link to itself", window_self, ELOOP },
	{ "a link to its thread", window_thread, ELOOP },
	{ "below a directory that a client passed", window_passed, ELOOP },
	{ "above it", window_passed_up, ELOOP },
	{ "the same by another way", window_passed_by_task, ELOOP },
	{ "a file that a client passed, opened anew", window_passed_file, ELOOP },
	{ "by the own root's link", window_own_root, ELOOP },
	{ "a namespace", window_own_mounts, ELOOP },
	{ "good: a connection takes no more", socket_end_read, ENOTSOCK },
	{ "shutdown, both ways", socket_end, KILLED },
	{ "good: whether a socket listens", socket_listens, ENOTSOCK },
	{ "what waits for a socket's lock", socket_info, KILLED },
	{ "for writing", window_write, KILLED },
	{ "up", window_up, ENOENT },
	{ "far up", window_far_up, ENOENT },
	{ "by the own root", window_root, ELOOP },
	{ "by the own directory", window_cwd, ELOOP },
	{ "by init's root", window_init, ELOOP },
	{ "init's memory", window_memory, EACCES },
	{ "a sysctl", window_sysctl, ENOENT },
	{ "an absolute path", window_absolute, ENOENT },
	{ "the root itself", file_open, KILLED },
	{ "a file of the cgroup hierarchy", cgroup_open, KILLED },
	{ "a socket", socket_make, KILLED },
	{ "fork", process, KILLED },
};

/* ---- the trial ---- */

/* The descriptors a room is given, and no others: any will do. One is of the kind that a client could pass. */
static void descriptors_arrange(unsigned count, unsigned more)
{
	int null = open("/dev/null", O_RDWR), root = open("/", O_RDONLY | O_DIRECTORY);

	for (int fd = 0; fd < ROOM_FD_CHANNEL + (int)(count + more); fd++)
		if (fd != STDERR_FILENO)
			dup2(fd == DIRECTORY ? root : null, fd);
	close_range((unsigned)ROOM_FD_CHANNEL + count + more, ~0u, 0);
}

/* Ends by the system call itself: at a function that does not return the sanitizers make calls of their own. */
static void in_jail(const char *room, bool reduced, int (*attempt)(void))
{
	descriptors_arrange(jail_of(room)->fds, 0);
	if (jail_begin(room, reduced) < 0 || jail_enter() < 0 || jail_seal() < 0)
		_exit(NOT_MADE);
	syscall(SYS_exit_group, attempt());
}

/* 0, an errno, or KILLED. */
static int outcome(pid_t child)
{
	int status;

	cr_assert_eq(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return -WTERMSIG(status);
	cr_assert_neq(WEXITSTATUS(status), NOT_MADE, "the jail cannot be entered: see above");
	return WEXITSTATUS(status);
}

static int tried(const char *room, bool reduced, int (*attempt)(void))
{
	pid_t child = fork();

	if (child == 0)
		in_jail(room, reduced, attempt);
	return outcome(child);
}

static int tried_free(int (*attempt)(void))
{
	pid_t child = fork();

	if (child == 0)
		syscall(SYS_exit_group, attempt());
	return outcome(child);
}

/* A kernel booted with ia32_emulation=0 has no 32-bit way in: it ends there whoever tries. */
static int expected(int (*attempt)(void), int expect)
{
	return attempt == world_32 && tried_free(attempt) == -SIGSEGV ? -SIGSEGV : expect;
}

static void judge(const char *room, const char *what, int expect, int got)
{
	cr_expect_eq(got, expect, "%s room: %s: %d instead of %d%s", room, what, got, expect,
		     expect == KILLED && got >= 0 ? "; accepted: twin=jail_calls:" : "");
}

static void need_root(void)
{
	char error[128];

	if (geteuid() != 0)
		cr_skip_test("only root can enter a jail");
	cr_assert_eq(jail_users(error, sizeof(error)), 0, "%s", error);
}

TestSuite(jail, .init = need_root, .timeout = 120);

Test(jail, what_is_forbidden)
{
	for (int room = 0; room < ROOMS; room++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			judge(names[room], rows[i].what,
			      expected(rows[i].attempt, rows[i].expect[room]),
			      tried(names[room], false, rows[i].attempt));
}

static int tried_as_kernel(bool elsewhere, int (*attempt)(void))
{
	pid_t child = fork();

	if (child == 0) {
		if (jail_kernel_room() < 0 || jail_kernel_seal(elsewhere) < 0)
			_exit(NOT_MADE);
		syscall(SYS_exit_group, attempt());
	}
	return outcome(child);
}

Test(jail, what_is_forbidden_to_the_kernel_room)
{
	for (size_t i = 0; i < sizeof(kernel_rows) / sizeof(kernel_rows[0]); i++)
		judge("kernel", kernel_rows[i].what,
		      expected(kernel_rows[i].attempt, kernel_rows[i].expect),
		      tried_as_kernel(false, kernel_rows[i].attempt));
	judge("kernel", "good: clone3, where it is attached elsewhere", 0,
	      tried_as_kernel(true, process_3));
}

Test(jail, the_windows_of_level_reduced)
{
	for (int room = SIGN; room <= CHECK; room++)
		for (size_t i = 0; i < sizeof(window_rows) / sizeof(window_rows[0]); i++)
			judge(names[room], window_rows[i].what, window_rows[i].expect,
			      tried(names[room], true, window_rows[i].attempt));
	judge("reader", "it has none", KILLED, tried("reader", true, windows_open));
}

/* ---- without the filter: what the other walls hold by themselves ---- */

static int root_entries(void)
{
	DIR *d = opendir("/");
	int n = 0;

	while (d && readdir(d))
		n++;
	return d ? n - 2 : 99; /* "." and ".." */
}

static bool line_is(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	return at && (at == text || at[-1] == '\n');
}

/* Of /proc/self/status, read through a descriptor from before. */
static bool status_right(int fd, uid_t uid, gid_t gid)
{
	static const char *const lines[] = {
		"CapInh:\t0000000000000000\n",
		"CapPrm:\t0000000000000000\n",
		"CapEff:\t0000000000000000\n",
		"CapBnd:\t0000000000000000\n",
		"CapAmb:\t0000000000000000\n",
		"NoNewPrivs:\t1\n",
		"Groups:\t \n",
	};
	char text[4096] = "", ids[128];
	bool right = pread(fd, text, sizeof(text) - 1, 0) > 0;

	snprintf(ids, sizeof(ids), "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", uid, uid, uid,
		 uid, gid, gid, gid, gid);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		right = right && line_is(text, lines[i]);
	return right && line_is(text, ids);
}

#define WANT(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(2, "%s: not so: %s\n", room, #condition);                          \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/* A room between entering and sealing. */
static int walls(const char *room)
{
	const struct jail *j = jail_of(room);
	struct rlimit core, files, size;
	uid_t uid;
	gid_t gid;
	int status = open("/proc/self/status", O_RDONLY); /* takes a room's number: see below */

	WANT(status >= 0 && jail_user(j->user, &uid, &gid) == 0);
	WANT(jail_enter() == 0);
	WANT(status_right(status, uid, gid));
	WANT(root_entries() == 0);
	WANT(file_open() == ENOENT && file_make() != 0 && directory_make() != 0);
	WANT(be_root() == EPERM && be_root_really() == EPERM && have_groups() == EPERM);
	WANT(mounting() == EPERM && unmounting() == EPERM && new_root() == EPERM);
	WANT(program() == ENOENT);
	WANT(signal_parent() == EPERM && trace() == EPERM && the_clock() == EPERM);
	WANT(getrlimit(RLIMIT_CORE, &core) == 0);
	if (core.rlim_max != 0 || prctl(PR_GET_DUMPABLE) != 0) {
		dprintf(2, "accepted: twin=jail_core: %s can leave a core file\n", room);
		return 1;
	}
	WANT(getrlimit(RLIMIT_NOFILE, &files) == 0 && (!j->files || files.rlim_max == j->files));
	WANT(getrlimit(RLIMIT_FSIZE, &size) == 0 &&
	     (!j->file_size || size.rlim_max == j->file_size));
	return 0;
}

Test(jail, the_walls_one_by_one)
{
	for (int room = 0; room < ROOMS; room++) {
		pid_t child = fork();

		if (child == 0) {
			descriptors_arrange(jail_of(names[room])->fds, 0);
			_exit(jail_begin(names[room], false) < 0 ? NOT_MADE : walls(names[room]));
		}
		cr_expect_eq(outcome(child), 0, "%s", names[room]);
	}
}

/* Answers @call with success and makes it not, where its argument 0 (or 1: @second) is @value and 2 is not NULL. */
static int faked(int call, bool ask, bool second, unsigned value)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	const struct scmp_arg_cmp where[] = { SCMP_CMP32(second ? 1 : 0, SCMP_CMP_EQ, value),
					      SCMP_A2_64(SCMP_CMP_NE, 0) };

	if (!f || seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0) < 0 ||
	    seccomp_rule_add_exact_array(f, SCMP_ACT_ERRNO(0), call, ask ? second ? 2 : 1 : 0,
					 where) < 0)
		return -1;
	return seccomp_load(f);
}

/* A step that is answered and not made is found at the end. */
Test(jail, what_was_not_made_is_found)
{
	static const struct {
		const char *what;
		int call;
		bool ask, second;
		unsigned value;
		bool enters;
	} cases[] = {
		{ "good: all is made", SYS_getppid + 1000, false, false, 0, true },
		{ "the root stays", SYS_pivot_root, false, false, 0, false },
		{ "nothing is mounted", SYS_mount, false, false, 0, false },
		{ "what was there stays below", SYS_umount2, false, false, 0, false },
		{ "what is to be had stays so", SYS_prctl, true, false, PR_CAPBSET_DROP, false },
		{ "no secure bits", SYS_prctl, true, false, PR_SET_SECUREBITS, false },
		{ "new privileges", SYS_prctl, true, false, PR_SET_NO_NEW_PRIVS, false },
		{ "the groups stay", SYS_setgroups, false, false, 0, false },
		{ "the group stays", SYS_setresgid, false, false, 0, false },
		{ "the user stays", SYS_setresuid, false, false, 0, false },
		{ "the capabilities stay", SYS_capset, false, false, 0, false },
		{ "core files", SYS_prlimit64, true, true, RLIMIT_CORE, false },
	};

	for (int room = 0; room < ROOMS; room++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			pid_t child = fork();

			if (child == 0) {
				const gid_t other = 1;

				descriptors_arrange(jail_of(names[room])->fds, 0);
				if (setgroups(1, &other) < 0 ||
				    setrlimit(RLIMIT_CORE, &(struct rlimit){ 1, 1 }) < 0 ||
				    jail_begin(names[room], false) < 0 ||
				    (!cases[i].enters &&
				     faked(cases[i].call, cases[i].ask, cases[i].second,
					   cases[i].value) < 0))
					_exit(NOT_MADE);
				_exit(jail_enter() < 0);
			}
			cr_expect_eq(outcome(child), !cases[i].enters, "%s room: %s", names[room],
				     cases[i].what);
		}
}

/* One descriptor too many, or one too few: no room. */
Test(jail, foreign_descriptors)
{
	static const struct {
		const char *what;
		int more;
		bool begins;
	} cases[] = { { "good", 0, true }, { "one more", 1, false }, { "one less", -1, false } };

	for (int room = 0; room < ROOMS; room++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			pid_t child = fork();

			if (child == 0) {
				descriptors_arrange(jail_of(names[room])->fds,
						    (unsigned)cases[i].more);
				_exit(jail_begin(names[room], false) < 0);
			}
			cr_expect_eq(outcome(child), !cases[i].begins, "%s room: %s%s", names[room],
				     cases[i].what,
				     cases[i].begins ? "" : "; accepted: twin=jail_fds:");
		}
}

Test(jail, no_such_room)
{
	cr_expect_null(jail_of("kernel"));
	cr_expect_null(jail_of(""));
	cr_expect_lt(jail_begin("nobody", false), 0);
}
