// SPDX-License-Identifier: Apache-2.0
/* The window of seq: see window.h. Bit i of words[] stands for highest - i, so moving the window is a shift. */
#include "model/window.h"
#include "base/twin.h"
#include <stdbool.h>
#include <string.h>

static bool seen(const struct cleat_window *w, uint64_t back)
{
	return w->words[back / 64] >> (back % 64) & 1;
}

enum reason window_check(const struct cleat_window *w, uint32_t generation, uint64_t seq)
{
	if (seq == 0)
		return REASON_REPLAYED;
	if (w->generation != generation || seq > w->highest)
		return REASON_OK;
	if (kept(seq) && w->highest - seq >= CLEAT_WINDOW_BITS)
		return REASON_REPLAYED;
	if (kept(seq) && seen(w, w->highest - seq))
		return REASON_REPLAYED;
	return REASON_OK;
}

/* Every bit @by places further back; what falls out at the end is left of the window. */
static void shift(struct cleat_window *w, uint64_t by)
{
	unsigned words = (unsigned)(by / 64), bits = (unsigned)(by % 64);

	if (by >= CLEAT_WINDOW_BITS) {
		memset(w->words, 0, sizeof(w->words));
		return;
	}
	for (unsigned i = CLEAT_WINDOW_WORDS; i-- > 0;) {
		uint64_t word = i >= words ? w->words[i - words] << bits : 0;

		if (bits && i > words)
			word |= w->words[i - words - 1] >> (64 - bits);
		w->words[i] = word;
	}
}

enum reason window_admit(struct cleat_window *w, uint32_t generation, uint64_t seq)
{
	enum reason r = window_check(w, generation, seq);
	uint64_t back;

	if (r != REASON_OK)
		return r;
	if (w->generation != generation) {
		memset(w->words, 0, sizeof(w->words));
		w->generation = generation;
		w->highest = 0;
	}
	if (seq > w->highest) {
		shift(w, seq - w->highest);
		w->highest = seq;
	}
	back = w->highest - seq;
	if (back < CLEAT_WINDOW_BITS) /* always, but in the twin without the check */
		w->words[back / 64] |= 1ULL << (back % 64);
	return REASON_OK;
}
