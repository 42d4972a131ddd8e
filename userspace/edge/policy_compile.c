/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation, from all the files of a configuration: cleat.yaml, policies.d in name order, one bundle per
 * trust domain. All of it or nothing: the first thing that is wrong ends the reading with its place.
 */
#include "edge/policy_yaml.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/twin.h"
#include "edge/policy_draft.h"
#include "edge/policy_files.h"
#include "edge/policy_read.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

struct compiling {
	struct draft *d;
	const struct policy_source *source;
	const struct policy_files *files;
};

static int complain(struct compiling *c, const char *file, const char *what)
{
	const struct place_in_file at = { .file = file, .line = 1, .column = 1 };

	draft_complain(c->d, &at, "%s", what);
	return -EBADMSG;
}

/* ---- policy files ---- */

static int file_compile(struct compiling *c, enum policy_file_kind kind,
			const struct policy_file *f)
{
	struct tree_error error;
	struct tree_node *root;
	int err = tree_parse(&c->d->arena, f->bytes, f->len, &root, &error);

	if (err == -EBADMSG) {
		const struct place_in_file at = { f->shown, f->name, error.line, error.column };

		return draft_complain(c->d, &at, "%s", error.what);
	}
	return err < 0 ? err : policy_read(c->d, kind, f->shown, f->name, root);
}

static int files_compile(struct compiling *c)
{
	const struct policy_files *f = c->files;
	int err = file_compile(c, POLICY_FILE_MAIN, &f->main);

	for (size_t i = 0; err == 0 && i < f->drop_in_count; i++)
		err = file_compile(c, POLICY_FILE_DROP_IN, &f->drop_ins[i]);
	return err;
}

/* ---- bundles ---- */

static int sequence_path(const char *state_dir, const char *trust_domain, char *ret, size_t cap)
{
	int n = snprintf(ret, cap, "%s/trust/%s.sequence", state_dir, trust_domain);

	return n >= 0 && (size_t)n < cap ? 0 : -ENAMETOOLONG;
}

int policy_sequence_seen(const char *state_dir, const char *trust_domain, uint64_t *ret)
{
	owned_mem char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int err = sequence_path(state_dir, trust_domain, path, sizeof(path));

	if (err == 0)
		err = file_read(AT_FDCWD, path, 64, FILE_ROOT_OWNED, &text, &len);
	if (err == -ENOENT) {
		*ret = 0;
		return 0;
	}
	if (err < 0)
		return err;
	if (len == 0 || text[len - 1] != '\n' || decimal_parse(text, len - 1, UINT64_MAX, ret) < 0)
		return -EBADMSG;
	return 0;
}

/* The highest one of the generation before and of what is kept. */
static int sequence_seen(struct compiling *c, const struct policy_file *f, const char *trust_domain,
			 uint64_t *ret)
{
	const struct policy_image *before = c->source->previous;
	const struct policy_domain *was =
		before ? policy_domain(before, trust_domain, strlen(trust_domain)) : NULL;

	if (f->seen_err < 0)
		return complain(
			c,
			files_path(c->d, c->source->state_dir,
				   files_path(c->d, POLICY_TRUST, trust_domain)),
			"its .sequence cannot be read: it keeps the highest spiffe_sequence that was "
			"seen; put it right, or remove it if the bundle there is known to be the "
			"newest");
	*ret = was ? (uint64_t)was->sequence_hi << 32 | was->sequence_lo : 0;
	*ret = f->seen > *ret ? f->seen : *ret;
	return 0;
}

static int sequence_check(struct compiling *c, const struct policy_file *f, const struct bundle *b)
{
	const struct place_in_file at = { .file = f->shown, .line = 1, .column = 1 };
	uint64_t seen;
	int err = sequence_seen(c, f, b->trust_domain, &seen);

	if (err < 0)
		return err;
	if (kept(bundle_sequence) && b->sequence < seen)
		return draft_complain(
			c->d, &at,
			"spiffe_sequence %llu went back: %llu was seen already; put the "
			"newer bundle here",
			(unsigned long long)b->sequence, (unsigned long long)seen);
	return 0;
}

static int bundle_compile(struct compiling *c, const struct policy_file *f)
{
	size_t name_len = strlen(f->base) - strlen(".json");
	char name[SPIFFE_TRUST_DOMAIN_MAX + 1], why[512] = "";
	struct bundle **b;
	int err;

	if (!spiffe_trust_domain_valid(f->base, name_len))
		return complain(c, f->shown, "no bundle's name: it is <trust domain>.json");
	memcpy(name, f->base, name_len);
	name[name_len] = '\0';
	b = draft_more(&c->d->bundles, &c->d->bundle_count, &c->d->bundle_cap, sizeof(*b));
	if (!b)
		return -ENOMEM;
	err = bundle_parse(name, f->bytes, f->len, b, why, sizeof(why));
	if (err == -EBADMSG) {
		snprintf(c->d->error, c->d->error_cap, "%s:%s%s", f->shown,
			 isdigit((unsigned char)why[0]) ? "" : "1:1: ", why);
		return err;
	}
	return err < 0 ? err : sequence_check(c, f, *b);
}

static bool has_bundle(const struct draft *d, const char *trust_domain)
{
	for (size_t i = 0; i < d->bundle_count; i++)
		if (strcmp(d->bundles[i]->trust_domain, trust_domain) == 0)
			return true;
	return false;
}

/* That a bundle of a foreign domain is missing is no mistake: removing it is how its hosts are refused at once,
 * whatever rules name them. */
static int bundles_compile(struct compiling *c)
{
	const char *shown = files_path(c->d, c->source->config_dir, POLICY_TRUST);
	char own[SPIFFE_TRUST_DOMAIN_MAX + 16];
	int err = 0;

	for (size_t i = 0; err == 0 && i < c->files->bundle_count; i++)
		err = bundle_compile(c, &c->files->bundles[i]);
	if (err < 0)
		return err;
	if (has_bundle(c->d, c->d->trust_domain))
		return 0;
	snprintf(own, sizeof(own), "%s.json", c->d->trust_domain);
	return complain(c, files_path(c->d, shown, own),
			"not there, and without it nobody is known: make each host's entry with "
			"\"cleatctl host init\" and put it in with \"cleatctl trust add\"");
}

/* ---- what this host believes no longer ---- */

static int order_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One line: an id of a workload or of a host. */
static int revoked_take(struct compiling *c, const char *shown, const char *line, unsigned number)
{
	const struct place_in_file at = { .file = shown, .line = number, .column = 1 };
	struct draft *d = c->d;
	struct spiffe_id id;
	const char **more;

	if (!spiffe_id_parse(line, strlen(line), &id) || id.path_len == 0)
		return draft_complain(
			d, &at,
			"no id of a workload or host: \"cleatctl revoke\" writes this "
			"file, one id a line");
	more = draft_more(&d->revoked, &d->revoked_count, &d->revoked_cap, sizeof(*more));
	if (!more)
		return -ENOMEM;
	*more = arena_text(&d->arena, line, strlen(line));
	return *more ? 0 : -ENOMEM;
}

static void revoked_settle(struct draft *d)
{
	size_t n = 0;

	draft_sort(d->revoked, d->revoked_count, sizeof(*d->revoked), order_ids);
	for (size_t i = 0; i < d->revoked_count; i++)
		if (n == 0 || strcmp(d->revoked[n - 1], d->revoked[i]) != 0)
			d->revoked[n++] = d->revoked[i];
	d->revoked_count = n;
}

/* No file: nothing is revoked. One that cannot be read refuses the generation: it must not look as if it were empty. */
static int revoked_compile(struct compiling *c)
{
	const struct policy_file *f = &c->files->revoked;
	owned_mem char *copy = NULL; /* cut into lines */
	unsigned number = 0;
	const char *line;
	int err = 0;
	char *rest;

	if (!f->bytes)
		return 0;
	if (strlen(f->bytes) != f->len || (f->len && f->bytes[f->len - 1] != '\n'))
		return complain(c, f->shown, "is cut: \"cleatctl revoke\" writes it as a whole");
	copy = strndup(f->bytes, f->len ? f->len - 1 : 0);
	if (!copy)
		return -ENOMEM;
	for (rest = f->len ? copy : NULL; err == 0 && (line = strsep(&rest, "\n"));)
		err = revoked_take(c, f->shown, line, ++number);
	revoked_settle(c->d);
	return err;
}

/* ---- all of it ---- */

static int compile(struct compiling *c)
{
	int err = files_compile(c);

	if (err == 0)
		err = bundles_compile(c);
	return err < 0 ? err : revoked_compile(c);
}

int policy_compile(const struct policy_source *source, void **ret_image, size_t *ret_size,
		   char *error, size_t error_cap)
{
	owned(policy_files_owned) struct policy_files *read_here = NULL;
	owned(draft_drop) struct draft d = { .leeway_s = LEEWAY_S,
					     .est_tolerance_ms = EST_TOLERANCE_MS,
					     .error = error,
					     .error_cap = error_cap };
	struct compiling c = { &d, source, source->files };
	owned_mem void *image = NULL;
	size_t size;
	int err = 0;

	if (error_cap)
		error[0] = '\0';
	if (!c.files) {
		err = policy_gather(source, &read_here, error, error_cap);
		c.files = read_here;
	}
	if (err == 0)
		err = compile(&c);
	if (err == 0)
		err = draft_build(&d, source->previous, &image, &size);
	if (err == 0)
		err = policy_check(image, size); /* what we make passes where it is received */
	if (err == 0) {
		*ret_image = take_ptr(image);
		*ret_size = size;
	} else if (error_cap && !error[0]) {
		snprintf(error, error_cap, "%s:1:1: %s", source->config_dir, strerror(-err));
	}
	return err;
}

static int sequence_store(const char *state_dir, const char *trust_domain, uint64_t sequence)
{
	char path[PATH_MAX], line[32];
	uint64_t was = 0;
	int len, err = policy_sequence_seen(state_dir, trust_domain, &was);

	if (err == 0 && was >= sequence)
		return 0;
	if (err < 0 && err != -EBADMSG)
		return err;
	err = sequence_path(state_dir, trust_domain, path, sizeof(path));
	if (err < 0)
		return err;
	len = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)sequence);
	return file_write(AT_FDCWD, path, line, (size_t)len, 0600);
}

int policy_sequences_store(const struct policy_image *p, const char *state_dir)
{
	const struct policy_domain *domains = policy_at(p, &p->domains);
	char dir[PATH_MAX];
	int n = snprintf(dir, sizeof(dir), "%s/trust", state_dir);
	int err = n >= 0 && (size_t)n < sizeof(dir) ? dir_make(dir, 0700) : -ENAMETOOLONG;

	for (uint32_t i = 0; err == 0 && i < p->domains.count; i++)
		err = sequence_store(state_dir, policy_string(p, domains[i].name),
				     (uint64_t)domains[i].sequence_hi << 32 |
					     domains[i].sequence_lo);
	return err;
}
