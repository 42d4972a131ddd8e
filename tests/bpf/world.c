/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include "world.h"

#include "edge/cgroupfs.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct world world;
unsigned failures;

void check_at(int line, bool ok, const char *what)
{
	printf("%s %s (line %d)\n", ok ? "ok  " : "FAIL", what, line);
	fflush(stdout);
	failures += !ok;
}

static void die(const char *what)
{
	fprintf(stderr, "smoke: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- policy ---- */

struct image {
	struct policy_image head;
	struct policy_place places[6];
	struct policy_rule rules[7];
	char strings[6][400];
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static uint32_t place_of_name(const char *name)
{
	if (strstr(name, "/good"))
		return 1;
	if (strstr(name, "/evil"))
		return 2;
	if (strstr(name, "/debug"))
		return 3;
	if (strstr(name, "/cleat-exact"))
		return 6;
	return strcmp(name, "x-cleat.service") == 0 ? 4 : 5;
}

static struct policy_image *policy_make(uint32_t generation)
{
	static const struct policy_rule rules[] = {
		{ .place = 1, .slot = 0, .label = LABEL_GOOD, .uid = 0, .flags = CLEAT_RULE_UID },
		{ .place = 1,
		  .slot = 1,
		  .label = LABEL_GOOD_1001,
		  .uid = 1001,
		  .flags = CLEAT_RULE_UID },
		{ .place = 2, .slot = 0, .label = LABEL_EVIL },
		{ .place = 3, .slot = 0, .label = LABEL_DEBUG, .flags = CLEAT_RULE_DEBUG },
		{ .place = 4, .slot = 0, .label = LABEL_UNIT },
		{ .place = 5, .slot = 0, .label = LABEL_UNIT },
		{ .place = 6, .slot = 0, .label = LABEL_UNIT },
	};
	struct image *p = calloc(1, sizeof(*p));
	const char *base = world.base + strlen(world.mount);

	snprintf(p->strings[0], sizeof(p->strings[0]), "%s/good", base);
	snprintf(p->strings[1], sizeof(p->strings[1]), "%s/evil", base);
	snprintf(p->strings[2], sizeof(p->strings[2]), "%s/debug", base);
	snprintf(p->strings[3], sizeof(p->strings[3]), "x-cleat.service");
	snprintf(p->strings[4], sizeof(p->strings[4]), "y-cleat.service");
	snprintf(p->strings[5], sizeof(p->strings[5]), "/cleat-exact");
	qsort(p->strings, 6, sizeof(p->strings[0]), by_name);
	p->head.generation = generation;
	p->head.places = (struct policy_span){ offsetof(struct image, places), 6 };
	p->head.rules = (struct policy_span){ offsetof(struct image, rules), 7 };
	for (unsigned i = 0; i < 6; i++) {
		p->places[i].name =
			(uint32_t)(offsetof(struct image, strings) + i * sizeof(p->strings[0]));
		p->places[i].place = place_of_name(p->strings[i]);
	}
	memcpy(p->rules, rules, sizeof(rules));
	return &p->head;
}

/* ---- cgroups ---- */

static void cgroup_path(char *ret, size_t cap, const char *name)
{
	snprintf(ret, cap, "%s%s%s", world.base, name[0] ? "/" : "", name);
}

int cgroup_make(const char *name)
{
	char path[1024];

	cgroup_path(path, sizeof(path), name);
	return mkdir(path, 0755);
}

void cgroup_remove(const char *name)
{
	char path[1024];

	cgroup_path(path, sizeof(path), name);
	rmdir(path);
}

static void procs_write(const char *dir)
{
	char path[1100];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die(path);
	close(fd);
}

void cgroup_enter(const char *name)
{
	char path[1024];

	cgroup_path(path, sizeof(path), name);
	procs_write(path);
}

uint32_t cgroup_place(const char *name)
{
	struct cleat_cgroup c;
	char path[1024];
	uint64_t id;

	cgroup_path(path, sizeof(path), name);
	if (cgroupfs_id(AT_FDCWD, path, &id) < 0)
		die(path);
	return kern_cgroup_get(world.cgroups, id, &c) == 0 ? c.place : 0;
}

int child(const char *name, unsigned uid, int (*f)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		unsigned before = failures;

		cgroup_enter(name);
		if (uid && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
			die("setresuid");
		status = f(arg);
		fflush(NULL);
		_exit(status ? status : failures != before);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* ---- the kernel side ---- */

static void maps_open(void)
{
	if (kern_map_fd(world.k, KERN_TAGS, false, &world.tags) < 0 ||
	    kern_map_fd(world.k, KERN_CALLERS, false, &world.callers) < 0 ||
	    kern_map_fd(world.k, KERN_CONFIG, false, &world.config) < 0 ||
	    kern_map_fd(world.k, KERN_CGROUPS, false, &world.cgroups) < 0 ||
	    kern_map_fd(world.k, KERN_SEQ, true, &world.seq) < 0 ||
	    kern_map_fd(world.k, KERN_SEQ, false, &world.seq_read) < 0 ||
	    kern_map_fd(world.k, KERN_WINDOW, true, &world.window) < 0)
		die("map descriptors");
}

/* The test itself may touch what is ours; its children in other cgroups may not. */
static int keep(char *error, size_t cap)
{
	char path[1024];
	uint64_t id;
	int err;

	if (kern_level(world.k) != CLEAT_LEVEL_FULL)
		return 0;
	cgroup_make("keeper");
	cgroup_enter("keeper");
	cgroup_path(path, sizeof(path), "keeper");
	snprintf(world.pins, sizeof(world.pins), "/sys/fs/bpf/cleat-smoke-%d", getpid());
	if (mkdir(world.pins, 0700) < 0)
		die(world.pins);
	err = cgroupfs_id(AT_FDCWD, path, &id);
	if (err == 0)
		err = kern_keeper_set(world.k, path + strlen(world.mount), id);
	if (err == 0)
		err = kern_pins_guard(world.k, world.pins);
	if (err < 0)
		snprintf(error, cap, "keeper: %s", strerror(-err));
	return err;
}

int world_open(uint32_t level)
{
	/* SMOKE_OBJECT: a broken twin's, instead of the one that is built in */
	struct kern_options options = { .object = getenv("SMOKE_OBJECT"),
					.cgroup = world.base,
					.level = level };
	char error[1024] = "";

	if (cgroupfs_find(world.mount, sizeof(world.mount)) < 0)
		die("no unified cgroup hierarchy");
	snprintf(world.base, sizeof(world.base), "%s/cleat-test-%d.slice",
		 strcmp(world.mount, "/") == 0 ? "" : world.mount, getpid());
	if (mkdir(world.base, 0755) < 0)
		die(world.base);
	cgroup_make("good");
	cgroup_make("evil");
	cgroup_make("debug");
	cgroup_make("plain");
	if (kern_open(&options, &world.k, error, sizeof(error)) < 0 ||
	    keep(error, sizeof(error)) < 0 || kern_attach(world.k, error, sizeof(error)) < 0 ||
	    kern_arm(world.k) < 0) {
		fprintf(stderr, "smoke: %s\n", error);
		return -1;
	}
	world.level = kern_level(world.k);
	world.policy = policy_make(1);
	if (kern_policy_set(world.k, world.policy, error, sizeof(error)) < 0) {
		fprintf(stderr, "smoke: %s\n", error);
		return -1;
	}
	maps_open();
	return 0;
}

void world_close(void)
{
	procs_write(world.mount);
	kern_close(world.k);
	if (world.pins[0])
		rmdir(world.pins);
	cgroup_remove("keeper");
	cgroup_remove("good");
	cgroup_remove("evil");
	cgroup_remove("debug");
	cgroup_remove("plain");
	rmdir(world.base);
}

/* ---- connections ---- */

socklen_t address_of(const char *host, unsigned port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (!strchr(host, ':')) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, host, &v4->sin_addr);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	inet_pton(AF_INET6, host, &v6->sin6_addr);
	return sizeof(*v6);
}

int tcp_socket(const char *host)
{
	int fd = socket(strchr(host, ':') ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

int listener_on(const char *host, unsigned *ret_port)
{
	struct sockaddr_storage a;
	socklen_t len = address_of(host, 0, &a);
	int fd = tcp_socket(host), backlog = 16;

	setsockopt(fd, IPPROTO_TCP, 23 /* TCP_FASTOPEN */, &backlog, sizeof(backlog));
	if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 16) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		die("listen");
	*ret_port = ntohs(((struct sockaddr_in *)&a)->sin_port);
	return fd;
}

int connect_to(int fd, const char *host, unsigned port)
{
	struct sockaddr_storage a;
	socklen_t len = address_of(host, port, &a);

	return connect(fd, (struct sockaddr *)&a, len) < 0 ? -errno : 0;
}

bool pair_open(struct pair *p, const char *listen_at, const char *to)
{
	unsigned port;

	p->listener = listener_on(listen_at, &port);
	p->client = tcp_socket(to);
	p->server = -1;
	if (connect_to(p->client, to, port) < 0)
		return false;
	p->server = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	return p->server >= 0;
}

void pair_close(struct pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
}

bool tag_of(int fd, struct cleat_tag *ret)
{
	memset(ret, 0, sizeof(*ret));
	return kern_tag_get(world.tags, fd, ret) == 0;
}

static void tag_print(const char *name, const struct cleat_tag *t)
{
	char c[64], s[64];

	inet_ntop(AF_INET6, t->conn.client_addr, c, sizeof(c));
	inet_ntop(AF_INET6, t->conn.server_addr, s, sizeof(s));
	printf("     %s: state %u flags %x role %u gen %u label %u uid %u %s/%u->%s/%u isn %u %u est %llu\n",
	       name, t->state, t->flags, t->conn.role, t->conn.generation, t->owner.label,
	       t->owner.uid, c, t->conn.client_port, s, t->conn.server_port, t->conn.client_isn,
	       t->conn.server_isn, (unsigned long long)t->conn.est_ns);
}

bool tags_agree(const struct cleat_tag *client, const struct cleat_tag *server)
{
	const struct cleat_conn *c = &client->conn, *s = &server->conn;
	int64_t apart = (int64_t)(c->est_ns - s->est_ns);
	bool ok = c->role == CLEAT_ROLE_CLIENT && s->role == CLEAT_ROLE_SERVER &&
		  client->state == CLEAT_STATE_OWNED && server->state == CLEAT_STATE_OWNED &&
		  memcmp(c->client_addr, s->client_addr, 16) == 0 &&
		  memcmp(c->server_addr, s->server_addr, 16) == 0 &&
		  c->client_port == s->client_port && c->server_port == s->server_port &&
		  c->client_isn == s->client_isn && c->server_isn == s->server_isn &&
		  c->client_isn != 0 && c->server_isn != 0 && apart > -1000000000 &&
		  apart < 1000000000 && client->cookie != server->cookie;

	if (!ok) {
		tag_print("client", client);
		tag_print("server", server);
	}
	return ok;
}

void fd_send(int via, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(via, &m, 0) != 1)
		die("sendmsg");
}

int fd_receive(int via)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	int fd = -1;

	if (recvmsg(via, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

uint64_t counted(enum cleat_count what)
{
	uint64_t counts[CLEAT_COUNT_COUNT] = { 0 };

	kern_counts(world.k, counts);
	return counts[what];
}
