/* SPDX-License-Identifier: Apache-2.0 */
/* status, reload, sockets: root's questions on the kernel room's admin socket. What a number means is worked out here, by
 * the policy image that the daemon passes along: the one in force. */
#include "cleatctl_admin.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "edge/kern.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

#define RELOAD_LIMIT_MS 30000 /* a reading of a large policy, on a slow machine */

static int no_answer(const struct ctl *c, int err)
{
	if (err == -EACCES || err == -EPERM)
		return fail(c, "the admin socket is root's: run as root");
	if (err == -ENOENT || err == -ECONNREFUSED)
		return fail(
			c,
			"no cleatd answers at its admin socket: start it, or say where it is with "
			"--runtime-dir");
	return fail(c, "the daemon gave no answer: %s", strerror(-err));
}

int admin_ask(const struct ctl *c, struct admin_question *q)
{
	struct cleat_where where = { .runtime_dir = c->runtime_dir, .timeout_ms = q->timeout_ms };
	struct cleat_question lib = {
		.where = &where,
		.socket = CLEAT_ADMIN_SOCKET,
		.ask = { { q->ask, q->ask_len } },
		.asks = 1,
		.pass_fd = -1,
		.ret_fd = q->ret_fd,
		.answer = q->answer,
		.answer_len = q->answer_len,
		.answer_cap = q->answer_len,
	};

	q->ask->protocol = CLEAT_PROTOCOL;
	q->ask->type = q->type;
	q->ask->serial = 1;
	return cleat_ask(&lib);
}

int admin_refused(const struct ctl *c, int result, const struct cleat_answer_head *h)
{
	if (result < 0)
		return no_answer(c, result);
	return fail(c, "%.32s: %.192s", h->word, h->detail);
}

static int plain_ask(const struct ctl *c, uint32_t type, int timeout_ms, int *ret_fd,
		     struct cleat_admin_answer *ret)
{
	struct cleat_admin_ask ask = { 0 };
	struct admin_question q = { .type = type,
				    .ask = &ask.head,
				    .ask_len = sizeof(ask),
				    .answer = ret,
				    .answer_len = sizeof(*ret),
				    .ret_fd = ret_fd,
				    .timeout_ms = timeout_ms };

	return admin_ask(c, &q);
}

int admin_policy(const struct ctl *c, void **ret)
{
	struct cleat_admin_answer a = { 0 };
	owned_fd int fd = -1;
	owned_mem char *image = NULL;
	size_t len;
	int result = plain_ask(c, CLEAT_ADMIN_POLICY, 0, &fd, &a), err;

	if (result != 0)
		return admin_refused(c, result, &a.head);
	err = fd < 0 ? -EPROTO : file_read_fd(fd, POLICY_MAX, &image, &len);
	if (err == 0)
		err = policy_check(image, len);
	if (err < 0)
		return fail(c, "the daemon's policy image cannot be read: %s", strerror(-err));
	*ret = take_ptr(image);
	return EXIT_SUCCESS;
}

int admin_status_ask(const struct ctl *c, struct cleat_admin_answer_status *ret)
{
	struct cleat_admin_ask ask = { 0 };
	struct admin_question q = { .type = CLEAT_ADMIN_STATUS,
				    .ask = &ask.head,
				    .ask_len = sizeof(ask),
				    .answer = ret,
				    .answer_len = sizeof(*ret) };

	return admin_ask(c, &q);
}

int admin_lives(const struct ctl *c)
{
	const struct cleat_where where = { .runtime_dir = c->runtime_dir };
	owned_mem char *path = NULL;
	owned_fd int dir = -1;
	bool named;

	if (asprintf(&path, "%s/" CLEAT_ADMIN_DIR, cleat_runtime_dir(&where, &named)) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	/* shared: of two that look neither sees the other; let go at once, a daemon may want it */
	if (flock(dir, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 1 : -errno;
	return 0;
}

int admin_status(const struct ctl *c, struct cleat_admin_answer_status *ret)
{
	int result = admin_status_ask(c, ret);

	return result == 0 ? EXIT_SUCCESS : admin_refused(c, result, &ret->head);
}

/* ---- reload ---- */

int admin_reload(const struct ctl *c, uint32_t *ret_generation)
{
	struct cleat_admin_answer a = { 0 };
	int result = plain_ask(c, CLEAT_ADMIN_RELOAD, RELOAD_LIMIT_MS, NULL, &a);

	*ret_generation = a.head.policy_generation;
	return result == 0 ? EXIT_SUCCESS : admin_refused(c, result, &a.head);
}

int verb_reload(const struct ctl *c, int argc, char **argv)
{
	struct words rest = { 0 };
	uint32_t generation;
	int code;

	if (!options_take(argc, argv, NULL, 0, &rest, 0))
		return EXIT_USAGE;
	code = admin_reload(c, &generation);
	if (code == EXIT_SUCCESS)
		printf(c->json ? "{\"ok\":true,\"generation\":%u}\n"
			       : "generation %u is in force\n",
		       generation);
	return code;
}

/* ---- status ---- */

const char *count_word(enum cleat_count which)
{
	static const char *const words[CLEAT_COUNT_COUNT] = {
		[CLEAT_COUNT_TAGGED] = "tagged",
		[CLEAT_COUNT_UNTAGGED] = "untagged",
		[CLEAT_COUNT_HANDED] = "handed-over",
		[CLEAT_COUNT_API_REFUSED] = "api-refused",
		[CLEAT_COUNT_ROOM_REFUSED] = "room-refused",
		[CLEAT_COUNT_TRACE_REFUSED] = "trace-refused",
		[CLEAT_COUNT_TASK_LOST] = "task-lost",
		[CLEAT_COUNT_CGROUP_FULL] = "cgroup-full",
		[CLEAT_COUNT_EVENT_LOST] = "event-lost",
		[CLEAT_COUNT_FORGED] = "forged",
		[CLEAT_COUNT_SELF_REFUSED] = "self-refused",
		[CLEAT_COUNT_EXEC_UNSEEN] = "exec-unseen",
	};

	return words[which];
}

const char *const admin_rooms[ADMIN_ROOMS] = { "sign", "check" };
const char *const admin_parts[SHARE_PART_COUNT] = { "uid", "workload", "all" };

static void doors_json(const struct cleat_admin_answer_status *s)
{
	fputs(",\"doors\":{", stdout);
	for (unsigned r = 0; r < ADMIN_ROOMS; r++) {
		const struct room_counters *c = &s->rooms[r];

		printf("%s\"%s\":{\"refused\":{", r ? "," : "", admin_rooms[r]);
		for (unsigned i = 0; i < SHARE_PART_COUNT; i++)
			printf("%s\"%s\":%" PRIu64, i ? "," : "", admin_parts[i],
			       c->door.refused[i]);
		printf("},\"displaced\":%" PRIu64 ",\"idle\":%" PRIu64 ",\"forced\":%" PRIu64
		       ",\"suppressed\":%" PRIu64 "}",
		       c->door.displaced, c->door.idle, c->forced, c->suppressed);
	}
	fputs("}", stdout);
}

static void doors_text(const struct cleat_admin_answer_status *s)
{
	for (unsigned r = 0; r < ADMIN_ROOMS; r++) {
		const struct room_counters *c = &s->rooms[r];

		printf("%-5s door   refused", admin_rooms[r]);
		for (unsigned i = 0; i < SHARE_PART_COUNT; i++)
			printf("%s %" PRIu64 " %s", i ? "," : "", c->door.refused[i],
			       admin_parts[i]);
		printf("; %" PRIu64 " displaced, %" PRIu64 " idle, %" PRIu64 " forced, %" PRIu64
		       " suppressed\n",
		       c->door.displaced, c->door.idle, c->forced, c->suppressed);
	}
}

static void status_json(const struct cleat_admin_answer_status *s)
{
	printf("{\"ok\":true,\"pid\":%u,\"level\":\"%s\",\"epoch\":%u,\"pins\":\"%s\",\"generation\":%u,"
	       "\"workloads\":%u,\"keys\":%u,\"revoked\":%u,\"up_s\":%" PRIu64
	       ",\"reloads\":%" PRIu64 ",\"reloads_failed\":%" PRIu64,
	       s->pid, level_word(s->config.level), s->config.epoch, kern_origin_word(s->pins),
	       s->head.policy_generation, s->workloads, s->keys, s->revoked,
	       (s->now_ns - s->begun_ns) / 1000000000, s->reloads, s->reloads_failed);
	put_member("version", s->version);
	put_member("audit", s->audit);
	put_member("config_dir", s->config_dir);
	put_member("state_dir", s->state_dir);
	put_member("reload_error", s->reload_error);
	put_member("wanted", level_word(s->wanted));
	put_member("why", s->why);
	printf(",\"armed\":%s,\"reason\":\"%s\",\"hooks\":%u,\"falls\":%" PRIu64
	       ",\"looked_ms\":%" PRIu64 ",\"proved_ms\":%" PRIu64 ",\"clock_synchronised\":%s",
	       kern_is_armed(&s->config) ? "true" : "false",
	       reason_word(kern_is_armed(&s->config) ? REASON_OK : REASON_NOT_ARMED), s->hooks,
	       s->falls, (s->now_ns - s->looked_ns) / 1000000, (s->now_ns - s->proved_ns) / 1000000,
	       s->synchronised ? "true" : "false");
	printf(",\"events_suppressed\":%" PRIu64, s->events_suppressed);
	fputs(",\"kernel\":{", stdout);
	for (unsigned i = 0; i < CLEAT_COUNT_COUNT; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", count_word(i), s->counts[i]);
	fputs("},\"rooms\":{", stdout);
	for (unsigned r = 0; r < ADMIN_ROOMS; r++) {
		printf("%s\"%s\":{\"asked\":%" PRIu64, r ? "," : "", admin_rooms[r],
		       s->rooms[r].asked);
		for (unsigned i = 0; i < REASON_COUNT; i++)
			if (s->rooms[r].answered[i])
				printf(",\"%s\":%" PRIu64, reason_word(i), s->rooms[r].answered[i]);
		fputs("}", stdout);
	}
	fputs("}", stdout);
	doors_json(s);
	fputs("}\n", stdout);
}

static void status_text(struct cleat_admin_answer_status *s)
{
	uint64_t up_s = (s->now_ns - s->begun_ns) / 1000000000;

	printf("cleatd %s, pid %u, up %" PRIu64 " s\n", s->version, s->pid, up_s);
	printf("kernel side  level %s, arming epoch %u, pins %s%s\n", level_word(s->config.level),
	       s->config.epoch, kern_origin_word(s->pins),
	       kern_is_armed(&s->config) ? "" : ": not armed, nothing is signed or verified");
	if (s->why[0])
		printf("%s %s\n", kern_is_armed(&s->config) ? "not full    " : "not armed   ",
		       line_clean(s->why));
	printf("watcher      %u hooks, looked %" PRIu64 " ms ago, seen running %" PRIu64
	       " s ago, %" PRIu64 " times found incomplete\n",
	       s->hooks, (s->now_ns - s->looked_ns) / 1000000,
	       (s->now_ns - s->proved_ns) / 1000000000, s->falls);
	printf("clock        %s\n", s->synchronised ? "synchronised" : "not synchronised");
	printf("policy       generation %u: %u workloads, %u keys, %u revoked\n",
	       s->head.policy_generation, s->workloads, s->keys, s->revoked);
	printf("reloads      %" PRIu64 ", %" PRIu64 " failed%s%s\n", s->reloads, s->reloads_failed,
	       s->reload_error[0] ? "; the last: " : "", line_clean(s->reload_error));
	for (unsigned r = 0; r < ADMIN_ROOMS; r++) {
		printf("%-5s room   %" PRIu64 " asked", admin_rooms[r], s->rooms[r].asked);
		for (unsigned i = 0; i < REASON_COUNT; i++)
			if (s->rooms[r].answered[i])
				printf(", %" PRIu64 " %s", s->rooms[r].answered[i], reason_word(i));
		putchar('\n');
	}
	doors_text(s);
	printf("events       %" PRIu64 " suppressed\n", s->events_suppressed);
	fputs("counted     ", stdout);
	for (unsigned i = 0; i < CLEAT_COUNT_COUNT; i++)
		printf(" %" PRIu64 " %s%s", s->counts[i], count_word(i),
		       i + 1 < CLEAT_COUNT_COUNT ? "," : "\n");
}

int verb_status(const struct ctl *c, int argc, char **argv)
{
	struct cleat_admin_answer_status s = { 0 };
	struct words rest = { 0 };
	int code;

	if (!options_take(argc, argv, NULL, 0, &rest, 0))
		return EXIT_USAGE;
	code = admin_status(c, &s);
	if (code != EXIT_SUCCESS)
		return code;
	if (c->json)
		status_json(&s);
	else
		status_text(&s);
	/* a daemon that cannot sign is no "yes" to anybody who asks by the exit code */
	return kern_is_armed(&s.config) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- sockets ---- */

static const char *state_word(uint32_t state)
{
	static const char *const words[] = { "none",   "born",	"connecting",
					     "queued", "owned", "listening" };

	return state < sizeof(words) / sizeof(words[0]) ? words[state] : "?";
}

static void put_flags(uint32_t flags, const char *before)
{
	static const struct {
		uint32_t flag;
		const char *word;
	} marks[] = {
		{ CLEAT_TAG_FORGED, "forged" },	    { CLEAT_TAG_COOKIE, "syn-cookie" },
		{ CLEAT_TAG_FASTOPEN, "fastopen" }, { CLEAT_TAG_HANDED, "handed-over" },
		{ CLEAT_TAG_MPTCP, "mptcp" },	    { CLEAT_TAG_NETNS_FOREIGN, "foreign-netns" },
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (!(flags & marks[i].flag))
			continue;
		printf("%s%s", before, marks[i].word);
		before = " ";
	}
}

static void socket_print(const struct ctl *c, const struct policy_image *p,
			 const struct cleat_tag *t)
{
	const struct policy_workload *w = policy_workload(p, t->owner.label);
	const char *id = w ? policy_string(p, w->id) : "";
	char client[64] = "", server[64] = "";

	if (t->conn.role != CLEAT_ROLE_NONE) {
		endpoint(t->conn.client_addr, t->conn.client_port, client);
		endpoint(t->conn.server_addr, t->conn.server_port, server);
	}
	if (c->json) {
		printf("{\"label\":%u,\"pid\":%u,\"uid\":%u,\"state\":\"%s\",\"role\":\"%s\","
		       "\"netns\":%" PRIu64 ",\"cookie\":%" PRIu64
		       ",\"generation\":%u,\"epoch\":%u",
		       t->owner.label, t->proc.tgid, t->owner.uid, state_word(t->state),
		       role_word(t->conn.role), (uint64_t)t->owner.netns, (uint64_t)t->cookie,
		       t->conn.generation, t->epoch);
		put_member("owner", id);
		put_member("client", client);
		put_member("server", server);
		fputs(",\"flags\":\"", stdout);
		put_flags(t->flags, "");
		fputs("\"}", stdout);
		return;
	}
	printf("%s pid %u uid %u %s", w ? id : "(no workload)", t->proc.tgid, t->owner.uid,
	       state_word(t->state));
	if (client[0])
		printf(" %s -> %s, this end the %s", client, server, role_word(t->conn.role));
	put_flags(t->flags, ", ");
	putchar('\n');
}

/* Which sockets are asked for: one workload's, or those of every workload, or all of them. */
struct wanted {
	uint32_t label;
	bool all;
};

static int sockets_print(const struct ctl *c, const struct policy_image *p, int fd,
			 const struct wanted *w)
{
	struct cleat_tag tag;
	unsigned count = 0;
	size_t have = 0;
	ssize_t n;

	fputs(c->json ? "{\"sockets\":[" : "", stdout);
	while ((n = read(fd, (char *)&tag + have, sizeof(tag) - have)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		have += (size_t)n;
		if (have < sizeof(tag))
			continue;
		have = 0;
		if (!w->all && (w->label ? tag.owner.label != w->label : tag.owner.label == 0))
			continue;
		fputs(c->json && count++ ? "," : "", stdout);
		socket_print(c, p, &tag);
	}
	if (c->json)
		printf("],\"ok\":%s}\n", n == 0 && !have ? "true" : "false");
	if (n < 0 || have)
		return complain(EXIT_FAILURE, "the list broke off: %s",
				n < 0 ? strerror(errno) : "within a record");
	return EXIT_SUCCESS;
}

const struct policy_workload *workload_named(const struct policy_image *p, const char *name)
{
	char id[SPIFFE_ID_MAX + 1];

	if (name[0] != '/')
		return policy_workload_by_id(p, name);
	if (snprintf(id, sizeof(id), "spiffe://%s%s", policy_string(p, p->trust_domain), name) >=
	    (int)sizeof(id))
		return NULL;
	return policy_workload_by_id(p, id);
}

int verb_sockets(const struct ctl *c, int argc, char **argv)
{
	struct wanted w = { 0 };
	const struct option_of options[] = { { .name = "--all", .flag = &w.all } };
	struct cleat_admin_answer a = { 0 };
	owned_mem void *image = NULL;
	struct words rest = { 0 };
	owned_fd int fd = -1;
	int code, result;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 1))
		return EXIT_USAGE;
	if (w.all && rest.count)
		return complain(EXIT_USAGE, "a workload, or --all: not both");
	code = admin_policy(c, &image);
	if (code != EXIT_SUCCESS)
		return code;
	if (rest.count) {
		const struct policy_workload *named = workload_named(image, rest.at[0]);

		if (!named)
			return fail(c, "policy names no workload %s", rest.at[0]);
		w.label = named->label;
	}
	result = plain_ask(c, CLEAT_ADMIN_SOCKETS, 0, &fd, &a);
	if (result != 0)
		return admin_refused(c, result, &a.head);
	return fd < 0 ? fail(c, "the daemon sent no list") : sockets_print(c, image, fd, &w);
}
