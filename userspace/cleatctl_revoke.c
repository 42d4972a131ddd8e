/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revoke: who this host believes no longer, whatever rules and bundles say. A list of its own in the state directory, so
 * that neither a bundle nor a policy file needs to be touched; it is part of each generation. The list is written first;
 * then the daemon that runs is told and asked for the outcome. One that is starting may have read the list before: it is
 * waited for. Only where none lives, looked at after the writing, does it hold from the next start.
 */
#include "cleatctl_admin.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "edge/policy_yaml.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LIST_BYTES_MAX (16u << 20)
#define START_LIMIT_S  60u /* a start may read, probe and wait for its rooms */

struct revoking {
	const char *state_dir;
	bool undo;
	bool host;
	bool daemon; /* one answers: it is told */
	struct cleat_admin_answer_status status;
	char id[SPIFFE_ID_MAX + 1];
};

static bool nobody_answers(int result)
{
	return result == -ENOENT || result == -ECONNREFUSED;
}

/* The running daemon's own directory, unless one is named. One that does not answer, but is there, still believes: that is
 * no success. */
static int daemon_find(const struct ctl *c, struct revoking *r)
{
	int result = admin_status_ask(c, &r->status);

	if (result != 0 && !nobody_answers(result))
		return admin_refused(c, result, &r->status.head);
	r->daemon = result == 0;
	if (!r->state_dir)
		r->state_dir = r->daemon ? r->status.state_dir : DEFAULT_STATE;
	return EXIT_SUCCESS;
}

/* "b", "/payments" or a whole id. Short ones are of the trust domain of the policy in force. */
static int id_take(const struct ctl *c, struct revoking *r, const char *name)
{
	const char *path = r->host ? "/host/" : name[0] == '/' ? "" : "/";
	owned_mem void *image = NULL;
	struct spiffe_id id;
	int code;

	if (strncmp(name, "spiffe://", 9) == 0) {
		snprintf(r->id, sizeof(r->id), "%s", name);
	} else {
		const struct policy_image *p;

		if (!r->daemon)
			return complain(
				EXIT_USAGE,
				"no cleatd answers that would know the trust domain: give the "
				"whole id, spiffe://TRUST-DOMAIN%s%s",
				path, name);
		code = admin_policy(c, &image);
		if (code != EXIT_SUCCESS)
			return code;
		p = image;
		snprintf(r->id, sizeof(r->id), "spiffe://%s%s%s", policy_string(p, p->trust_domain),
			 path, name);
	}
	if (strlen(name) > SPIFFE_ID_MAX || !spiffe_id_parse(r->id, strlen(r->id), &id) ||
	    id.path_len == 0 || spiffe_path_is_host(id.path, id.path_len) != r->host ||
	    (r->host &&
	     (id.path_len <= strlen("/host/") || strchr(id.path + strlen("/host/"), '/'))))
		return complain(EXIT_USAGE, "%s is no id of a %s", r->id,
				r->host ? "host" : "workload");
	return EXIT_SUCCESS;
}

/* ---- the list ---- */

/* The line of @id in the list, or NULL. */
static char *line_find(char *list, const char *id)
{
	size_t len = strlen(id);

	for (char *at = list; (at = strstr(at, id)); at += len)
		if ((at == list || at[-1] == '\n') && at[len] == '\n')
			return at;
	return NULL;
}

static int list_read(int dir, char **ret, size_t *ret_len)
{
	int err =
		file_read(dir, POLICY_REVOKED_FILE, LIST_BYTES_MAX, FILE_ROOT_OWNED, ret, ret_len);

	if (err != -ENOENT)
		return err;
	*ret = calloc(1, 1);
	*ret_len = 0;
	return *ret ? 0 : -ENOMEM;
}

/* *ret_changed: it was not so before. One writer at a time: two that revoke at once both count. */
static int list_change(const struct revoking *r, bool *ret_changed)
{
	owned_fd int dir = open(r->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	owned_lock struct file_lock lock = FILE_LOCK_NONE;
	owned_mem char *was = NULL, *is = NULL;
	size_t len, id_len = strlen(r->id);
	char *line;
	int err;

	if (dir < 0)
		return -errno;
	err = file_lock(dir, POLICY_REVOKED_FILE, &lock);
	if (err == 0)
		err = list_read(dir, &was, &len);
	if (err < 0)
		return err;
	line = line_find(was, r->id);
	*ret_changed = !line != r->undo;
	if (!*ret_changed)
		return 0;
	if (line) {
		memmove(line, line + id_len + 1, len - (size_t)(line - was) - id_len);
		return file_write(dir, POLICY_REVOKED_FILE, was, strlen(was), 0600);
	}
	is = malloc(len + id_len + 2);
	if (!is)
		return -ENOMEM;
	snprintf(is, len + id_len + 2, "%s%s\n", was, r->id);
	return file_write(dir, POLICY_REVOKED_FILE, is, len + id_len + 1, 0600);
}

/* ---- in force ---- */

/* A list elsewhere is one that this daemon never reads. */
static int daemon_reads(const struct ctl *c, const struct revoking *r,
			const struct cleat_admin_answer_status *s)
{
	struct stat ours, its;

	if (stat(r->state_dir, &ours) == 0 && stat(s->state_dir, &its) == 0 &&
	    ours.st_dev == its.st_dev && ours.st_ino == its.st_ino)
		return EXIT_SUCCESS;
	return fail(c,
		    "the cleatd that runs has its list in %s, not in %s: leave --state-dir out, or "
		    "name the run-time directory of the one that is meant",
		    s->state_dir, r->state_dir);
}

/* Who answers now, after the list was written: asked again, since one may have come or gone meanwhile. @r->daemon says
 * whether there is one; none is a success. */
static int daemon_await(const struct ctl *c, struct revoking *r)
{
	const uint64_t until_ns = clock_boot_ns() + START_LIMIT_S * 1000000000ull;
	const struct timespec step = { .tv_nsec = 50000000 };
	struct cleat_admin_answer_status s = { 0 };
	bool said = false;
	int result, lives;

	while (nobody_answers(result = admin_status_ask(c, &s))) {
		r->daemon = false;
		lives = admin_lives(c);
		if (lives < 0)
			return fail(c, "nobody knows whether a cleatd is starting: %s",
				    strerror(-lives));
		if (lives == 0)
			return EXIT_SUCCESS;
		if (clock_boot_ns() > until_ns)
			return fail(c, "a cleatd is starting, and does not answer after %u s",
				    START_LIMIT_S);
		if (!said)
			complain(0, "a cleatd is starting, and may have read the list before: "
				    "waiting for it");
		said = true;
		nanosleep(&step, NULL);
	}
	r->daemon = result == 0;
	return result == 0 ? daemon_reads(c, r, &s) : admin_refused(c, result, &s.head);
}

/* ---- the verbs ---- */

static int outcome(const struct ctl *c, struct revoking *r, bool changed)
{
	const char *what = r->undo ? "believed again" : "revoked";
	uint64_t began_ns = clock_boot_ns(), ms;
	uint32_t generation = 0;
	int code = daemon_await(c, r);

	/* also where nothing changed: the daemon may not have read it yet */
	if (code == EXIT_SUCCESS && r->daemon)
		code = admin_reload(c, &generation);
	if (code != EXIT_SUCCESS)
		return complain(code,
				"%s: the list in %s/" POLICY_REVOKED_FILE
				" is changed, but that is NOT IN FORCE: put right what is said "
				"above, then \"cleatctl reload\"",
				r->id, r->state_dir);
	ms = (clock_boot_ns() - began_ns) / 1000000;
	if (c->json) {
		printf("{\"ok\":true,\"changed\":%s,\"in_force\":%s,\"generation\":%u,\"ms\":%" PRIu64,
		       changed ? "true" : "false", r->daemon ? "true" : "false", generation, ms);
		put_member("id", r->id);
		fputs("}\n", stdout);
	} else if (r->daemon) {
		printf("%s: %s, in force as generation %u after %" PRIu64 " ms\n", r->id, what,
		       generation, ms);
	} else {
		printf("%s: %s; no cleatd runs, it holds from its next start\n", r->id, what);
	}
	return EXIT_SUCCESS;
}

static int id_revoke(const struct ctl *c, int argc, char **argv, bool host)
{
	struct revoking r = { .host = host };
	const struct option_of options[] = { { .name = "--undo", .flag = &r.undo },
					     { .name = "--state-dir", .into = &r.state_dir } };
	struct words rest = { 0 };
	bool changed = false;
	int code, err;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 1))
		return EXIT_USAGE;
	if (rest.count != 1)
		return complain(EXIT_USAGE, "revoke needs one %s", host ? "host" : "workload");
	code = daemon_find(c, &r);
	if (code == EXIT_SUCCESS)
		code = id_take(c, &r, rest.at[0]);
	if (code == EXIT_SUCCESS && r.daemon)
		code = daemon_reads(c, &r, &r.status);
	if (code != EXIT_SUCCESS)
		return code;
	err = list_change(&r, &changed);
	if (err < 0)
		return fail(c, "%s/" POLICY_REVOKED_FILE ": %s", r.state_dir, strerror(-err));
	return outcome(c, &r, changed);
}

int verb_revoke_host(const struct ctl *c, int argc, char **argv)
{
	return id_revoke(c, argc, argv, true);
}

int verb_revoke_workload(const struct ctl *c, int argc, char **argv)
{
	return id_revoke(c, argc, argv, false);
}

int verb_revoke_list(const struct ctl *c, int argc, char **argv)
{
	struct revoking r = { 0 };
	const struct option_of options[] = { { .name = "--state-dir", .into = &r.state_dir } };
	owned_mem char *list = NULL;
	struct words rest = { 0 };
	owned_fd int dir = -1;
	const char *comma = "";
	char *at, *id;
	size_t len;
	int err;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0))
		return EXIT_USAGE;
	if (daemon_find(c, &r) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	dir = open(r.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = dir < 0 ? -errno : list_read(dir, &list, &len);
	if (err < 0)
		return fail(c, "%s/" POLICY_REVOKED_FILE ": %s", r.state_dir, strerror(-err));
	if (!c->json) {
		fputs(list, stdout);
		return EXIT_SUCCESS;
	}
	fputs("{\"ok\":true,\"revoked\":[", stdout);
	for (at = list; (id = strsep(&at, "\n"));) {
		if (!id[0])
			continue;
		fputs(comma, stdout);
		put_json(id);
		comma = ",";
	}
	fputs("]}\n", stdout);
	return EXIT_SUCCESS;
}
