/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * Broken twins: `make TWIN=<check>` builds everything once more below build/twin/<check> with exactly one check
 * removed, so that the test of that check can be shown to fail. A guarded check reads
 *
 *	if (kept(seq) && window_check(...) != REASON_OK)
 *
 * In the shipped build every kept() is the constant 1 (lint proves that no twin macro is defined there).
 */
#ifndef CLEAT_BASE_TWIN_H
#define CLEAT_BASE_TWIN_H

#define TWIN_PLACEHOLDER_1		 0,
#define TWIN_SECOND(ignored, value, ...) value
#define TWIN_DEFINED(one_or_junk)	 TWIN_SECOND(one_or_junk 0, 1, 0)
#define TWIN_EXPAND(value)		 TWIN_DEFINED(TWIN_PLACEHOLDER_##value)
#define TWIN_VALUE(value)		 TWIN_EXPAND(value)

/* 1 unless built with -DTWIN_CUT_<check>=1 */
#define kept(check) TWIN_VALUE(TWIN_CUT_##check)

#endif
