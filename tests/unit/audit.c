/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One decision is one line of JSON, whatever a tenant chose for a name, however much there is to say, and a line
 * that is not wholly in the file is reported as not written.
 */
#include "edge/audit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

static struct audit_line line;

/* What stands in the file after audit_end(). */
static const char *written(void)
{
	static char got[2 * AUDIT_LINE_MAX];
	char path[] = "/tmp/audit-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	cr_assert(fd >= 0);
	cr_assert_eq(audit_end(&line, fd, true), 0);
	ssize_t n = pread(fd, got, sizeof(got) - 1, 0);
	cr_assert(n > 0);
	got[n] = '\0';
	close(fd);
	return got;
}

Test(audit, says_what_and_why)
{
	const uint8_t v4[16] = { [10] = 0xff, 0xff, 10, 77, 0, 1 };
	const uint8_t v6[16] = { 0xfd, 0x77, [15] = 2 };

	audit_begin(&line, "sign", "sign", REASON_HANDED_OVER);
	audit_u64(&line, "pid", 951);
	audit_i64(&line, "age_ms", -7);
	audit_hex(&line, "inst", "\x01\xab", 2);
	audit_endpoint(&line, "client", v4, 4711);
	audit_endpoint(&line, "server", v6, 443);
	const char *got = written();

	cr_assert(strstr(
		got, "\"room\":\"sign\",\"ask\":\"sign\",\"reason\":\"handed-over\",\"why\":\""));
	cr_assert(
		strstr(got,
		       ",\"pid\":951,\"age_ms\":-7,\"inst\":\"01ab\",\"client\":\"10.77.0.1:4711\","
		       "\"server\":\"[fd77::2]:443\"}\n"),
		"%s", got);
	cr_assert_eq(strncmp(got, "{\"time\":\"2", 10), 0);
	cr_assert_eq(strchr(got, '\n')[1], '\0');
}

/* Bytes a stranger may choose; none may end the line or the string early. */
Test(audit, attack_124_one_event_is_one_line)
{
	static const char *const names[] = {
		"a\nb",	    "\"},{\"room\":\"sign\"", "\x1b[2J", "a\\", "\x7f", "\xff\xfe",
		"\r\n\r\n", "\xe2\x80\xa8",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		audit_begin(&line, "sign", "sign", REASON_POLICY);
		audit_str(&line, "claimed_audience", names[i]);
		const char *got = written();

		cr_assert_eq(strchr(got, '\n') + 1, got + strlen(got), "row %zu: %s", i, got);
		for (const char *c = got; *c != '\n'; c++)
			cr_assert(*c >= ' ' && *c < 0x7f, "row %zu: %s", i, got);
	}
}

/* What was said comes out again: every byte a name can have, alone and among others, up to 64 KB. */
Test(audit, attack_124_lines_parse_again)
{
	static const size_t lens[] = { 1, 2, 3, 100, 1000, 65536 };
	char *name = malloc(65537);

	for (int byte = 1; byte < 256; byte++)
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			json_error_t error;
			json_t *parsed, *said;

			memset(name, byte, lens[i]);
			name[lens[i]] = '\0';
			audit_begin(&line, "sign", "sign", REASON_POLICY);
			audit_str(&line, "claimed_audience", name);
			parsed = json_loads(written(), JSON_REJECT_DUPLICATES, &error);
			cr_assert_not_null(parsed, "%zu times %02x: %s", lens[i], byte, error.text);
			cr_assert_str_eq(json_string_value(json_object_get(parsed, "reason")),
					 "policy");
			said = json_object_get(parsed, "claimed_audience");
			cr_assert_eq(!said, json_is_true(json_object_get(parsed, "cut")));
			if (said && byte < 0x80)
				cr_assert_str_eq(json_string_value(said), name);
			json_decref(parsed);
		}
	free(name);
}

Test(audit, too_much_is_cut_at_a_member)
{
	char *big = malloc(AUDIT_LINE_MAX + 1);

	memset(big, 'x', AUDIT_LINE_MAX);
	big[AUDIT_LINE_MAX] = '\0';
	audit_begin(&line, "check", "verify", REASON_MALFORMED);
	audit_str(&line, "claimed_sub", big);
	audit_u64(&line, "pid", 7);
	const char *got = written();

	cr_assert(strstr(got, ",\"pid\":7,\"cut\":true}\n"));
	cr_assert_eq(strstr(got, "claimed_sub"), NULL);
	audit_begin(&line, "check", "verify", REASON_MALFORMED);
	cr_assert_eq(strstr(written(), "cut"), NULL);

	/* every length around the end of the line: it always closes */
	for (size_t len = AUDIT_LINE_MAX - 300; len < AUDIT_LINE_MAX; len++) {
		audit_begin(&line, "check", "verify", REASON_MALFORMED);
		big[len] = '\0';
		audit_str(&line, "claimed_sub", big);
		got = written();
		big[len] = 'x';
		cr_assert(strlen(got) <= AUDIT_LINE_MAX);
		cr_assert_eq(strcmp(got + strlen(got) - 2, "}\n"), 0);
	}
	free(big);
}

Test(audit, a_line_not_written_is_reported)
{
	char path[] = "/tmp/audit-XXXXXX", got[8192];
	int fd = mkstemp(path);
	struct rlimit small = { 50, RLIM_INFINITY };

	unlink(path);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	audit_begin(&line, "sign", "sign", REASON_OK);
	cr_assert_lt(audit_end(&line, fd, false), 0); /* the disk took 50 bytes */
	audit_begin(&line, "sign", "sign", REASON_OK);
	cr_assert_lt(audit_end(&line, fd, false), 0); /* and none now */
	small.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &small);
	lseek(fd, 0, SEEK_END);
	audit_begin(&line, "sign", "sign", REASON_POLICY);
	cr_assert_eq(audit_end(&line, fd, false), 0);
	ssize_t n = pread(fd, got, sizeof(got) - 1, 0);
	got[n] = '\0';
	cr_assert_eq(strchr(got, '\n'), got + 50, "the torn line is closed first");
	cr_assert_eq(got[51], '{');
	close(fd);

	audit_begin(&line, "sign", "sign", REASON_OK);
	cr_assert_eq(audit_end(&line, -1, false), -9);
	fd = open("/dev/full", O_WRONLY);
	audit_begin(&line, "sign", "sign", REASON_OK);
	cr_assert_eq(audit_end(&line, fd, false), -28);
	close(fd);
}
