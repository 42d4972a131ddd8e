/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the cgroups that policy names are looked for: a path as it is, a unit below slices alone. What somebody else fills
 * is not so much as opened, however much it is. A directory of the test's own stands for the hierarchy.
 */
#include "../policy_config.h"

#include "edge/cgroup_places.h"
#include "edge/cgroupfs.h"
#include <sys/inotify.h>

#define MANY 4000
#define HEAD "version: 1\ntrust_domain: prod.example\nhost: a\nworkloads:\n"
#define USER "/user.slice/user-1000.slice/user@1000.service"

static struct {
	struct config config;
	char root[96];
	int fd;
	char found[8][128]; /* the paths that were there, in the order of places */
	unsigned count, asked;
} s;

static void made(const char *path)
{
	char at[256];

	cr_assert_lt(snprintf(at, sizeof(at), "%s%s", s.root, path), (int)sizeof(at));
	for (char *slash = strchr(at + strlen(s.root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(at, 0755);
		*slash = '/';
	}
	cr_assert(mkdir(at, 0755) == 0 || errno == EEXIST, "%s", at);
}

static void begin(void)
{
	config_open(&s.config);
	snprintf(s.root, sizeof(s.root), "%s/cgroup", s.config.dir);
	cr_assert_eq(mkdir(s.root, 0755), 0);
	s.fd = open(s.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(s.fd, 0);
}

static void end(void)
{
	close(s.fd);
	config_close(&s.config);
}

TestSuite(cgroup_places, .init = begin, .fini = end);

static int seen(void *ctx, uint32_t place, int dirfd, const char *path)
{
	(void)ctx;
	s.asked++;
	if (faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	cr_assert_lt(s.count, 8);
	snprintf(s.found[s.count++], sizeof(s.found[0]), "%s=%u", path, place);
	return 0;
}

static void look(void)
{
	s.count = s.asked = 0;
	cr_assert_eq(cgroup_places(s.fd, s.config.image, seen, NULL), 0);
}

static bool found(const char *path)
{
	size_t len = strlen(path);

	for (unsigned i = 0; i < s.count; i++)
		if (strncmp(s.found[i], path, len) == 0 && s.found[i][len] == '=')
			return true;
	return false;
}

Test(cgroup_places, a_path_as_it_is)
{
	cr_assert_eq(compile_text(&s.config,
				  HEAD "  - { id: /a, match: { cgroup: /a/b } }\n"
				       "  - { id: /c, match: { cgroup: " USER "/app/c } }\n"
				       "  - { id: /d, match: { cgroup: /not/there } }\n"),
		     0, "%s", complaint(&s.config));
	made("/a/b/a/b");
	made("/x/a/b");
	made(USER "/app/c");
	look();
	cr_expect(found("a/b"));
	cr_expect(found(&USER "/app/c"[1]));
	cr_expect_eq(s.count, 2);
	cr_expect_eq(s.asked, 3, "one question a path, and no walk");
}

Test(cgroup_places, a_unit_below_slices_alone)
{
	cr_assert_eq(compile_text(&s.config, HEAD "  - { id: /pay, match: { systemd: pay.service } }\n"
						  "  - { id: /box, match: { systemd: box.scope } }\n"),
		     0, "%s", complaint(&s.config));
	made("/system.slice/system-pay.slice/pay.service");
	made("/system.slice/other.service/pay.service");
	made("/machine.slice/box.scope/box.scope");
	made("/noslice/pay.service");
	made("/.slice/pay.service");
	made(USER "/app.slice/pay.service");
	look();
	cr_expect(found("pay.service"));
	cr_expect(found("box.scope"));
	cr_expect_eq(s.count, 2, "%u", s.count);
	made("/pay.service");
	look();
	cr_expect_eq(s.count, 3, "the root is a slice, too");
}

/* What was opened of the user's is what its directory tells of itself. */
Test(cgroup_places, what_is_delegated_is_not_entered)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char at[256], event[4096];

	cr_assert_eq(compile_text(&s.config,
				  HEAD "  - { id: /pay, match: { systemd: pay.service } }\n"
				       "  - { id: /own, match: { cgroup: " USER "/own } }\n"),
		     0, "%s", complaint(&s.config));
	made("/system.slice/pay.service");
	made(USER "/own");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(at, sizeof(at), "%s/x%u.slice/pay.service", i % 2 ? USER : USER "/own", i);
		made(at);
	}
	snprintf(at, sizeof(at), "%s%s", s.root, USER);
	cr_assert_geq(inotify_add_watch(watch, at, IN_OPEN | IN_ACCESS), 0);
	look();
	cr_expect_eq(s.count, 2, "%u", s.count);
	cr_expect_eq(s.asked, 2);
	cr_expect_eq(read(watch, event, sizeof(event)), -1, "it was opened");
	/* and this is what it looks like when it is */
	int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	close(fd);
	cr_expect_gt(read(watch, event, sizeof(event)), 0);
	close(watch);
}

static int any(void *ctx, int dirfd, const char *path)
{
	(void)ctx;
	(void)dirfd;
	(void)path;
	s.count++;
	return 1;
}

Test(cgroup_places, no_deeper_than_told)
{
	made("/1/2/3/4");
	cr_assert_eq(cgroupfs_walk(s.fd, 3, any, NULL), 0);
	cr_expect_eq(s.count, 3);
}

Test(cgroup_places, what_is_no_cgroup2_is_said)
{
	cr_expect_eq(cgroupfs_open(s.root), -EINVAL);
	cr_expect_eq(cgroupfs_open("/nowhere"), -ENOENT);
}
