/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the host's two keys, as a reload comes and goes. A key read anew is staged and signs nothing; it is taken with the
 * image it came for; that image may be taken back, and the key with it, until the kernel room says that it is in force
 * everywhere: then the key before is wiped.
 */
#ifndef CLEAT_ROOM_HOST_KEY_H
#define CLEAT_ROOM_HOST_KEY_H

#include "edge/sig.h"

enum host_key_other { HOST_KEY_NOTHING, HOST_KEY_STAGED, HOST_KEY_BEFORE };

struct host_key {
	struct sig_key *now;	  /* NULL: there is none, as of a next one outside rotation */
	enum host_key_other what; /* the other one is */
	struct sig_key *other;
};

/* @key, which may be NULL, is taken over. It counts with the next image. */
void host_key_stage(struct host_key *k, struct sig_key *key);
/* Whatever is staged counts no more. */
void host_key_unstage(struct host_key *k);
/* An image is in use here: what is staged for it counts. */
void host_key_take(struct host_key *k);
/* The image before is in use again, and so is its key. */
void host_key_back(struct host_key *k);
/* There is no going back any more. */
void host_key_settle(struct host_key *k);
void host_key_free(struct host_key *k);

#endif
