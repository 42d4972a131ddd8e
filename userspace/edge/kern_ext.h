/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has a descriptor of a program may put another one in the place of each of its global functions, the main one, too
 * (freplace), and its id and tag stay what they were. Where he turns one to it that was loaded for a program of his own
 * (BPF_LINK_CREATE with a target) no hook asks. Of a static function the kernel refuses it itself, and takes the word of who
 * loads for which are: so none of ours is global. For edge/kern*.c alone.
 */
#ifndef CLEAT_EDGE_KERN_EXT_H
#define CLEAT_EDGE_KERN_EXT_H

#include "edge/kern_set.h"

struct btf;

/* Before they are loaded: every function of @btf is static. */
void kern_ext_close(struct btf *btf);
/* What the kernel holds: 0: of no program of this set can a part be replaced. 1: of *ret_name's it can, and may have been.
 * Negative: it could not be looked at; who cannot tell does not go on. */
int kern_ext_look(const struct kern_set *s, const char **ret_name);

#endif
