/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: what this machine can do for cleatd, and what to do about what is missing. Works before anything is installed,
 * and changes nothing. A line that fails is something without which the daemon does not start or signs nothing.
 */
#include "cleatctl_admin.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "edge/cgroupfs.h"
#include "edge/kern.h"
#include "edge/keys.h"
#include "edge/machine.h"
#include "edge/policy_yaml.h"
#include "edge/sig.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum state { WELL, WARN, FAIL };

struct finding {
	enum state state;
	char what[640];
	const char *remedy; /* NULL where it is well */
};

struct patient {
	const struct ctl *c;
	const char *config_dir;
	const char *state_dir;
	const struct policy_image *image; /* NULL: the policy does not compile */
	char error[512];		  /* and why */
};

static struct finding found(enum state state, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static struct finding found(enum state state, const char *remedy, const char *format, ...)
{
	struct finding f = { .state = state, .remedy = remedy };
	va_list args;

	va_start(args, format);
	vsnprintf(f.what, sizeof(f.what), format, args);
	va_end(args);
	return f;
}

static struct finding look_root(const struct patient *p)
{
	(void)p;
	if (geteuid() == 0)
		return found(WELL, NULL, "you are root");
	return found(WARN, "run as root to have them looked at",
		     "you are not root: keys, policy and the daemon may be hidden from you");
}

static bool is_at_least(const struct machine_kernel *k, unsigned major, unsigned minor)
{
	return k->major > major || (k->major == major && k->minor >= minor);
}

static struct finding look_kernel(const struct patient *p)
{
	struct machine_kernel k;

	(void)p;
	if (machine_kernel(&k) < 0)
		return found(FAIL, "run Linux 6.1 or newer", "the kernel's version is unknown");
	if (!is_at_least(&k, 6, 1))
		return found(FAIL, "run Linux 6.1 or newer", "Linux %s is too old", k.release);
	return found(WELL, NULL, "Linux %s (point release %u.%u.%u)", k.release, k.major, k.minor,
		     k.patch);
}

/* Known bugs that whoever uses what we use is exposed to. The distribution may have mended them all the same. */
static struct finding look_flaws(const struct patient *p)
{
	struct machine_kernel k;
	struct machine_flaw f;
	char all[512] = "";
	size_t at = 0;

	(void)p;
	if (machine_kernel(&k) < 0)
		return found(WARN, "run Linux 6.1 or newer", "the kernel's version is unknown");
	for (unsigned i = 0; machine_flaw(&k, i, &f) && at < sizeof(all); i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s: %s (ends with: %s)",
				       i ? "; " : "", f.id, f.what, f.ends);
	if (!all[0])
		return found(WELL, NULL,
			     "no bug of this kernel is known that we would be exposed to");
	return found(WARN, "upgrade the kernel; your distribution says whether its own has the fix",
		     "%s", all);
}

static struct finding look_ftrace(const struct patient *p)
{
	(void)p;
	if (machine_ftrace_off())
		return found(
			FAIL, "sysctl kernel.ftrace_enabled=1",
			"kernel.ftrace_enabled is 0: no BPF LSM program is called; level full is not to be had");
	return found(WELL, NULL, "kernel.ftrace_enabled lets BPF LSM programs run");
}

/* What could be had here, as far as reading tells: cleatd check loads it, and at the start a live probe tries it. */
static struct finding look_levels(const struct patient *p)
{
	struct machine_kernel k = { 0 };
	bool btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	bool locked = machine_file_names("/sys/kernel/security/lockdown", "[confidentiality]");
	bool full, reduced;

	(void)p;
	machine_kernel(&k);
	full = btf && !locked && machine_lsm_listed() && !machine_ftrace_off() &&
	       is_at_least(&k, 6, 1);
	reduced = btf && is_at_least(&k, 6, 5);
	return found(full      ? WELL
		     : reduced ? WARN
			       : FAIL,
		     full ? NULL : "the lines around this one say what is missing",
		     "level full: %s; level reduced: %s%s", full ? "yes" : "no",
		     reduced ? "yes" : "no",
		     full || reduced ? "" : ": cleatd would refuse to arm (not-armed)");
}

static struct finding look_btf(const struct patient *p)
{
	(void)p;
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		return found(WELL, NULL, "the kernel describes its types (BTF)");
	return found(FAIL, "run a kernel built with CONFIG_DEBUG_INFO_BTF=y",
		     "no /sys/kernel/btf/vmlinux: no program can be loaded");
}

static struct finding look_lsm(const struct patient *p)
{
	struct machine_kernel k = { 0 };

	(void)p;
	machine_kernel(&k);
	if (machine_lsm_listed())
		return found(WELL, NULL, "BPF LSM is active");
	if (is_at_least(&k, 6, 5))
		return found(WARN,
			     "boot with lsm=...,bpf (CONFIG_BPF_LSM=y), securityfs mounted at "
			     "/sys/kernel/security",
			     "BPF LSM is not active: level reduced at most, no guard, no exec "
			     "tracking");
	return found(FAIL, "boot with lsm=...,bpf, or run Linux 6.5 or newer for level reduced",
		     "BPF LSM is not active, and level reduced needs Linux 6.5: nothing would be "
		     "signed or verified");
}

static struct finding look_lockdown(const struct patient *p)
{
	(void)p;
	if (machine_file_names("/sys/kernel/security/lockdown", "[confidentiality]"))
		return found(WARN, "boot with lockdown=integrity or without",
			     "lockdown=confidentiality refuses the programs of level full");
	return found(WELL, NULL, "no lockdown that refuses programs");
}

static struct finding look_cgroup(const struct patient *p)
{
	char mount[4096];
	int err = cgroupfs_find(mount, sizeof(mount));

	(void)p;
	if (err < 0)
		return found(FAIL,
			     "mount it: mount -t cgroup2 none /sys/fs/cgroup, or boot with "
			     "systemd.unified_cgroup_hierarchy=1; in a container ask the host",
			     "the root of the unified cgroup hierarchy is mounted nowhere");
	if (strcmp(mount, "/sys/fs/cgroup") != 0)
		return found(WARN, "boot with systemd.unified_cgroup_hierarchy=1",
			     "hybrid: cgroup2 is at %.500s; services must have their cgroups there",
			     mount);
	return found(WELL, NULL, "cgroup2 is at %.500s", mount);
}

static struct finding look_bpffs(const struct patient *p)
{
	struct statfs fs;

	(void)p;
	if (statfs("/sys/fs/bpf", &fs) < 0 || (unsigned long)fs.f_type != BPF_FS_MAGIC)
		return found(
			FAIL, "mount -t bpf bpf /sys/fs/bpf",
			"bpffs is not at /sys/fs/bpf: the kernel side has no place to outlive a restart in");
	return found(WELL, NULL, "bpffs is at /sys/fs/bpf, %s",
		     access(KERN_PINS_DIR, F_OK) == 0
			     ? "and holds a kernel side, with or without a daemon"
			     : "and holds no kernel side of ours");
}

static struct finding look_clock(const struct patient *p)
{
	if (clock_synchronised())
		return found(WELL, NULL, "the kernel calls the clock synchronised");
	if (p->image && p->image->flags & POLICY_CLOCK_UNSYNC_OK)
		return found(WARN, "start a time daemon (chrony, systemd-timesyncd)",
			     "the kernel calls the clock unsynchronised, and cleat.yaml puts up "
			     "with it");
	return found(FAIL,
		     "start a time daemon (chrony, systemd-timesyncd), or say clock: "
		     "unsynchronised-ok in cleat.yaml",
		     "the kernel calls the clock unsynchronised: nothing is signed or verified");
}

static struct finding look_users(const struct patient *p)
{
	static const char *const users[] = { "cleat-sign", "cleat-check", "cleat-read" };

	(void)p;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (!getpwnam(users[i]))
			return found(FAIL,
				     "systemd-sysusers cleat.conf (\"make install\" puts it there)",
				     "there is no user %s for a room to run as", users[i]);
	return found(WELL, NULL, "the rooms' users are there");
}

static struct finding look_key(const struct patient *p)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	owned_fd int fd = -1;
	int err = keys_open(p->state_dir, &fd);

	if (err == 0)
		err = keys_read(fd, &key);
	if (err == 0)
		return found(WELL, NULL, "the host key is in %s", p->state_dir);
	if (err == -ENOENT)
		return found(FAIL, "cleatctl host init --name NAME --trust-domain TD --scope /",
			     "no host key in %s", p->state_dir);
	if (err == -EACCES)
		return found(WARN, "run as root", "%s is not to be seen by you", p->state_dir);
	return found(FAIL, "make it root's alone: chown root, chmod 0600; one name, no symlink",
		     "the host key in %s cannot be used: %s", p->state_dir, strerror(-err));
}

static struct finding look_policy(const struct patient *p)
{
	if (p->image)
		return found(WELL, NULL, "policy and bundles in %s compile", p->config_dir);
	return found(FAIL, "put that right; \"cleatctl policy check\" says it again", "%s",
		     p->error);
}

static struct finding look_daemon(const struct patient *p)
{
	struct cleat_admin_answer_status s = { 0 };
	int result = admin_status_ask(p->c, &s);

	if (result != 0)
		return found(
			WARN,
			"systemctl start cleatd, or cleatd run; --runtime-dir says where it is",
			"no cleatd answers");
	if (!kern_is_armed(&s.config))
		return found(FAIL, "it goes on trying; what it names must be put right",
			     "cleatd runs and is not armed: %.500s", s.why);
	if (s.reload_error[0])
		return found(WARN, "put that right, then \"cleatctl reload\"",
			     "cleatd runs on generation %u; the last reload failed: %.400s",
			     s.head.policy_generation, s.reload_error);
	return found(s.config.level == CLEAT_LEVEL_FULL ? WELL : WARN,
		     s.config.level == CLEAT_LEVEL_FULL ? NULL : "the lines above say why not full",
		     "cleatd runs at level %s, generation %u%s%.400s", level_word(s.config.level),
		     s.head.policy_generation, s.why[0] ? ": " : "", s.why);
}

static const struct {
	const char *name;
	struct finding (*look)(const struct patient *p);
} looks[] = {
	{ "root", look_root },	  { "kernel", look_kernel },	 { "flaws", look_flaws },
	{ "btf", look_btf },	  { "ftrace", look_ftrace },	 { "levels", look_levels },
	{ "lsm", look_lsm },	  { "lockdown", look_lockdown }, { "cgroup2", look_cgroup },
	{ "bpffs", look_bpffs },  { "clock", look_clock },	 { "users", look_users },
	{ "host-key", look_key }, { "policy", look_policy },	 { "daemon", look_daemon },
};

static void finding_print(const struct ctl *c, const char *name, struct finding *f, bool first)
{
	static const char *const words[] = { "ok", "warn", "fail" };

	if (c->json) {
		printf("%s{\"state\":\"%s\"", first ? "" : ",", words[f->state]);
		put_member("name", name);
		put_member("what", f->what);
		put_member("remedy", f->remedy ? f->remedy : "");
		putchar('}');
		return;
	}
	printf("%-4s  %-9s %s\n", words[f->state], name, line_clean(f->what));
	if (f->remedy)
		printf("%16s%s\n", "-> ", f->remedy);
}

int verb_doctor(const struct ctl *c, int argc, char **argv)
{
	struct patient p = { .c = c };
	const struct option_of options[] = { { .name = "--dir", .into = &p.config_dir },
					     { .name = "--state-dir", .into = &p.state_dir } };
	struct words rest = { 0 };
	struct policy_source source = { 0 };
	owned_mem void *image = NULL;
	enum state worst = WELL;
	size_t size;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0))
		return EXIT_USAGE;
	p.config_dir = p.config_dir ? p.config_dir : DEFAULT_CONFIG;
	p.state_dir = p.state_dir ? p.state_dir : DEFAULT_STATE;
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	source.config_dir = p.config_dir;
	source.state_dir = geteuid() == 0 ? p.state_dir : NULL;
	if (policy_compile(&source, &image, &size, p.error, sizeof(p.error)) == 0)
		p.image = image;
	fputs(c->json ? "{\"checks\":[" : "", stdout);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		struct finding f = looks[i].look(&p);

		finding_print(c, looks[i].name, &f, i == 0);
		worst = f.state > worst ? f.state : worst;
	}
	if (c->json)
		printf("],\"ok\":%s}\n", worst == FAIL ? "false" : "true");
	return worst == FAIL ? EXIT_FAILURE : EXIT_SUCCESS;
}
