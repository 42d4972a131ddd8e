// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a presentation (WIT~WPT), which must be refused, as no key of ours made it; and as four lines (headers
 * and claims of both) that are then signed by the right keys, so that the checks behind the signatures are reached.
 * What is accepted must say of itself what the connection and the service are.
 */
#include "../mint.h"

static struct mint m;

static void must(bool what)
{
	if (!what)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	must(mint_open(&m) == 0);
	return 0;
}

static char *line(const char **at, const char *end)
{
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));
	char *copy = strndup(*at, (size_t)((stop ? stop : end) - *at));

	*at = stop ? stop + 1 : end;
	return copy;
}

/* "@" in a text becomes what only this run knows: the kid, the cnf, cb, wth. */
static char *filled(char *text, const char *with)
{
	char *mark = strstr(text, "\"@\""), *at;

	if (!mark)
		return text;
	at = malloc(strlen(text) + strlen(with) + 1);
	sprintf(at, "%.*s%s%s", (int)(mark - text), text, with, mark + 3);
	free(text);
	return at;
}

static char *dumped(const json_t *j)
{
	return json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
}

static char *with_hash(char *text, const char *wit)
{
	char at[64] = "\"";
	uint8_t hash[32];
	struct text t;

	must(sig_sha256(wit, strlen(wit), hash) == 0);
	text_init(&t, at + 1, sizeof(at) - 1);
	text_b64url(&t, hash, 32);
	text_puts(&t, "\"");
	return filled(text, at);
}

static void signed_lines(const char *s, size_t size)
{
	const char *end = s + size;
	char *wit_header = line(&s, end);
	char *wit = line(&s, end), *wpt_header = line(&s, end), *wpt = line(&s, end);
	char *kid = dumped(json_object_get(m.wit_header, "kid"));
	char *cnf = dumped(json_object_get(m.wit, "cnf"));
	char *cb = dumped(json_object_get(json_object_get(m.wpt, NAME_CONN), "cb"));
	char *first, *second;

	wit_header = filled(wit_header, kid);
	wit = filled(wit, cnf);
	wpt = filled(wpt, cb);
	first = mint_text(wit_header, wit, m.host);
	wpt = with_hash(wpt, first);
	second = mint_text(wpt_header, wpt, m.proof);
	if (mint_ask(&m, first, strlen(first), second, strlen(second)) == REASON_OK) {
		must(!strcmp(m.verdict.wpt.aud, MINT_SERVICE) && m.verdict.wpt.seq > 0);
		must(!memcmp(m.verdict.wpt.cb, m.on.cb, 32) && m.consumes == 1);
		must(!strncmp(m.verdict.wit.sub, "spiffe://example.org/ns/prod", 28));
	}
	free(wit_header);
	free(wit);
	free(wpt_header);
	free(wpt);
	free(kid);
	free(cnf);
	free(cb);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data, *tilde = memchr(s, '~', size);

	mint_afresh(&m);
	if (tilde)
		must(mint_ask(&m, s, (size_t)(tilde - s), tilde + 1,
			      size - (size_t)(tilde + 1 - s)) != REASON_OK);
	must(m.consumes == 0);
	if (memchr(s, '\n', size))
		signed_lines(s, size);
	return 0;
}
