/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every struct and number that crosses the border between the kernel programs and the daemon,
 * and nothing else. Fixed width, no padding (asserted), and zero always denies: a zeroed map
 * value, a short read or a missing element must fail closed wherever it is read.
 *
 * Only uapi types are used, so the same text serves clang -target bpf and the daemon.
 */
#ifndef CLEAT_ABI_H
#define CLEAT_ABI_H

#include <linux/bpf.h>
#include <linux/types.h>

/* What the bytes of the maps mean: another meaning is another number, and what was pinned under the old one is not read. */
#ifndef CLEAT_ABI_VERSION /* the tests build others */
#define CLEAT_ABI_VERSION 1
#endif

#define CLEAT_PATH_MAX	   256 /* bytes of a cgroup path or unit name with its NUL */
#define CLEAT_ANCESTORS	   16  /* cgroup levels looked at, upwards; deeper tasks are unlabelled */
#define CLEAT_RULES_MAX	   16  /* workloads that may share one place, told apart by uid and gid */
#define CLEAT_PLACES_MAX   32768
#define CLEAT_CGROUPS_MAX  65536
#define CLEAT_RULES_TOTAL  65536
#define CLEAT_CB_MAX	   65536
#define CLEAT_OWN_MAX	   1024
#define CLEAT_WINDOW_BITS  1024 /* token.md 5: the verifier's window of seq numbers */
#define CLEAT_WINDOW_WORDS (CLEAT_WINDOW_BITS / 64)

/* How much of the kernel side is in force. Ordered: the least of several is what may be claimed. */
enum cleat_level {
	CLEAT_LEVEL_NONE = 0,
	CLEAT_LEVEL_REDUCED = 1, /* cgroup and sock_ops hooks only */
	CLEAT_LEVEL_FULL = 2,	 /* BPF LSM active and every hook attached */
};

/* What a process is to the daemon (cleat_rooms). */
enum cleat_room {
	CLEAT_ROOM_NONE = 0,
	CLEAT_ROOM_JAILED = 1, /* uses no inet socket; out of the reach of strangers */
	CLEAT_ROOM_PROBE = 2,  /* makes connections, to be seen; out of their reach as well */
};

/* Which end of the TCP connection a socket is. */
enum cleat_role {
	CLEAT_ROLE_NONE = 0,
	CLEAT_ROLE_CLIENT = 1, /* the active opener */
	CLEAT_ROLE_SERVER = 2,
};

/* Where in its life a tagged socket is (cleat_tag.state). */
enum cleat_state {
	CLEAT_STATE_NONE = 0,
	CLEAT_STATE_BORN = 1,
	CLEAT_STATE_CONNECTING = 2,
	CLEAT_STATE_QUEUED = 3, /* established, not yet accepted by anybody: no owner */
	CLEAT_STATE_OWNED = 4,	/* established, and owner is who connected or accepted */
	CLEAT_STATE_LISTENING = 5,
};

/* cleat_tag.flags: they only ever gather during a socket's life, but for PACKET and HELLO, which
 * belong to one generation. */
enum cleat_tag_flag {
	CLEAT_TAG_FORGED = 1 << 0,	  /* repair, no packet, simultaneous open, self-connect */
	CLEAT_TAG_COOKIE = 1 << 1,	  /* accepted from a SYN cookie */
	CLEAT_TAG_FASTOPEN = 1 << 2,	  /* TCP Fast Open, either end */
	CLEAT_TAG_HANDED = 1 << 3,	  /* reached a task of another owner */
	CLEAT_TAG_MPTCP = 1 << 4,	  /* unsupported */
	CLEAT_TAG_NETNS_FOREIGN = 1 << 5, /* its netns is not owned by the initial user namespace */
	CLEAT_TAG_REPAIR = 1 << 6,	  /* TCP_REPAIR was tried: implies FORGED */
	CLEAT_TAG_PACKET = 1 << 7,	  /* this generation was established by a packet */
	CLEAT_TAG_HELLO = 1 << 8,	  /* this generation's own SYN was sent (TCP_CONNECT_CB) */
};

/* Whose something is: a socket, an API connection, a task now. label 0 owns nothing. */
struct cleat_owner {
	__u64 netns; /* cookie of the network namespace: a socket's own, wherever its owner lives */
	__u32 label; /* 0: nobody policy knows */
	__u32 uid;   /* effective uid, initial user namespace */
};
_Static_assert(sizeof(struct cleat_owner) == 16, "cleat_owner has no padding");

/* A process instance (the boot is implied): changes on every exec. */
struct cleat_proc {
	__u64 start_ns; /* start of the group leader, boot clock */
	__u64 exec_id;	/* task->self_exec_id */
	__u32 tgid;	/* initial pid namespace */
	__u32 epoch;	/* arming epoch when this instance began; 0: before the hooks */
};
_Static_assert(sizeof(struct cleat_proc) == 24, "cleat_proc has no padding");

/* The connection as this end's kernel saw it. Addresses in network order, IPv4 as ::ffff:a.b.c.d;
 * ports and sequence numbers in host order. Complete only while role is not 0. */
struct cleat_conn {
	__u8 client_addr[16];
	__u8 server_addr[16];
	__u64 est_ns; /* time of establishment, boot clock (token.md 5, est) */
	__u32 client_isn;
	__u32 server_isn;
	__u16 client_port;
	__u16 server_port;
	__u32 role;	  /* enum cleat_role; 0: not established */
	__u32 generation; /* counts connects on this struct sock, from 1 */
	__u32 ifindex;	  /* bound device of a link-local connection, else 0 */
};
_Static_assert(sizeof(struct cleat_conn) == 64, "cleat_conn has no padding");

/* socket -> tag and connection record, one sk_storage element (72 B + this). */
struct cleat_tag {
	struct cleat_owner owner;  /* who connected or accepted */
	struct cleat_owner origin; /* who created the socket */
	struct cleat_proc proc;	   /* the owner's process instance */
	struct cleat_conn conn;
	__u64 born_ns;	  /* boot clock */
	__u64 cookie;	  /* SO_COOKIE; fixed once the kernel made it, 0 = not made yet */
	__u64 cgroup_id;  /* of the owner when it became owner */
	__u32 epoch;	  /* arming epoch at birth (an accepted socket: at its SYN) */
	__u32 policy_gen; /* generation whose labels these are */
	__u32 state;	  /* enum cleat_state */
	__u32 flags;	  /* enum cleat_tag_flag */
	__u32 handed_pid; /* first task of another owner it reached, 0 = none */
	__u32 handed_uid;
};
_Static_assert(sizeof(struct cleat_tag) == 168, "cleat_tag has no padding");

/* API socket (both ends of it) -> who connected it; written at unix_stream_connect, never after. */
struct cleat_caller {
	struct cleat_owner owner;
	struct cleat_proc proc;
	__u64 born_ns;
	__u64 cgroup_id;
	__u32 epoch;
	__u32 policy_gen;
	__u32 gid;
	__u16 door;	  /* enum cleat_door of the listener it connected to */
	__u16 client_end; /* 1: the socket that connected; what is sent on it must come from its owner */
};
_Static_assert(sizeof(struct cleat_caller) == 72, "cleat_caller has no padding");

/* Marks the daemon's listening API sockets (cleat_doors); written by the kernel room. */
enum cleat_door {
	CLEAT_DOOR_NONE = 0,
	CLEAT_DOOR_SIGN = 1,
	CLEAT_DOOR_CHECK = 2,
};

/* task -> label, a cache that counts only while its inputs equal the present ones. */
struct cleat_task {
	__u64 cgroup_id;
	__u64 exec_id;
	__u32 uid;
	__u32 gid;
	__u32 policy_gen;
	__u32 label;
	__u32 epoch; /* arming epoch at the exec (or inherited at fork from it); 0: ran before the hooks */
	__u32 flags; /* enum cleat_rule_flag of the rule that gave the label */
	__u32 split; /* 1: uids are not all equal, 2: gids (label.bpf.h) */
	__u32 execs; /* self_exec_id of the last exec that the hook saw, its low half */
};
_Static_assert(sizeof(struct cleat_task) == 48, "cleat_task has no padding");

/* A cgroup named by policy. id of the cgroup -> its place. Made at cgroup_mkdir or by the start-up
 * scan, dies with the cgroup. */
struct cleat_cgroup {
	__u32 place;
	__u32 flags; /* reserved, 0 */
};

/* Key of cleat_places: an absolute cgroup path ("/a/b") or a unit name ("x.service"), NUL padded. */
struct cleat_place_key {
	char name[CLEAT_PATH_MAX];
};

/* Key of cleat_rules: the @slot-th workload that may live at @place under policy @gen. Slots are
 * dense from 0 and sorted narrowest first; the first that fits a task gives its label. */
struct cleat_rule_key {
	__u32 gen;
	__u32 place;
	__u32 slot;
};

enum cleat_rule_flag {
	CLEAT_RULE_UID = 1 << 0,   /* uid must be equal */
	CLEAT_RULE_GID = 1 << 1,   /* gid must be equal */
	CLEAT_RULE_DEBUG = 1 << 2, /* debug: allow */
};

struct cleat_rule {
	__u32 label;
	__u32 uid;
	__u32 gid;
	__u32 flags;
};

/* Sender's counter: made zeroed with the socket, afterwards written in place by the sign room only
 * (BPF_F_LOCK | BPF_EXIST: kernel.md 5). Counts only while generation equals the record's. */
struct cleat_seq {
	struct bpf_spin_lock lock;
	__u32 generation;
	__u64 last; /* none above it was given out; up to 15 below may not have been (flow/seq.c); 0 = none */
};
_Static_assert(sizeof(struct cleat_seq) == 16, "cleat_seq has no padding");

/* Receiver's window: made zeroed with the socket, afterwards written in place by the check room
 * only. bit i of words[] = number (highest - i) was accepted. Counts only while generation equals
 * the record's. */
struct cleat_window {
	struct bpf_spin_lock lock;
	__u32 generation;
	__u64 highest;
	__u64 words[CLEAT_WINDOW_WORDS];
};
_Static_assert(sizeof(struct cleat_window) == 144, "cleat_window has no padding");

/* One cb, one socket (token.md 5). Written by the check room only. */
struct cleat_cb_key {
	__u8 cb[32];
	__u32 role; /* the signer's end */
	__u32 zero;
};

struct cleat_cb {
	__u64 cookie;	/* SO_COOKIE of the socket that first accepted */
	__u64 until_ns; /* boot clock; exp of the latest accept plus leeway */
	__u32 generation;
	__u32 label; /* whose share of the map this is */
};

/* cleat_config[0], written by the kernel room only. The epoch counts every time the kernel side was completed
 * or found incomplete, so what was born before either is told from what was born since. */
struct cleat_config {
	__u32 epoch; /* arming epoch; 0: not armed, nothing may be signed */
	__u32 level; /* enum cleat_level in force; 0: found incomplete, nothing may be signed */
	__u32 policy_gen; /* generation whose rules are complete in cleat_rules */
	__u32 unseen; /* CLEAT_COUNT_EXEC_UNSEEN when armed, its low half: a later one is of another epoch */
	__u64 armed_ns; /* boot clock; a task born later has storage, or is unknown */
};
_Static_assert(sizeof(struct cleat_config) == 24, "cleat_config has no padding");

/* What is ours (self.bpf.c). The first three are objects of BPF, by their id; MOUNT is a mount of init's
 * namespace by which our pins are reached, by its id and device; WAY a directory on the way to them, by
 * device and inode. ROOM and PINS stand in events only. */
enum cleat_own {
	CLEAT_OWN_NONE = 0,
	CLEAT_OWN_MAP = 1,
	CLEAT_OWN_PROGRAM = 2,
	CLEAT_OWN_LINK = 3,
	CLEAT_OWN_MOUNT = 4,
	CLEAT_OWN_WAY = 5,
	CLEAT_OWN_ROOM = 6,
	CLEAT_OWN_PINS = 7,
	CLEAT_OWN_SILENCER = 8, /* the sysctl that silences what refuses the others; only told of */
};

struct cleat_own_key {
	__u64 id;
	__u32 kind; /* enum cleat_own */
	__u32 dev;  /* of a MOUNT and a WAY, as the kernel counts: major << 20 | minor */
};
_Static_assert(sizeof(struct cleat_own_key) == 16, "cleat_own_key has no padding");

/* cleat_keeper[0]: who may, and where the pins are. Zeroed: not armed, nothing is ours yet. */
struct cleat_keeper {
	__u64 cgroup_id; /* the daemon's own cgroup, now */
	__u64 pins_ino;	 /* the pins' directory; 0: none */
	__u32 pins_dev;	 /* as cleat_own_key.dev */
	__u32 on;
	__u64 said_ns; /* the last refusal that made an event: kind and pid */
	__u32 said_kind;
	__u32 said_pid;
	char cgroup[CLEAT_PATH_MAX]; /* its path: made anew there, it is the daemon's again */
};
_Static_assert(sizeof(struct cleat_keeper) == 40 + CLEAT_PATH_MAX, "cleat_keeper has no padding");

/* What the kernel side counts (cleat_counts, per CPU). */
enum cleat_count {
	CLEAT_COUNT_TAGGED,	   /* sockets born with a tag */
	CLEAT_COUNT_UNTAGGED,	   /* sockets that got no storage: unknown, refused later */
	CLEAT_COUNT_HANDED,	   /* hand-overs seen */
	CLEAT_COUNT_API_REFUSED,   /* API messages from somebody else than the connection's owner */
	CLEAT_COUNT_ROOM_REFUSED,  /* a room tried to use a passed inet socket */
	CLEAT_COUNT_TRACE_REFUSED, /* tracing of a labelled task */
	CLEAT_COUNT_TASK_LOST,	   /* a task that got no storage: unlabelled */
	CLEAT_COUNT_CGROUP_FULL,   /* a named cgroup found no room in cleat_cgroups */
	CLEAT_COUNT_EVENT_LOST,	   /* ring buffer full */
	CLEAT_COUNT_FORGED,	   /* connections marked forged */
	CLEAT_COUNT_SELF_REFUSED,  /* our own objects, to others */
	CLEAT_COUNT_EXEC_UNSEEN,   /* an exec that the hook of execs did not see: it was silent */
	CLEAT_COUNT_COUNT
};

enum cleat_event_type {
	CLEAT_EVENT_NONE = 0,
	CLEAT_EVENT_HANDED = 1,	     /* a tagged socket reached another owner */
	CLEAT_EVENT_CGROUP_BORN = 2, /* a cgroup named by policy was made */
	CLEAT_EVENT_CGROUP_DIED = 3,
	CLEAT_EVENT_TRACE_REFUSED = 4,
	CLEAT_EVENT_API_REFUSED = 5,
	CLEAT_EVENT_FORGED = 6,
	CLEAT_EVENT_SELF_REFUSED = 7, /* place: enum cleat_own; owner_pid: the room's */
	CLEAT_EVENT_SELF_ENTERED = 8, /* owner_pid came into the daemon's cgroup; actor moved it */
	CLEAT_EVENT_SELF_MOVED = 9,   /* owner_pid, a room, was moved out of it */
};

struct cleat_event {
	__u64 boot_ns;
	__u64 cookie;		  /* socket, or 0 */
	__u64 cgroup_id;	  /* acting task's, or the cgroup itself */
	struct cleat_owner owner; /* of the socket, or of the task that was to be traced */
	struct cleat_owner actor;
	__u32 type; /* enum cleat_event_type */
	__u32 actor_pid;
	__u32 owner_pid;
	__u32 place;
};
_Static_assert(sizeof(struct cleat_event) == 72, "cleat_event has no padding");

#endif
