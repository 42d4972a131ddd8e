// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel programs cost a connection: time of connect and accept, and memory of a socket, with them attached to
 * our cgroup and without any, in turn. No daemon: the kernel side alone, loaded by the daemon's own code.
 */
#include "bench.h"

#include "edge/kern.h"
#include "edge/policy_yaml.h"
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS	     24
#define BATCHES	     160   /* of a round, each with and without programs */
#define BATCH	     5	   /* connections of a batch: short, so that few are interrupted */
#define CROWD	     32000 /* sockets whose memory is weighed */
#define WEIGHINGS    3
#define STORAGE_HEAD 72 /* bytes of an sk_storage element beside its value (kernel.md 5) */

static const struct row connect_row = {
	.name = "connect-accept",
	.unit = "us",
	.against = "the same without any program attached",
	.method =
		"socket + connect + accept on loopback, median of batches of 5, attached and detached in turn",
	.kind = BUDGET_RATIO_MAX,
	.budget = 1.06,
};

static const struct row life_row = {
	.name = "connect-accept-close",
	.unit = "us",
	.against = "the same without any program attached",
	.method = "as connect-accept, with both ends closed again",
	.kind = BUDGET_RATIO_MAX,
	.budget = 1.06,
};

static const struct row memory_row = {
	.name = "memory-socket",
	.unit = "B",
	.against = "the elements as declared: 72 B and the value, for each of three maps",
	.method =
		"growth of active kmalloc objects in /proc/slabinfo over 32000 connected sockets, with programs less without",
	.kind = BUDGET_VALUE_MAX,
	.budget = 1024,
};

/* ---- the kernel side, on and off ---- */

static const struct policy_image *image;

static int image_make(const struct host *h)
{
	char config[300], error[512] = "";
	struct policy_source source = { .config_dir = config, .any_owner = true };
	void *bytes;
	size_t size;

	snprintf(config, sizeof(config), "%s/etc", h->dir);
	if (policy_compile(&source, &bytes, &size, error, sizeof(error)) < 0) {
		report_note("policy: %s", error);
		return -1;
	}
	image = bytes;
	return 0;
}

/* The cgroup that the programs are attached to: above the workload's. */
static const char *above(const struct host *h, char ret[256])
{
	snprintf(ret, 256, "%.*s", (int)strlen(h->inside) - 2, h->inside);
	return ret;
}

static int attach(const struct host *h, struct kern **ret)
{
	char error[1024] = "", cgroup[256];
	struct kern_options o = { .level = CLEAT_LEVEL_REDUCED, .cgroup = above(h, cgroup) };
	struct kern *k;

	if (kern_open(&o, &k, error, sizeof(error)) < 0) {
		report_note("kernel: %s", error);
		return -1;
	}
	if (kern_attach(k, error, sizeof(error)) < 0 || kern_arm(k) < 0 ||
	    kern_policy_set(k, image, error, sizeof(error)) < 0) {
		report_note("kernel: %s", error);
		kern_close(k);
		return -1;
	}
	*ret = k;
	return 0;
}

/* ---- the floors: floor.bpf.c ---- */

#define FLOOR_PROGRAMS 3

static const char *const empty[FLOOR_PROGRAMS] = { "empty_birth", "empty_connect", "empty_conn" };
static const char *const storage[FLOOR_PROGRAMS] = { "storage_birth", "empty_connect",
						     "storage_conn" };

struct floor {
	struct bpf_object *object;
	struct bpf_link *links[FLOOR_PROGRAMS];
};

static void floor_detach(struct floor *f)
{
	for (unsigned i = 0; i < FLOOR_PROGRAMS; i++)
		bpf_link__destroy(f->links[i]);
	bpf_object__close(f->object);
}

static int floor_attach(const struct bench *b, const struct host *h, const char *const *names,
			struct floor *ret)
{
	char path[512], cgroup[256];
	owned_fd int dir = open(above(h, cgroup), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret = (struct floor){ 0 };
	snprintf(path, sizeof(path), "%s/bench/floor.bpf.o", b->build);
	ret->object = bpf_object__open(path);
	if (dir < 0 || !ret->object || bpf_object__load(ret->object) < 0)
		return -1;
	for (unsigned i = 0; i < FLOOR_PROGRAMS; i++) {
		struct bpf_program *p = bpf_object__find_program_by_name(ret->object, names[i]);

		ret->links[i] = p ? bpf_program__attach_cgroup(p, dir) : NULL;
		if (!ret->links[i])
			return -1;
	}
	return 0;
}

/* ---- time ---- */

struct times {
	struct series opened, life;
};

static int batches(int listener, struct times *t)
{
	struct pair pairs[BATCH];

	for (unsigned i = 0; i < BATCHES; i++) {
		uint64_t start = wall_ns(), opened;

		for (unsigned j = 0; j < BATCH; j++)
			if (tcp_pair(listener, &pairs[j]) < 0)
				return -1;
		opened = wall_ns();
		for (unsigned j = 0; j < BATCH; j++)
			tcp_pair_close(&pairs[j]);
		series_add(&t->opened, (double)(opened - start) / BATCH / 1000);
		series_add(&t->life, (double)(wall_ns() - start) / BATCH / 1000);
	}
	return 0;
}

/* A listener of its own each time: one that was born before the programs has no tag to clone. */
static int round_of(struct times *t)
{
	int listener = tcp_listen(0x7f000001);
	int err = listener < 0 ? -1 : batches(listener, t);

	if (listener >= 0)
		close(listener);
	return err;
}

static int floor_round(const struct bench *b, const struct host *h, const char *const *names,
		       struct times *t)
{
	struct floor f;
	int err = floor_attach(b, h, names, &f);

	if (err == 0)
		err = round_of(t);
	floor_detach(&f);
	return err;
}

static void note_floor(const char *what, const struct series *floor, const struct series *with,
		       const struct series *without)
{
	double bare = series_median(without);

	report_series(what, floor);
	report_note("    %.3f of it without programs; ours have %.2f us more than that",
		    series_median(floor) / bare, series_median(with) - series_median(floor));
}

static int times(const struct bench *b, const struct host *h)
{
	static struct times with, without, nothing, floor, warm;
	struct row opened = connect_row, life = life_row;
	int err = round_of(&warm);

	for (unsigned i = 0; i < ROUNDS && err == 0; i++) {
		struct kern *k;

		err = attach(h, &k);
		if (err < 0)
			break;
		err = round_of(&with);
		kern_close(k);
		if (err == 0)
			err = round_of(&without);
		if (err == 0)
			err = floor_round(b, h, empty, &nothing);
		if (err == 0)
			err = floor_round(b, h, storage, &floor);
	}
	if (err < 0)
		return -1;
	report_series("socket + connect + accept, with programs", &with.opened);
	report_series("socket + connect + accept, without", &without.opened);
	report_series("and close, with programs", &with.life);
	report_series("and close, without", &without.life);
	note_floor("floor: programs that do nothing", &nothing.opened, &with.opened,
		   &without.opened);
	note_floor("floor: that make the three storages", &floor.opened, &with.opened,
		   &without.opened);
	note_floor("and close, programs that do nothing", &nothing.life, &with.life, &without.life);
	note_floor("and close, that make the storages", &floor.life, &with.life, &without.life);
	opened.value = series_median(&with.opened);
	opened.baseline = series_median(&without.opened);
	life.value = series_median(&with.life);
	life.baseline = series_median(&without.life);
	report_row(&opened);
	report_row(&life);
	return 0;
}

/* ---- memory ---- */

/*
 * What is handed out of the kmalloc caches, where sk_storage elements live. Not Slab of meminfo: it has kept slabs and
 * other users' inodes in it.
 */
static double kernel_bytes(void)
{
	owned_file FILE *f = NULL;
	unsigned long active, objects, size;
	char line[512];
	double sum = 0;

	for (unsigned i = 0; i < 3; i++) /* what is freed after a grace period is free */
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	f = fopen("/proc/slabinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "kmalloc%*s %lu %lu %lu", &active, &objects, &size) == 3)
			sum += (double)active * (double)size;
	return sum;
}

/* Bytes of kernel memory a socket of a crowd. */
static int weigh(double *ret)
{
	double before = kernel_bytes();
	struct crowd c;

	if (crowd_gather(CROWD, &c) < 0)
		return -1;
	*ret = (kernel_bytes() - before) / c.sockets;
	crowd_dismiss(&c);
	return 0;
}

static int memory(const struct host *h)
{
	static struct series with, without;
	struct row r = memory_row;
	double bytes;
	char text[128];
	int err = weigh(&bytes); /* what the first crowd leaves in caches is there afterwards */

	for (unsigned i = 0; i < WEIGHINGS && err == 0; i++) {
		struct kern *k;

		err = weigh(&bytes);
		series_add(&without, bytes);
		if (err == 0)
			err = attach(h, &k);
		if (err < 0)
			break;
		err = weigh(&bytes);
		series_add(&with, bytes);
		kern_close(k);
	}
	if (err < 0)
		return -1;
	report_note("kmalloc memory of a socket, with programs     B: %s",
		    series_text(&with, text, sizeof(text)));
	report_note("kmalloc memory of a socket, without           B: %s",
		    series_text(&without, text, sizeof(text)));
	r.value = series_median(&with) - series_median(&without);
	r.baseline = 3 * STORAGE_HEAD + sizeof(struct cleat_tag) + sizeof(struct cleat_seq) +
		     sizeof(struct cleat_window);
	report_row(&r);
	return 0;
}

void part_connect(const struct bench *b)
{
	struct host h;

	if (host_write(b, "connect", 10, 1, &h) < 0 || image_make(&h) < 0 || host_enter(&h) < 0) {
		report_missing(&connect_row, "no policy image");
		report_missing(&life_row, "no policy image");
		report_missing(&memory_row, "no policy image");
		return;
	}
	if (times(b, &h) < 0) {
		report_missing(&connect_row, "the kernel side did not load");
		report_missing(&life_row, "the kernel side did not load");
	}
	if (memory(&h) < 0)
		report_missing(&memory_row, "the kernel side did not load, or no crowd");
}
