/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log, read back. See audit_read.h. */
#include "edge/audit_read.h"

#include "base/cleanup.h"
#include "edge/audit.h"
#include "edge/json.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct reading {
	const char *path;
	int fd;
	size_t have;
	bool skip; /* the rest of a line whose beginning was not read, or that is too long for one */
	char bytes[2 * AUDIT_LINE_MAX];
	audit_each each;
	void *ctx;
};

static int lines_give(struct reading *r)
{
	char *at = r->bytes, *end;
	int stop = 0;

	while (!stop && (end = memchr(at, '\n', r->have - (size_t)(at - r->bytes)))) {
		*end = '\0';
		if (!r->skip)
			stop = r->each(r->ctx, at, (size_t)(end - at));
		r->skip = false;
		at = end + 1;
	}
	r->have -= (size_t)(at - r->bytes);
	memmove(r->bytes, at, r->have);
	if (r->have == sizeof(r->bytes)) {
		r->skip = true;
		r->have = 0;
	}
	return stop;
}

/* Everything that is there now. */
static int drain(struct reading *r)
{
	for (;;) {
		ssize_t n = read(r->fd, r->bytes + r->have, sizeof(r->bytes) - r->have);
		int stop;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r->have += (size_t)n;
		stop = lines_give(r);
		if (stop)
			return stop;
	}
}

static int file_open(struct reading *r, size_t last)
{
	owned_fd int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPERM;
	r->skip = st.st_size > (off_t)last;
	/* one byte earlier: where a line begins just there, its newline is what is skipped */
	if (r->skip && lseek(fd, st.st_size - (off_t)last - 1, SEEK_SET) < 0)
		return -errno;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = take_fd(&fd);
	r->have = 0;
	return 0;
}

/* Another file has the name now, or this one was cut: what it had is read already. */
static bool rotated(const struct reading *r)
{
	struct stat here, there;
	off_t at = lseek(r->fd, 0, SEEK_CUR);

	if (fstat(r->fd, &here) < 0 || stat(r->path, &there) < 0)
		return false;
	return here.st_dev != there.st_dev || here.st_ino != there.st_ino || there.st_size < at;
}

static int watch_open(const char *path, int *ret_fd)
{
	owned_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	owned_mem char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (fd < 0 || !dir)
		return fd < 0 ? -errno : -ENOMEM;
	if (slash)
		slash[slash == dir] = '\0';
	if (inotify_add_watch(fd, slash ? dir : ".", IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int await_change(int watch)
{
	struct pollfd p = { .fd = watch, .events = POLLIN };
	char events[4096];

	if (poll(&p, 1, -1) < 0 && errno != EINTR)
		return -errno;
	while (read(watch, events, sizeof(events)) > 0)
		; /* that something changed is all that is asked */
	return 0;
}

static void reading_close(struct reading *r)
{
	if (r->fd >= 0)
		close(r->fd);
}

int audit_read(const char *path, size_t last, bool follow, audit_each each, void *ctx)
{
	owned(reading_close) struct reading r = {
		.path = path, .fd = -1, .each = each, .ctx = ctx
	};
	owned_fd int watch = -1;
	int stop = follow ? watch_open(path, &watch)
			  : 0; /* before the first look: nothing is missed */

	if (stop == 0)
		stop = file_open(&r, last);
	if (stop == 0)
		stop = drain(&r);
	while (stop == 0 && follow) {
		stop = await_change(watch);
		if (stop == 0)
			stop = drain(&r);
		if (stop == 0 && rotated(&r)) {
			stop = file_open(&r, SIZE_MAX / 2);
			if (stop == 0)
				stop = drain(&r);
		}
	}
	return stop;
}

/* ---- a line ---- */

/* Needs no quotes, and does nothing to a terminal: what asked wrote some of these bytes. */
static bool is_word(const char *s)
{
	for (const char *at = s; *at; at++)
		if (*at <= ' ' || *at > '~' || *at == '"' || *at == '\\')
			return false;
	return *s != '\0';
}

static void value_print(struct text *t, const json_t *v)
{
	const char *s = json_string_value(v);

	if (json_is_integer(v))
		text_printf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_boolean(v))
		text_puts(t, json_is_true(v) ? "true" : "false");
	else if (s && is_word(s))
		text_puts(t, s);
	else
		text_json(t, s ? s : "", s ? strlen(s) : 0);
}

static void member_print(struct text *t, const json_t *o, const char *name, const char *before)
{
	const json_t *v = json_object_get(o, name);

	if (!v)
		return;
	text_puts(t, before);
	value_print(t, v);
}

bool audit_line_print(const char *line, size_t len, struct text *ret)
{
	static const char *const first[] = { "time", "room", "ask", "event", "reason" };
	owned(json_owned) json_t *o = json_parse(line, len, JSON_TOP_OBJECT, NULL, 0);
	const char *name;
	json_t *value;

	if (!o || !json_object_get(o, "time"))
		return false;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		member_print(ret, o, first[i], i ? " " : "");
	json_object_foreach(o, name, value)
	{
		bool said = false;

		for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
			said = said || strcmp(name, first[i]) == 0;
		if (said)
			continue;
		text_printf(ret, " %s=", name);
		value_print(ret, value);
	}
	return true;
}

bool audit_line_get(const char *line, size_t len, const char *name, char *ret, size_t cap)
{
	owned(json_owned) json_t *o = json_parse(line, len, JSON_TOP_OBJECT, NULL, 0);
	const json_t *v = json_object_get(o, name);
	struct text t;

	if (!o)
		return false;
	ret[0] = '\0';
	text_init(&t, ret, cap);
	if (json_is_string(v))
		text_puts(&t, json_string_value(v));
	else if (v)
		value_print(&t, v);
	return true;
}
