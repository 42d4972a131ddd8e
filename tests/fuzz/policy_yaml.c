/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy file of any bytes: refused with a place, or an image that passes policy_check() and whose canonical
 * print parses to the same policy, however many times.
 */
#include "base/cleanup.h"
#include "edge/policy_draft.h"
#include "edge/policy_read.h"
#include "edge/policy_tree.h"
#include "edge/policy_yaml.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(int holds)
{
	if (!holds)
		abort();
}

/* The image of one main file, or NULL. */
static void *compile(const char *bytes, size_t len, size_t *ret_size)
{
	char error[1024] = "";
	owned(draft_drop) struct draft d = { .error = error, .error_cap = sizeof(error) };
	struct tree_error why = { 0 };
	struct tree_node *root;
	struct bundle **own;
	void *image = NULL;

	if (tree_parse(&d.arena, bytes, len, &root, &why) < 0) {
		must(why.line >= 1 && why.column >= 1 && why.what[0]);
		return NULL;
	}
	if (policy_read(&d, POLICY_FILE_MAIN, "cleat.yaml", "cleat.yaml", root) < 0) {
		must(strncmp(error, "cleat.yaml:", 11) == 0);
		return NULL;
	}
	own = draft_more(&d.bundles, &d.bundle_count, &d.bundle_cap, sizeof(*own));
	must(own && (*own = bundle_new(d.trust_domain)));
	if (draft_build(&d, NULL, &image, ret_size) < 0)
		must(strncmp(error, "cleat.yaml:", 11) == 0);
	return image;
}

static char *print(const void *image, size_t *ret_len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	must(f && policy_print(image, f) == 0);
	fclose(f);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	owned_mem void *first = NULL, *second = NULL;
	owned_mem char *printed = NULL, *again = NULL;
	size_t size, printed_len, again_len;

	first = compile((const char *)bytes, len, &size);
	if (!first)
		return 0;
	must(policy_check(first, size) == 0);
	printed = print(first, &printed_len);
	second = compile(printed, printed_len, &size);
	must(second && policy_check(second, size) == 0);
	again = print(second, &again_len);
	must(strcmp(printed, again) == 0);
	return 0;
}
