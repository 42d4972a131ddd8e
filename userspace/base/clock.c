// SPDX-License-Identifier: Apache-2.0
/* Clocks: see clock.h. clock_gettime(2) on these three cannot fail on Linux. */
#include "base/clock.h"
#include <sys/timex.h>
#include <time.h>

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_real_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

uint64_t clock_boot_ns(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

uint64_t clock_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

bool clock_synchronised(void)
{
	struct timex state = { .modes = 0 };
	int said = adjtimex(&state);

	return said >= 0 && said != TIME_ERROR && !(state.status & STA_UNSYNC);
}

uint64_t clock_boot_to_real_ms(uint64_t boot_ns)
{
	uint64_t real = clock_real_ns();
	uint64_t boot = clock_boot_ns();
	int64_t at = (int64_t)(real - (boot - boot_ns));

	return at > 0 ? (uint64_t)at / 1000000u : 0;
}
