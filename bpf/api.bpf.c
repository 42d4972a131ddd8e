// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The daemon's own sockets, level full: who speaks on an API connection, and what a room may not do
 * with the sockets that are passed to it.
 *
 *	lsm/unix_stream_connect		the caller is recorded on both ends, or the connect is refused
 *	lsm/socket_sendmsg, lsm/file_permission
 *					a message of anybody else than the caller is refused; a room
 *					that would use an inet socket is refused
 *	lsm/socket_recvmsg, _connect, _accept, _bind, _listen, _shutdown, _setsockopt, _getsockopt
 *					rooms and inet sockets, likewise
 *
 * Other Unix sockets, and inet sockets of anybody but a room, are never affected. file_permission is
 * needed beside sendmsg and recvmsg: sendfile and splice pass only there on some kernels.
 */
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool caller_put(struct sock *sk, const struct cleat_caller *caller,
				       bool client_end)
{
	struct cleat_caller *c;

	c = bpf_sk_storage_get(&cleat_callers, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c)
		return false;
	*c = *caller;
	c->client_end = client_end;
	return true;
}

static __always_inline void caller_of(struct cleat_caller *ret, const struct actor *a, __u32 door)
{
	const struct cleat_config *config = config_now();

	__builtin_memset(ret, 0, sizeof(*ret));
	ret->owner = a->owner;
	ret->proc = a->proc;
	ret->born_ns = bpf_ktime_get_boot_ns();
	ret->cgroup_id = a->cgroup_id;
	ret->epoch = config ? config->epoch : 0;
	ret->policy_gen = a->policy_gen;
	ret->gid = a->gid;
	ret->door = door;
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(cleat_call, struct sock *sock, struct sock *other, struct sock *newsk)
{
	const __u32 *door = bpf_sk_storage_get(&cleat_doors, other, 0, 0);
	struct cleat_caller caller;
	struct actor a;

	if (!door || !*door)
		return 0;
	actor_now(&a);
	caller_of(&caller, &a, *door);
	if (!caller_put(newsk, &caller, false) || !caller_put(sock, &caller, true))
		return -ENOMEM;
	return 0;
}

static __always_inline void message_refused(const struct cleat_caller *caller,
					    const struct actor *a)
{
	struct cleat_event e = { .type = CLEAT_EVENT_API_REFUSED };

	e.owner = caller->owner;
	e.actor = a->owner;
	e.actor_pid = a->proc.tgid;
	e.owner_pid = caller->proc.tgid;
	e.cgroup_id = a->cgroup_id;
	count(CLEAT_COUNT_API_REFUSED);
	if (!caller->owner.label && !a->owner.label)
		return; /* nobody policy knows, speaking for nobody policy knows: counted is enough */
	event_send(&e);
}

/* An io_uring worker acts with the ring's owner's face, whoever filled the ring. */
static __always_inline bool is_io_worker(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->flags & PF_IO_WORKER;
}

static __always_inline int message(struct sock *sk)
{
	const struct cleat_caller *caller = bpf_sk_storage_get(&cleat_callers, sk, 0, 0);
	struct actor a;

	if (!caller || !caller->client_end)
		return 0;
	actor_now(&a);
	if (!kept(api_owner))
		return 0;
	if (owner_equal(&a.owner, &caller->owner) && !is_io_worker())
		return 0;
	message_refused(caller, &a);
	return -EPERM;
}

static __always_inline int room_use(void)
{
	if (!kept(room_socket) || room_mark_now() != CLEAT_ROOM_JAILED)
		return 0;
	count(CLEAT_COUNT_ROOM_REFUSED);
	return -EPERM;
}

/* @sock is about to be used; @sends: to send. */
static __always_inline int use(struct socket *sock, bool sends)
{
	struct sock *sk = sock->sk;
	unsigned short family;

	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family == AF_INET || family == AF_INET6)
		return room_use();
	if (family == AF_UNIX && sends)
		return message(sk);
	return 0;
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(cleat_sendmsg, struct socket *sock)
{
	return use(sock, true);
}

SEC("lsm/file_permission")
int BPF_PROG(cleat_file, struct file *file, int mask)
{
	struct socket *sock;

	if ((file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	sock = bpf_sock_from_file(file);
	return sock ? use(sock, mask & MAY_WRITE) : 0;
}

SEC("lsm/socket_recvmsg")
int BPF_PROG(cleat_recvmsg, struct socket *sock)
{
	return use(sock, false);
}

SEC("lsm/socket_connect")
int BPF_PROG(cleat_r_connect, struct socket *sock)
{
	return use(sock, false);
}

SEC("lsm/socket_accept")
int BPF_PROG(cleat_r_accept, struct socket *sock)
{
	return use(sock, false);
}

SEC("lsm/socket_bind")
int BPF_PROG(cleat_r_bind, struct socket *sock)
{
	return use(sock, false);
}

SEC("lsm/socket_listen")
int BPF_PROG(cleat_r_listen, struct socket *sock)
{
	return use(sock, false);
}

SEC("lsm/socket_shutdown")
int BPF_PROG(cleat_r_shut, struct socket *sock)
{
	return use(sock, false);
}

SEC("lsm/socket_setsockopt")
int BPF_PROG(cleat_r_setopt, struct socket *sock)
{
	return use(sock, false);
}

/* Looking is what rooms are for; TCP_ZEROCOPY_RECEIVE delivers bytes. */
SEC("lsm/socket_getsockopt")
int BPF_PROG(cleat_r_getopt, struct socket *sock, int level, int optname)
{
	if (level != IPPROTO_TCP || optname != TCP_ZEROCOPY_RECEIVE)
		return 0;
	return use(sock, false);
}
