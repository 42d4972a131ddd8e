/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust add, remove, list and check: a bundle as a file. It is replaced as a whole, and its spiffe_sequence grows with
 * every change, so that the one before is known to be older.
 */
#include "cleatctl.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "edge/bundle.h"
#include "edge/policy_yaml.h"
#include "edge/sig.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define BUNDLE_BYTES_MAX (16u << 20)
#define ENTRY_BYTES_MAX	 (1u << 20)
#define KEYS_OF_A_HOST	 2 /* the one in use, and the next during rotation */

/* "dir/prod.example.json" -> "prod.example". */
static bool domain_of_file(const char *path, char ret[SPIFFE_TRUST_DOMAIN_MAX + 1])
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	size_t len = strlen(base);

	if (len <= 5 || strcmp(base + len - 5, ".json") != 0 ||
	    !spiffe_trust_domain_valid(base, len - 5))
		return false;
	memcpy(ret, base, len - 5);
	ret[len - 5] = '\0';
	return true;
}

/* A bundle's file, parsed. An exit code; *ret stays NULL where there is no file and that is fine. */
static int bundle_open(const struct ctl *c, const char *path, bool may_miss, enum file_trust trust,
		       struct bundle **ret)
{
	char domain[SPIFFE_TRUST_DOMAIN_MAX + 1], error[512] = "";
	owned_mem char *text = NULL;
	size_t len;
	int err;

	if (!domain_of_file(path, domain))
		return complain(EXIT_USAGE, "%s: a bundle's file is named <trust domain>.json",
				path);
	err = file_read(AT_FDCWD, path, BUNDLE_BYTES_MAX, trust, &text, &len);
	if (err == -ENOENT && may_miss)
		return EXIT_SUCCESS;
	if (err == -EPERM)
		return fail(
			c,
			"%s:1:1: not a regular file of root's that nobody else can write: chown "
			"root it and chmod go-w it",
			path);
	if (err < 0)
		return fail(c, "%s:1:1: %s", path, strerror(-err));
	err = bundle_parse(domain, text, len, ret, error, sizeof(error));
	if (err < 0)
		return fail(c, "%s:%s", path, error[0] ? error : strerror(-err));
	return EXIT_SUCCESS;
}

/* The same to change it, locked until it is written. What others could write root's own command must not make root's:
 * the daemon would believe every key in it. */
static int bundle_take(const struct ctl *c, const char *path, bool may_miss,
		       struct file_lock *ret_lock, struct bundle **ret)
{
	int err = file_lock(AT_FDCWD, path, ret_lock);

	if (err < 0)
		return fail(c, "cannot write %s: %s", path, strerror(-err));
	return bundle_open(c, path, may_miss, geteuid() == 0 ? FILE_ROOT_OWNED : FILE_ANY, ret);
}

/* The sequence grows, the file is replaced as a whole. */
static int bundle_save(const struct ctl *c, const char *path, struct bundle *b)
{
	owned_mem char *text = NULL;
	int err;

	if (b->foreign_count)
		return fail(
			c,
			"%s holds %zu keys of other uses, which this program would lose: edit it by "
			"hand",
			path, b->foreign_count);
	if (b->sequence == BUNDLE_SEQUENCE_MAX)
		return fail(c,
			    "%s: no spiffe_sequence is above %" PRIu64
			    ": it stays as it is; edited by hand, with this sequence, it is taken",
			    path, b->sequence);
	b->sequence++;
	err = bundle_print(b, &text);
	if (err == 0)
		err = file_write(AT_FDCWD, path, text, strlen(text), 0644);
	if (err < 0)
		return fail(c, "cannot write %s: %s", path, strerror(-err));
	if (c->json)
		printf("{\"ok\":true,\"keys\":%zu,\"spiffe_sequence\":%" PRIu64 "}\n", b->key_count,
		       b->sequence);
	else
		printf("%s: %zu keys, spiffe_sequence %" PRIu64 "\n", path, b->key_count,
		       b->sequence);
	return EXIT_SUCCESS;
}

/* Reads an entry: one JWK, from a file or "-". */
static int entry_read(const struct ctl *c, const char *path, const char *domain,
		      struct bundle **ret)
{
	owned_mem char *text = NULL, *wrapped = NULL;
	char error[512] = "";
	size_t len, cap;
	int err = stream_read(path, ENTRY_BYTES_MAX, &text, &len);

	if (err < 0)
		return fail(c, "%s: %s", path, strerror(-err));
	cap = len + 64;
	wrapped = malloc(cap);
	if (!wrapped)
		return fail(c, "out of memory");
	snprintf(wrapped, cap, "{\"spiffe_sequence\":1,\"keys\":[%s]}", text);
	err = bundle_parse(domain, wrapped, strlen(wrapped), ret, error, sizeof(error));
	if (err < 0)
		return fail(c, "%s is no entry of %s: %s", path, domain, error);
	if ((*ret)->key_count != 1 || (*ret)->foreign_count)
		return fail(c, "%s: an entry is one key, as \"cleatctl host entry\" prints it",
			    path);
	return EXIT_SUCCESS;
}

static size_t keys_of_host(const struct bundle *b, const char *issuer)
{
	size_t n = 0;

	for (size_t i = 0; i < b->key_count; i++)
		n += strcmp(b->keys[i].issuer, issuer) == 0;
	return n;
}

static int entry_add(const struct ctl *c, const char *path, struct bundle *b,
		     const struct bundle_key *key)
{
	const char *const *scopes = (const char *const *)key->scopes;
	int err;

	if (keys_of_host(b, key->issuer) >= KEYS_OF_A_HOST)
		return fail(c, "%s has %d keys already: remove the one that is no longer used",
			    key->issuer, KEYS_OF_A_HOST);
	err = bundle_add(b, &key->point, key->issuer, scopes, key->scope_count);
	if (err == -EEXIST)
		return fail(c, "%s holds this key already", path);
	if (err < 0)
		return fail(c, "cannot add it: %s", strerror(-err));
	return bundle_save(c, path, b);
}

int verb_trust_add(const struct ctl *c, int argc, char **argv)
{
	owned(bundle_owned) struct bundle *b = NULL, *entry = NULL;
	owned_lock struct file_lock lock = FILE_LOCK_NONE;
	const char *path = NULL;
	const struct option_of options[] = { { .name = "--bundle", .into = &path } };
	char domain[SPIFFE_TRUST_DOMAIN_MAX + 1];
	struct words rest = { 0 };
	int code;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 1))
		return EXIT_USAGE;
	if (!path || rest.count != 1)
		return complain(EXIT_USAGE, "trust add needs --bundle FILE and an entry's file");
	if (!domain_of_file(path, domain))
		return complain(EXIT_USAGE, "%s: a bundle's file is named <trust domain>.json",
				path);
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	code = entry_read(c, rest.at[0], domain,
			  &entry); /* it may be typed: nobody waits for that */
	if (code == EXIT_SUCCESS)
		code = bundle_take(c, path, true, &lock, &b);
	if (code != EXIT_SUCCESS)
		return code;
	if (!b)
		b = bundle_new(domain);
	return b ? entry_add(c, path, b, &entry->keys[0]) : fail(c, "out of memory");
}

int verb_trust_remove(const struct ctl *c, int argc, char **argv)
{
	owned(bundle_owned) struct bundle *b = NULL;
	owned_lock struct file_lock lock = FILE_LOCK_NONE;
	const char *path = NULL;
	const struct option_of options[] = { { .name = "--bundle", .into = &path } };
	struct words rest = { 0 };
	int code;

	if (!OPTIONS_TAKE(argc, argv, options, &rest, 1))
		return EXIT_USAGE;
	if (!path || rest.count != 1)
		return complain(
			EXIT_USAGE,
			"trust remove needs --bundle FILE and a kid (behind -- where it begins with a dash)");
	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	code = bundle_take(c, path, false, &lock, &b);
	if (code != EXIT_SUCCESS)
		return code;
	if (bundle_remove(b, rest.at[0]) < 0)
		return fail(c, "%s holds no key %s (\"cleatctl trust list\" shows them)", path,
			    rest.at[0]);
	return bundle_save(c, path, b);
}

/* ---- list and check: one bundle, or all of a configuration ---- */

struct trust_options {
	const char *dir;
	const char *bundle;
	const char *state_dir;
	bool any_owner;
};

typedef int (*bundle_fn)(const struct ctl *c, const struct trust_options *o, const char *path,
			 const struct bundle *b);

static int ends_in_json(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return e->d_name[0] != '.' && len > 5 && strcmp(e->d_name + len - 5, ".json") == 0;
}

static int one_bundle(const struct ctl *c, const struct trust_options *o, const char *path,
		      bundle_fn each)
{
	owned(bundle_owned) struct bundle *b = NULL;
	int code = bundle_open(c, path, false, o->any_owner ? FILE_ANY : FILE_ROOT_OWNED, &b);

	return code == EXIT_SUCCESS ? each(c, o, path, b) : code;
}

static int each_bundle(const struct ctl *c, const struct trust_options *o, bundle_fn each)
{
	struct dirent **names;
	char path[4096];
	int worst = EXIT_SUCCESS, n;

	if (sig_open() < 0)
		return fail(c, "libcrypto does not start");
	if (o->bundle)
		return one_bundle(c, o, o->bundle, each);
	snprintf(path, sizeof(path), "%s/trust", o->dir ? o->dir : DEFAULT_CONFIG);
	n = scandir(path, &names, ends_in_json, alphasort);
	if (n < 0)
		return fail(c, "%s: %s", path, strerror(errno));
	for (int i = 0; i < n; i++) {
		int code;

		snprintf(path, sizeof(path), "%s/trust/%s", o->dir ? o->dir : DEFAULT_CONFIG,
			 names[i]->d_name);
		code = one_bundle(c, o, path, each);
		worst = code > worst ? code : worst;
		free(names[i]);
	}
	free(names);
	return worst;
}

static int list_one(const struct ctl *c, const struct trust_options *o, const char *path,
		    const struct bundle *b)
{
	(void)o;
	if (c->json) {
		owned_mem char *text = NULL;

		if (bundle_print(b, &text) < 0)
			return fail(c, "out of memory");
		fputs("{\"ok\":true", stdout);
		put_member("file", path);
		put_member("trust_domain", b->trust_domain);
		printf(",\"bundle\":%s}\n", text);
		return EXIT_SUCCESS;
	}
	printf("%s: spiffe_sequence %" PRIu64 ", %zu keys", b->trust_domain, b->sequence,
	       b->key_count);
	printf(b->foreign_count ? ", %zu of other uses\n" : "\n", b->foreign_count);
	for (size_t i = 0; i < b->key_count; i++) {
		printf("  %s %s", b->keys[i].kid, b->keys[i].issuer);
		for (size_t k = 0; k < b->keys[i].scope_count; k++)
			printf(" %s", b->keys[i].scopes[k]);
		fputc('\n', stdout);
	}
	return EXIT_SUCCESS;
}

static int check_one(const struct ctl *c, const struct trust_options *o, const char *path,
		     const struct bundle *b)
{
	const char *state = o->state_dir ? o->state_dir : DEFAULT_STATE;
	uint64_t seen = 0;
	int err = 0;

	if (o->state_dir || geteuid() == 0)
		err = policy_sequence_seen(state, b->trust_domain, &seen);
	if (err < 0)
		return fail(c, "%s/trust/%s.sequence: %s", state, b->trust_domain, strerror(-err));
	if (b->sequence < seen)
		return fail(c,
			    "%s:1:1: spiffe_sequence %" PRIu64 " went back: %" PRIu64 " was seen "
			    "already; put the newer bundle here",
			    path, b->sequence, seen);
	for (size_t i = 0; i < b->key_count; i++)
		if (keys_of_host(b, b->keys[i].issuer) > KEYS_OF_A_HOST)
			return fail(
				c,
				"%s:1:1: %s has more than %d keys: remove those that are no longer "
				"used",
				path, b->keys[i].issuer, KEYS_OF_A_HOST);
	if (c->json) {
		fputs("{\"ok\":true", stdout);
		put_member("file", path);
		printf(",\"keys\":%zu,\"spiffe_sequence\":%" PRIu64 "}\n", b->key_count,
		       b->sequence);
	} else {
		printf("ok: %s: %zu keys, spiffe_sequence %" PRIu64 "\n", path, b->key_count,
		       b->sequence);
	}
	return EXIT_SUCCESS;
}

/* @state: the sequences seen are of interest, so it may be said where they are. */
static int trust_each(const struct ctl *c, int argc, char **argv, bool state, bundle_fn each)
{
	struct trust_options o = { 0 };
	const struct option_of options[] = {
		{ .name = "--dir", .into = &o.dir },
		{ .name = "--bundle", .into = &o.bundle },
		{ .name = "--any-owner", .flag = &o.any_owner },
		{ .name = "--state-dir", .into = &o.state_dir },
	};
	struct words rest = { 0 };

	if (!options_take(argc, argv, options, state ? 4 : 3, &rest, 0))
		return EXIT_USAGE;
	if (o.dir && o.bundle)
		return complain(EXIT_USAGE, "--dir and --bundle both: give one");
	return each_bundle(c, &o, each);
}

int verb_trust_list(const struct ctl *c, int argc, char **argv)
{
	return trust_each(c, argc, argv, false, list_one);
}

int verb_trust_check(const struct ctl *c, int argc, char **argv)
{
	return trust_each(c, argc, argv, true, check_one);
}
