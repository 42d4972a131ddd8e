// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is ours is refused to other processes, root's, too. Level full.
 *
 *	lsm/bpf_map, lsm/bpf_prog	a descriptor of a map or program of ours: by id, by pin; or of a
 *					program that was loaded to be called beside one of ours
 *	lsm/bpf				a descriptor of a link of ours by id (links have no hook)
 *	lsm/file_receive		a descriptor of a map of ours that somebody, a room, gives away
 *	lsm/inode_permission		anything in the pins' directory
 *	lsm/inode_rename, _rmdir, lsm/path_chmod, _chown
 *					the directory itself
 *	lsm/sb_umount, _mount, _remount, _pivotroot, lsm/move_mount
 *					the mounts by which the pins are reached, and what would
 *					hide them
 *	lsm/ptrace_access_check, lsm/ptrace_traceme
 *					a room's memory and descriptors
 *	lsm/task_kill, lsm/file_send_sigiotask, lsm/task_setrlimit
 *					a room's life
 *	cgroup/sysctl			a write of kernel.ftrace_enabled, which silences all of the above
 *	tp_btf/cgroup_attach_task	who comes into the daemon's cgroup, which room leaves it: noticed
 *	tp_btf/cgroup_mkdir		the daemon's cgroup made anew is the daemon's
 *
 * Who may: root of the initial user namespace in the daemon's own cgroup, exactly that one, and the
 * daemon itself if it was moved elsewhere. Not an executable: LD_PRELOAD makes any code run as one. The check is on acquiring: a descriptor that is
 * held is used freely, but to load a program for one of ours. An id of ours answers "no such object", not "you may not": whoever lists
 * objects by their ids (bpftool) goes on to the next.
 *
 * Before cleat_keeper is written nothing is ours. Where a fact cannot be read the object is not known
 * as ours (but for the way of a mount, mount.bpf.h): these walls protect from other processes of root, who has other ways to do damage; no
 * verdict about a connection hangs on them.
 */
#include "mount.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SAY_AGAIN_NS 1000000000ull
#define PINS_DEPTH   8
#define NAME_BPF_MAP 0x0070616d2d667062ull /* "bpf-map" */

static __always_inline struct cleat_keeper *self_now(void)
{
	__u32 zero = 0;
	struct cleat_keeper *self = bpf_map_lookup_elem(&cleat_keeper, &zero);

	return self && self->on ? self : NULL;
}

/* By its own credentials, not by ones it has borrowed. */
static __always_inline bool is_root(struct task_struct *task)
{
	const struct cred *c = task->real_cred;

	return c->euid.val == 0 && c->user_ns->level == 0;
}

/* Its process and itself: who is in a threaded cgroup below is of the daemon's by its process alone. */
static __always_inline bool is_keeper(const struct cleat_keeper *self, struct task_struct *task)
{
	if (kept(self_keeper) && cgroup_of(task)->kn->id != self->cgroup_id)
		return false;
	if (kept(self_threaded) && kept(self_keeper) &&
	    task->cgroups->dfl_cgrp->kn->id != self->cgroup_id)
		return false;
	return is_root(task);
}

/* The system's own init, whatever pid namespaces call theirs: it stops units and unmounts at the end. */
static __always_inline bool is_init(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->tgid == 1;
}

static __always_inline bool may(const struct cleat_keeper *self)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return is_keeper(self, task) || (room_now() && is_root(task));
}

/* Who lists all objects meets each of ours: one event a second, of a process and a kind, tells it. */
static __always_inline bool said_just_now(struct cleat_keeper *self, __u32 kind, __u32 pid)
{
	__u64 now = bpf_ktime_get_boot_ns();

	if (self->said_kind == kind && self->said_pid == pid && now - self->said_ns < SAY_AGAIN_NS)
		return true;
	self->said_ns = now;
	self->said_kind = kind;
	self->said_pid = pid;
	return false;
}

static __always_inline void event_about(struct cleat_event *e, struct task_struct *actor)
{
	e->cgroup_id = cgroup_of(actor)->kn->id;
	e->actor.uid = actor->real_cred->euid.val;
	e->actor_pid = actor->tgid;
}

/* @room: the pid of the room that it was about, or 0. Answers @err. */
static __always_inline int refused(struct cleat_keeper *self, __u32 kind, __u32 room, int err)
{
	struct cleat_event e = { .type = CLEAT_EVENT_SELF_REFUSED, .place = kind };

	event_about(&e, bpf_get_current_task_btf());
	e.owner_pid = room;
	count(CLEAT_COUNT_SELF_REFUSED);
	if (!said_just_now(self, kind, e.actor_pid))
		event_send(&e);
	asm volatile(""
		     : "+r"(err)); /* clang's arithmetic of it would not be seen to be in range */
	return err;
}

/* ---- maps, programs, links ---- */

static __always_inline int object(__u32 kind, __u32 id)
{
	struct cleat_keeper *self = self_now();

	if (!self || !is_ours(kind, id, 0) || may(self) || !kept(self_objects))
		return 0;
	return refused(self, kind, 0, -ENOENT);
}

SEC("lsm/bpf_map")
int BPF_PROG(cleat_s_map, struct bpf_map *map)
{
	return object(CLEAT_OWN_MAP, map->id);
}

/* By a descriptor from before a program would be loaded that is called before or after ours (fentry, fexit): its own
 * descriptor, without which it is never attached, is asked for here. One that replaces a part of ours (freplace) is not
 * loaded, nor turned to ours from another program: none of our functions is global (edge/kern_ext.h). */
static __always_inline int program_for_ours(struct bpf_prog *prog)
{
	struct cleat_keeper *self = self_now();
	struct bpf_prog *ours = BPF_CORE_READ(prog, aux, dst_prog);

	if (!self || !ours || !is_ours(CLEAT_OWN_PROGRAM, BPF_CORE_READ(ours, aux, id), 0) ||
	    may(self) || !kept(self_replace))
		return 0;
	return refused(self, CLEAT_OWN_PROGRAM, 0, -EPERM);
}

SEC("lsm/bpf_prog")
int BPF_PROG(cleat_s_prog, struct bpf_prog *prog)
{
	int err = object(CLEAT_OWN_PROGRAM, prog->aux->id);

	return err ? err : program_for_ours(prog);
}

SEC("lsm/bpf")
int BPF_PROG(cleat_s_bpf, int cmd, union bpf_attr *attr)
{
	__u32 id = 0;

	if (cmd != BPF_LINK_GET_FD_BY_ID)
		return 0;
	bpf_probe_read_kernel(&id, sizeof(id), &attr->link_id);
	return object(CLEAT_OWN_LINK, id);
}

/* Files of BPF's maps have no inode of their own, but a name that nobody else can give. */
static __always_inline bool is_map(const struct file *file)
{
	__u64 name = 0;

	if (file->f_inode->i_sb->s_magic != ANON_INODE_FS_MAGIC)
		return false;
	bpf_probe_read_kernel_str(&name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	return name == NAME_BPF_MAP;
}

/* Rooms hold writable ones: one that was taken over would outlive itself in a client that it gave them to. */
SEC("lsm/file_receive")
int BPF_PROG(cleat_s_receive, struct file *file)
{
	struct cleat_keeper *self = self_now();
	struct bpf_map *map;

	if (!self || !is_map(file))
		return 0;
	map = file->private_data;
	if (!is_ours(CLEAT_OWN_MAP, BPF_CORE_READ(map, id), 0) || room_now() ||
	    is_keeper(self, bpf_get_current_task_btf()) || !kept(self_receive))
		return 0;
	return refused(self, CLEAT_OWN_MAP, 0, -EPERM);
}

/* ---- pins ---- */

static __always_inline bool is_pinfs(const struct cleat_keeper *self, const struct super_block *sb)
{
	return self->pins_ino && sb->s_magic == BPF_FS_MAGIC && sb->s_dev == self->pins_dev;
}

/* Somewhere below the pins' directory: for who holds a directory there from before. */
static __always_inline bool is_below(const struct cleat_keeper *self, struct inode *inode)
{
	struct hlist_node *alias = inode->i_dentry.first;
	struct dentry *d, *parent;

	if (!alias)
		return false;
	d = (void *)alias - bpf_core_field_offset(struct dentry, d_u.d_alias);
	for (int i = 0; i < PINS_DEPTH; i++) {
		if (BPF_CORE_READ(d, d_inode, i_ino) == self->pins_ino)
			return true;
		parent = BPF_CORE_READ(d, d_parent);
		if (!parent || parent == d)
			break;
		d = parent;
	}
	return false;
}

static __always_inline int pins(struct inode *inode, bool below)
{
	struct cleat_keeper *self;

	if (!inode || inode->i_sb->s_magic != BPF_FS_MAGIC)
		return 0; /* nearly always, and the whole cost then */
	self = self_now();
	if (!self || !is_pinfs(self, inode->i_sb))
		return 0;
	if (inode->i_ino != self->pins_ino && !(below && is_below(self, inode)))
		return 0;
	if (may(self) || !kept(self_pins))
		return 0;
	return refused(self, CLEAT_OWN_PINS, 0, -EACCES);
}

SEC("lsm/inode_permission")
int BPF_PROG(cleat_s_inode, struct inode *inode)
{
	return pins(inode, true);
}

SEC("lsm/inode_rename")
int BPF_PROG(cleat_s_rename, struct inode *old_dir, struct dentry *old, struct inode *new_dir,
	     struct dentry *new)
{
	int err = pins(old->d_inode, false);

	return err ? err : pins(new->d_inode, false);
}

SEC("lsm/inode_rmdir")
int BPF_PROG(cleat_s_rmdir, struct inode *dir, struct dentry *dentry)
{
	return pins(dentry->d_inode, false);
}

SEC("lsm/path_chmod")
int BPF_PROG(cleat_s_chmod, const struct path *path)
{
	return pins(path->dentry->d_inode, false);
}

SEC("lsm/path_chown")
int BPF_PROG(cleat_s_chown, const struct path *path)
{
	return pins(path->dentry->d_inode, false);
}

/* ---- the mounts by which the pins are reached ---- */

static __always_inline int mounts(struct cleat_keeper *self)
{
	if (may(self) || is_init() || !kept(self_mounts))
		return 0;
	return refused(self, CLEAT_OWN_MOUNT, 0, -EPERM);
}

/* What is mounted at @to hides the way to the pins. Elsewhere, and where it reaches nothing of ours, do as you like. */
static __always_inline int hides(const struct path *to)
{
	struct cleat_keeper *self = self_now();
	__u32 left = MOUNTS_MAX;

	if (!self || !is_way(to->dentry))
		return 0;
	if (mount_is_ours(to->mnt) || reaches_ours(mount_of(to->mnt), to->dentry, false, &left))
		return mounts(self);
	return 0;
}

SEC("lsm/sb_umount")
int BPF_PROG(cleat_s_umount, struct vfsmount *mnt, int flags)
{
	struct cleat_keeper *self = self_now();
	struct mount *m = mount_of(mnt);
	__u32 left = MOUNTS_MAX;

	if (!self || !self->pins_ino)
		return 0;
	if (mount_is_ours(mnt) || takes_ours(m, &left) ||
	    (flags & MNT_DETACH && tree_takes_ours(m, &left)))
		return mounts(self);
	return 0;
}

/* mount(2) names what it moves by a string, which says nothing here: where one of ours can be moved nothing is. */
static __always_inline int moves(const struct path *to)
{
	struct cleat_keeper *self = self_now();
	struct mount *m = mount_of(to->mnt);

	if (!self || !self->pins_ino || !kept(self_moved) ||
	    BPF_CORE_READ(m, mnt_ns) != inits_mounts())
		return 0;
	return ours_can_move() ? mounts(self) : 0;
}

SEC("lsm/sb_mount")
int BPF_PROG(cleat_s_mount, const char *dev, const struct path *path, const char *type,
	     unsigned long flags)
{
	int err;

	/* the kernel's own order: a bind mount may carry flags of propagation, and mounts all the same */
	if (flags & MS_REMOUNT || (flags & MS_PROPAGATION && !(flags & MS_BIND)))
		return 0; /* nothing is mounted */
	err = hides(path);
	return err || !(flags & MS_MOVE) || flags & MS_BIND ? err : moves(path);
}

SEC("lsm/move_mount")
int BPF_PROG(cleat_s_move, const struct path *from, const struct path *to)
{
	struct cleat_keeper *self = self_now();

	if (self && from->dentry == from->mnt->mnt_root && mount_is_ours(from->mnt))
		return mounts(self);
	return hides(to);
}

/* Everybody in init's namespace would find another root, and below it another way or none. */
SEC("lsm/sb_pivotroot")
int BPF_PROG(cleat_s_pivot, const struct path *old, const struct path *new)
{
	struct cleat_keeper *self = self_now();
	struct mount *m = mount_of(new->mnt);

	if (!self || !self->pins_ino || BPF_CORE_READ(m, mnt_ns) != inits_mounts() ||
	    !kept(self_pivot))
		return 0;
	return mounts(self);
}

SEC("lsm/sb_remount")
int BPF_PROG(cleat_s_remount, struct super_block *sb)
{
	struct cleat_keeper *self = self_now();

	return self && is_pinfs(self, sb) ? mounts(self) : 0;
}

/* ---- rooms ---- */

static __always_inline bool is_room(struct task_struct *task)
{
	const __u32 *room = bpf_task_storage_get(&cleat_rooms, task->group_leader, 0, 0);

	return room && *room;
}

/* Rooms may do to each other what their credentials let them: the kernel room ends the others. */
static __always_inline int room(struct task_struct *task, bool by_init)
{
	struct cleat_keeper *self = self_now();

	if (!self || !is_room(task) || room_now() || may(self) || !kept(self_rooms))
		return 0;
	if (by_init && is_init())
		return 0;
	return refused(self, CLEAT_OWN_ROOM, task->tgid, -EPERM);
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(cleat_s_trace, struct task_struct *child, unsigned int mode)
{
	return mode & PTRACE_MODE_ATTACH ? room(child, false) : 0;
}

/* The current task, a room, would be traced by its parent. */
SEC("lsm/ptrace_traceme")
int BPF_PROG(cleat_s_traceme, struct task_struct *parent)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct cleat_keeper *self = self_now();

	if (!self || !room_now() || is_keeper(self, parent) || !kept(self_rooms))
		return 0;
	return refused(self, CLEAT_OWN_ROOM, task->tgid, -EPERM);
}

/* The kernel's own signals do not come here. */
SEC("lsm/task_kill")
int BPF_PROG(cleat_s_kill, struct task_struct *p, void *siginfo, int sig)
{
	return sig ? room(p, true) : 0; /* 0: does it live? */
}

/* A signal by F_SETOWN and F_SETSIG, in whatever task its cause runs: rooms want none. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(cleat_s_sigio, struct task_struct *p)
{
	int err = -EPERM;

	if (!self_now() || !is_room(p) || !kept(self_rooms))
		return 0;
	count(CLEAT_COUNT_SELF_REFUSED);
	asm volatile("" : "+r"(err));
	return err;
}

/* RLIMIT_CPU would kill, RLIMIT_NOFILE make deaf. */
SEC("lsm/task_setrlimit")
int BPF_PROG(cleat_s_limit, struct task_struct *p)
{
	return room(p, true);
}

/* ---- what silences the hooks ---- */

/* The name's length tells nearly every other one: a longer one is -E2BIG. So is any other failure another name, as there
 * is no other way to fail that the kernel knows, and a sysctl that is not read may be anything that a host needs. */
static __always_inline bool is_silencer(struct bpf_sysctl *ctx)
{
	static const char silencer[] = "kernel/ftrace_enabled";
	char name[24] = {};

	if (bpf_sysctl_get_name(ctx, name, sizeof(name), 0) != sizeof(silencer) - 1)
		return false;
#pragma unroll
	for (int i = 0; i < (int)sizeof(silencer) - 1; i++)
		if (name[i] != silencer[i])
			return false;
	return true;
}

/* To end a silence is anybody's: it is what log, status and doctor say to do. */
static __always_inline bool is_one(struct bpf_sysctl *ctx)
{
	char value[4] = {};
	int len = bpf_sysctl_get_new_value(ctx, value, sizeof(value));

	return value[0] == '1' && (len == 1 || (len == 2 && value[1] == '\n'));
}

/* Called by the cgroups, not by way of ftrace: it holds while the other hooks are silent, too. Such programs have no task
 * storage, so that a room that was moved elsewhere is nobody here: none writes it. Nor does pid 1, whose units do. */
SEC("cgroup/sysctl")
int cleat_s_sysctl(struct bpf_sysctl *ctx)
{
	struct cleat_keeper *self;

	if (!ctx->write || !is_silencer(ctx) || is_one(ctx))
		return 1;
	self = self_now();
	if (!self || is_keeper(self, bpf_get_current_task_btf()) || !kept(self_sysctl))
		return 1;
	refused(self, CLEAT_OWN_SILENCER, 0, -EPERM);
	return 0;
}

/* ---- the daemon's cgroup ---- */

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cleat_s_attach, struct cgroup *to, const char *path, struct task_struct *task)
{
	struct cleat_keeper *self = self_now();
	struct cleat_event e = {};
	bool comes, below, ours;

	if (!self || to->root->hierarchy_id != 0)
		return 0;
	comes = to->kn->id == self->cgroup_id;
	below = to->dom_cgrp->kn->id == self->cgroup_id; /* or in it: a threaded one of it */
	ours = is_room(task);
	if (ours ? comes : !below)
		return 0; /* a room that comes back, or two strangers */
	e.type = ours ? CLEAT_EVENT_SELF_MOVED : CLEAT_EVENT_SELF_ENTERED;
	e.owner_pid = task->tgid;
	event_about(&e, bpf_get_current_task_btf());
	event_send(&e);
	return 0;
}

/* The service manager removes the cgroup of a daemon that died, and makes it again for the next. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cleat_s_mkdir, struct cgroup *cgrp, const char *path)
{
	struct cleat_keeper *self = self_now();
	char name[CLEAT_PATH_MAX] = {};

	if (!self || cgrp->root->hierarchy_id != 0)
		return 0;
	if (bpf_probe_read_kernel_str(name, sizeof(name), path) < 2)
		return 0;
	for (int i = 0; i < CLEAT_PATH_MAX; i++) {
		if (name[i] != self->cgroup[i])
			return 0;
		if (!name[i])
			break;
	}
	self->cgroup_id = cgrp->kn->id;
	return 0;
}
