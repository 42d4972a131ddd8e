/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that stand in the place of a function of another program (freplace): the one that they are put into keeps its
 * id and its tag. For edge/kern*.c alone.
 */
#ifndef CLEAT_EDGE_KERN_EXT_H
#define CLEAT_EDGE_KERN_EXT_H

#include "edge/kern_set.h"

/* Is there one for a program of this set, attached or only loaded? */
bool kern_ext_find(const struct kern_set *s);

#endif
