/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcleat before a server that is not the daemon (attacks.md 122): whoever listens where the daemon should is asked
 * nothing. Needs root, to be another user.
 */
#include "lib/cleat.h"

#include "model/request.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER 65534

static char dir[] = "/tmp/ask-XXXXXX";
static char path[64];
static pid_t server;

/* Says yes to everything: the peer is the most trusted there is. */
static _Noreturn void serve(int listener)
{
	static struct cleat_answer_verify yes = {
		.head = { .protocol = CLEAT_PROTOCOL, .reason = 1, .word = "ok" },
		.level = 2,
		.subject = "spiffe://prod.example/root",
		.issuer = "spiffe://prod.example/host/a",
	};
	struct cleat_ask_head asked;

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(0);
		if (recv(fd, &asked, sizeof(asked), MSG_TRUNC) > 0) {
			yes.head.type = asked.type;
			yes.head.serial = asked.serial;
			send(fd, &yes, sizeof(yes), MSG_NOSIGNAL);
		}
		close(fd);
	}
}

static void listen_as(uid_t uid)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int ready[2];

	cr_assert(mkdtemp(dir));
	cr_assert_eq(chown(dir, uid, uid), 0);
	snprintf(path, sizeof(path), "%s/check.sock", dir);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	cr_assert_eq(pipe(ready), 0);
	server = fork();
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 ||
		    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 8) < 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		serve(fd);
	}
	close(fd);
	cr_assert_eq(read(ready[0], &(char){ 0 }, 1), 1);
}

static void leave(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	unlink(path);
	rmdir(dir);
}

/* What the library says of the server, and whether the verdict says something all the same. */
static int ask(struct cleat_verdict *verdict)
{
	const struct cleat_verify_options options = { .where = { .runtime_dir = dir } };

	memset(verdict, 0xa5, sizeof(*verdict));
	return cleat_verify(STDIN_FILENO, "wit", "wpt", &options, verdict);
}

Test(ask, attack_122_server_of_another_user)
{
	static const struct cleat_verdict zero;
	struct cleat_verdict verdict;

	if (geteuid() != 0)
		cr_skip("needs root");
	listen_as(OTHER);
	int rc = ask(&verdict);

	cr_expect(rc != 0, "accepted: twin=server_uid: as %s", verdict.subject);
	cr_expect(rc == 0 || rc == -EACCES, "%d", rc);
	if (rc)
		cr_expect_eq(memcmp(&verdict, &zero, sizeof(zero)), 0, "and nothing is said");
	leave();
}

/* The control: root's own server is heard. */
Test(ask, server_of_root)
{
	struct cleat_verdict verdict;

	if (geteuid() != 0)
		cr_skip("needs root");
	listen_as(0);
	cr_expect_eq(ask(&verdict), 0);
	cr_expect_str_eq(verdict.subject, "spiffe://prod.example/root");
	leave();
}
