/* SPDX-License-Identifier: MIT */
/*
 * What root asks the kernel room on private/admin.sock: the form of model/request.h (SOCK_SEQPACKET, one fixed struct
 * per message, exact lengths, one answer per request), and no request carries a descriptor. Two answers do: the policy
 * image in force, sealed, and the kernel side's tagged sockets, a file of struct cleat_tag. What they mean is for the
 * asker to work out: the room hands out facts and parses nothing. PROTOCOL.md is the same for people.
 */
#ifndef CLEAT_MODEL_ADMIN_H
#define CLEAT_MODEL_ADMIN_H

#include "../bpf/abi.h"
#include "model/counters.h"
#include "model/request.h"

/* Of the run-time directory; locked, flock(2), as long as a daemon lives, also while it starts. */
#define CLEAT_ADMIN_DIR	   "private"
#define CLEAT_ADMIN_SOCKET CLEAT_ADMIN_DIR "/admin.sock"
#define CLEAT_ADMIN_PATH   512u

enum cleat_admin_type {
	CLEAT_ADMIN_STATUS = 16,
	CLEAT_ADMIN_POLICY = 17, /* the answer carries the image's descriptor */
	CLEAT_ADMIN_SOCKETS =
		18, /* the answer carries a descriptor to read struct cleat_tag from */
	CLEAT_ADMIN_TASK = 19,
	CLEAT_ADMIN_RELOAD = 20, /* answered when the outcome is known */
};

/* STATUS, POLICY, SOCKETS, RELOAD. */
struct cleat_admin_ask {
	struct cleat_ask_head head;
};

struct cleat_admin_ask_task {
	struct cleat_ask_head head;
	uint32_t pid; /* in the initial pid namespace */
	uint32_t zero;
};

/* POLICY, SOCKETS, RELOAD: what there is to say stands in the head. */
struct cleat_admin_answer {
	struct cleat_answer_head head;
};

struct cleat_admin_answer_task {
	struct cleat_answer_head head;
	uint32_t recorded; /* 1: the kernel side keeps a record of this task */
	uint32_t zero;
	struct cleat_task task; /* a cache: counts only while its inputs are the present ones */
};

struct cleat_admin_answer_status {
	struct cleat_answer_head head;
	uint32_t pid; /* of the kernel room */
	uint32_t workloads;
	uint32_t keys;
	uint32_t revoked;
	struct cleat_config config; /* as the kernel side has it now */
	uint64_t begun_ns;	    /* boot clock: start of this daemon */
	uint64_t now_ns;	    /* boot clock */
	uint64_t reloads;	    /* asked for since the start, the first reading not counted */
	uint64_t reloads_failed;    /* the generation before stayed */
	uint64_t counts[CLEAT_COUNT_COUNT]; /* enum cleat_count */
	struct room_counters rooms[2];	    /* sign room, check room */
	char version[32];		    /* of the daemon */
	char audit[CLEAT_ADMIN_PATH];
	char config_dir[CLEAT_ADMIN_PATH];
	char state_dir[CLEAT_ADMIN_PATH];
	char reload_error[CLEAT_ADMIN_PATH]; /* of the last reload; empty: it succeeded */
	uint32_t pins;			     /* enum kern_origin: how the kernel side came about */
	uint32_t pins_zero;
	uint32_t wanted;       /* enum cleat_level: what is in force while armed */
	uint32_t hooks;	       /* that the watcher looks at */
	uint32_t synchronised; /* 1: the kernel calls the clock so */
	uint32_t zero;
	uint64_t events_suppressed; /* the kernel's, that have no audit line of their own */
	uint64_t falls;		    /* times it was found incomplete since the start */
	uint64_t looked_ns;	    /* boot clock: the watcher's last look */
	uint64_t proved_ns;	    /* boot clock: a probe saw the hooks run */
	char why[CLEAT_ADMIN_PATH]; /* why not armed, or not full; empty: it is */
};

#endif
