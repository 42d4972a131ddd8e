// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon of the bench's own: its directories, keys and policy, its cgroup, and the connections the measurements use.
 * It attaches to its own cgroup only, so several run side by side and nothing else on the machine is touched.
 */
#include "bench.h"

#include "base/file.h"
#include "edge/bundle.h"
#include "edge/keys.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define TRUST_DOMAIN  "bench.example"
#define READY_LIMIT_S 60

static int write_below(const char *dir, const char *name, const char *text)
{
	owned_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : file_write(fd, name, text, strlen(text), 0600);
}

/* ---- what the daemon reads ---- */

static int key_entry(struct bundle *b, const struct sig_key *key, const char *name)
{
	const char *const scope[] = { "/" };
	struct point point;
	char issuer[128];

	sig_key_point(key, &point);
	snprintf(issuer, sizeof(issuer), "spiffe://" TRUST_DOMAIN "/host/%s", name);
	return bundle_add(b, &point, issuer, scope, 1);
}

/* The host's own key, and strangers up to @keys. */
static int write_trust(const struct host *h, unsigned keys)
{
	owned(bundle_owned) struct bundle *b = bundle_new(TRUST_DOMAIN);
	owned(sig_key_owned) struct sig_key *own = NULL;
	owned_mem char *json = NULL;
	owned_fd int fd = -1;
	char path[300];
	int err;

	snprintf(path, sizeof(path), "%s/state", h->dir);
	err = keys_make(path);
	if (err == 0)
		err = keys_open(path, &fd);
	if (err == 0)
		err = keys_read(fd, &own);
	if (err == 0 && b)
		err = key_entry(b, own, "a");
	for (unsigned i = 1; i < keys && err == 0; i++) {
		owned(sig_key_owned) struct sig_key *stranger = NULL;
		char name[32];

		snprintf(name, sizeof(name), "s%u", i);
		err = sig_key_new(&stranger);
		if (err == 0)
			err = key_entry(b, stranger, name);
	}
	if (err == 0)
		err = bundle_print(b, &json);
	snprintf(path, sizeof(path), "%s/etc/trust", h->dir);
	return err == 0 ? write_below(path, TRUST_DOMAIN ".json", json) : err;
}

static void print_workloads(FILE *f, const char *cgroup, unsigned workloads)
{
	fprintf(f, "version: 1\ntrust_domain: " TRUST_DOMAIN "\nhost: a\nclock: unsynchronised-ok\n"
		   "workloads:\n");
	fprintf(f, "  - { id: /w, match: { cgroup: %s } }\n", cgroup);
	for (unsigned i = 1; i < workloads; i++)
		fprintf(f, "  - { id: /f/%u, match: { cgroup: /filler/%u } }\n", i, i);
	fprintf(f, "call:\n  - { from: /w, to: [ /w ] }\n");
	for (unsigned i = 1; i < workloads; i++)
		fprintf(f, "  - { from: /f/%u, to: [ /w ] }\n", i);
	fprintf(f, "accept:\n  - { to: /w, from: [ /w ], level: reduced }\n");
	for (unsigned i = 1; i < workloads; i++)
		fprintf(f, "  - { to: /w, from: [ /f/%u ], level: reduced }\n", i);
}

static int write_policy(const struct host *h, const char *cgroup, unsigned workloads)
{
	owned_mem char *text = NULL;
	char path[300];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -1;
	print_workloads(f, cgroup, workloads);
	if (fclose(f) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/etc", h->dir);
	return write_below(path, "cleat.yaml", text);
}

int host_write(const struct bench *b, const char *name, unsigned workloads, unsigned keys,
	       struct host *ret)
{
	static const char *const dirs[] = { "etc/trust", "run" };
	struct host h = { .listener = -1, .keeper = -1 };
	char path[300], cgroup[256];

	for (unsigned i = 0; i < HOST_CLIENTS; i++)
		h.sign[i] = h.check[i] = -1;
	for (unsigned i = 0; i < HOST_PAIRS; i++)
		h.pairs[i] = (struct pair){ -1, -1 };
	snprintf(h.dir, sizeof(h.dir), "%s/%s", b->scratch, name);
	snprintf(h.inside, sizeof(h.inside), "%s/%s/w", b->cgroup, name);
	snprintf(cgroup, sizeof(cgroup), "%s/%s/w", b->cgroup_path, name);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", h.dir, dirs[i]);
		if (dir_make(path, 0755) < 0)
			return -1;
	}
	if (dir_make(h.inside, 0755) < 0)
		return -1;
	if (write_trust(&h, keys) < 0 || write_policy(&h, cgroup, workloads) < 0)
		return -1;
	*ret = h;
	return 0;
}

/* ---- its life ---- */

static int notify_listen(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = READY_LIMIT_S };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	memcpy(sa.sun_path, path, strnlen(path, sizeof(sa.sun_path) - 1));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Daemons stand side by side here, and one bpffs holds one kernel side. */
static bool own_bpffs(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) == 0;
}

static void daemon_exec(const struct bench *b, const struct host *h)
{
	char program[300], config[300], state[300], run[300], audit[300], attach[300], log[300];
	int fd;

	snprintf(program, sizeof(program), "%s/cleatd", b->build);
	snprintf(config, sizeof(config), "%s/etc", h->dir);
	snprintf(state, sizeof(state), "%s/state", h->dir);
	snprintf(run, sizeof(run), "%s/run", h->dir);
	snprintf(audit, sizeof(audit), "%s/audit.jsonl", h->dir);
	snprintf(attach, sizeof(attach), "%.*s", (int)strlen(h->inside) - 2, h->inside);
	snprintf(log, sizeof(log), "%s/log", h->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	if (!own_bpffs()) {
		perror("a bpffs of its own");
		_exit(126);
	}
	execl(program, program, "run", "--config-dir", config, "--state-dir", state,
	      "--runtime-dir", run, "--audit", audit, "--level", b->level, "--cgroup", attach,
	      NULL);
	_exit(127);
}

/* At level full the daemon's own cgroup is where one must be to signal it or trace a room. -1: this is not that level. */
static int keeper_open(const struct bench *b, pid_t daemon)
{
	const int mount = (int)(strlen(b->cgroup) - strlen(b->cgroup_path));
	char path[600], line[300], place[256];
	owned_file FILE *f = NULL;

	if (strcmp(b->level, "full") != 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", daemon);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "0::%255s", place) == 1) {
			snprintf(path, sizeof(path), "%.*s%s/cgroup.procs", mount, b->cgroup,
				 place);
			return open(path, O_WRONLY | O_CLOEXEC);
		}
	return -1;
}

void host_leave(const struct host *h)
{
	if (h->keeper >= 0 && write(h->keeper, "0", 1) != 1)
		perror("the daemon's cgroup");
}

/* The children of @pid, by what they were told to be. */
static pid_t room_of(pid_t pid, const char *room)
{
	char path[64], line[256], word[64];
	owned_file FILE *f = NULL;
	pid_t child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	snprintf(word, sizeof(word), "--room=%s", room);
	while (f && fscanf(f, "%d", &child) == 1) {
		owned_file FILE *c = NULL;
		size_t n;

		snprintf(path, sizeof(path), "/proc/%d/cmdline", child);
		c = fopen(path, "re");
		n = c ? fread(line, 1, sizeof(line) - 1, c) : 0;
		if (n && memmem(line, n, word, strlen(word)))
			return child;
	}
	return 0;
}

static int connect_all(struct host *h)
{
	char sign[300], check[300];
	struct token t;

	snprintf(sign, sizeof(sign), "%s/run/sign.sock", h->dir);
	snprintf(check, sizeof(check), "%s/run/check.sock", h->dir);
	h->listener = tcp_listen(0x7f000001);
	if (h->listener < 0)
		return -1;
	for (unsigned i = 0; i < HOST_PAIRS; i++)
		if (tcp_pair(h->listener, &h->pairs[i]) < 0)
			return -1;
	for (unsigned i = 0; i < HOST_CLIENTS; i++) {
		h->sign[i] = ask_connect(sign);
		h->check[i] = ask_connect(check);
		if (h->sign[i] < 0 || h->check[i] < 0)
			return -1;
		/* answered: the rooms have looked at our cgroup, and we may go on to another */
		if (ask_sign(h->sign[i], h->pairs[0].client, &t) < 0 ||
		    ask_verify(h->check[i], h->pairs[0].server, &t) < 0)
			return -1;
	}
	return 0;
}

int host_start(const struct bench *b, struct host *h)
{
	char path[300], state[64];
	owned_fd int notify = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/notify", h->dir);
	notify = notify_listen(path);
	if (notify < 0)
		return -1;
	setenv("NOTIFY_SOCKET", path, 1);
	h->pid = fork();
	if (h->pid == 0)
		daemon_exec(b, h);
	do
		n = recv(notify, state, sizeof(state) - 1, 0);
	while (n > 0 && memcmp(state, "READY=1", 7) != 0);
	if (n <= 0)
		return -1;
	h->sign_room = room_of(h->pid, "sign");
	h->check_room = room_of(h->pid, "check");
	h->keeper = keeper_open(b, h->pid);
	return h->sign_room && h->check_room && host_enter(h) == 0 ? connect_all(h) : -1;
}

int host_enter(const struct host *h)
{
	char path[300];
	owned_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/cgroup.procs", h->inside);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, "0", 1) == 1 ? 0 : -1;
}

void host_stop(struct host *h)
{
	for (unsigned i = 0; i < HOST_CLIENTS; i++) {
		if (h->sign[i] >= 0)
			close(h->sign[i]);
		if (h->check[i] >= 0)
			close(h->check[i]);
	}
	for (unsigned i = 0; i < HOST_PAIRS; i++)
		if (h->pairs[i].client >= 0)
			tcp_pair_close(&h->pairs[i]);
	if (h->listener >= 0)
		close(h->listener);
	if (h->pid > 0) {
		host_leave(h);
		kill(h->pid, SIGTERM);
		waitpid(h->pid, NULL, 0);
	}
	if (h->keeper >= 0)
		close(h->keeper);
	h->keeper = -1;
	h->pid = 0;
}

/* ---- memory ---- */

static int add_memory(pid_t pid, double *pss, double *rss)
{
	char path[64], line[256];
	owned_file FILE *f = NULL;
	unsigned long kb;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Pss: %lu", &kb) == 1)
			*pss += 1024.0 * (double)kb;
		else if (sscanf(line, "Rss: %lu", &kb) == 1)
			*rss += 1024.0 * (double)kb;
	}
	return 0;
}

int host_memory(const struct host *h, double *ret_pss, double *ret_rss)
{
	double pss = 0, rss = 0;

	if (add_memory(h->pid, &pss, &rss) < 0 || add_memory(h->sign_room, &pss, &rss) < 0 ||
	    add_memory(h->check_room, &pss, &rss) < 0)
		return -1;
	*ret_pss = pss;
	*ret_rss = rss;
	return 0;
}
