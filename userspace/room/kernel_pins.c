/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel room has to do with pins: their lock, what it says of them, what it waits for where they are lost. */
#include "room/kernel_state.h"

#include "base/clock.h"
#include <errno.h>
#include <time.h>

/* One kernel side a host: whoever else uses these pins keeps us out, from whatever run-time directory it runs. */
int kernel_pins_lock(struct kernel_room *k)
{
	char error[1024] = "";
	int err = kern_pins_open(k->o.pins, true, &k->pins, error, sizeof(error));

	if (err == -EACCES)
		log_error(
			"pins",
			"error=\"%s: they are refused to all but a daemon in the cgroup of the one before (%s is ours); end that one, then cleatd disarm\"",
			error, k->keeper.path);
	else if (err < 0)
		log_error("pins", "error=\"%s\"", error);
	return err;
}

/* As kernel_pins_lock(), but nothing is locked or made: a daemon may be running. */
int kernel_pins_look(const struct kernel_options *o, struct kern_pins **ret)
{
	char error[1024] = "";
	int err = kern_pins_open(o->pins, false, ret, error, sizeof(error));

	if (err == -EACCES ||
	    (err == -EPERM && geteuid() == 0)) { /* at level full they are the daemon's alone */
		log_event("pins", "path=\"%s\" looked-at=0 why=\"%s\"", o->pins, error);
		return 0;
	}
	if (err < 0 && err != -ENOENT) {
		log_error("pins", "error=\"%s\"", error);
		return err;
	}
	return 0;
}

/* What was pinned and is not any more is the administrator's to know. */
void kernel_pins_tell(const struct kernel_room *k)
{
	if (kern_origin(k->kern) == KERN_REPLACED)
		log_event(
			"pins",
			"replaced=\"%s\" lost=\"what is open now gets no assertion any more: its tags go with the old set\"",
			kern_replaced(k->kern));
}

/* Does what was adopted know the connections accepted before? One that a daemon before us made and never armed does not:
 * that one may have died in this very wait. */
static bool remembers(const struct kernel_room *k)
{
	enum kern_origin origin = kern_origin(k->kern);
	struct cleat_config config;

	return (origin == KERN_ADOPTED || origin == KERN_CHANGED) &&
	       kern_config(k->kern, &config) == 0 && kern_was_armed(&config);
}

/* Where the memory of accepted connections was lost: its pins removed, or not to be adopted. Whoever accepted before us is
 * gone: our rooms have their locks. No connection that is established after our arming may be near enough in time to one that it accepted for the establishment check to take them for the same. */
void kernel_pins_wait(const struct kernel_room *k)
{
	uint64_t until = clock_boot_ns() + k->current.p->est_tolerance_ms * 1000000ull;
	struct timespec at = { (time_t)(until / 1000000000), (long)(until % 1000000000) };

	if (remembers(k) || (!k->successor && !kern_predecessor(k->kern)))
		return;
	while (clock_boot_ns() < until)
		clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL);
}

int kernel_room_disarm(const struct kernel_options *o)
{
	struct kern_disarmed gone;
	struct keeper keeper;
	char error[1024] = "";
	int err;

	kernel_keeper_reach(o, &keeper);
	err = kern_pins_disarm(o->pins, &gone, error, sizeof(error));
	kernel_keeper_leave(&keeper);
	if (err < 0)
		log_error("disarm", "error=\"%s\"", error);
	else if (!gone.sets && !gone.others)
		log_event("disarm", "path=\"%s\" nothing=\"was pinned\"", o->pins);
	else
		log_event("disarm", "path=\"%s\" sets=%u maps=%u programs=%u links=%u others=%u",
			  o->pins, gone.sets, gone.maps, gone.programs, gone.links, gone.others);
	return err;
}
