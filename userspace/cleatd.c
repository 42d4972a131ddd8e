/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatd: the daemon. The same program is its rooms: the main process is the kernel room, the others are this program
 * executed anew with --room=<name> (room/rooms.h). Exit codes: 0, 1 failure, 2 usage.
 */
#include "base/log.h"
#include "edge/kern.h"
#include "edge/kern_probe.h"
#include "room/check_room.h"
#include "room/jail.h"
#include "room/kernel_room.h"
#include "room/reader.h"
#include "room/rooms.h"
#include "room/sign_room.h"
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../bpf/abi.h"

#define EXIT_USAGE 2

struct opts {
	struct kernel_options kernel;
	const char *verb;
	const char *room; /* only what we execute ourselves */
	bool help, version;
};

static const char usage[] =
	"usage: cleatd run|check|disarm [options]\n"
	"\n"
	"  run     load the kernel side, answer on the sockets, until SIGTERM; SIGHUP reloads\n"
	"  check   compile the policy, read the host key, load the kernel side; start nothing\n"
	"  disarm  detach and remove the kernel side that a stopped daemon left pinned\n"
	"\n"
	"  --config-dir DIR    cleat.yaml, policies.d/, trust/ (/etc/cleat)\n"
	"  --state-dir DIR     host key, trust state (/var/lib/cleat)\n"
	"  --runtime-dir DIR   sign.sock, check.sock ($CLEAT_RUNTIME_DIR, /run/cleat)\n"
	"  --audit FILE        one JSON line per decision (/var/log/cleat/audit.jsonl)\n"
	"  --level LEVEL       full, reduced or auto: the best there is (auto)\n"
	"  --pins DIR          where the kernel side stays while the daemon does not (/sys/fs/bpf/cleat)\n"
	"  --cgroup DIR        attach below this cgroup2 directory (the root of the hierarchy)\n"
	"  --log-format FMT    text or json (text)\n"
	"  --help, --version\n";

static int level_parse(const char *word, uint32_t *ret)
{
	static const char *const words[] = { "auto", "reduced", "full" };

	for (uint32_t i = 0; i < 3; i++)
		if (strcmp(word, words[i]) == 0)
			return *ret = i, 0;
	return -1;
}
_Static_assert(CLEAT_LEVEL_NONE == 0 && CLEAT_LEVEL_REDUCED == 1 && CLEAT_LEVEL_FULL == 2,
	       "level_parse counts as the enum does");

static int format_parse(const char *word, enum log_format *ret)
{
	if (strcmp(word, "text") && strcmp(word, "json"))
		return -1;
	*ret = word[0] == 'j' ? LOG_JSON : LOG_TEXT;
	return 0;
}

static bool is_verb(const char *word)
{
	return strcmp(word, "run") == 0 || strcmp(word, "check") == 0 ||
	       strcmp(word, "disarm") == 0;
}

static int opts_parse(struct opts *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config-dir", required_argument, NULL, 'c' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "runtime-dir", required_argument, NULL, 'r' },
		{ "audit", required_argument, NULL, 'a' },
		{ "level", required_argument, NULL, 'l' },
		{ "cgroup", required_argument, NULL, 'g' },
		{ "pins", required_argument, NULL, 'p' },
		{ "log-format", required_argument, NULL, 'f' },
		{ "room", required_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *runtime = getenv("CLEAT_RUNTIME_DIR");
	struct kernel_options *k = &o->kernel;
	int c, err = 0;

	*o = (struct opts){ .kernel = {
				    .config_dir = "/etc/cleat",
				    .state_dir = "/var/lib/cleat",
				    .runtime_dir = runtime && *runtime ? runtime : "/run/cleat",
				    .audit = "/var/log/cleat/audit.jsonl",
				    .pins = KERN_PINS_DIR,
			    } };
	while (err == 0 && (c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			k->config_dir = optarg;
			break;
		case 's':
			k->state_dir = optarg;
			break;
		case 'r':
			k->runtime_dir = optarg;
			break;
		case 'a':
			k->audit = optarg;
			break;
		case 'l':
			err = level_parse(optarg, &k->level);
			break;
		case 'g':
			k->cgroup = optarg;
			break;
		case 'p':
			k->pins = optarg;
			break;
		case 'f':
			err = format_parse(optarg, &k->format);
			break;
		case 'R':
			o->room = optarg;
			break;
		case 'h':
			o->help = true;
			break;
		case 'V':
			o->version = true;
			break;
		default:
			return -1;
		}
	}
	if (err < 0)
		return -1;
	o->verb = optind < argc ? argv[optind++] : NULL;
	if (o->help || o->version || o->room)
		return 0;
	return optind == argc && o->verb && is_verb(o->verb) ? 0 : -1;
}

/* One of the other rooms. */
static int room_main(const struct opts *o)
{
	struct reader_options reader = { o->kernel.config_dir, o->kernel.state_dir,
					 o->kernel.format };

	if (strcmp(o->room, "probe") == 0)
		return kern_probe_main(); /* that it was executed is all that is wanted of it */
	if (room_begin(o->room, o->kernel.format) < 0 ||
	    jail_begin(o->room, o->kernel.level == CLEAT_LEVEL_REDUCED) < 0)
		return EXIT_FAILURE;
	if (strcmp(o->room, "reader") == 0)
		return reader_main(&reader);
	if (strcmp(o->room, "sign") == 0)
		return sign_room_main();
	if (strcmp(o->room, "check") == 0)
		return check_room_main();
	return EXIT_USAGE;
}

/* Signals wait for the loop; nothing we make is for others. */
static int process_begin(void)
{
	sigset_t set;

	umask(077);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	return jail_kernel_room() < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	owned(kernel_room_owned) struct kernel_room *kernel = NULL;
	struct opts opts;

	if (opts_parse(&opts, argc, argv) < 0) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (opts.help || opts.version)
		return puts(opts.help ? usage : "cleatd " CLEAT_VERSION) < 0;
	if (opts.room)
		return room_main(&opts);

	log_open("cleatd", opts.kernel.format);
	/* with all that root may: what lies there may be anybody's */
	if (strcmp(opts.verb, "disarm") == 0)
		return kernel_room_disarm(&opts.kernel) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (process_begin() < 0)
		return EXIT_FAILURE;
	if (strcmp(opts.verb, "check") == 0)
		return kernel_room_check(&opts.kernel) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

	if (kernel_room_new(&opts.kernel, &kernel) <
	    0) /* run-time directory, its lock, audit file */
		return EXIT_FAILURE;
	if (kernel_room_read(kernel) < 0) /* a one-shot child compiles YAML and bundles */
		return EXIT_FAILURE;
	if (kernel_room_load(kernel) < 0) /* host key; load + verify; nothing attached yet */
		return EXIT_FAILURE;
	if (kernel_room_spawn(kernel) < 0) /* exec, marked, told nothing; nobody can connect yet */
		return EXIT_FAILURE;
	if (kernel_room_arm(kernel) < 0) /* hooks, then the scan, then listen */
		return EXIT_FAILURE;
	return kernel_room_run(kernel);
}
