// SPDX-License-Identifier: Apache-2.0
/* Any bytes as JSON: what is taken as claims is taken as a value too, prints, and reads back as the same; places for
 * messages are found without reading outside. */
#include "edge/json.h"
#include <stdlib.h>
#include <string.h>

static void must(bool what)
{
	if (!what)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1); /* ends where the input ends, for ASan */
	char error[64] = "";
	json_t *any, *object;

	memcpy(s, data, size);
	any = json_parse(s, size, JSON_TOP_ANY, error, sizeof(error));
	must((any != NULL) == (error[0] == '\0'));
	object = json_parse(s, size, JSON_TOP_OBJECT, NULL, 0);
	must(!object || (any && json_is_object(any) && json_equal(any, object)));
	if (object) {
		char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
		json_t *again = json_parse(text, strlen(text), JSON_TOP_OBJECT, NULL, 0);

		must(again && json_equal(object, again));
		json_decref(again);
		free(text);
		for (size_t i = 0; i < 3; i++)
			must(json_find(s, size, "keys", i).line > 0);
	}
	json_decref(any);
	json_decref(object);
	free(s);
	return 0;
}
