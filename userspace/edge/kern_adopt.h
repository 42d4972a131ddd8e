/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of pins: recognised whole or not at all, made, and taken over by another object. In its directory lie
 *
 *	map_<map>	link_<program>	prog_<walk>	manifest
 *
 * and, while another object takes it over, manifest_<object> and <name>_new. A set is made beside its name and renamed
 * to it when nothing is missing. It is taken over in an order in which every link is at any moment one of a
 * manifest's that lies there, and one manifest's programs are all attached: whoever comes after a death in between
 * sees that, and takes it over once more. For edge/kern.c alone.
 */
#ifndef CLEAT_EDGE_KERN_ADOPT_H
#define CLEAT_EDGE_KERN_ADOPT_H

#include "edge/kern_manifest.h"
#include "edge/kern_object.h"
#include "edge/kern_pin.h"

struct kern_self;

/* What was found; what is done with it. */
enum kern_found {
	KERN_FOUND_NOTHING, /* made anew */
	KERN_FOUND_WHOLE,   /* adopted as it is */
	KERN_FOUND_CHANGE, /* another object's, or half taken over: maps stay, programs are replaced */
	KERN_FOUND_UNFIT, /* ours, but not to be trusted with the past: replaced */
};

struct kern_wanted {
	const struct kern_pins *pins;
	const struct kern_object *object;
	const uint8_t *lineage;	      /* KERN_LINEAGE bytes; NULL: any */
	uint64_t cgroup_id;	      /* that its links must be attached to */
	const struct kern_self *self; /* where each new link is said to be ours; NULL: nowhere */
};

/* Looks, changes nothing. Maps, links and walk of a set that is WHOLE or to CHANGE come into *ret. @text: why it is
 * UNFIT; or, with -EEXIST, what is foreign there and the way out. */
int kern_adopt_look(const struct kern_wanted *w, struct kern_set *ret, enum kern_found *ret_found,
		    char *text, size_t cap);

/* The directory's own entries: sets, or foreign. Text as above. *ret_any: there are some. */
int kern_adopt_survey(const struct kern_pins *p, bool *ret_any, char *text, size_t cap);

/* Attaches the loaded object, pins it as a set, and puts it in the place of whatever has its name. */
int kern_adopt_make(const struct kern_wanted *w, int cgroup, struct kern_set *set, char *error,
		    size_t cap);
/* The other way round: what kern_adopt_make() made goes, and what had its name has it again. */
void kern_adopt_unmake(const struct kern_wanted *w);
/* Replaces the programs of a set by the loaded object's, without a gap. */
int kern_adopt_change(const struct kern_wanted *w, int cgroup, struct kern_set *set, char *error,
		      size_t cap);
/* A link that was attached anew, in the place of the pinned one. */
int kern_adopt_relink(const struct kern_wanted *w, const char *name, int fd);
/* Whatever of the set is not pinned any more is pinned again; *ret_lost: how many. -ENOENT: the set's
 * directory is gone, and with it what a restart would adopt. */
int kern_adopt_repin(const struct kern_wanted *w, const struct kern_set *set, unsigned *ret_lost);
/* Removes every other set. */
int kern_adopt_tidy(const struct kern_wanted *w, char *error, size_t cap);

#endif
