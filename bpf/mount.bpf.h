/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which mounts are ours, and which take ours with them or hide them: what happens to a mount spreads to its peers and
 * slaves, in whatever namespace they are. Where the way does not end, or cannot be read, it reaches ours.
 */
#ifndef CLEAT_MOUNT_BPF_H
#define CLEAT_MOUNT_BPF_H

#include "task.bpf.h"

static __always_inline bool is_ours(__u32 kind, __u64 id, __u32 dev)
{
	struct cleat_own_key key = { .id = id, .kind = kind, .dev = dev };

	return bpf_map_lookup_elem(&cleat_own, &key) != NULL;
}

/* A mount's id is given again when it is gone. So only mounts of init's namespace are ours: that one lasts, and what
 * has an id of ours in another is somebody else's. */
static __always_inline struct task_struct *init_now(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return BPF_CORE_READ(task, thread_pid, numbers[0].ns, child_reaper);
}

static __always_inline struct mnt_namespace *inits_mounts(void)
{
	struct task_struct *init = init_now();

	return BPF_CORE_READ(init, nsproxy, mnt_ns);
}

static __always_inline bool is_our_mount(struct mount *m, const struct mnt_namespace *ns)
{
	return ns && BPF_CORE_READ(m, mnt_ns) == ns &&
	       is_ours(CLEAT_OWN_MOUNT, BPF_CORE_READ(m, mnt_id),
		       BPF_CORE_READ(m, mnt.mnt_sb, s_dev));
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

static __always_inline bool mount_is_ours(struct vfsmount *mnt)
{
	return is_our_mount(mount_of(mnt), inits_mounts());
}

static __always_inline bool is_way(struct dentry *d)
{
	struct inode *at = BPF_CORE_READ(d, d_inode);

	return at &&
	       is_ours(CLEAT_OWN_WAY, BPF_CORE_READ(at, i_ino), BPF_CORE_READ(at, i_sb, s_dev));
}

#define MOUNTS_MAX                                                                                 \
	(1                                                                                         \
	 << 18) /* steps of a question, all loops together; a namespace may have 100000 mounts (fs.mount-max) */

#define LIST(m, list)	    ((void *)(m) + bpf_core_field_offset(struct mount, list))
#define MEMBER(at, list)    ((void *)(at)-bpf_core_field_offset(struct mount, list))
#define IS_END(at, m, list) ((void *)(at) == LIST(m, list))

/* The first slave of @m, or the next one beside @m, which is a slave of @master; NULL: there is none. */
static __always_inline struct mount *slave_first(struct mount *m)
{
	struct list_head *at;
	struct hlist_node *node;

	if (bpf_core_field_exists(struct mount___hlist, mnt_slave_list.first)) {
		node = BPF_CORE_READ((struct mount___hlist *)m, mnt_slave_list.first);
		return node ? MEMBER(node, mnt_slave) : NULL;
	}
	at = BPF_CORE_READ(m, mnt_slave_list.next);
	return IS_END(at, m, mnt_slave_list) ? NULL : MEMBER(at, mnt_slave);
}

static __always_inline struct mount *slave_beside(struct mount *m, struct mount *master)
{
	struct list_head *at;
	struct hlist_node *node;

	if (bpf_core_field_exists(struct mount___hlist, mnt_slave_list.first)) {
		node = BPF_CORE_READ((struct mount___hlist *)m, mnt_slave.next);
		return node ? MEMBER(node, mnt_slave) : NULL;
	}
	at = BPF_CORE_READ(m, mnt_slave.next);
	return IS_END(at, master, mnt_slave_list) ? NULL : MEMBER(at, mnt_slave);
}

/* What is mounted on @of at @point. */
struct child {
	struct mount *of, *found;
	struct dentry *point;
	struct list_head *next;
	__u32 left;
};

static long child_step(__u32 i, struct child *c)
{
	struct mount *m = MEMBER(c->next, mnt_child);

	if (IS_END(c->next, c->of, mnt_mounts) || !c->left--)
		return 1;
	if (BPF_CORE_READ(m, mnt_mountpoint) == c->point) {
		c->found = m;
		return 1;
	}
	c->next = BPF_CORE_READ(m, mnt_child.next);
	return 0;
}

static __always_inline struct mount *child_at(struct mount *m, struct dentry *point, __u32 *left)
{
	struct child c = { .of = m, .point = point, .left = *left };

	c.next = BPF_CORE_READ(m, mnt_mounts.next);
	bpf_loop(MOUNTS_MAX, child_step, &c, 0);
	*left = c.left;
	return c.found;
}

/* The kernel's way from a mount to all that what happens below it spreads to (fs/pnode.c, propagation_next): its slaves,
 * theirs, and then the next peer. */
struct spread {
	struct mount *from, *at, *master;
	struct mnt_namespace *ns;
	struct dentry *point;
	__u32 left;
	bool unmount;
	bool up;      /* all below @at is done */
	bool reaches; /* ours; and where the way does not end */
};

/* What is mounted under one of ours hides nothing. */
static __always_inline bool spread_hits(struct spread *s, struct mount *m)
{
	struct mount *child;

	if (BPF_CORE_READ(m, mnt_ns) != s->ns)
		return false;
	if (!s->unmount && !is_our_mount(m, s->ns))
		return false;
	child = child_at(m, s->point, &s->left);
	return s->unmount ? child && is_our_mount(child, s->ns) : !child;
}

static long spread_step(__u32 i, struct spread *s)
{
	struct mount *m = s->at;
	struct mount *master = BPF_CORE_READ(m, mnt_master);
	struct mount *slave = s->up ? NULL : slave_first(m);
	struct mount *beside = slave_beside(m, master);

	if (!s->left)
		return 1;
	s->left--;
	if (slave) {
		m = slave;
	} else if (master == s->master) {
		m = MEMBER(BPF_CORE_READ(m, mnt_share.next), mnt_share);
		if (m == s->from) {
			s->reaches = false;
			return 1;
		}
	} else if (beside) {
		m = beside;
	} else {
		s->at = master;
		s->up = true;
		return 0;
	}
	s->at = m;
	s->up = false;
	return spread_hits(s, m);
}

/* What is mounted or unmounted on @m at @point is so on one of ours as well, in whatever namespace @m is. Private mounts
 * and slaves, which is what containers have, reach nothing. */
static __always_inline bool reaches_ours(struct mount *m, struct dentry *point, bool unmount,
					 __u32 *left)
{
	struct spread s = { .from = m,
			    .at = m,
			    .point = point,
			    .left = *left,
			    .unmount = unmount,
			    .reaches = true };

	if (!kept(self_spread) || !BPF_CORE_READ(m, mnt_group_id))
		return false;
	s.master = BPF_CORE_READ(m, mnt_master);
	s.ns = inits_mounts();
	bpf_loop(MOUNTS_MAX, spread_step, &s, 0);
	*left = s.left;
	return s.reaches;
}

/* Unmounted, @m takes one of ours with it. Where ours are mounted is a way: nobody else's unmounting is looked at, or
 * whoever makes mounts by the thousand could have it refused, or take that long. */
static __always_inline bool takes_ours(struct mount *m, __u32 *left)
{
	struct mount *parent = BPF_CORE_READ(m, mnt_parent);
	struct dentry *point = BPF_CORE_READ(m, mnt_mountpoint);

	return parent != m && is_way(point) && reaches_ours(parent, point, true, left);
}

/* All that is mounted below @root, as the kernel goes through it (fs/namespace.c, next_mnt). */
struct tree {
	struct mount *root, *at;
	struct mnt_namespace *ns;
	__u32 left;
	bool up;
	bool takes; /* ours; and where the way does not end */
};

/* The next one, or NULL: *ret_end says whether the walk is over. */
static __always_inline struct mount *tree_next(struct tree *t, long *ret_end)
{
	struct mount *m = t->at, *parent;
	struct list_head *next = BPF_CORE_READ(m, mnt_mounts.next);

	*ret_end = 1;
	if (!t->left)
		return NULL;
	t->left--;
	if (t->up || IS_END(next, m, mnt_mounts)) {
		if (m == t->root) {
			t->takes = false;
			return NULL;
		}
		parent = BPF_CORE_READ(m, mnt_parent);
		next = BPF_CORE_READ(m, mnt_child.next);
		if (IS_END(next, parent, mnt_mounts)) {
			t->at = parent;
			t->up = true;
			*ret_end = 0;
			return NULL;
		}
	}
	t->at = MEMBER(next, mnt_child);
	t->up = false;
	return t->at;
}

static long unmount_step(__u32 i, struct tree *t)
{
	long end;
	struct mount *m = tree_next(t, &end);

	return m ? takes_ours(m, &t->left) : end;
}

/* A lazy unmount takes what is mounted below, too, and each of that spreads. */
static __always_inline bool tree_takes_ours(struct mount *m, __u32 *left)
{
	struct tree t = { .root = m, .at = m, .left = *left, .takes = true };

	bpf_loop(MOUNTS_MAX, unmount_step, &t, 0);
	return t.takes;
}

/* The kernel moves nothing that lies on a mount which spreads. */
static long move_step(__u32 i, struct tree *t)
{
	long end;
	struct mount *m = tree_next(t, &end);

	if (!m)
		return end;
	return is_our_mount(m, t->ns) && !BPF_CORE_READ(m, mnt_parent, mnt_group_id);
}

/* Whether one of ours can be moved at all: init's root itself cannot. */
static __always_inline bool ours_can_move(void)
{
	struct task_struct *init = init_now();
	struct mount *root = mount_of(BPF_CORE_READ(init, fs, root.mnt));
	struct tree t = {
		.root = root, .at = root, .ns = inits_mounts(), .left = MOUNTS_MAX, .takes = true
	};

	bpf_loop(MOUNTS_MAX, move_step, &t, 0);
	return t.takes;
}

#endif
