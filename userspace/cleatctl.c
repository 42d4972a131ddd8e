/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatctl: a table of verbs. Exit codes: 0 yes, 1 refused or failed, 2 wrong usage. --json, --help and --runtime-dir
 * may stand anywhere.
 */
#include "cleatctl.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static int verb_version(const struct ctl *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf(c->json ? "{\"version\":\"%s\"}\n" : "cleatctl %s\n", CLEAT_VERSION);
	return EXIT_SUCCESS;
}

static const struct verb verbs[] = {
	{ "sign", "--fd N --audience ID [--ath HEX] [--tth HEX]",
	  "ask for an assertion about an inherited connection; prints WIT~WPT", verb_sign },
	{ "verify",
	  "--fd N (--wit FILE --wpt FILE | --assertion WIT~WPT) [--expect client|server] "
	  "[--ath HEX] [--tth HEX]",
	  "check an assertion that came in on an inherited connection", verb_verify },
	{ "whoami", "", "which workload this process is", verb_whoami },
	{ "whois", "--fd N", "what is recorded of an inherited connection and its peer",
	  verb_whois },
	{ "status", "", "the daemon: level, policy generation, answers by reason", verb_status },
	{ "metrics", "[--file PATH]",
	  "the same numbers for Prometheus, or as a file for its node exporter", verb_metrics },
	{ "doctor", "[--dir DIR] [--state-dir DIR]",
	  "what this machine can do for cleatd, and the remedy for what is missing", verb_doctor },
	{ "reload", "", "read policy, bundles and revocations anew; says the outcome",
	  verb_reload },
	{ "sockets", "[WORKLOAD | --all]",
	  "tagged sockets with owner, connection and flags; of one workload, of all, or all of them",
	  verb_sockets },
	{ "explain", "PID | [--reason WORD] [--workload ID] [--audit FILE]",
	  "which workload a process is, and why; or why the last such request was refused",
	  verb_explain },
	{ "events", "[--follow] [--all] [--audit FILE]",
	  "the audit log and the kernel's events as lines; --follow waits for more", verb_events },
	{ "revoke host", "[--undo] [--state-dir DIR] NAME|ID",
	  "believe a host no longer, from now on; --undo: again", verb_revoke_host },
	{ "revoke workload", "[--undo] [--state-dir DIR] PATH|ID",
	  "believe a workload no longer, from now on; --undo: again", verb_revoke_workload },
	{ "revoke list", "[--state-dir DIR]", "who is revoked on this host", verb_revoke_list },
	{ "policy check", "[--dir DIR] [--state-dir DIR] [--any-owner]",
	  "compile the policy and the bundles; says file:line:column on errors",
	  verb_policy_check },
	{ "policy print", "[--dir DIR] [--state-dir DIR] [--any-owner]",
	  "the policy in force after a reload, in canonical form", verb_policy_print },
	{ "host init", "[--dir DIR] [--name NAME --trust-domain TD --scope PREFIX...]",
	  "make the host key; prints the entry for the bundle", verb_host_init },
	{ "host entry", "[--dir DIR] --name NAME --trust-domain TD --scope PREFIX...",
	  "print the entry of the key that is there", verb_host_entry },
	{ "keys rotate", "[--finish] [--dir DIR] [--name NAME --trust-domain TD --scope PREFIX...]",
	  "make the next host key beside the one in use; prints its entry; --finish: the old one goes",
	  verb_keys_rotate },
	{ "keys list", "[--dir DIR]", "the host's keys, and which one signs", verb_keys_list },
	{ "trust add", "--bundle FILE ENTRY.json|-", "put a host's entry into a bundle",
	  verb_trust_add },
	{ "trust remove", "--bundle FILE [--] KID", "take a key out of a bundle",
	  verb_trust_remove },
	{ "trust list", "[--dir DIR | --bundle FILE] [--any-owner]",
	  "whose keys are believed, and for which ids", verb_trust_list },
	{ "trust check", "[--dir DIR | --bundle FILE] [--state-dir DIR] [--any-owner]",
	  "whether the bundles are well-formed, root's, and not older than those seen",
	  verb_trust_check },
	{ "version", "", "the version of this program", verb_version },
};

static void usage(FILE *to)
{
	fputs("usage: cleatctl [--json] [--runtime-dir DIR] VERB ...\n\n", to);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(to, "  %-13s %s\n", verbs[i].name, verbs[i].what);
	fputs("\n\"cleatctl VERB --help\" shows a verb's arguments; cleatctl(1) explains them.\n"
	      "Exit codes: 0 yes, 1 refused or failed, 2 wrong usage.\n",
	      to);
}

/* ---- what the verbs share ---- */

int complain(int code, const char *format, ...)
{
	owned_mem char *line = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&line, format, args);
	va_end(args);
	if (n < 0)
		line = NULL;
	/* what it quotes of a file or of the daemon must not reach the terminal as it is */
	fprintf(stderr, "cleatctl: %s\n", line ? line_clean(line) : "out of memory");
	return code;
}

int fail(const struct ctl *c, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (!c->json)
		return complain(EXIT_FAILURE, "%s", line);
	fputs("{\"ok\":false", stdout);
	put_member("error", line);
	fputs("}\n", stdout);
	return EXIT_FAILURE;
}

void put_json(const char *s)
{
	size_t len = strlen(s), cap = 6 * len + 3;
	owned_mem char *at = malloc(cap);
	struct text t;

	if (!at) {
		fputs("null", stdout);
		return;
	}
	text_init(&t, at, cap);
	text_json(&t, s, len);
	fputs(at, stdout);
}

void put_member(const char *name, const char *s)
{
	printf(",\"%s\":", name);
	put_json(s);
}

int stream_read(const char *path, size_t max, char **ret, size_t *ret_len)
{
	owned_file FILE *opened = strcmp(path, "-") == 0 ? NULL : fopen(path, "re");
	FILE *from = strcmp(path, "-") == 0 ? stdin : opened;
	owned_mem char *at = malloc(max + 1);
	size_t len;

	if (!from)
		return -errno;
	if (!at)
		return -ENOMEM;
	len = fread(at, 1, max, from);
	if (ferror(from))
		return -EIO;
	if (len == max && fgetc(from) != EOF)
		return -EFBIG;
	at[len] = '\0';
	*ret = take_ptr(at);
	*ret_len = len;
	return 0;
}

static const struct option_of *option_find(const struct option_of *options, size_t count,
					   const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(options[i].name, word) == 0)
			return &options[i];
	return NULL;
}

static bool words_add(struct words *w, size_t max, const char *word)
{
	if (w->count == max || w->count == WORDS_MAX) {
		complain(EXIT_USAGE, "\"%s\" is one word too many", word);
		return false;
	}
	w->at[w->count++] = word;
	return true;
}

bool options_take(int argc, char **argv, const struct option_of *options, size_t count,
		  struct words *rest, size_t rest_max)
{
	bool words_only = false; /* behind "--": a kid may begin with a dash */

	for (int i = 0; i < argc; i++) {
		const struct option_of *o =
			words_only ? NULL : option_find(options, count, argv[i]);

		if (!words_only && strcmp(argv[i], "--") == 0) {
			words_only = true;
			continue;
		}
		if (o && o->flag) {
			*o->flag = true;
			continue;
		}
		if (o && i + 1 == argc) {
			complain(EXIT_USAGE, "%s needs a value", o->name);
			return false;
		}
		if (o && o->into && *o->into) {
			complain(EXIT_USAGE, "%s was given twice", o->name);
			return false;
		}
		if (o && o->into) {
			*o->into = argv[++i];
		} else if (o) {
			if (!words_add(o->many, WORDS_MAX, argv[++i]))
				return false;
		} else if (!words_only && argv[i][0] == '-' && argv[i][1] != '\0') {
			complain(EXIT_USAGE, "no option %s here", argv[i]);
			return false;
		} else if (!words_add(rest, rest_max, argv[i])) {
			return false;
		}
	}
	return true;
}

bool option_fd(const char *text, int *ret)
{
	uint64_t n;

	if (!text || decimal_parse(text, strlen(text), 1 << 20, &n) < 0) {
		complain(EXIT_USAGE, "--fd needs the number of an open descriptor");
		return false;
	}
	if (fcntl((int)n, F_GETFD) < 0) {
		complain(EXIT_USAGE, "descriptor %s is not open", text);
		return false;
	}
	*ret = (int)n;
	return true;
}

/* ---- main ---- */

/* The verb that @argv begins with; *ret_words of it. */
static const struct verb *verb_find(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const char *space = strchr(verbs[i].name, ' ');
		size_t first = space ? (size_t)(space - verbs[i].name) : strlen(verbs[i].name);

		if (argc < 1 || strlen(argv[0]) != first ||
		    strncmp(argv[0], verbs[i].name, first) != 0)
			continue;
		if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
			continue;
		*ret_words = space ? 2 : 1;
		return &verbs[i];
	}
	return NULL;
}

/* Takes the options that may stand anywhere; the rest closes up. False: a usage error was said. */
static bool common_take(struct ctl *c, bool *help, int *argc, char **argv)
{
	bool words_only = false;
	int n = 0;

	for (int i = 1; i < *argc; i++) {
		words_only = words_only || strcmp(argv[i], "--") == 0;
		if (words_only) {
			argv[n++] = argv[i];
		} else if (strcmp(argv[i], "--json") == 0) {
			c->json = true;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*help = true;
		} else if (strcmp(argv[i], "--runtime-dir") == 0) {
			if (++i == *argc) {
				complain(EXIT_USAGE, "--runtime-dir needs a directory");
				return false;
			}
			c->runtime_dir = argv[i];
		} else {
			argv[n++] = argv[i];
		}
	}
	*argc = n;
	return true;
}

int main(int argc, char **argv)
{
	struct ctl c = { 0 };
	const struct verb *verb;
	bool help = false;
	int words = 0, code;

	if (!common_take(&c, &help, &argc, argv))
		return EXIT_USAGE;
	verb = verb_find(argc, argv, &words);
	if (help && verb) {
		printf("usage: cleatctl %s %s\n\n%s\n", verb->name, verb->args, verb->what);
		return EXIT_SUCCESS;
	}
	if (!verb) {
		usage(help ? stdout : stderr);
		return help ? EXIT_SUCCESS : EXIT_USAGE;
	}
	code = verb->run(&c, argc - words, argv + words);
	if (fflush(stdout) != 0 && code == EXIT_SUCCESS)
		return complain(EXIT_FAILURE, "cannot write: %s", strerror(errno));
	return code;
}
