/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel room takes from its reader, which read what strangers wrote. */
#include "room/reader.h"

#include "room/channel.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What reader_finish() makes of an error whose bytes are @said. */
static void errs(const char *said, size_t len, char error[512])
{
	struct room_child child = { .name = "reader", .pidfd = -1 };
	struct channel_error e = { 0 };
	int ends[2], image = -1;

	memcpy(e.line, said, len);
	cr_assert_eq(channel_pair(ends), 0);
	child.channel = ends[0];
	cr_assert_eq(channel_send(ends[1], TELL_ERROR, &e, sizeof(e), -1), 0);
	cr_expect_eq(reader_finish(&child, false, -1, &image, error, 512), -EBADMSG);
	cr_expect_eq(image, -1);
	close(ends[0]);
	close(ends[1]);
}

Test(reader, its_error_is_one_clean_line)
{
	static const struct {
		const char *said, *heard;
	} rows[] = {
		{ "cleat.yaml:3:1: no key here", "cleat.yaml:3:1: no key here" },
		{ "a\nMAINPID=1\nREADY=1", "a?MAINPID=1?READY=1" },
		{ "near '\xc2\x9b[2J\x1b[31m'", "near '??[2J?[31m'" },
		{ "\r\t\x7f", "???" },
		{ "", "" },
	};
	char error[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errs(rows[i].said, strlen(rows[i].said), error);
		cr_expect_str_eq(error, rows[i].heard, "%s", error);
	}
}

Test(reader, its_error_ends)
{
	char said[sizeof(struct channel_error)], error[512];

	memset(said, 'x', sizeof(said));
	errs(said, sizeof(said), error);
	cr_expect_eq(strlen(error), sizeof(said) - 1);
}

Test(reader, who_says_nothing_is_said_so)
{
	struct room_child child = { .name = "reader", .pidfd = -1 };
	char error[512];
	int ends[2], image = -1;

	cr_assert_eq(channel_pair(ends), 0);
	child.channel = ends[0];
	close(ends[1]);
	cr_expect_eq(reader_finish(&child, false, -1, &image, error, sizeof(error)), -EPIPE);
	cr_expect(strstr(error, "gave no answer"), "%s", error);
	cr_expect_eq(reader_finish(&child, true, -1, &image, error, sizeof(error)), -ETIMEDOUT);
	close(ends[0]);
}
