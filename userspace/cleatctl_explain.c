/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain: which workload a process is, and why; by the policy in force, the process's cgroup and ids, and what the
 * kernel side has recorded of it. It explains and decides nothing: the rooms go by the kernel's record alone.
 */
#include "cleatctl_admin.h"
#include "cleatctl_audit.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "edge/peer.h"
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct explained {
	const struct policy_image *p;
	uint32_t pid;
	struct peer_facts facts;
	char cgroup[POLICY_PATH_MAX];
	const struct policy_workload *workload; /* by the policy, NULL: none */
	struct cleat_admin_answer_task record;
	uint32_t level; /* of the daemon */
};

/* "file:line" of a workload. */
static const char *rule_at(const struct explained *x, const struct policy_workload *w, char *ret,
			   size_t cap)
{
	snprintf(ret, cap, "%s:%u", policy_string(x->p, w->file), w->line);
	return ret;
}

/* The record counts while its inputs are the present ones (label.bpf.h). */
static bool record_counts(const struct explained *x)
{
	const struct cleat_task *t = &x->record.task;

	return x->record.recorded && t->policy_gen == x->p->generation && t->uid == x->facts.uid &&
	       t->gid == x->facts.gid && t->cgroup_id == x->facts.cgroup_id;
}

/* ---- why not: places on its path whose rules do not fit ---- */

static void misfit_say(const struct explained *x, const struct policy_rule *r, const char *path,
		       struct text *t)
{
	const struct policy_workload *w = policy_workload(x->p, r->label);
	char at[512];

	text_printf(t, "%s%s is for %s (%s), which", t->len ? "; " : "", path,
		    policy_string(x->p, w->id), rule_at(x, w, at, sizeof(at)));
	if (r->flags & CLEAT_RULE_UID && r->uid != x->facts.uid)
		text_printf(t, " wants uid %u, this process has %u", r->uid, x->facts.uid);
	if (r->flags & CLEAT_RULE_GID && r->gid != x->facts.gid)
		text_printf(t, " wants gid %u, this process has %u", r->gid, x->facts.gid);
}

static void misfits_say(const struct explained *x, struct text *t)
{
	const struct policy_rule *rules = policy_at(x->p, &x->p->rules);
	char path[POLICY_PATH_MAX];
	char *slash;

	memcpy(path, x->cgroup, sizeof(path));
	do {
		uint32_t place = policy_place_of(x->p, path);

		for (uint32_t i = 0; place && i < x->p->rules.count; i++)
			if (rules[i].place == place)
				misfit_say(x, &rules[i], path, t);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (slash && path[0]);
}

/* One sentence of why. */
static void why_say(const struct explained *x, struct text *t)
{
	char at[512];

	if (x->workload) {
		text_printf(t, "its cgroup %s and uid %u, gid %u fit the workload at %s", x->cgroup,
			    x->facts.uid, x->facts.gid, rule_at(x, x->workload, at, sizeof(at)));
		return;
	}
	misfits_say(x, t);
	if (!t->len)
		text_printf(
			t,
			"no workload's match: names its cgroup %s or one above it; name it in a "
			"workload, or start the process there",
			x->cgroup);
}

/* What the kernel side holds of it, which is what counts. */
static const char *record_say(const struct explained *x)
{
	const struct cleat_task *t = &x->record.task;

	if (x->level != CLEAT_LEVEL_FULL)
		return "level reduced: the kernel side keeps no record; the caller is looked up when it connects";
	if (!x->record.recorded)
		return "the kernel side has no record yet: it ran before the hooks, and is level reduced until its next exec";
	if (!record_counts(x))
		return "the kernel side's record is of other circumstances, and is made anew when it is next asked for";
	if (!t->epoch)
		return "it ran before the hooks: level reduced until its next exec";
	return t->label == (x->workload ? x->workload->label : 0)
		       ? "the kernel side says the same, level full"
		       : "the kernel side says otherwise, and that is what counts";
}

static int explained_print(const struct ctl *c, const struct explained *x)
{
	const char *id = x->workload ? policy_string(x->p, x->workload->id) : "";
	char why[4096], at[512] = "";
	struct text t;

	text_init(&t, why, sizeof(why));
	why_say(x, &t);
	if (x->workload)
		rule_at(x, x->workload, at, sizeof(at));
	if (!c->json) {
		printf("pid %u is %s\n  because  %s\n  kernel   %s\n", x->pid,
		       x->workload ? id : "no workload", line_clean(why), record_say(x));
		return EXIT_SUCCESS;
	}
	printf("{\"ok\":true,\"pid\":%u,\"uid\":%u,\"gid\":%u,\"generation\":%u,\"label\":%u",
	       x->pid, x->facts.uid, x->facts.gid, x->p->generation,
	       x->workload ? x->workload->label : 0);
	put_member("workload", id);
	put_member("cgroup", x->cgroup);
	put_member("rule", at);
	put_member("why", why);
	put_member("kernel", record_say(x));
	fputs("}\n", stdout);
	return EXIT_SUCCESS;
}

/* ---- the questions ---- */

static int task_ask(const struct ctl *c, struct explained *x)
{
	struct cleat_admin_ask_task ask = { .pid = x->pid };
	struct admin_question q = { .type = CLEAT_ADMIN_TASK,
				    .ask = &ask.head,
				    .ask_len = sizeof(ask),
				    .answer = &x->record,
				    .answer_len = sizeof(x->record) };
	struct cleat_admin_answer_status status = { 0 };
	int code = admin_status(c, &status), result;

	if (code != EXIT_SUCCESS)
		return code;
	x->level = status.config.level;
	result = admin_ask(c, &q);
	return result == 0 ? EXIT_SUCCESS : admin_refused(c, result, &x->record.head);
}

static int facts_read(const struct ctl *c, struct explained *x)
{
	owned_fd int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)x->pid, 0);
	int err = pidfd < 0 ? -errno : peer_process(pidfd, &x->facts, x->cgroup, sizeof(x->cgroup));

	if (err == -ESRCH)
		return fail(c, "there is no process %u", x->pid);
	if (err == -EPERM)
		return fail(c,
			    "pid %u is no workload: its real, effective and saved ids are not all "
			    "the same, and such a process is nobody",
			    x->pid);
	if (err == -ENOENT)
		return fail(c, "pid %u is no workload: its cgroup is not in the unified hierarchy",
			    x->pid);
	return err < 0 ? fail(c, "cannot look at pid %u: %s", x->pid, strerror(-err))
		       : EXIT_SUCCESS;
}

static int explain_pid(const struct ctl *c, const char *text)
{
	owned_mem void *image = NULL;
	struct explained x = { 0 };
	uint64_t pid;
	int code;

	if (decimal_parse(text, strlen(text), INT32_MAX, &pid) < 0 || pid == 0)
		return complain(EXIT_USAGE, "\"%s\" is no process's number", text);
	x.pid = (uint32_t)pid;
	code = admin_policy(c, &image);
	x.p = image;
	if (code == EXIT_SUCCESS)
		code = facts_read(c, &x);
	if (code == EXIT_SUCCESS)
		code = task_ask(c, &x);
	if (code != EXIT_SUCCESS)
		return code;
	x.workload = policy_workload(x.p, policy_label_at(x.p, x.cgroup, x.facts.uid, x.facts.gid));
	return explained_print(c, &x);
}

int verb_explain(const struct ctl *c, int argc, char **argv)
{
	struct refusal_wanted w = { 0 };
	const struct option_of options[] = { { .name = "--reason", .into = &w.reason },
					     { .name = "--workload", .into = &w.workload },
					     { .name = "--audit", .into = &w.audit } };
	struct words rest = { 0 };

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 1))
		return EXIT_USAGE;
	if (rest.count && (w.reason || w.workload || w.audit))
		return complain(EXIT_USAGE, "a process, or what was refused: not both");
	return rest.count ? explain_pid(c, rest.at[0]) : refusal_explain(c, &w);
}
