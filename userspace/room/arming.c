/* SPDX-License-Identifier: Apache-2.0 */
/* Which level this machine gives. See arming.h. */
#include "room/arming.h"

#include "base/log.h"
#include "base/twin.h"
#include "edge/machine.h"
#include "model/assertion.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PROBE_LIMIT_MS 20000 /* the guests of the tests are slow, and so is a host at boot */

void arming_close(struct arming *a)
{
	if (a->probe)
		kern_probe_free(a->probe);
	if (a->kern)
		kern_close(a->kern);
	a->probe = NULL;
	a->kern = NULL;
}

static const char *remedy(enum kern_probed probed)
{
	if (machine_ftrace_off())
		return "; kernel.ftrace_enabled is 0, which silences BPF LSM: sysctl kernel.ftrace_enabled=1";
	if (probed == KERN_PROBED_SILENT)
		return "; the programs are attached and not called: another BPF tool or the kernel keeps them from it";
	return "";
}

/* Attached, and seen to run. */
static int prove(struct arming *a, char *line, size_t cap)
{
	enum kern_probed probed;
	char seen[256] = "";
	int err = kern_attach(a->kern, line, cap);

	if (err == 0)
		err = kern_probe_new(a->kern, &a->probe, line, cap);
	if (err < 0)
		return err;
	probed = kern_probe_run(a->probe, true, PROBE_LIMIT_MS, seen, sizeof(seen));
	if (probed == KERN_PROBED_SEEN)
		return 0;
	snprintf(line, cap, "the live probe does not prove level %s: %s%s",
		 level_word(kern_level(a->kern)), seen, remedy(probed));
	return -ENODATA;
}

/* The caller of an API socket is identified by SO_PEERPIDFD there. */
static int reduced_possible(char *line, size_t cap)
{
	struct machine_kernel k;

	if (machine_kernel(&k) == 0 && (k.major > 6 || (k.major == 6 && k.minor >= 5)))
		return 0;
	snprintf(line, cap, "level reduced needs Linux 6.5 or newer (SO_PEERPIDFD), and this is %s",
		 machine_kernel(&k) == 0 ? k.release : "unknown");
	return -EOPNOTSUPP;
}

static int open_level(const struct arming_options *o, uint32_t level, struct kern **ret, char *line,
		      size_t cap)
{
	const struct kern_options ko = {
		.cgroup = o->cgroup, .level = level, .pins = o->pins, .lineage = o->lineage
	};
	int err = level == CLEAT_LEVEL_REDUCED ? reduced_possible(line, cap) : 0;

	return err < 0 ? err : kern_open(&ko, ret, line, cap);
}

/* What was adopted may be armed still, from the daemon before. That it is whole was not proved just now, and the daemon
 * after us must not take it for whole without a gap. */
static void disprove(struct kern *kern)
{
	struct cleat_config config;
	int err = kern_config(kern, &config);

	if (err == 0 && kern_is_armed(&config))
		err = kern_epoch_next(kern, CLEAT_LEVEL_NONE);
	if (err < 0)
		log_error(
			"level-lost",
			"error=\"the kernel side that is pinned stays armed: %s\" remedy=\"cleatd disarm\"",
			strerror(-err));
}

static int try_level(const struct arming_options *o, uint32_t level, struct arming *a, char *line,
		     size_t cap)
{
	int err = open_level(o, level, &a->kern, line, cap);

	if (err == 0)
		a->unfit = kern_unfit(a->kern);
	if (err == 0 && o->before) {
		err = o->before(o->ctx, a->kern);
		if (err < 0)
			snprintf(line, cap, "cannot say whose the kernel side is: %s",
				 strerror(-err));
	}
	if (err == 0) {
		err = prove(a, line, cap);
		if (err < 0)
			disprove(a->kern);
	}
	/* the sets before this one go when it is proved, and not sooner */
	if (err == 0)
		err = kern_tidy(a->kern, line, cap);
	if (err < 0) {
		if (a->kern)
			kern_undo(a->kern);
		arming_close(a);
	}
	return err;
}

/* Level full was here and may be again: what its set remembers is not given up for a start that failed. */
static bool must_be_full(const struct arming_options *o, char *line, size_t cap)
{
	char name[64] = "";

	if (o->level != CLEAT_LEVEL_NONE || !kept(full_remembered) || !o->pins || !o->lineage ||
	    !kern_pins_remember(o->pins, o->lineage, name, sizeof(name)))
		return false;
	snprintf(
		line, cap,
		"level reduced would cost what %s remembers: try again, or give it up: cleatd disarm, or --level reduced",
		name);
	return true;
}

/* -EEXIST: what is pinned there is not ours, at whatever level. */
int arming_open(const struct arming_options *o, struct arming *ret, char *line, size_t line_cap)
{
	struct arming a = { 0 };
	char reduced[ARMING_LINE] = "";
	int err = -EOPNOTSUPP;

	if (o->level != CLEAT_LEVEL_REDUCED) {
		err = try_level(o, CLEAT_LEVEL_FULL, &a, a.why, sizeof(a.why));
		if (err == 0)
			a.why[0] = '\0';
	}
	if (err < 0 && err != -EEXIST && o->level != CLEAT_LEVEL_FULL &&
	    (a.unfit || !must_be_full(o, reduced, sizeof(reduced))))
		err = try_level(o, CLEAT_LEVEL_REDUCED, &a, reduced, sizeof(reduced));
	if (err == 0)
		*ret = a;
	else
		snprintf(line, line_cap, "%s%s%s", a.why, a.why[0] && reduced[0] ? "; and " : "",
			 reduced);
	return err;
}

int arming_check(const struct arming_options *o, uint32_t level, char *line, size_t line_cap)
{
	owned(kern_owned) struct kern *k = NULL;
	int err = open_level(o, level, &k, line, line_cap);

	if (err == 0 && level == CLEAT_LEVEL_FULL && machine_ftrace_off()) {
		snprintf(
			line, line_cap,
			"kernel.ftrace_enabled is 0: BPF LSM programs would not be called; sysctl kernel.ftrace_enabled=1");
		return -ENODATA;
	}
	return err;
}

void arming_warn(uint32_t level)
{
	struct machine_kernel k;
	struct machine_flaw f;

	if (machine_kernel(&k) < 0)
		return;
	for (unsigned i = 0; machine_flaw(&k, i, &f); i++)
		if (level >= f.level)
			log_event("kernel-flaw", "kernel=%s id=%s what=\"%s\" ends=\"%s\"",
				  k.release, f.id, f.what, f.ends);
}
