/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events, and explain of a refusal: the audit log in words. The log is the daemon's word of what it decided; nothing is
 * asked anew, so the answer is the one of that moment, by the policy of that moment.
 */
#include "cleatctl_audit.h"
#include "cleatctl_admin.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "edge/audit.h"
#include "edge/audit_read.h"
#include <errno.h>
#include <string.h>

#define LOOK_BACK   (4u << 20)
#define EVENTS_BACK (16u << 10)

/* The file: named, or the running daemon's, or the default. */
static const char *audit_file(const struct ctl *c, const char *named,
			      struct cleat_admin_answer_status *room)
{
	if (named)
		return named;
	return admin_status_ask(c, room) == 0 && room->audit[0] ? room->audit : DEFAULT_AUDIT;
}

static int cannot_read(const struct ctl *c, const char *path, int err)
{
	if (err == -EACCES)
		return fail(c, "%s: it is root's: run as root", path);
	if (err == -ENOENT)
		return fail(c, "%s is not there: no cleatd wrote it yet; --audit names another",
			    path);
	return fail(c, "%s: %s", path, strerror(-err));
}

/* ---- events ---- */

static int event_print(void *ctx, const char *line, size_t len)
{
	const struct ctl *c = ctx;
	char words[2 * AUDIT_LINE_MAX];
	struct text t;

	text_init(&t, words, sizeof(words));
	if (c->json || !audit_line_print(line, len, &t))
		puts(line);
	else
		puts(words);
	return fflush(stdout) == 0 ? 0 : -EPIPE;
}

int verb_events(const struct ctl *c, int argc, char **argv)
{
	struct cleat_admin_answer_status status = { 0 };
	const char *named = NULL, *path;
	bool follow = false, all = false;
	const struct option_of options[] = { { .name = "--follow", .flag = &follow },
					     { .name = "--all", .flag = &all },
					     { .name = "--audit", .into = &named } };
	struct words rest = { 0 };
	struct ctl copy = *c;
	int err;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0))
		return EXIT_USAGE;
	path = audit_file(c, named, &status);
	err = audit_read(path, all ? SIZE_MAX / 2 : EVENTS_BACK, follow, event_print, &copy);
	if (err == -EPIPE)
		return EXIT_SUCCESS; /* who read it has seen enough */
	return err < 0 ? cannot_read(c, path, err) : EXIT_SUCCESS;
}

/* ---- why was this refused ---- */

/* The way out, by reason; what has none here is said by its sentence alone. */
static const char *const ways[REASON_COUNT] = {
	[REASON_POLICY] = "add a rule if it is to be allowed, then \"cleatctl reload\"",
	[REASON_NO_WORKLOAD] = "\"cleatctl explain PID\" says why this process is no workload",
	[REASON_LEVEL] =
		"start the process anew under a complete kernel side (\"cleatctl doctor\"), or lower level: in the accept rule",
	[REASON_HANDED_OVER] =
		"let the process that connected or accepted ask; see accepted_by: for inetd",
	[REASON_NOT_OWNER] = "let the owner of the socket ask",
	[REASON_UNTAGGED] = "connect anew: the socket is older than the kernel side",
	[REASON_KEY] =
		"put the host's entry into this host's bundle (\"cleatctl trust add\"), then \"cleatctl reload\"",
	[REASON_TRUST_DOMAIN] = "put that domain's bundle below trust/, then \"cleatctl reload\"",
	[REASON_SCOPE] =
		"the bundle entry's cleat_scope does not hold this id: give the host another entry",
	[REASON_CLOCK] = "let a time daemon discipline the clock, or say clock: unsynchronised-ok",
	[REASON_WRONG_TIME] = "compare both hosts' clocks; est_tolerance: is the bound",
	[REASON_EXPIRED] =
		"ask for a fresh assertion for each presentation; compare both hosts' clocks",
	[REASON_NOT_YET] = "compare both hosts' clocks; leeway: is the bound",
	[REASON_REPLAYED] = "ask for a fresh assertion for each presentation",
	[REASON_WRONG_CONNECTION] =
		"present the assertion on the connection it was made for; nothing that rewrites addresses may stand between",
	[REASON_AUDIENCE] = "ask for an assertion for this very service",
	[REASON_REVOKED] = "\"cleatctl revoke --undo\", if it is to be believed again",
	[REASON_NOT_ARMED] = "\"cleatctl doctor\" says what the kernel side lacks",
	[REASON_BUSY] = "ask again; \"cleatctl status\" says whose part of the places is full",
	[REASON_NO_AUDIT] =
		"make room for the audit log: nothing is answered that cannot be written down",
	[REASON_NETNS] = "netns: foreign-ok in the workload allows a namespace of a container",
	[REASON_COOKIE] = "the listener was flooded; syn_cookie: accept takes such connections",
	[REASON_NOT_ROOT] = "run as root",
};

struct search {
	const struct refusal_wanted *w;
	char line[AUDIT_LINE_MAX];
	size_t len;
};

/* Whose it was: who asked, whose socket it was, or who presented. */
static bool is_of(const char *line, size_t len, const char *workload)
{
	static const char *const names[] = { "workload", "owner", "claimed_subject", "subject" };
	char is[SPIFFE_ID_MAX + 1];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *path;

		if (!audit_line_get(line, len, names[i], is, sizeof(is)) || !is[0])
			continue;
		path = strncmp(is, "spiffe://", 9) == 0 ? strchr(is + 9, '/') : NULL;
		if (strcmp(is, workload) == 0 || (path && strcmp(path, workload) == 0))
			return true;
	}
	return false;
}

static int refusal_look(void *ctx, const char *line, size_t len)
{
	struct search *s = ctx;
	char reason[64];

	if (len >= sizeof(s->line) || !audit_line_get(line, len, "reason", reason, sizeof(reason)))
		return 0;
	if (!reason[0] || strcmp(reason, "ok") == 0)
		return 0;
	if (s->w->reason && strcmp(reason, s->w->reason) != 0)
		return 0;
	if (s->w->workload && !is_of(line, len, s->w->workload))
		return 0;
	memcpy(s->line, line, len + 1);
	s->len = len;
	return 0;
}

/* One member of the line that was found. */
#define FIELD_MAX 2560
struct field {
	char s[FIELD_MAX];
};
static struct field field(const struct search *s, const char *name)
{
	struct field f = { "" };

	audit_line_get(s->line, s->len, name, f.s, sizeof(f.s));
	return f;
}

/* Which rule it was, or which one there is not. */
static void rule_say(const struct search *s, struct text *t)
{
	struct field rule = field(s, "rule"), ask = field(s, "ask"), who = field(s, "workload");
	struct field audience = field(s, "claimed_audience"), sub = field(s, "claimed_subject");

	if (rule.s[0])
		text_printf(t, "by the rule at %s", rule.s);
	else if (strcmp(ask.s, "sign") == 0)
		text_printf(t, "no call: rule lets %s obtain an assertion for %s", who.s,
			    audience.s);
	else
		text_printf(t, "no accept: rule lets %s take presentations of %s", who.s, sub.s);
}

static int refusal_print(const struct ctl *c, const struct search *s)
{
	struct field time = field(s, "time"), ask = field(s, "ask"), who = field(s, "workload");
	struct field word = field(s, "reason"), why = field(s, "why"), detail = field(s, "detail");
	struct field pid = field(s, "pid"), uid = field(s, "uid");
	enum reason reason = reason_of_word(word.s);
	char rule[3 * FIELD_MAX] = "";
	struct text t;

	text_init(&t, rule, sizeof(rule));
	if (reason == REASON_POLICY || reason == REASON_LEVEL || field(s, "rule").s[0])
		rule_say(s, &t);
	if (!c->json) {
		printf("%s: %s for %s (pid %s, uid %s) was refused: %s: %s\n", time.s, ask.s,
		       who.s[0] ? who.s : "no workload", pid.s, uid.s, word.s, why.s);
		/* the rest may be in the words of who was refused */
		if (detail.s[0] && strcmp(detail.s, why.s) != 0)
			printf("  in detail  %s\n", line_clean(detail.s));
		if (rule[0])
			printf("  policy     %s\n", line_clean(rule));
		if (ways[reason])
			printf("  way out    %s\n", ways[reason]);
		return EXIT_SUCCESS;
	}
	fputs("{\"ok\":true", stdout);
	put_member("time", time.s);
	put_member("ask", ask.s);
	put_member("workload", who.s);
	put_member("reason", word.s);
	put_member("why", why.s);
	put_member("detail", detail.s);
	put_member("policy", rule);
	put_member("way_out", ways[reason] ? ways[reason] : "");
	printf(",\"line\":%s}\n", s->line);
	return EXIT_SUCCESS;
}

int refusal_explain(const struct ctl *c, const struct refusal_wanted *w)
{
	struct cleat_admin_answer_status status = { 0 };
	const char *path = audit_file(c, w->audit, &status);
	static struct search s;
	int err;

	if (w->reason && reason_of_word(w->reason) == REASON_UNDECIDED)
		return complain(EXIT_USAGE, "there is no reason \"%s\"", w->reason);
	s = (struct search){ .w = w };
	err = audit_read(path, LOOK_BACK, false, refusal_look, &s);
	if (err < 0)
		return cannot_read(c, path, err);
	if (!s.len)
		return fail(c, "the last %u MiB of %s hold no such refusal", LOOK_BACK >> 20, path);
	return refusal_print(c, &s);
}
