// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a bundle: what is taken prints, and reads back as the same; what is refused says why, in one line. */
#include "edge/bundle.h"
#include "edge/sig.h"
#include <stdlib.h>
#include <string.h>

static void must(int what)
{
	if (!what)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bundle *b = NULL, *again = NULL;
	char error[256] = "", *text, *second;
	int err;

	must(sig_open() == 0);
	err = bundle_parse("example.org", (const char *)data, size, &b, error, sizeof(error));
	if (err < 0) {
		must(error[0] && !strchr(error, '\n') && !b);
		return 0;
	}
	must(bundle_print(b, &text) == 0);
	must(bundle_parse("example.org", text, strlen(text), &again, error, sizeof(error)) == 0);
	must(again->key_count == b->key_count && again->sequence == b->sequence);
	must(bundle_print(again, &second) == 0 && !strcmp(text, second));
	free(text);
	free(second);
	bundle_free(b);
	bundle_free(again);
	return 0;
}
