/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON line per decision. See audit.h. A member that does not fit is left out and the line says
 * "cut":true; a line that the disk took only in part is closed by the next one's own newline.
 */
#include "edge/audit.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLOSING	    ",\"cut\":true}\n"
#define CLOSING_LEN (sizeof(CLOSING) - 1)

/* "2026-08-01T12:00:00.123456Z"; all but the fraction is printed once a second. */
static void put_time(struct audit_line *l)
{
	uint64_t now = clock_real_ns();
	time_t s = (time_t)(now / 1000000000);
	unsigned us = (unsigned)(now % 1000000000 / 1000);
	char fraction[] = ".000000Z\"";
	struct tm tm;

	if (s != l->second || !l->time[0]) {
		gmtime_r(&s, &tm);
		strftime(l->time, sizeof(l->time), "\"%Y-%m-%dT%H:%M:%S", &tm);
		l->second = s;
	}
	for (char *digit = fraction + 6; us; us /= 10)
		*digit-- = (char)('0' + us % 10);
	text_puts(&l->t, l->time);
	text_puts(&l->t, fraction);
}

/* Every member is put between these two; the second takes back what did not fit. */
static size_t member_begin(struct audit_line *l, const char *name)
{
	size_t at = l->t.len;

	text_puts(&l->t, ",\"");
	text_puts(&l->t, name);
	text_puts(&l->t, "\":");
	return at;
}

static void member_end(struct audit_line *l, size_t at)
{
	if (!l->t.overflown)
		return;
	l->t.len = at;
	l->bytes[at] = '\0';
	l->t.overflown = false;
	l->cut = true;
}

static void line_open(struct audit_line *l, const char *room)
{
	text_init(&l->t, l->bytes, sizeof(l->bytes) - CLOSING_LEN);
	l->cut = false;
	text_puts(&l->t, "{\"time\":");
	put_time(l);
	audit_str(l, "room", room);
}

void audit_event(struct audit_line *l, const char *room, const char *event)
{
	line_open(l, room);
	audit_str(l, "event", event);
}

void audit_begin(struct audit_line *l, const char *room, const char *ask, enum reason reason)
{
	line_open(l, room);
	audit_str(l, "ask", ask);
	audit_str(l, "reason", reason_word(reason));
	audit_str(l, "why", reason_sentence(reason));
}

void audit_str(struct audit_line *l, const char *name, const char *s)
{
	size_t at = member_begin(l, name);

	text_json(&l->t, s, strlen(s));
	member_end(l, at);
}

void audit_u64(struct audit_line *l, const char *name, uint64_t n)
{
	size_t at = member_begin(l, name);

	text_u64(&l->t, n);
	member_end(l, at);
}

void audit_i64(struct audit_line *l, const char *name, int64_t n)
{
	size_t at = member_begin(l, name);

	text_i64(&l->t, n);
	member_end(l, at);
}

void audit_hex(struct audit_line *l, const char *name, const void *bytes, size_t len)
{
	size_t at = member_begin(l, name);

	text_puts(&l->t, "\"");
	text_hex(&l->t, bytes, len);
	text_puts(&l->t, "\"");
	member_end(l, at);
}

void audit_endpoint(struct audit_line *l, const char *name, const uint8_t addr[16], uint16_t port)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	size_t at = member_begin(l, name);
	char ip[INET6_ADDRSTRLEN] = "";

	if (memcmp(addr, mapped, sizeof(mapped)) == 0) {
		for (int i = 12; i < 16; i++) {
			text_put(&l->t, i == 12 ? "\"" : ".", 1);
			text_u64(&l->t, addr[i]);
		}
	} else {
		inet_ntop(AF_INET6, addr, ip, sizeof(ip));
		text_puts(&l->t, "\"[");
		text_puts(&l->t, ip);
		text_puts(&l->t, "]");
	}
	text_puts(&l->t, ":");
	text_u64(&l->t, port);
	text_puts(&l->t, "\"");
	member_end(l, at);
}

int audit_end(struct audit_line *l, int fd, bool sync)
{
	const char *closing = l->cut ? CLOSING : "}\n";
	size_t len = strlen(closing);
	ssize_t n;

	memcpy(l->bytes + l->t.len, closing, len); /* room for it was kept by audit_begin() */
	len += l->t.len;
	if (l->torn && write(fd, "\n", 1) != 1)
		return -EIO;
	l->torn = false;
	do
		n = write(fd, l->bytes, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n != len) {
		l->torn = true;
		return -ENOSPC;
	}
	return sync && fdatasync(fd) < 0 ? -errno : 0;
}
