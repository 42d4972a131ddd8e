// SPDX-License-Identifier: Apache-2.0
// Pid 1 of every guest.  In C because a fork and exec costs 60 ms in an emulated guest, and a boot in shell
// needs sixty of them.
//   1. in the initramfs: modules; the build host's root, read-only, under an overlay in memory
//   2. in that root: file systems, network, names
//   3. on guest a start vmtest/init (the tests); on all serve `on` (on.c), reap orphans.  Where the tests ask for it
//      (init=systemd) a child does that, and pid 1 becomes systemd, which finds the mounts and the network made
// Settings are the lines NAME=VALUE of /vmtest/env, made by vmtest/run; they become everybody's environment.
// `vm-agent sweep` is what the guest is cleaned with between two tests.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "wire.h"

enum { MAX_REQUEST_ARGS = 4096 };

/* ---- boot ---- */

static void complain(const char *what, const char *which)
{
	dprintf(2, "vmtest: %s %s: %s\n", what, which, strerror(errno));
}

static _Noreturn void give_up(const char *what, const char *which)
{
	complain(what, which);
	exit(1);   // pid 1: the kernel panics, which vmtest/run sees at once
}

static __attribute__((format(printf, 1, 2))) char *text(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		abort();
	va_end(args);
	return s;   // never freed: a handful at boot
}

static void put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		complain("write", path);
	if (fd >= 0)
		close(fd);
}

// The whole file as a string, "" when there is none.
static char *get(const char *path)
{
	size_t len = 0;
	char *buf = malloc(1 << 16);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	for (ssize_t n; fd >= 0 && len < (1 << 16) - 1 && (n = read(fd, buf + len, (1 << 16) - 1 - len)) > 0;)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	buf[len] = '\0';
	return buf;
}

static void mounted(const char *type, const char *on, unsigned long flags, const char *options)
{
	mkdir(on, 0755);
	if (mount(type, on, type, flags, options))
		complain("mount", on);
}

static void moved(const char *from, const char *to)
{
	mkdir(to, 0755);
	if (mount(from, to, NULL, MS_MOVE, NULL))
		complain("move", to);
}

static void linked(const char *to, const char *name)
{
	unlink(name);
	if (symlink(to, name))
		complain("symlink", name);
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

static void settings(void)
{
	char *save, *lines = get("/vmtest/env"), *cmdline = get("/proc/cmdline"), *host;

	for (char *l = strtok_r(lines, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		putenv(l);
	host = strstr(cmdline, "vmtest.host=");
	char letter = host ? host[strlen("vmtest.host=")] : 'a';
	putenv(text("HOST=%c", letter));
	putenv(text("CTL_IP=10.78.0.%d", letter - 'a' + 1));
}

static void modules(void)
{
	char *save, *names = strdup(setting("MODULES"));

	for (char *m = strtok_r(names, " ", &save); m; m = strtok_r(NULL, " ", &save)) {
		int fd = open(text("/modules/%s.ko", m), O_RDONLY | O_CLOEXEC);

		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			complain("module", m);
		close(fd);
	}
}

static void copy(const char *from, const char *to)
{
	put(to, get(from));
}

static void initramfs(void)
{
	mounted("proc", "/proc", 0, NULL);
	mounted("sysfs", "/sys", 0, NULL);
	mounted("devtmpfs", "/dev", 0, NULL);
	settings();
	modules();
	mkdir("/lower", 0755);
	if (mount("root", "/lower", "virtiofs", MS_RDONLY, NULL))
		give_up("mount", "/lower");
	mounted("tmpfs", "/upper", 0, "mode=755");
	mkdir("/upper/up", 0755);
	mkdir("/upper/work", 0755);
	mounted("overlay", "/new", 0, "lowerdir=/lower,upperdir=/upper/up,workdir=/upper/work");
	mounted("tmpfs", "/new/run", 0, "mode=755");
	mkdir("/new/run/vmtest", 0755);
	copy("/vmtest/tests", "/new/run/vmtest/tests");
	moved("/dev", "/new/dev");
	moved("/proc", "/new/proc");
	moved("/sys", "/new/sys");
	if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		give_up("enter", "the new root");
}

// The build host's time, which its file system gives to a file made there. The kernel's own, from the emulated clock of
// the board, is whole seconds, and as many seconds late as ticks were lost in a boot beside other guests.
static void clock_right(const char *file)
{
	struct stat st;
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || fstat(fd, &st) || clock_settime(CLOCK_REALTIME, &st.st_mtim))
		complain("clock", file);
	if (fd >= 0)
		close(fd);
	unlink(file);
}

static void file_systems(void)
{
	char *save, *all = get("/proc/version"), *release = strtok_r(all, " ", &save);

	/* /tmp stays the overlay: it is in memory too, and the checkout may lie below it. */
	mounted("devpts", "/dev/pts", 0, "gid=5,mode=620,ptmxmode=666");
	mounted("tmpfs", "/dev/shm", 0, "mode=1777");
	mounted("cgroup2", "/sys/fs/cgroup", 0, NULL);
	mounted("bpf", "/sys/fs/bpf", 0, NULL);
	mounted("securityfs", "/sys/kernel/security", 0, NULL);
	mounted("debugfs", "/sys/kernel/debug", 0, NULL);
	mounted("tracefs", "/sys/kernel/tracing", 0, NULL);
	linked("/proc/self/fd", "/dev/fd");
	linked("fd/0", "/dev/stdin");
	linked("fd/1", "/dev/stdout");
	linked("fd/2", "/dev/stderr");
	mkdir("/run/lock", 01777);

	mkdir("/out", 0755);
	if (mount("out", "/out", "virtiofs", 0, NULL))
		give_up("mount", "/out");
	clock_right("/out/clock");
	mkdir("/out/log", 0755);
	mkdir("/out/persist", 0755);
	mkdir("/persist", 0755);
	if (mount("/out/persist", "/persist", NULL, MS_BIND, NULL))
		complain("mount", "/persist");

	all = get("/sys/fs/cgroup/cgroup.controllers");
	for (char *c = strtok_r(all, " \n", &save); c; c = strtok_r(NULL, " \n", &save))
		put("/sys/fs/cgroup/cgroup.subtree_control", text("+%s", c));

	release = strtok_r(get("/proc/sys/kernel/osrelease"), "\n", &save);
	mounted("tmpfs", "/lib/modules", 0, "mode=755");
	char *here = text("/lib/modules/%s", release);
	mkdir(here, 0755);
	if (mount(text("%s/kernels/%s/lib/modules/%s", setting("CLEAT_BUILD"), setting("KERNEL"), release), here,
		  NULL, MS_BIND, NULL))
		complain("mount", here);

	mkdir("/usr/local/bin", 0755);
	linked(text("%s/vmtest/on", setting("CLEAT_BUILD")), "/usr/local/bin/on");
	linked("on", "/usr/local/bin/vm-on");
	linked("on", "/usr/local/bin/vm-reboot");
	linked(text("%s/vmtest/agent", setting("CLEAT_BUILD")), "/usr/local/bin/vm-agent");
	if (access("/bin/ping", X_OK))
		linked("/bin/busybox", "/usr/local/bin/ping");
}

/* ---- network: eth0 is the one under test, ctl0 ours ---- */

static void device(int fd, unsigned long what, struct ifreq *ifr)
{
	if (ioctl(fd, what, ifr))
		complain("network", ifr->ifr_name);
}

// The device whose address begins so gets its name: the order in which they were found says nothing.
static void named(int fd, const char *mac, const char *name)
{
	DIR *d = opendir("/sys/class/net");

	for (struct dirent *e; d && (e = readdir(d));) {
		struct ifreq ifr = { 0 };

		if (*e->d_name == '.' || !strcmp(e->d_name, name) ||
		    strncmp(get(text("/sys/class/net/%s/address", e->d_name)), mac, strlen(mac)))
			continue;
		snprintf(ifr.ifr_name, IFNAMSIZ, "%.15s", e->d_name);
		snprintf(ifr.ifr_newname, IFNAMSIZ, "%s", name);
		device(fd, SIOCSIFNAME, &ifr);
		break;
	}
	closedir(d);
}

static void up(int fd, const char *name, const char *address)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	if (address) {
		inet_aton(address, &in.sin_addr);
		memcpy(&ifr.ifr_addr, &in, sizeof in);
		device(fd, SIOCSIFADDR, &ifr);
		inet_aton("255.255.255.0", &in.sin_addr);
		memcpy(&ifr.ifr_netmask, &in, sizeof in);
		device(fd, SIOCSIFNETMASK, &ifr);
	}
	device(fd, SIOCGIFFLAGS, &ifr);
	ifr.ifr_flags |= IFF_UP;
	device(fd, SIOCSIFFLAGS, &ifr);
}

static void network(void)
{
	struct { struct in6_addr addr; uint32_t prefix; int index; } v6 = { .prefix = 64 };
	int n = *setting("HOST") - 'a' + 1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char *hosts = text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");

	named(fd, "52:54:00:78", "ctl0");
	named(fd, "52:54:00:77", "eth0");
	put("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0");
	put("/proc/sys/net/ipv6/conf/ctl0/disable_ipv6", "1");
	up(fd, "lo", NULL);
	up(fd, "eth0", text("10.77.0.%d", n));
	up(fd, "ctl0", text("10.78.0.%d", n));
	inet_pton(AF_INET6, text("fd77::%d", n), &v6.addr);
	v6.index = (int)if_nametoindex("eth0");
	if (ioctl(fd6, SIOCSIFADDR, &v6))
		complain("network", "eth0 IPv6");
	close(fd);
	close(fd6);

	for (int h = 1; h <= 3; h++)
		hosts = text("%s10.77.0.%d host-%c\nfd77::%d host-%c\n", hosts, h, 'a' + h - 1, h, 'a' + h - 1);
	put("/etc/hosts", hosts);
	put("/etc/hostname", text("host-%c\n", 'a' + n - 1));
	put("/proc/sys/kernel/hostname", text("host-%c", 'a' + n - 1));
}

static void environment(void)
{
	static char *fixed[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "TERM=linux", "LANG=C.UTF-8", "OUT=/out", "PERSIST=/persist",
		"A_IP=10.77.0.1", "B_IP=10.77.0.2", "C_IP=10.77.0.3",
		"A_IP6=fd77::1", "B_IP6=fd77::2", "C_IP6=fd77::3",
	};

	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		putenv(fixed[i]);
	unsetenv("MODULES");
	if (chdir(setting("CLEAT_SRC")))
		complain("enter", setting("CLEAT_SRC"));
}

/* ---- sweep: what a test left on this guest ---- */

static bool is_ancestor(int pid)
{
	int parent;

	for (int p = getpid(); p > 1; p = parent) {
		char *stat = get(text("/proc/%d/stat", p)), *end = strrchr(stat, ')');

		if (p == pid)
			return true;
		if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
			break;
	}
	return pid == 1;
}

static int remove_any(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	if (at->level && remove(path) && kind != FTW_D)
		complain("left behind", path);
	return 0;
}

static int remove_dir(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	if (at->level && kind == FTW_DP)
		rmdir(path);   // one still in use stays
	return 0;
}

static void sweep(void)
{
	char exe[8];
	DIR *d = opendir("/proc");

	// a daemon left running, and its pins, are refused to everybody outside its cgroup; made anew it is that again
	mkdir("/sys/fs/cgroup/cleatd", 0755);
	put("/sys/fs/cgroup/cleatd/cgroup.procs", "0");
	for (struct dirent *e; d && (e = readdir(d));) {
		int pid = atoi(e->d_name);

		if (pid <= 0 || readlink(text("/proc/%d/exe", pid), exe, sizeof exe) <= 0 || is_ancestor(pid))
			continue;   // kernel threads and zombies have no exe
		char *name = get(text("/proc/%d/comm", pid));
		name[strcspn(name, "\n")] = '\0';
		if (kill(pid, SIGKILL) == 0)
			printf("vmtest: host-%s: left running: %s (%d)\n", setting("HOST"), name, pid);
	}
	closedir(d);
	d = opendir("/sys/fs/bpf");
	for (struct dirent *e; d && (e = readdir(d));)
		if (*e->d_name != '.')
			printf("vmtest: host-%s: left pinned: %s\n", setting("HOST"), e->d_name);
	closedir(d);
	fflush(stdout);
	nftw("/sys/fs/bpf", remove_any, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	put("/sys/fs/cgroup/cgroup.procs", "0");
	nftw("/sys/fs/cgroup", remove_dir, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- serve ---- */

static bool send_exit(int fd, int status)
{
	int32_t code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

	return send_frame(fd, EXIT, &code, sizeof code);
}

static void unmask(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static _Noreturn void exec_command(char **argv)
{
	// one word with shell characters is a shell line, as with ssh
	if (!argv[1] && strpbrk(argv[0], " \t\n|&;<>()$`\\\"'*?[#~="))
		execl("/bin/sh", "sh", "-c", argv[0], NULL);
	else
		execvp(argv[0], argv);
	dprintf(2, "on: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static pid_t start(char **argv, int in, int out, int err)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	unmask();
	exec_command(argv);
}

// Its output goes to a file; its parent is pid 1 once this handler is gone.
static void run_detached(int client, char **argv)
{
	char path[64], line[128];
	static const char dir[] = "/out/bg";

	mkdir(dir, 0755);
	snprintf(path, sizeof path, "%s/.%d", dir, getpid());
	int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid = start(argv, null, log, log);

	snprintf(line, sizeof line, "%s/%d.log", dir, pid);
	rename(path, line);
	send_frame(client, STDOUT, line, (size_t)snprintf(line, sizeof line, "%d\n", pid));
	send_exit(client, 0);
}

// One pipe's bytes to the client; false at its end.
static bool relay(int client, enum frame type, int fd)
{
	char buf[CHUNK];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && send_frame(client, type, buf, (size_t)n);
}

static bool feed(int client, int *in)   // false: the client is gone
{
	struct head head;
	char buf[CHUNK];

	if (!read_all(client, &head, sizeof head) || head.type != STDIN || head.len > sizeof buf ||
	    !read_all(client, buf, head.len))
		return false;
	if (*in >= 0 && (!head.len || !write_all(*in, buf, head.len))) {
		close(*in);
		*in = -1;
	}
	return true;
}

static void run_attached(int client, char **argv, bool input)
{
	int in[2], out[2], err[2], status;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	int ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return;
	pid_t pid = start(argv, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	if (!input) {
		close(in[1]);
		in[1] = -1;
	}
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);

	struct pollfd p[] = {
		{ .fd = client, .events = POLLIN },
		{ .fd = out[0], .events = POLLIN },
		{ .fd = err[0], .events = POLLIN },
		{ .fd = ended, .events = POLLIN },
	};
	for (;;) {
		if (poll(p, 4, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents && !feed(client, &in[1])) {   // nobody waits for the answer any more
			kill(-pid, SIGKILL);
			return;
		}
		if (p[1].revents && !relay(client, STDOUT, out[0]))
			p[1].fd = -1;
		if (p[2].revents && !relay(client, STDERR, err[0]))
			p[2].fd = -1;
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		struct signalfd_siginfo info;
		while (read(ended, &info, sizeof info) > 0)
			;
	}
	// what it wrote before it ended; what its background children write later is theirs
	for (struct pollfd q = { .fd = out[0], .events = POLLIN };
	     p[1].fd >= 0 && poll(&q, 1, 0) > 0 && relay(client, STDOUT, out[0]);)
		;
	for (struct pollfd q = { .fd = err[0], .events = POLLIN };
	     p[2].fd >= 0 && poll(&q, 1, 0) > 0 && relay(client, STDERR, err[0]);)
		;
	send_exit(client, status);
}

// mode, working directory, number of arguments, the arguments, the environment: each ends with NUL
static void serve(int client)
{
	struct head head;
	char *argv[MAX_REQUEST_ARGS + 1];
	size_t argc = 0;

	no_delay(client);
	if (!read_all(client, &head, sizeof head) || head.type != REQUEST || head.len < 4 ||
	    head.len > MAX_REQUEST)
		return;
	char *p = malloc(head.len + 1);
	if (!p || !read_all(client, p, head.len))
		return;
	char *end = p + head.len;
	*end = '\0';

	char mode = *p;
	p += strlen(p) + 1;
	if ((p >= end || chdir(p)) && chdir("/"))
		return;
	p += strlen(p) + 1;
	size_t count = p < end ? strtoul(p, NULL, 10) : 0;
	p += strlen(p) + 1;
	for (; argc < count && argc < MAX_REQUEST_ARGS && p < end; p += strlen(p) + 1)
		argv[argc++] = p;
	argv[argc] = NULL;

	char *host = getenv("HOST");
	for (; p < end; p += strlen(p) + 1)
		if (*p)
			putenv(p);
	if (host)
		setenv("HOST", host, 1);

	if (mode == REBOOT) {
		send_exit(client, 0);
		shutdown(client, SHUT_WR);
		sync();
		reboot(LINUX_REBOOT_CMD_RESTART);
	} else if (!argc) {
		return;
	} else if (mode == DETACHED) {
		run_detached(client, argv);
	} else {
		run_attached(client, argv, mode == INPUT);
	}
}

static int listen_on(const char *ip)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (!inet_aton(ip, &own.sin_addr) || bind(fd, (struct sockaddr *)&own, sizeof own) || listen(fd, 64))
		complain("listen on", ip);
	return fd;
}

static _Noreturn void agent(void)
{
	int listener = listen_on(setting("CTL_IP"));
	sigset_t child;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	int ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

	if (*setting("HOST") == 'a' && fork() == 0) {
		setpgid(0, 0);   // no session: opening /dev/hvc0 must not make that its terminal
		unmask();
		execl("/bin/bash", "bash", "vmtest/init", NULL);
		complain("run", "vmtest/init");
		_exit(127);
	}
	for (;;) {
		struct signalfd_siginfo info;
		struct pollfd p[] = { { .fd = listener, .events = POLLIN }, { .fd = ended, .events = POLLIN } };

		poll(p, 2, -1);
		while (read(ended, &info, sizeof info) > 0)
			;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!(p[0].revents & POLLIN))
			continue;
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			continue;
		if (fork() == 0) {
			close(listener);
			close(ended);
			serve(client);
			_exit(0);
		}
		close(client);
	}
}

/* ---- systemd as pid 1 ---- */

// Only what units need to start: no login, no device manager (the devices are there), no service of the build host's.
static _Noreturn void systemd(void)
{
	static char *const argv[] = { "systemd", "--unit=basic.target", NULL };
	static const char *const masked[] = { "systemd-udevd.service", "systemd-udev-trigger.service",
		"systemd-timesyncd.service", "e2scrub_reap.service", "systemd-random-seed.service" };

	mkdir("/run/systemd", 0755);
	mkdir("/run/systemd/system", 0755);
	for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
		linked("/dev/null", text("/run/systemd/system/%s", masked[i]));
	/* Logs on a file system as a host's: a room is handed no file of an overlay, so an audit log there never rotates. */
	mounted("tmpfs", "/var/log", 0, "mode=755");
	mkdir("/run/tmpfiles.d", 0755);
	put("/run/tmpfiles.d/tmp.conf", "");   // Debian's empties /tmp at boot, and the checkout may lie there
	clearenv();
	unmask();
	execv("/lib/systemd/systemd", argv);
	give_up("run", "/lib/systemd/systemd");
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "sweep")) {
		sweep();
		return 0;
	}
	if (getpid() != 1) {
		fprintf(stderr, "usage: vm-agent sweep\n");
		return 2;
	}
	initramfs();
	file_systems();
	network();
	environment();
	if (!strcmp(setting("INIT"), "systemd") && fork())
		systemd();
	agent();
}
