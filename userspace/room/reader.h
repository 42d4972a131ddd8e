/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one-shot reader: a child that compiles YAML and bundles into one image, seals it, hands it over and ends.
 * What it reads is untrusted until then; nothing of its memory survives it.
 */
#ifndef CLEAT_ROOM_READER_H
#define CLEAT_ROOM_READER_H

#include "model/policy.h"
#include "room/rooms.h"
#include <stdbool.h>
#include <stddef.h>

struct reader_options {
	const char *config_dir;
	const char *state_dir;
	enum log_format format;
};

#define READER_LIMIT_S 30 /* how long it is waited for */

/* Kernel room's side. @previous: the image of the generation before as a descriptor, or -1. On failure @error
 * has one line "file:line:column: ..." and everything stays as it was. */

/* Starts one; its channel becomes readable when it has an answer, or is gone. */
int reader_start(const struct reader_options *o, int previous, struct room_child *ret, char *error,
		 size_t error_cap);
/* Takes the answer and ends it. @late: it is waited for no longer, and there is none. */
int reader_finish(struct room_child *child, bool late, int previous, int *ret_image, char *error,
		  size_t error_cap);
/* Both, and the wait between them: where nothing else has to be served. */
int reader_run(const struct reader_options *o, int previous, int *ret_image, char *error,
	       size_t error_cap);

/* The child's side: exit code. */
int reader_main(const struct reader_options *o);

#endif
