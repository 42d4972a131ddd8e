/* SPDX-License-Identifier: Apache-2.0 */
/* The three clocks, each with its name, and whether the kernel calls the real one synchronised. */
#ifndef CLEAT_BASE_CLOCK_H
#define CLEAT_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_real_ns(void); /* since 1970 */
uint64_t clock_boot_ns(void); /* since boot, suspend included */
uint64_t clock_mono_ns(void);

/* False while adjtimex(2) says STA_UNSYNC or TIME_ERROR. */
bool clock_synchronised(void);

/* A point of the boot clock as milliseconds since 1970, by one reading of both clocks. */
uint64_t clock_boot_to_real_ms(uint64_t boot_ns);

#endif
