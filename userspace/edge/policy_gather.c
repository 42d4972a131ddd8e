/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first half of a generation: every file it is made of is judged and read whole, and none is looked into. Who may
 * read root's files does this; who parses them needs no file any more (room/reader.c drops everything in between).
 */
#include "base/cleanup.h"
#include "edge/policy_files.h"
#include "edge/policy_tree.h"
#include "edge/policy_yaml.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define BUNDLE_BYTES_MAX  (16u << 20)
#define REVOKED_BYTES_MAX (16u << 20)

struct gathering {
	struct policy_files *f;
	struct draft *d; /* for its arena and its complaints */
	const struct policy_source *source;
};

static int complain(struct gathering *g, const char *file, const char *what)
{
	const struct place_in_file at = { .file = file, .line = 1, .column = 1 };

	return draft_complain(g->d, &at, "%s", what);
}

static int take(struct gathering *g, int dirfd, const char *base, const char *name, size_t max,
		struct policy_file *ret)
{
	ret->base = base;
	ret->name = name;
	ret->shown = files_path(g->d, g->source->config_dir, name);
	return files_read(g->d, dirfd, base, ret->shown, max, g->source->any_owner, &ret->bytes,
			  &ret->len);
}

static int main_take(struct gathering *g, int config)
{
	int err = take(g, config, "cleat.yaml", "cleat.yaml", TREE_BYTES_MAX, &g->f->main);

	return err == -ENOENT ? complain(g, g->f->main.shown,
					 "not there: write one (an example is in cleat.policy(5)), "
					 "or name another directory")
			      : err;
}

/* ---- the two directories ---- */

/* "x.yml" would be left aside in silence: what is not read must not look as if it were. */
static int drop_ins_check(struct gathering *g, int dirfd)
{
	const char **names;
	size_t count;
	int err = files_list(g->d, dirfd, ".yml", &names, &count);

	if (err == 0 && count > 0)
		return complain(g,
				files_path(g->d, g->source->config_dir,
					   files_path(g->d, POLICY_DROP_INS, names[0])),
				"would not be read: rename it to end in .yaml");
	return err;
}

static int all_take(struct gathering *g, int dirfd, const char *dir, const char *suffix, size_t max,
		    struct policy_file **ret, size_t *ret_count)
{
	const char **names;
	size_t count;
	int err = files_list(g->d, dirfd, suffix, &names, &count);

	if (err < 0)
		return err;
	*ret = calloc(count + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < count && err == 0; i++, ++*ret_count) {
		err = take(g, dirfd, names[i], files_path(g->d, dir, names[i]), max, &(*ret)[i]);
		if (err == -ENOENT)
			err = complain(g, (*ret)[i].shown, "went away while it was to be read");
	}
	return err;
}

static int drop_ins_take(struct gathering *g, int config)
{
	owned_fd int dir = -1;
	int err = files_open_dir(g->d, config, POLICY_DROP_INS,
				 files_path(g->d, g->source->config_dir, POLICY_DROP_INS),
				 g->source->any_owner, &dir);

	if (err == -ENOENT)
		return 0;
	if (err == 0)
		err = drop_ins_check(g, dir);
	return err < 0 ? err
		       : all_take(g, dir, POLICY_DROP_INS, ".yaml", TREE_BYTES_MAX, &g->f->drop_ins,
				  &g->f->drop_in_count);
}

/* The highest spiffe_sequence that was seen of each. */
static int sequences_take(struct gathering *g)
{
	for (size_t i = 0; g->source->state_dir && i < g->f->bundle_count; i++) {
		struct policy_file *b = &g->f->bundles[i];
		size_t len = strlen(b->base) - strlen(".json");
		char name[NAME_MAX + 1];

		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, b->base, len);
		name[len] = '\0';
		b->seen_err = policy_sequence_seen(g->source->state_dir, name, &b->seen);
	}
	return 0;
}

static int bundles_take(struct gathering *g, int config)
{
	owned_fd int dir = -1;
	int err = files_open_dir(g->d, config, POLICY_TRUST,
				 files_path(g->d, g->source->config_dir, POLICY_TRUST),
				 g->source->any_owner, &dir);

	if (err == -ENOENT)
		return 0;
	if (err == 0)
		err = all_take(g, dir, POLICY_TRUST, ".json", BUNDLE_BYTES_MAX, &g->f->bundles,
			       &g->f->bundle_count);
	return err < 0 ? err : sequences_take(g);
}

static int revoked_take(struct gathering *g)
{
	struct policy_file *r = &g->f->revoked;
	int err;

	if (!g->source->state_dir)
		return 0;
	r->shown = files_path(g->d, g->source->state_dir, POLICY_REVOKED_FILE);
	err = files_read(g->d, AT_FDCWD, r->shown, r->shown, REVOKED_BYTES_MAX,
			 g->source->any_owner, &r->bytes, &r->len);
	return err == -ENOENT ? 0 : err;
}

/* ---- all of it ---- */

static int gather(struct gathering *g)
{
	const char *dir = g->source->config_dir;
	owned_fd int config = -1;
	int err = files_open_dir(g->d, AT_FDCWD, dir, dir, g->source->any_owner, &config);

	if (err == -ENOENT)
		return complain(g, dir, "not there: make it, or name another");
	if (err == 0)
		err = main_take(g, config);
	if (err == 0)
		err = drop_ins_take(g, config);
	if (err == 0)
		err = bundles_take(g, config);
	return err < 0 ? err : revoked_take(g);
}

int policy_gather(const struct policy_source *source, struct policy_files **ret, char *error,
		  size_t error_cap)
{
	owned(policy_files_owned) struct policy_files *f = calloc(1, sizeof(*f));
	struct draft d = { .error = error, .error_cap = error_cap };
	struct gathering g = { f, &d, source };
	int err;

	if (!f)
		return -ENOMEM;
	if (error_cap)
		error[0] = '\0';
	err = gather(&g);
	f->arena = d.arena; /* the names; nothing else of a draft was used */
	if (err == 0)
		*ret = take_ptr(f);
	else if (error_cap && !error[0])
		snprintf(error, error_cap, "%s:1:1: %s", source->config_dir, strerror(-err));
	return err;
}

void policy_files_free(struct policy_files *f)
{
	for (size_t i = 0; i < f->drop_in_count; i++)
		free(f->drop_ins[i].bytes);
	for (size_t i = 0; i < f->bundle_count; i++)
		free(f->bundles[i].bytes);
	free(f->drop_ins);
	free(f->bundles);
	free(f->main.bytes);
	free(f->revoked.bytes);
	arena_drop(&f->arena);
	free(f);
}
