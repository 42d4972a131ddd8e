/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the players of the attack tests share: a player is started at a place (network namespace, cgroup, uid), is
 * told one command a line and answers each with one JSON line, as tests/attack/actor.c does; stage.py starts it with
 * Actor(..., actor=PATH).
 */
#ifndef CLEAT_TESTS_ATTACK_PLAY_H
#define CLEAT_TESTS_ATTACK_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct play_command {
	const char *name;
	int least; /* words, with the command itself */
	void (*run)(char **argv);
};

/* Takes the place of argv, then obeys until stdin ends. */
int play(char **argv, const struct play_command *commands, size_t count);

void play_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void play_ok(void);
/* {"ok":false} with errno. */
void play_fail(const char *what);

/* The word behind @word, or NULL. */
const char *play_after(char **argv, const char *word);
bool play_has(char **argv, const char *word);

/* A connection to a door ("sign", "check") of the daemon, with a limit of 20 s on every answer; -1 and errno. */
int play_door(const char *door);
/* One message with @count descriptors in one SCM_RIGHTS. */
int play_send(int door, const void *bytes, size_t len, const int *fds, size_t count);
/* A mailbox of stage actors ("sendfd NAME BOX"), and the descriptor that comes to it. */
int play_mailbox(const char *name);
int play_mail(int box);

uint64_t play_ns(int clock);

#endif
