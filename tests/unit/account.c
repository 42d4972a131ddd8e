/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room's account when the audit file does not take its line (attacks.md 146, fault F2): write(2) and fdatasync(2) fail
 * with everything that they can, or take a part. Then the answer is "no-audit", whatever was decided; what was counted
 * is what was asked; and once the file takes lines again, each whole line in it stands alone.
 */
#include "room/account.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the two system calls, which can be told to fail on one descriptor ---- */

static int faulty_fd = -1;
static int write_errno, sync_errno;
static size_t write_most;     /* 0: all */
static unsigned times, calls; /* so many calls fail; so many were made */

static bool fails(int fd)
{
	if (fd != faulty_fd)
		return false;
	calls++;
	if (!times)
		return false;
	times--;
	return true;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	ssize_t (*real)(int, const void *, size_t);

	*(void **)&real = dlsym(RTLD_NEXT, "write");
	if (!(write_errno || write_most) || !fails(fd))
		return real(fd, bytes, len);
	if (write_most)
		return real(fd, bytes, len < write_most ? len : write_most);
	errno = write_errno;
	return -1;
}

int fdatasync(int fd)
{
	if (!sync_errno || !fails(fd))
		return 0;
	errno = sync_errno;
	return -1;
}

#define UNAUDITED "accepted: twin=audit_written: "

static struct account account;
static struct policy_image image;
static int audit;

static void fault(int on_write, size_t most, int on_sync, unsigned count)
{
	write_errno = on_write;
	write_most = most;
	sync_errno = on_sync;
	times = count;
	calls = 0;
}

static void open_account(void)
{
	int counters = memfd_create("counters", MFD_CLOEXEC);

	audit = memfd_create("audit", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(counters, sizeof(struct room_counters)), 0);
	cr_assert_eq(account_open(&account, "sign", audit, counters), 0);
	close(counters);
	faulty_fd = audit;
	fault(0, 0, 0, 0);
}

static enum reason answer(enum reason decided)
{
	account_begin(&account, "sign", decided);
	audit_u64(&account.line, "pid", 7);
	return account_end(&account, &image, decided);
}

/* How many whole lines the file has that say @word; every other line is a torn one's beginning. */
static unsigned lines_with(const char *word)
{
	static char text[1 << 20];
	ssize_t n = pread(audit, text, sizeof(text) - 1, 0);
	unsigned found = 0;
	char *save = NULL;

	cr_assert(n >= 0);
	text[n] = '\0';
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		json_t *parsed = json_loads(l, JSON_REJECT_DUPLICATES, NULL);
		const char *reason = json_string_value(json_object_get(parsed, "reason"));

		cr_assert(parsed || l[strlen(l) - 1] != '}', "two lines are one: %s", l);
		found += reason && strcmp(reason, word) == 0;
		json_decref(parsed);
	}
	return found;
}

static uint64_t answered(enum reason r)
{
	return account.counters->answered[r];
}

Test(account, attack_146_what_write_can_say, .init = open_account)
{
	static const int errors[] = { EAGAIN, EBADF,  EDQUOT, EFBIG, EINVAL, EIO,
				      ENOMEM, ENOSPC, EPERM,  EROFS, EPIPE,  EDESTADDRREQ };
	const unsigned count = sizeof(errors) / sizeof(errors[0]);

	for (unsigned i = 0; i < count; i++) {
		fault(errors[i], 0, 0, 1);
		cr_assert_eq(answer(REASON_OK), REASON_NO_AUDIT, UNAUDITED "errno %d", errors[i]);
		cr_assert_eq(answer(REASON_OK), REASON_OK, "after errno %d", errors[i]);
	}
	cr_assert_eq(lines_with("ok"), count);
	cr_assert_eq(account.counters->asked, 2 * count);
	cr_assert_eq(answered(REASON_OK), count);
	cr_assert_eq(answered(REASON_NO_AUDIT), count);
}

/* What others count is on the page as it was told, beside what the account counts itself. */
Test(account, counts_of_the_door, .init = open_account)
{
	const struct door_counts door = { .refused = { 1, 2, 3 }, .displaced = 4, .idle = 5 };
	const struct room_counters *c = account.counters;

	answer(REASON_OK);
	account_door(&account, &door, 6);
	cr_expect_eq(memcmp(&c->door, &door, sizeof(door)), 0);
	cr_expect_eq(c->forced, 6);
	cr_expect_eq(c->asked, 1);
	cr_expect_eq(c->suppressed, 0);
}

/* A refusal is no less a line than a yes. */
Test(account, attack_146_a_refusal_without_a_line, .init = open_account)
{
	fault(ENOSPC, 0, 0, 1);
	cr_assert_eq(answer(REASON_POLICY), REASON_NO_AUDIT);
	cr_assert_eq(answered(REASON_POLICY), 0);
}

Test(account, attack_146_a_signal_is_no_failure, .init = open_account)
{
	fault(EINTR, 0, 0, 20);
	cr_assert_eq(answer(REASON_OK), REASON_OK);
	cr_assert_eq(calls, 21);
	cr_assert_eq(lines_with("ok"), 1);
}

Test(account, attack_146_every_part_of_a_line, .init = open_account)
{
	size_t len;

	cr_assert_eq(answer(REASON_OK), REASON_OK);
	len = (size_t)lseek(audit, 0, SEEK_CUR);
	for (size_t most = 1; most < len - 1; most++) {
		fault(0, most, 0, 1);
		cr_assert_eq(answer(REASON_OK), REASON_NO_AUDIT, UNAUDITED "%zu bytes", most);
		fault(ENOSPC, 0, 0, 1); /* the newline that closes it has no room either */
		cr_assert_eq(answer(REASON_OK), REASON_NO_AUDIT, UNAUDITED "behind %zu", most);
		fault(0, 0, 0, 0);
		cr_assert_eq(answer(REASON_POLICY), REASON_POLICY, "after %zu bytes", most);
	}
	cr_assert_eq(lines_with("ok"), 1);
	cr_assert_eq(lines_with("policy"), len - 2);
}

Test(account, attack_146_what_fdatasync_can_say, .init = open_account)
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EROFS, EBADF };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		image.flags = POLICY_AUDIT_SYNC;
		fault(0, 0, errors[i], 1);
		cr_assert_eq(answer(REASON_OK), REASON_NO_AUDIT, UNAUDITED "errno %d", errors[i]);
		cr_assert_eq(answer(REASON_OK), REASON_OK);
		image.flags = 0; /* who does not ask for it is not refused for it */
		fault(0, 0, errors[i], 1);
		cr_assert_eq(answer(REASON_OK), REASON_OK);
	}
}
