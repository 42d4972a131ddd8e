/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's own structs, cut down to the fields that are read. Offsets are relocated at load
 * (CO-RE), so one object serves every kernel with BTF; a field that is missing there fails the load,
 * never reads something else. Everything public comes from uapi linux/bpf.h.
 */
#ifndef CLEAT_KERNEL_BPF_H
#define CLEAT_KERNEL_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include "base/twin.h"
#include "abi.h"

#define AF_UNIX		     1
#define AF_INET		     2
#define AF_INET6	     10
#define SOCK_STREAM	     1
#define IPPROTO_TCP	     6
#define IPPROTO_MPTCP	     262
#define TCP_SYN_SENT	     2 /* include/net/tcp_states.h */
#define TCP_LISTEN	     10
#define TCP_REPAIR	     19 /* option names of level IPPROTO_TCP */
#define TCP_ZEROCOPY_RECEIVE 35
#define S_IFMT		     0170000
#define S_IFSOCK	     0140000
#define MAY_WRITE	     2
#define PF_IO_WORKER	     0x00000010
#define PTRACE_MODE_ATTACH   0x02
#define EPERM		     1
#define ENOENT		     2
#define ENOMEM		     12
#define EACCES		     13
#define MS_REMOUNT	     32 /* include/uapi/linux/mount.h */
#define MS_BIND		     4096
#define MS_MOVE		     8192
#define MNT_DETACH	     2
#define MS_PROPAGATION	     (0xf << 17) /* MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};

struct user_namespace {
	int level; /* 0: the initial one */
};

struct net {
	struct user_namespace *user_ns;
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock;

/* A request_sock and a sock both begin with it: their addresses are read by the same function. */
struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport; /* network order */
	__u16 skc_num;	 /* host order */
	unsigned short skc_family;
	int skc_bound_dev_if; /* of a request_sock: the interface the SYN came by */
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct sock *skc_listener; /* of a request_sock only */
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct request_sock {
	struct sock_common __req_common;
	__u8 syncookie : 1;
};

struct tcp_request_sock {
	__u64 snt_synack; /* monotonic clock, us; 0: no SYN-ACK was timed */
	__u32 rcv_isn;
	__u32 snt_isn;
};

struct tcp_sock {
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 snd_una;
	__u32 write_seq;
	__u8 repair : 1;
	__u8 syn_fastopen : 1;
};

struct socket {
	struct sock *sk;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
	struct user_namespace *s_user_ns;
};

struct list_head {
	struct list_head *next;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
	union {
		struct hlist_head i_dentry;
	};
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	union {
		struct hlist_node d_alias;
	} d_u;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct mnt_namespace;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct list_head mnt_mounts; /* mounts on it, by their mnt_child */
	struct list_head mnt_child;
	struct list_head mnt_share;	 /* its peers */
	struct list_head mnt_slave_list; /* its slaves, by their mnt_slave */
	struct list_head mnt_slave;
	struct mount *mnt_master;
	struct mnt_namespace *mnt_ns;
	int mnt_id;
	int mnt_group_id; /* 0: what happens below it spreads to no other mount */
};

/* Since 6.17 slaves are in a list that ends in NULL. */
struct mount___hlist {
	struct hlist_head mnt_slave_list;
	struct hlist_node mnt_slave;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct fs_struct {
	struct path root;
};

struct bpf_map {
	__u32 id;
};

struct bpf_prog;

struct bpf_prog_aux {
	__u32 id;
	struct bpf_prog
		*dst_prog; /* for which it was loaded (fentry, freplace), until it is attached */
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};

struct kernfs_node {
	const char *name;
	__u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup_root {
	int hierarchy_id; /* 0: the unified (default) hierarchy */
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup *
		dom_cgrp; /* of a threaded one: the one whose processes' threads it has; else itself */
};

struct css_set {
	struct css_set *dom_cset; /* of the process, where threads have cgroups of their own */
	struct cgroup *dfl_cgrp;  /* in the unified hierarchy */
};

struct cred {
	kuid_t uid, suid, euid;
	kgid_t gid, sgid, egid;
	struct user_namespace *user_ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

struct task_struct;

struct pid_namespace {
	struct task_struct *child_reaper;
};

struct upid {
	struct pid_namespace *ns;
};

struct pid {
	struct upid numbers[1]; /* the first is of the initial namespace */
};

struct task_struct {
	unsigned int flags;
	int tgid; /* initial pid namespace */
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *real_cred;
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	__u64 self_exec_id;
	struct css_set *cgroups;
};

/* What an iterator's program is called with (include/linux/bpf.h, net/core/bpf_sk_storage.c). */
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	void *value;
};

#pragma clang attribute pop

#endif
