/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's service: a ledger on a TCP port. Every request is a line "WIT~WPT words..."; it is served when this host's
 * daemon says that the assertion belongs to the very connection the line came in on. The peer learns "ok" or
 * "refused"; who it was, and why not, stands on our own standard output.
 *
 *	ledger IP PORT			listens itself
 *	ledger -			the listening socket is descriptor 3, from a unit of systemd's
 *	ledger accepted			the connection is descriptor 0: whoever started it has accepted it, as inetd does
 *	ledger inetd IP PORT UID	that inetd: for each connection a "ledger accepted" under UID
 *	ledger prefork IP PORT UID	listens, and lets two children under UID accept, as web servers do
 */
#include <arpa/inet.h>
#include <cleat.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_CAP 40000

static void serve(int fd, FILE *peer, char *line)
{
	char *words = strchr(line, ' ');
	struct cleat_verdict v;
	int rc;

	if (words)
		*words++ = 0;
	rc = cleat_verify_string(fd, line, NULL, &v);
	if (rc != 0) {
		printf("refused  reason=%s\n", cleat_reason_word(rc));
		fprintf(peer, "refused\n");
	} else {
		printf("accepted  workload=%s  host=%s  process=%02x%02x%02x%02x...  level=%s  age=%lld ms  request='%s'\n",
		       v.subject, v.issuer, v.instance[0], v.instance[1], v.instance[2], v.instance[3],
		       v.strength == CLEAT_STRENGTH_FULL ? "full" : "reduced", (long long)v.age_ms, words ? words : "");
		fprintf(peer, "ok\n");
	}
	fflush(stdout);
	fflush(peer);
}

static void *connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	FILE *peer = fdopen(fd, "r+");
	char *line = malloc(LINE_CAP);

	while (peer && line && fgets(line, LINE_CAP, peer)) {
		line[strcspn(line, "\r\n")] = 0;
		serve(fd, peer, line);
	}
	free(line);
	if (peer)
		fclose(peer);
	return NULL;
}

static int door_open(char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (inet_pton(AF_INET, argv[1], &at.sin_addr) != 1)
		return -1;
	at.sin_port = htons((uint16_t)atoi(argv[2]));
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(door, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(door, 16) < 0 ? -1 : door;
}

static void become(const char *uid)
{
	uid_t id = (uid_t)atoi(uid);

	if (id == 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		_exit(1);
}

/* One process a connection. */
static void accept_for_others(int door, const char *uid)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0 && fork() == 0) {
			dup2(fd, 0);
			become(uid);
			execl("/proc/self/exe", "ledger", "accepted", NULL);
			_exit(1);
		}
		if (fd >= 0)
			close(fd);
	}
}

/* One thread a connection. */
static void accept_ourselves(int door)
{
	for (;;) {
		int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (fd >= 0 && pthread_create(&thread, NULL, connection, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	}
}

static void accept_in_children(int door, const char *uid)
{
	for (int i = 0; i < 2; i++) {
		if (fork() == 0) {
			become(uid);
			accept_ourselves(door);
		}
	}
	for (;;)
		pause();
}

static int usage(void)
{
	fprintf(stderr, "usage: ledger [inetd|prefork] IP PORT [UID] | ledger - | ledger accepted\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *how = argc == 5 ? argv[1] : "";
	bool given = argc == 2 && strcmp(argv[1], "-") == 0;
	bool accepted = argc == 2 && strcmp(argv[1], "accepted") == 0;

	if (argc != 3 && !given && !accepted && strcmp(how, "inetd") && strcmp(how, "prefork"))
		return usage();
	signal(SIGPIPE, SIG_IGN);
	if (accepted) {
		connection((void *)0);
		return 0;
	}
	int door = given ? 3 : door_open(argv + (*how ? 1 : 0));

	if (door < 0) {
		perror("ledger");
		return 1;
	}
	printf("listening\n");
	fflush(stdout);
	if (strcmp(how, "inetd") == 0)
		accept_for_others(door, argv[4]);
	else if (strcmp(how, "prefork") == 0)
		accept_in_children(door, argv[4]);
	else
		accept_ourselves(door);
}
