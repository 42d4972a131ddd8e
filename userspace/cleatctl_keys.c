/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys rotate and list: the next host key beside the one in use. In three steps, and no request is lost in any of them:
 * make it and put its entry into every bundle, this host's own last; reload: from then on it signs; --finish: it takes
 * the old one's place, whose entry goes out of the bundles once what it signed has expired. Where the reload after that is
 * refused the new key is in its place all the same, and signs on as the next one: the daemon only has to read it there.
 */
#include "cleatctl_admin.h"
#include "cleatctl_host.h"

#include "base/cleanup.h"
#include "edge/jose.h"
#include "edge/keys.h"
#include "edge/sig.h"
#include <errno.h>
#include <string.h>

/* ---- what the policy in force says of a key ---- */

/* A daemon that runs and its policy; NULL where none does. Nothing is said. */
static void image_look(const struct ctl *c, void **ret)
{
	struct cleat_admin_answer_status s = { 0 };

	if (admin_status_ask(c, &s) == 0)
		admin_policy(c, ret);
}

/* The entry of @kid in the host's own domain, where it names this host. */
static const struct policy_key *own_entry(const struct policy_image *p, const char *kid)
{
	const char *name = policy_string(p, p->trust_domain);
	const struct policy_domain *d = policy_domain(p, name, strlen(name));
	const struct policy_key *k = d ? policy_key(p, d, kid) : NULL;
	const char *host = k ? strrchr(policy_string(p, k->issuer), '/') + 1 : "";

	return k && strcmp(host, policy_string(p, p->host)) == 0 ? k : NULL;
}

static int kid_of_file(const struct ctl *c, const char *dir, bool next, struct point *ret,
		       char kid[44])
{
	int code = host_key_point(c, dir, next, ret);

	if (code == EXIT_SUCCESS && jose_thumbprint(ret, kid) < 0)
		return fail(c, "libcrypto cannot make a thumbprint");
	return code;
}

/* What was not said about the entry is as in the entry of the key in use. */
static int options_complete(const struct ctl *c, struct host_options *o,
			    const struct policy_image *p)
{
	const struct policy_key *k;
	struct point point;
	char kid[44];
	int code;

	if (o->name || o->trust_domain || o->scopes.count)
		return EXIT_SUCCESS;
	if (!p)
		return complain(EXIT_USAGE,
				"no cleatd runs that would know this host's entry: give "
				"--name, --trust-domain and --scope");
	code = kid_of_file(c, o->dir, false, &point, kid);
	if (code != EXIT_SUCCESS)
		return code;
	k = own_entry(p, kid);
	if (!k)
		return fail(c,
			    "this host's own bundle does not name its key %s: give --name, "
			    "--trust-domain and --scope",
			    kid);
	const uint32_t *scopes = policy_at(p, &p->scopes);

	o->name = policy_string(p, p->host);
	o->trust_domain = policy_string(p, p->trust_domain);
	for (uint32_t i = 0; i < k->scopes.count && o->scopes.count < WORDS_MAX; i++)
		o->scopes.at[o->scopes.count++] = policy_string(p, scopes[k->scopes.at + i]);
	return EXIT_SUCCESS;
}

/* ---- rotate ---- */

static int next_make(const struct ctl *c, struct host_options *o, const struct policy_image *p)
{
	owned(bundle_owned) struct bundle *probe = NULL, *b = NULL;
	static const struct point none;
	struct point point;
	int code = options_complete(c, o, p), err;

	if (code == EXIT_SUCCESS) /* a mistake in the options must not leave a key behind */
		code = host_entry_make(c, o, &none, &probe);
	if (code != EXIT_SUCCESS)
		return code;
	err = keys_make_next(o->dir);
	if (err == -EEXIST)
		return fail(c,
			    "%s/" KEYS_NEXT_FILE " is there already: a rotation is under way "
			    "(\"cleatctl keys list\"); finish it, or remove the file",
			    o->dir);
	if (err < 0)
		return fail(c, "cannot make a key in %s: %s", o->dir, strerror(-err));
	code = host_key_point(c, o->dir, true, &point);
	if (code == EXIT_SUCCESS)
		code = host_entry_make(c, o, &point, &b);
	return code == EXIT_SUCCESS ? host_entry_print(c, b) : code;
}

static int next_finish(const struct ctl *c, const char *dir, const struct policy_image *p)
{
	char old_kid[44], kid[44];
	uint32_t generation;
	struct point point;
	int code = kid_of_file(c, dir, true, &point, kid), err;

	if (code == EXIT_SUCCESS)
		code = kid_of_file(c, dir, false, &point, old_kid);
	if (code != EXIT_SUCCESS)
		return code;
	if (!p)
		return fail(c, "no cleatd runs: start it, so that it is known whether the next key "
			       "is trusted");
	if (!own_entry(p, kid))
		return fail(
			c,
			"the next key %s is not in this host's own bundle, so the old one still "
			"signs: \"cleatctl trust add\" its entry, \"cleatctl reload\"",
			kid);
	err = keys_take_next(dir);
	if (err < 0)
		return fail(c, "cannot rename %s/" KEYS_NEXT_FILE ": %s", dir, strerror(-err));
	code = admin_reload(c, &generation);
	if (code != EXIT_SUCCESS)
		return complain(code,
				"%s is in place as %s/" KEYS_HOST_FILE
				", but the daemon has not taken it: put "
				"right what it says, then \"cleatctl reload\"",
				kid, dir);
	if (c->json)
		printf("{\"ok\":true,\"kid\":\"%s\",\"old_kid\":\"%s\",\"generation\":%u}\n", kid,
		       old_kid, generation);
	else
		printf("%s signs alone. In two minutes what the old key signed has expired: "
		       "\"cleatctl trust remove --bundle FILE -- %s\" everywhere\n",
		       kid, old_kid);
	return EXIT_SUCCESS;
}

/* Wherever it stands; the rest closes up. */
static bool finish_take(int *argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], "--finish") != 0)
			argv[n++] = argv[i];
	bool there = n < *argc;

	*argc = n;
	return there;
}

int verb_keys_rotate(const struct ctl *c, int argc, char **argv)
{
	bool finish = finish_take(&argc, argv);
	owned_mem void *image = NULL;
	struct host_options o = { 0 };

	if (!host_options_take(argc, argv, &o))
		return EXIT_USAGE;
	if (finish && (o.name || o.trust_domain || o.scopes.count))
		return complain(EXIT_USAGE, "--finish takes no entry's options");
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	image_look(c, &image);
	return finish ? next_finish(c, o.dir, image) : next_make(c, &o, image);
}

/* ---- list ---- */

int verb_keys_list(const struct ctl *c, int argc, char **argv)
{
	const char *dir = NULL, *signs = "";
	const struct option_of options[] = { { .name = "--dir", .into = &dir } };
	char kid[44] = "", next_kid[44] = "";
	owned_mem void *image = NULL;
	struct words rest = { 0 };
	owned_fd int next = -1;
	struct point point;
	int code;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 0))
		return EXIT_USAGE;
	if (!dir)
		dir = DEFAULT_STATE;
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	code = kid_of_file(c, dir, false, &point, kid);
	if (code == EXIT_SUCCESS && keys_open_next(dir, &next) != -ENOENT)
		code = kid_of_file(c, dir, true, &point, next_kid);
	if (code != EXIT_SUCCESS)
		return code;
	image_look(c, &image);
	if (image)
		signs = next_kid[0] && own_entry(image, next_kid) ? next_kid : kid;
	if (c->json)
		printf("{\"ok\":true,\"current\":\"%s\",\"next\":\"%s\",\"signs\":\"%s\"}\n", kid,
		       next_kid, signs);
	else
		printf("current  %s%s\n%s%s%s%s", kid, strcmp(signs, kid) == 0 ? ", signs" : "",
		       next_kid[0] ? "next     " : "", next_kid,
		       next_kid[0] && strcmp(signs, next_kid) == 0 ? ", signs" : "",
		       next_kid[0] ? "\n" : "");
	return EXIT_SUCCESS;
}
