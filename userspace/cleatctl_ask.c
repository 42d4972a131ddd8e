/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign, verify, whoami, whois: libcleat from the command line. The connection is a descriptor that was inherited, so
 * that a shell script under a workload's cgroup and uid is that workload: cleatctl sign --fd 3 ... 3<>/dev/tcp/...
 */
#include "cleatctl.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "lib/cleat.h"
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#define TOKENS_MAX 65536 /* more than two tokens can be */

static const char *end_word(uint32_t end)
{
	return end == CLEAT_END_CLIENT ? "client" : end == CLEAT_END_SERVER ? "server" : "none";
}

static const char *strength_word(uint32_t strength)
{
	if (strength == CLEAT_STRENGTH_FULL)
		return "full";
	return strength == CLEAT_STRENGTH_REDUCED ? "reduced" : "none";
}

/* A refusal, or no answer at all. */
static int refused(const struct ctl *c, int result, const char *detail)
{
	const char *word = cleat_reason_word(result);

	if ((result == -ENOENT || result == -ECONNREFUSED) && !detail[0])
		detail = "no cleatd answers there: start it, or say where it is with --runtime-dir";
	if (!c->json)
		return complain(EXIT_FAILURE, "%s: %s%s%s", result > 0 ? "refused" : "no answer",
				word, detail[0] ? ": " : "", detail);
	fputs("{\"ok\":false", stdout);
	put_member("reason", word);
	put_member("detail", detail);
	fputs("}\n", stdout);
	return EXIT_FAILURE;
}

/* "10.0.0.1:80" or "[::1]:80" */
const char *endpoint(const uint8_t addr[16], uint16_t port, char ret[64])
{
	static const uint8_t v4[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN] = "?";

	if (memcmp(addr, v4, sizeof(v4)) == 0) {
		inet_ntop(AF_INET, addr + 12, text, sizeof(text));
		snprintf(ret, 64, "%s:%u", text, port);
	} else {
		inet_ntop(AF_INET6, addr, text, sizeof(text));
		snprintf(ret, 64, "[%s]:%u", text, port);
	}
	return ret;
}

static void put_socket(const struct ctl *c, const struct cleat_socket *s)
{
	char client[64], server[64];

	endpoint(s->client_addr, s->client_port, client);
	endpoint(s->server_addr, s->server_port, server);
	if (c->json)
		printf(",\"socket\":{\"end\":\"%s\",\"client\":\"%s\",\"server\":\"%s\",\"age_ms\":%" PRIu64
		       ",\"level\":\"%s\",\"syn_cookie\":%s,\"fastopen\":%s}",
		       end_word(s->end), client, server, s->age_ms, strength_word(s->strength),
		       s->cookie ? "true" : "false", s->fastopen ? "true" : "false");
	else
		printf("  connection  %s -> %s, this end the %s, %" PRIu64 ".%03" PRIu64
		       " s old, level %s%s%s\n",
		       client, server, end_word(s->end), s->age_ms / 1000, s->age_ms % 1000,
		       strength_word(s->strength), s->cookie ? ", from a SYN cookie" : "",
		       s->fastopen ? ", Fast Open" : "");
}

/* The digest of a token sent along: 64 hex digits, or nothing. */
static bool digest_take(const char *name, const char *hex, uint8_t at[32], const uint8_t **ret)
{
	if (!hex)
		return true;
	if (hex_decode(hex, strlen(hex), at, 32) < 0) {
		complain(EXIT_USAGE, "%s is a SHA-256 digest: 64 hex digits", name);
		return false;
	}
	*ret = at;
	return true;
}

int verb_sign(const struct ctl *c, int argc, char **argv)
{
	struct cleat_sign_options opt = { .where.runtime_dir = c->runtime_dir };
	const char *fd_text = NULL, *audience = NULL, *ath_hex = NULL, *tth_hex = NULL;
	const struct option_of options[] = { { .name = "--fd", .into = &fd_text },
					     { .name = "--audience", .into = &audience },
					     { .name = "--ath", .into = &ath_hex },
					     { .name = "--tth", .into = &tth_hex } };
	owned(cleat_assertion_clear) struct cleat_assertion a = { 0 };
	struct words rest = { 0 };
	uint8_t ath[32], tth[32];
	int fd, result;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0) || !option_fd(fd_text, &fd) ||
	    !digest_take("--ath", ath_hex, ath, &opt.ath) ||
	    !digest_take("--tth", tth_hex, tth, &opt.tth))
		return EXIT_USAGE;
	if (!audience)
		return complain(EXIT_USAGE, "sign needs --audience, the SPIFFE ID of the service");
	result = cleat_sign(fd, audience, &opt, &a);
	if (result != 0)
		return refused(c, result, a.detail);
	if (c->json)
		printf("{\"ok\":true,\"wit\":\"%s\",\"wpt\":\"%s\",\"expires\":%" PRId64
		       ",\"policy_generation\":%" PRIu32 "}\n",
		       a.wit, a.wpt, a.expires, a.policy_generation);
	else
		printf("%s~%s\n", a.wit, a.wpt);
	return EXIT_SUCCESS;
}

/* ---- verify ---- */

struct tokens {
	const char *wit_file;
	const char *wpt_file;
	const char *assertion; /* "-": from standard input */
	char *wit;
	char *wpt;
	char *joined;
};

static void tokens_drop(struct tokens *t)
{
	free(t->wit);
	free(t->wpt);
	free(t->joined);
}

/* A token's file, without the newline that a shell put behind it. */
static int token_read(const struct ctl *c, const char *path, char **ret)
{
	size_t len;
	int err = stream_read(path, TOKENS_MAX, ret, &len);

	if (err < 0)
		return fail(c, "%s: %s", path, strerror(-err));
	if (len > 0 && (*ret)[len - 1] == '\n')
		(*ret)[len - 1] = '\0';
	return EXIT_SUCCESS;
}

static int tokens_read(const struct ctl *c, struct tokens *t)
{
	int code;

	if (!t->assertion == !(t->wit_file && t->wpt_file) || !t->wit_file != !t->wpt_file)
		return complain(EXIT_USAGE, "verify needs --wit and --wpt, or --assertion alone");
	if (t->assertion && strcmp(t->assertion, "-") == 0)
		return token_read(c, "-", &t->joined);
	if (t->assertion)
		return EXIT_SUCCESS;
	code = token_read(c, t->wit_file, &t->wit);
	return code == EXIT_SUCCESS ? token_read(c, t->wpt_file, &t->wpt) : code;
}

static void put_verdict(const struct ctl *c, const struct cleat_verdict *v)
{
	if (!c->json) {
		printf("accepted: %s\n  issuer      %s, level %s%s%s\n", v->subject, v->issuer,
		       strength_word(v->strength), v->unit[0] ? ", unit " : "", v->unit);
		put_socket(c, &v->socket);
		printf("  proof       %" PRId64 " ms old, seq %" PRIu64 "%s%s\n", v->age_ms, v->seq,
		       v->ath_matched ? ", access token matched" : "",
		       v->tth_matched ? ", transaction token matched" : "");
		return;
	}
	fputs("{\"ok\":true", stdout);
	put_member("subject", v->subject);
	put_member("issuer", v->issuer);
	put_member("level", strength_word(v->strength));
	put_member("unit", v->unit);
	fputs(",\"instance\":\"", stdout);
	for (size_t i = 0; i < sizeof(v->instance); i++)
		printf("%02x", v->instance[i]);
	printf("\",\"seq\":%" PRIu64 ",\"age_ms\":%" PRId64 ",\"expires\":%" PRId64
	       ",\"ath_matched\":%s,\"tth_matched\":%s,\"policy_generation\":%" PRIu32,
	       v->seq, v->age_ms, v->expires, v->ath_matched ? "true" : "false",
	       v->tth_matched ? "true" : "false", v->policy_generation);
	put_socket(c, &v->socket);
	fputs("}\n", stdout);
}

int verb_verify(const struct ctl *c, int argc, char **argv)
{
	struct cleat_verify_options opt = { .where.runtime_dir = c->runtime_dir,
					    .expect = CLEAT_END_CLIENT };
	const char *fd_text = NULL, *expect = NULL, *ath_hex = NULL, *tth_hex = NULL;
	owned(tokens_drop) struct tokens t = { 0 };
	const struct option_of options[] = { { .name = "--fd", .into = &fd_text },
					     { .name = "--wit", .into = &t.wit_file },
					     { .name = "--wpt", .into = &t.wpt_file },
					     { .name = "--assertion", .into = &t.assertion },
					     { .name = "--expect", .into = &expect },
					     { .name = "--ath", .into = &ath_hex },
					     { .name = "--tth", .into = &tth_hex } };
	struct words rest = { 0 };
	struct cleat_verdict v;
	uint8_t ath[32], tth[32];
	int fd, result, code;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0) || !option_fd(fd_text, &fd) ||
	    !digest_take("--ath", ath_hex, ath, &opt.ath) ||
	    !digest_take("--tth", tth_hex, tth, &opt.tth))
		return EXIT_USAGE;
	if (expect && strcmp(expect, "server") == 0)
		opt.expect = CLEAT_END_SERVER;
	else if (expect && strcmp(expect, "client") != 0)
		return complain(EXIT_USAGE, "--expect is the signer's end: client or server");
	code = tokens_read(c, &t);
	if (code != EXIT_SUCCESS)
		return code;

	if (t.wit)
		result = cleat_verify(fd, t.wit, t.wpt, &opt, &v);
	else
		result = cleat_verify_string(fd, t.joined ? t.joined : t.assertion, &opt, &v);
	if (result != 0)
		return refused(c, result, v.detail);
	put_verdict(c, &v);
	return EXIT_SUCCESS;
}

/* ---- questions ---- */

int verb_whoami(const struct ctl *c, int argc, char **argv)
{
	const struct cleat_where where = { .runtime_dir = c->runtime_dir };
	struct words rest = { 0 };
	struct cleat_self self;
	int result;

	if (!options_take(argc, argv, NULL, 0, &rest, 0))
		return EXIT_USAGE;
	result = cleat_whoami(&where, &self);
	if (result != 0)
		return refused(c, result, self.detail);
	if (!c->json) {
		printf("%s\n  pid %" PRIu32 ", uid %" PRIu32
		       ", level %s, policy generation %" PRIu32 "\n",
		       self.id[0] ? self.id : "no workload that policy names", self.pid, self.uid,
		       strength_word(self.strength), self.policy_generation);
		return EXIT_SUCCESS;
	}
	printf("{\"ok\":true,\"pid\":%" PRIu32 ",\"uid\":%" PRIu32
	       ",\"policy_generation\":%" PRIu32,
	       self.pid, self.uid, self.policy_generation);
	put_member("id", self.id);
	put_member("level", strength_word(self.strength));
	fputs("}\n", stdout);
	return EXIT_SUCCESS;
}

static void put_peer(const struct ctl *c, const struct cleat_peer *p)
{
	if (!c->json) {
		printf("%s\n", p->owner[0] ? p->owner : "no workload that policy names");
		put_socket(c, &p->socket);
		if (p->peer_known)
			printf("  peer        %s by %s, level %s, accepted %" PRId64 " ms ago\n",
			       p->peer, p->peer_issuer, strength_word(p->peer_strength),
			       p->peer_age_ms);
		else
			printf("  peer        nobody presented anything that was accepted\n");
		return;
	}
	printf("{\"ok\":true,\"policy_generation\":%" PRIu32, p->policy_generation);
	put_member("owner", p->owner);
	put_socket(c, &p->socket);
	if (p->peer_known) {
		printf(",\"peer\":{\"level\":\"%s\",\"age_ms\":%" PRId64,
		       strength_word(p->peer_strength), p->peer_age_ms);
		put_member("subject", p->peer);
		put_member("issuer", p->peer_issuer);
		fputs("}}\n", stdout);
	} else {
		fputs(",\"peer\":null}\n", stdout);
	}
}

int verb_whois(const struct ctl *c, int argc, char **argv)
{
	const struct cleat_where where = { .runtime_dir = c->runtime_dir };
	const char *fd_text = NULL;
	const struct option_of options[] = { { .name = "--fd", .into = &fd_text } };
	struct words rest = { 0 };
	struct cleat_peer peer;
	int fd, result;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0) || !option_fd(fd_text, &fd))
		return EXIT_USAGE;
	result = cleat_whois(fd, &where, &peer);
	if (result != 0)
		return refused(c, result, peer.detail);
	put_peer(c, &peer);
	return EXIT_SUCCESS;
}
