/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver's window over seq (RFC 4303 3.4.3 in shape): the highest number accepted and the
 * 1 024 before it. Pure arithmetic on the map's value; generation says which connection it is of.
 */
#ifndef CLEAT_MODEL_WINDOW_H
#define CLEAT_MODEL_WINDOW_H

#include "../bpf/abi.h"
#include "model/reason.h"

/* REASON_OK or REASON_REPLAYED; changes nothing. */
enum reason window_check(const struct cleat_window *w, uint32_t generation, uint64_t seq);
/* window_check() and, when that holds, remembers @seq (a new generation starts afresh). */
enum reason window_admit(struct cleat_window *w, uint32_t generation, uint64_t seq);

#endif
