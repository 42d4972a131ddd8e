/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one-shot reader: a child that compiles YAML and bundles into one image, seals it, hands it over and ends.
 * What it reads is untrusted until then; nothing of its memory survives it.
 */
#ifndef CLEAT_ROOM_READER_H
#define CLEAT_ROOM_READER_H

#include "base/log.h"
#include "model/policy.h"
#include <stddef.h>

struct reader_options {
	const char *config_dir;
	const char *state_dir;
	enum log_format format;
	int limit_ms; /* kernel room's side: how long it waits, and everything of its loop with it */
};

#define READER_START_MS	 30000
#define READER_RELOAD_MS 5000 /* less than the service manager's patience with us (WatchdogSec) */

/* Kernel room's side. @previous: the image of the generation before as a descriptor, or -1. On failure @error
 * has one line "file:line:column: ..." and everything stays as it was. */
int reader_run(const struct reader_options *o, int previous, int *ret_image, char *error,
	       size_t error_cap);

/* The child's side: exit code. */
int reader_main(const struct reader_options *o);

#endif
