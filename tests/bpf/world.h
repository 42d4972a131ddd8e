/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the kernel side share: a kernel side of their own on a cgroup of their own, a policy image
 * by hand, children in chosen cgroups, and connections.
 */
#ifndef CLEAT_TESTS_WORLD_H
#define CLEAT_TESTS_WORLD_H

#include "edge/kern.h"
#include <stdbool.h>
#include <sys/socket.h>

enum { LABEL_GOOD = 7, LABEL_GOOD_1001 = 8, LABEL_EVIL = 9, LABEL_UNIT = 10, LABEL_DEBUG = 11 };

struct world {
	struct kern *k;
	uint32_t level;
	int tags, callers, config, seq, seq_read, window, cgroups;
	char mount[256];
	char base
		[300]; /* the test's own cgroup, a slice; below it good, evil, debug, keeper, x-cleat.service */
	char pins[64]; /* level full: the directory of what the test pins as ours */
	struct policy_image *policy;
};

extern struct world world;
extern unsigned failures;

/* One line per check. */
void check_at(int line, bool ok, const char *what);
#define check(ok, what) check_at(__LINE__, (ok), (what))

int world_open(uint32_t level);
void world_close(void);

/* A directory below the base. */
int cgroup_make(const char *name);
void cgroup_remove(const char *name);
void cgroup_enter(const char *name);
uint32_t cgroup_place(const char *name); /* 0: none */

/* Runs @f in a fresh child in cgroup @name with all ids @uid; its exit status, 255 for a signal. */
int child(const char *name, unsigned uid, int (*f)(void *), void *arg);

struct pair {
	int listener, client, server;
};

/* "127.0.0.1" or "::1" or "::ffff:127.0.0.1" or "::"; port 0: any. */
socklen_t address_of(const char *host, unsigned port, struct sockaddr_storage *ret);
int listener_on(const char *host, unsigned *ret_port);
int connect_to(int fd, const char *host, unsigned port);
int tcp_socket(const char *host);
/* @listen_at and @to as above. */
bool pair_open(struct pair *p, const char *listen_at, const char *to);
void pair_close(struct pair *p);

bool tag_of(int fd, struct cleat_tag *ret);
/* Both ends complete, owned, of one connection: equal but for the role. */
bool tags_agree(const struct cleat_tag *client, const struct cleat_tag *server);
/* Passes a descriptor. */
void fd_send(int via, int fd);
int fd_receive(int via);
uint64_t counted(enum cleat_count what);

#endif
