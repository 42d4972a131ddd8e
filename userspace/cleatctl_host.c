/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host init and entry: the host's key, and the entry by which others believe it. The key is made once and never
 * printed; the entry holds its public part, the host's id and the ids it may issue.
 */
#include "cleatctl_host.h"

#include "base/cleanup.h"
#include "edge/bundle.h"
#include "edge/keys.h"
#include "edge/sig.h"
#include <errno.h>
#include <string.h>

bool host_options_take(int argc, char **argv, struct host_options *o)
{
	const struct option_of options[] = {
		{ .name = "--dir", .into = &o->dir },
		{ .name = "--name", .into = &o->name },
		{ .name = "--trust-domain", .into = &o->trust_domain },
		{ .name = "--scope", .many = &o->scopes },
	};

	/* what follows a --scope without an option of its own is one more scope */
	if (!OPTIONS_TAKE(argc, argv, options, &o->scopes, WORDS_MAX))
		return false;
	if (!o->dir)
		o->dir = DEFAULT_STATE;
	return true;
}

/* A scope as a path: "/", "/a" or "spiffe://<td>/a". */
static const char *scope_path(const char *scope, const char *trust_domain)
{
	static const char scheme[] = "spiffe://";
	size_t len = strlen(trust_domain);

	if (strncmp(scope, scheme, sizeof(scheme) - 1) != 0)
		return scope;
	scope += sizeof(scheme) - 1;
	if (strncmp(scope, trust_domain, len) != 0 || (scope[len] != '/' && scope[len] != '\0'))
		return "";
	return scope[len] ? scope + len : "/";
}

/* A bundle of this one key, as the options say. An exit code. */
int host_entry_make(const struct ctl *c, const struct host_options *o, const struct point *point,
		    struct bundle **ret)
{
	owned(bundle_owned) struct bundle *b = NULL;
	const char *scopes[WORDS_MAX];
	char issuer[SPIFFE_ID_MAX + 1];
	int err;

	if (!o->name || !o->trust_domain || o->scopes.count == 0)
		return complain(EXIT_USAGE, "an entry needs --name, --trust-domain and --scope "
					    "(\"/\" for every id of the trust domain)");
	if (!spiffe_trust_domain_valid(o->trust_domain, strlen(o->trust_domain)))
		return complain(EXIT_USAGE, "--trust-domain is no trust domain's name");
	for (size_t i = 0; i < o->scopes.count; i++)
		scopes[i] = scope_path(o->scopes.at[i], o->trust_domain);
	snprintf(issuer, sizeof(issuer), "spiffe://%s/host/%s", o->trust_domain, o->name);
	b = bundle_new(o->trust_domain);
	if (!b)
		return fail(c, "out of memory");
	err = bundle_add(b, point, issuer, scopes, o->scopes.count);
	if (err == -EINVAL)
		return complain(
			EXIT_USAGE,
			"--name is one component (letters, digits, . - _), and each --scope a path "
			"of the trust domain that is not below /host");
	if (err < 0)
		return fail(c, "cannot make the entry: %s", strerror(-err));
	*ret = take_ptr(b);
	return EXIT_SUCCESS;
}

int host_entry_print(const struct ctl *c, const struct bundle *b)
{
	owned_mem char *text = NULL;
	int err = bundle_print_key(b, 0, &text);

	if (err < 0)
		return fail(c, "cannot print the entry: %s", strerror(-err));
	fputs(text, stdout);
	return EXIT_SUCCESS;
}

int host_key_point(const struct ctl *c, const char *dir, bool next, struct point *ret)
{
	owned(sig_key_owned) struct sig_key *key = NULL;
	owned_fd int fd = -1;
	const char *name = next ? KEYS_NEXT_FILE : KEYS_HOST_FILE;
	int err = next ? keys_open_next(dir, &fd) : keys_open(dir, &fd);

	if (err == 0)
		err = keys_read(fd, &key);
	if (err == -EPERM)
		return fail(c,
			    "%s/%s is not root's alone (0600, no link): put that "
			    "right, or make a new key if others could read it",
			    dir, name);
	if (err < 0)
		return fail(c, "%s/%s: %s", dir, name, strerror(-err));
	sig_key_point(key, ret);
	return EXIT_SUCCESS;
}

int verb_host_init(const struct ctl *c, int argc, char **argv)
{
	struct host_options o = { 0 };
	bool with_entry;
	int err;

	if (!host_options_take(argc, argv, &o))
		return EXIT_USAGE;
	with_entry = o.name || o.trust_domain || o.scopes.count;
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	if (with_entry) { /* a mistake in the options must not leave a key behind */
		owned(bundle_owned) struct bundle *b = NULL;
		static const struct point none;
		int code = host_entry_make(c, &o, &none, &b);

		if (code != EXIT_SUCCESS)
			return code;
	}
	err = keys_make(o.dir);
	if (err == -EEXIST)
		return fail(c,
			    "%s holds a key already: \"cleatctl host entry\" prints its entry; "
			    "to begin anew, move " KEYS_HOST_FILE " away first",
			    o.dir);
	if (err < 0)
		return fail(c, "cannot make a key in %s: %s", o.dir, strerror(-err));
	if (with_entry)
		return verb_host_entry(c, argc, argv);
	if (c->json)
		printf("{\"ok\":true}\n");
	else
		printf("made %s/" KEYS_HOST_FILE ": \"cleatctl host entry\" prints its entry\n",
		       o.dir);
	return EXIT_SUCCESS;
}

int verb_host_entry(const struct ctl *c, int argc, char **argv)
{
	owned(bundle_owned) struct bundle *b = NULL;
	struct host_options o = { 0 };
	struct point point;
	int code;

	if (!host_options_take(argc, argv, &o))
		return EXIT_USAGE;
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	code = host_key_point(c, o.dir, false, &point);
	if (code == EXIT_SUCCESS)
		code = host_entry_make(c, &o, &point, &b);
	return code == EXIT_SUCCESS ? host_entry_print(c, b) : code;
}
