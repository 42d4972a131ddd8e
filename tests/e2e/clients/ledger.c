/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's service: a ledger on a TCP port. Every request is a line "WIT~WPT words..."; it is served when this host's
 * daemon says that the assertion belongs to the very connection the line came in on. The peer learns "ok" or
 * "refused"; who it was, and why not, stands on our own standard output.
 *
 *	ledger IP PORT
 *	ledger -		the listening socket is descriptor 3, from a unit of systemd's
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

int main(int argc, char **argv)
{
	bool given = argc == 2 && strcmp(argv[1], "-") == 0;

	if (argc != 3 && !given) {
		fprintf(stderr, "usage: ledger IP PORT | ledger -\n");
		return 2;
	}
	int door = given ? 3 : door_open(argv);

	signal(SIGPIPE, SIG_IGN);
	if (door < 0) {
		perror("ledger");
		return 1;
	}
	printf("listening\n");
	fflush(stdout);
	for (;;) {
		int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (fd >= 0 && pthread_create(&thread, NULL, connection, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	}
}
