// SPDX-License-Identifier: Apache-2.0
/* Reasons: see reason.h. One table made from the one list. */
#include "model/reason.h"
#include <string.h>

static const struct {
	const char *word;
	const char *sentence;
	enum reason shown;
} reasons[REASON_COUNT] = {
#define X(name, word, shown, sentence) [REASON_##name] = { word, sentence, REASON_##shown },
	REASONS(X)
#undef X
};

/* Numbers come from the wire and from counters too. */
static enum reason known(enum reason r)
{
	return (unsigned)r < REASON_COUNT ? r : REASON_UNDECIDED;
}

const char *reason_word(enum reason r)
{
	return reasons[known(r)].word;
}

const char *reason_sentence(enum reason r)
{
	return reasons[known(r)].sentence;
}

enum reason reason_public(enum reason r)
{
	return reasons[known(r)].shown;
}

enum reason reason_of_word(const char *word)
{
	for (unsigned r = 0; r < REASON_COUNT; r++)
		if (!strcmp(reasons[r].word, word))
			return (enum reason)r;
	return REASON_UNDECIDED;
}
