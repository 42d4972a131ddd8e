// SPDX-License-Identifier: Apache-2.0
/*
 * build/bench/bench --build DIR --scratch DIR --cgroup DIR --cgroup-path PATH --json FILE [--level LEVEL] [--icount] [PART]
 * tests/bench/run makes what it needs and removes it again. Exit codes: 0 measured (budgets kept or not), 1, 2 usage.
 */
#include "bench.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	void (*run)(const struct bench *b);
} parts[] = {
	{ "requests", part_requests }, { "connect", part_connect }, { "scale", part_scale },
	{ "fair", part_fair },	       { "cost", part_cost },
};

static int options_parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{ "build", required_argument, NULL, 'b' },
		{ "scratch", required_argument, NULL, 's' },
		{ "cgroup", required_argument, NULL, 'g' },
		{ "cgroup-path", required_argument, NULL, 'p' },
		{ "json", required_argument, NULL, 'j' },
		{ "level", required_argument, NULL, 'l' },
		{ "icount", no_argument, NULL, 'i' },
		{ 0 },
	};
	int c;

	*b = (struct bench){ .level = "reduced" };
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'i') {
			b->icount = true;
			continue;
		}
		const char **to = c == 'b'   ? &b->build
				  : c == 's' ? &b->scratch
				  : c == 'g' ? &b->cgroup
				  : c == 'p' ? &b->cgroup_path
				  : c == 'j' ? &b->json
				  : c == 'l' ? &b->level
					     : NULL;
		if (!to)
			return -1;
		*to = optarg;
	}
	b->only = argv[optind];
	return b->build && b->scratch && b->cgroup && b->cgroup_path && b->json ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct bench b;

	if (options_parse(&b, argc, argv) < 0) {
		fprintf(stderr,
			"usage: bench --build DIR --scratch DIR --cgroup DIR --cgroup-path PATH --json FILE [--level LEVEL] [--icount] [PART]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (bare_open() < 0) {
		fprintf(stderr, "bench: OpenSSL does not work\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t start = wall_ns();

		if (b.only && strcmp(b.only, parts[i].name) != 0)
			continue;
		printf("%s\n", parts[i].name);
		parts[i].run(&b);
		report_note("(%.0f s)", (double)(wall_ns() - start) / 1e9);
	}
	report_table();
	if (report_write(b.json) != 0) {
		perror(b.json);
		return 1;
	}
	return 0;
}
