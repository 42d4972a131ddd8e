/* SPDX-License-Identifier: Apache-2.0 */
/* edge/kern_map's look at what is in force, in memory that another process writes meanwhile: whole, or not believed. */
#include "edge/kern.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#define LOOKS_MOST 400000000u
#define WRITES	   400 /* that fell into a look or beside one */

static struct cleat_config *view;
static volatile sig_atomic_t writes;

/* Every byte anew. A signal comes between any two instructions, as the other processor's writes do. */
static void on_alarm(int sig)
{
	(void)sig;
	memset(view, ++writes & 0x7f, sizeof(*view));
}

static bool is_whole(const struct cleat_config *c)
{
	const unsigned char *bytes = (const unsigned char *)c;

	for (size_t i = 1; i < sizeof(*c); i++)
		if (bytes[i] != bytes[0])
			return false;
	return true;
}

Test(config_view, whole_while_it_is_written, .timeout = 60)
{
	const struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { 0 };
	struct cleat_config got;
	unsigned torn = 0;

	view = mmap(NULL, sizeof(*view), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(view, MAP_FAILED);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned i = 0; i < LOOKS_MOST && writes < WRITES; i++)
		torn += kern_config_look(view, &got) == 0 && !is_whole(&got);
	setitimer(ITIMER_REAL, &never, NULL);
	cr_assert_geq(writes, WRITES, "written %d times only", writes);
	cr_assert_eq(torn, 0, "accepted: twin=config_whole: %u of two writes at once", torn);
}

Test(config_view, what_cannot_be_mapped)
{
	const struct cleat_config *none = NULL;

	cr_expect_lt(kern_config_view(-1, &none), 0);
	cr_expect_null(none);
}
