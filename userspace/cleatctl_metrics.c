/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: what status says, in the text form Prometheus reads, on stdout or as a file that is replaced whole (the node
 * exporter's textfile collector reads such files; its group is this process's, since the reasons told apart are not for
 * everybody). A daemon that does not answer is a number as well: cleat_up 0. No
 * pid, no path, no workload is ever a label.
 */
#include "cleatctl_admin.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "edge/kern.h"
#include "edge/keys.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(FILE *to, const char *name, uint64_t value, const char *help)
{
	head(to, name, "gauge", help);
	fprintf(to, "%s %" PRIu64 "\n", name, value);
}

static void counter(FILE *to, const char *name, uint64_t value, const char *help)
{
	head(to, name, "counter", help);
	fprintf(to, "%s %" PRIu64 "\n", name, value);
}

/* Every reason from the start: a rate needs the zero before the first refusal. */
static void answers(FILE *to, const struct cleat_admin_answer_status *s)
{
	head(to, "cleat_answers_total", "counter",
	     "Answers of a public room by reason; ok is an accept.");
	for (unsigned r = 0; r < ADMIN_ROOMS; r++)
		for (unsigned i = 0; i < REASON_COUNT; i++)
			fprintf(to, "cleat_answers_total{room=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
				admin_rooms[r], reason_word(i), s->rooms[r].answered[i]);
}

/* One number of each public room; @at: where it stands in struct room_counters. */
static void each_room(FILE *to, const struct cleat_admin_answer_status *s, const char *name,
		      size_t at, const char *help)
{
	head(to, name, "counter", help);
	for (unsigned r = 0; r < ADMIN_ROOMS; r++)
		fprintf(to, "%s{room=\"%s\"} %" PRIu64 "\n", name, admin_rooms[r],
			*(const uint64_t *)((const char *)&s->rooms[r] + at));
}
#define EACH_ROOM(to, s, name, member, help)                                                       \
	each_room(to, s, name, offsetof(struct room_counters, member), help)

static void doors(FILE *to, const struct cleat_admin_answer_status *s)
{
	EACH_ROOM(to, s, "cleat_asked_total", asked, "Requests of a public room.");
	head(to, "cleat_connections_refused_total", "counter",
	     "Connections told busy, by whose part of the places was full: uid, workload or all.");
	for (unsigned r = 0; r < ADMIN_ROOMS; r++)
		for (unsigned i = 0; i < SHARE_PART_COUNT; i++)
			fprintf(to,
				"cleat_connections_refused_total{room=\"%s\",share=\"%s\"} %" PRIu64
				"\n",
				admin_rooms[r], admin_parts[i], s->rooms[r].door.refused[i]);
	EACH_ROOM(to, s, "cleat_connections_displaced_total", door.displaced,
		  "Connections ended to make place for an owner that held fewer.");
	EACH_ROOM(to, s, "cleat_connections_idle_total", door.idle,
		  "Connections ended because they said nothing for too long.");
	EACH_ROOM(to, s, "cleat_closes_forced_total", forced,
		  "Passed sockets that linger and found no thread of their own for it.");
	EACH_ROOM(to, s, "cleat_audit_suppressed_total", suppressed,
		  "Cheap refusals that have no audit line of their own.");
}

static void kernel_side(FILE *to, const struct cleat_admin_answer_status *s)
{
	gauge(to, "cleat_armed", kern_is_armed(&s->config),
	      "1: the kernel side is complete and requests can be answered.");
	head(to, "cleat_level_info", "gauge", "The level in force: full, reduced or none.");
	fprintf(to, "cleat_level_info{level=\"%s\"} 1\n", level_word(s->config.level));
	counter(to, "cleat_arming_epoch_total", s->config.epoch,
		"Times the kernel side was completed or found incomplete.");
	head(to, "cleat_level_wanted_info", "gauge", "The level in force while armed.");
	fprintf(to, "cleat_level_wanted_info{level=\"%s\"} 1\n", level_word(s->wanted));
	counter(to, "cleat_level_falls_total", s->falls,
		"Times the kernel side was found incomplete since the start.");
	gauge(to, "cleat_hooks", s->hooks, "Hooks that are watched.");
	gauge(to, "cleat_watched_age_seconds", (s->now_ns - s->looked_ns) / 1000000000,
	      "Since the watcher looked at them.");
	gauge(to, "cleat_proved_age_seconds", (s->now_ns - s->proved_ns) / 1000000000,
	      "Since a live probe saw them run; at level reduced that is when it was armed.");
	gauge(to, "cleat_clock_synchronised", s->synchronised,
	      "0: the kernel calls the clock unsynchronised.");
	counter(to, "cleat_events_suppressed_total", s->events_suppressed,
		"Events of the kernel side that have no audit line of their own.");
	head(to, "cleat_kernel_total", "counter", "What the kernel side counted, by kind.");
	for (unsigned i = 0; i < CLEAT_COUNT_COUNT; i++)
		fprintf(to, "cleat_kernel_total{kind=\"%s\"} %" PRIu64 "\n", count_word(i),
			s->counts[i]);
}

/* Its file is replaced by a rotation and by nothing else. */
static void key_age(FILE *to, const struct cleat_admin_answer_status *s)
{
	owned_fd int dir = open(s->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	time_t now = time(NULL);
	struct stat st;

	if (dir < 0 || fstatat(dir, KEYS_HOST_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	gauge(to, "cleat_host_key_age_seconds",
	      now > st.st_mtime ? (uint64_t)(now - st.st_mtime) : 0,
	      "Since the host key was made.");
}

static void daemon_side(FILE *to, const struct cleat_admin_answer_status *s)
{
	head(to, "cleat_info", "gauge", "The daemon's version.");
	fprintf(to, "cleat_info{version=\"%.31s\"} 1\n", s->version);
	gauge(to, "cleat_uptime_seconds", (s->now_ns - s->begun_ns) / 1000000000, "Of the daemon.");
	gauge(to, "cleat_policy_generation", s->head.policy_generation, "The one in force.");
	gauge(to, "cleat_policy_workloads", s->workloads, "Workloads that policy names.");
	gauge(to, "cleat_bundle_keys", s->keys, "Host keys that are believed.");
	gauge(to, "cleat_revoked", s->revoked, "Hosts and workloads that are believed no longer.");
	counter(to, "cleat_reloads_total", s->reloads, "Reloads that were asked for.");
	counter(to, "cleat_reloads_failed_total", s->reloads_failed,
		"Reloads that were refused; the generation before stayed.");
	gauge(to, "cleat_last_reload_success", !s->reload_error[0],
	      "0: the last reload was refused.");
	key_age(to, s);
}

static void metrics_print(FILE *to, const struct cleat_admin_answer_status *s)
{
	gauge(to, "cleat_up", s != NULL, "1: the daemon answers.");
	if (!s)
		return;
	daemon_side(to, s);
	kernel_side(to, s);
	answers(to, s);
	doors(to, s);
}

/* Whoever reads it sees the old file or the new one. */
static int replace(const struct ctl *c, const char *path, const char *bytes, size_t len)
{
	const char *slash = strrchr(path, '/');
	owned_mem char *dir = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
	owned_fd int fd = dir ? open(slash ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int err = fd < 0 ? -errno : file_write(fd, slash ? slash + 1 : path, bytes, len, 0640);

	return err < 0 ? fail(c, "%s: %s", path, strerror(-err)) : EXIT_SUCCESS;
}

int verb_metrics(const struct ctl *c, int argc, char **argv)
{
	struct cleat_admin_answer_status s = { 0 };
	const char *file = NULL;
	const struct option_of options[] = { { .name = "--file", .into = &file } };
	owned_mem char *text = NULL;
	struct words rest = { 0 };
	size_t len = 0;
	int result;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0))
		return EXIT_USAGE;
	result = admin_status_ask(c, &s);
	if (result == -EACCES || result == -EPERM)
		return admin_refused(c, result, &s.head);

	FILE *to = open_memstream(&text, &len);

	if (!to)
		return fail(c, "no memory");
	metrics_print(to, result == 0 ? &s : NULL);
	if (fclose(to) != 0)
		return fail(c, "no memory");
	if (file)
		return replace(c, file, text, len);
	fwrite(text, 1, len, stdout);
	return EXIT_SUCCESS;
}
