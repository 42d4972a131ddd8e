/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel room's own state, shared by its files: start (kernel_room.c), life (kernel_life.c), reload (kernel_reload.c). */
#ifndef CLEAT_ROOM_KERNEL_STATE_H
#define CLEAT_ROOM_KERNEL_STATE_H

#include "edge/audit.h"
#include "edge/keeper.h"
#include "edge/kern.h"
#include "room/account_rate.h"
#include "room/arming.h"
#include "room/channel.h"
#include "room/kernel_admin.h"
#include "room/kernel_room.h"
#include "room/loop.h"
#include "room/rooms.h"
#include "room/watchdog.h"
#include "room/watcher.h"

enum { SIGN, CHECK, PUBLIC_ROOMS };
#define EVERY_ROOM_BIT (room_bit(PUBLIC_ROOMS) - 1)

/* What an event is charged to. Nobody spends the lines about what is ours, nor a user who makes a cgroup over and over those
 * of others. */
enum event_rate {
	EVENT_RATE_ACTOR, /* by uid */
	EVENT_RATE_SELF,  /* by uid */
	EVENT_RATE_PLACE, /* by place: a cgroup that policy names */
	EVENT_RATES
};

/* A policy image in the two forms it is used in. */
struct held_image {
	int fd;
	const struct policy_image *p;
};

struct kernel_room {
	struct kernel_options o;
	int dir;     /* run-time directory */
	int private; /* below it, root's: its lock is the daemon's */
	int audit;
	int host_key;
	int listeners[PUBLIC_ROOMS];
	int counters[PUBLIC_ROOMS];
	struct host_facts host;
	struct kern_pins *pins; /* their lock is the kernel side's */
	struct kern *kern;
	struct kern_probe *probe;
	struct watcher *watcher;
	char level_why[ARMING_LINE]; /* why the level is not full; "": it is, or nobody wanted it */
	uint8_t lineage[KERN_LINEAGE]; /* of the labels that this run-time directory gives */
	uint64_t begun_ns;	       /* boot clock */
	struct keeper keeper;	       /* unless reduced was asked for */
	bool successor;		       /* another daemon of this boot ran before us */
	struct room_child rooms[PUBLIC_ROOMS];

	struct held_image current; /* in force everywhere */
	struct held_image newest;  /* the last compiled: its labels are given, in force or not */

	struct loop *loop;
	struct loop_source signals;
	struct loop_source events;
	struct loop_source channels[PUBLIC_ROOMS];
	struct loop_source deaths[PUBLIC_ROOMS];
	struct loop_source limit;  /* of stopping */
	struct loop_source rescan; /* level reduced */
	struct room_child reader;  /* of the reload under way, pid 0: none */
	struct loop_source answer; /* of that reader */
	struct loop_source late;   /* it is waited for no longer */
	struct watchdog watchdog;
	enum channel_phase phase;
	unsigned waiting; /* room_bit() of each that has not said READY, DONE yet */
	bool back;	  /* this reload takes the rooms back to current */
	bool key_kept; /* the sign room was given a file that is no key, and stays with the key before */
	bool again; /* another SIGHUP came meanwhile */
	bool stopping;
	unsigned living; /* while stopping: room_bit() of each that has not ended yet */
	struct admin *admin;
	uint64_t reloads; /* begun, the first reading not counted */
	uint64_t reloads_failed;
	char reload_error[512]; /* of the last one; "": it succeeded */
	struct audit_line line;
	struct account_rates event_rates[EVENT_RATES];
	uint64_t events_suppressed; /* that have no line of their own */
};

/* The reader's @image, which is taken over, becomes newest; what must outlive the daemon is stored first. */
int kernel_image_adopt(struct kernel_room *k, int image, char *error, size_t error_cap);

/* The host's keys as their files are now, to the sign room: none, or both. @error gets a line. */
int kernel_keys_send(struct kernel_room *k, char *error, size_t error_cap);

/* Into a cgroup of our own, where level full is possible: in it alone what is ours may be touched, the pins first of all. The
 * rooms are born there. */
int kernel_keeper_settle(struct kernel_room *k);
/* It is the kernel side's keeper, level full, and known to who comes after us. */
int kernel_keeper_set(struct kernel_room *k);
/* For who is no daemon: where the pins are refused, into the cgroup whose root they are not refused to; and out of it.
 * The path is "" where there is nothing to leave. */
void kernel_keeper_reach(const struct kernel_options *o, struct keeper *ret);
void kernel_keeper_leave(const struct keeper *k);
/* The pins (kernel_pins.c). Takes their lock: -EBUSY, another daemon has it. */
int kernel_pins_lock(struct kernel_room *k);
/* For a look: *ret NULL where there are none. */
int kernel_pins_look(const struct kernel_options *o, struct kern_pins **ret);
void kernel_pins_tell(const struct kernel_room *k);
/* Returns when nothing that was accepted before can be taken for what is established from now on. */
void kernel_pins_wait(const struct kernel_room *k);

/* Begins a reload, or remembers that one is wanted. Negative: a room does not take the image. */
int kernel_room_reload(struct kernel_room *k);

/* A reader under way is waited for no longer, and nothing comes of it. */
void kernel_reload_abandon(struct kernel_room *k);

/* Every room has the image it was sent: the kernel side follows, or the rooms go back. Negative: the daemon ends. */
int kernel_reload_finish(struct kernel_room *k);

/* What `systemctl status` shows; READY=1 ends what RELOADING=1 began. @trouble: "" or what was refused. */
void kernel_notify_ready(struct kernel_room *k, const char *trouble);
/* The same line when something else than a reload has changed it. */
void kernel_notify_status(struct kernel_room *k);

/* Starts watching what is armed (kernel_level.c). */
int kernel_watch(struct kernel_room *k);
/* What is in force now, as a word, and in a longer line why it is not more. */
const char *kernel_level_word(const struct kernel_room *k);
void kernel_level_line(const struct kernel_room *k, char *ret, size_t cap);
struct cleat_admin_answer_status;
void kernel_level_status(const struct kernel_room *k, struct cleat_admin_answer_status *ret);

/* The kernel's events into the audit log (kernel_events.c). */
int kernel_events_serve(struct kernel_room *k);
/* Once a round: tells of those that have no line. True: there is more to tell. */
bool kernel_events_tell(struct kernel_room *k);

/* What a room may say (kernel_life.c). */
int kernel_room_listen(struct kernel_room *k, int which);

#endif
