/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a draft to an image: labels and places get their numbers (those of the generation before stay, none is
 * ever given twice), names are resolved, and what could be read in two ways is refused with both lines:
 * two workloads that could claim one task, two rules for one question.
 *
 * A workload that is gone leaves a tombstone. When it comes back it is somebody new: it gets a new label,
 * so that a socket or a token of the one before is never taken for its own.
 */
#include "edge/policy_draft.h"

#include "base/cleanup.h"
#include "base/twin.h"
#include <errno.h>
#include <string.h>

/* Everything that is needed only while it is built. */
struct build {
	struct draft *d;
	struct draft_workload **by_id;
	struct draft_workload **by_place;
	struct draft_name *places; /* by name, each once */
	size_t place_count;
	struct draft_name *before; /* workloads of the generation before, by id */
	size_t before_count;
	struct draft_name *tombstones;
	size_t tombstone_count;
	uint32_t next_label;
	uint32_t next_place;
};

static void build_drop(struct build *b)
{
	free(b->by_id);
	free(b->by_place);
	free(b->places);
	free(b->before);
	free(b->tombstones);
}

static int order_names(const void *a, const void *b)
{
	const struct draft_name *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int order_numbers(const void *a, const void *b)
{
	const struct draft_name *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static struct draft_name *name_find(struct draft_name *names, size_t count, const char *name)
{
	const struct draft_name key = { .name = name };

	return count ? bsearch(&key, names, count, sizeof(*names), order_names) : NULL;
}

static int order_ids(const void *a, const void *b)
{
	const struct draft_workload *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

static int build_open(struct build *b, struct draft *d, const struct policy_image *previous)
{
	size_t n = d->workload_count;
	size_t dead = previous ? previous->tombstones.count + previous->workloads.count : 0;

	b->d = d;
	b->next_label = previous ? previous->next_label : 1;
	b->next_place = previous ? previous->next_place : 1;
	b->by_id = calloc(n + 1, sizeof(*b->by_id));
	b->by_place = calloc(n + 1, sizeof(*b->by_place));
	b->places = calloc(n + 1, sizeof(*b->places));
	b->before = calloc(dead + 1, sizeof(*b->before));
	b->tombstones = calloc(dead + 1, sizeof(*b->tombstones));
	if (!b->by_id || !b->by_place || !b->places || !b->before || !b->tombstones)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		b->by_id[i] = b->by_place[i] = &d->workloads[i];
	return 0;
}

/* A number that was given before stays; else the next one. */
static int labels_set(struct build *b, const struct policy_image *previous)
{
	const struct policy_workload *w =
		previous ? policy_at(previous, &previous->workloads) : NULL;

	for (size_t i = 0; previous && i < previous->workloads.count; i++)
		b->before[b->before_count++] =
			(struct draft_name){ policy_string(previous, w[i].id), w[i].label };
	draft_sort(b->before, b->before_count, sizeof(*b->before), order_names);

	for (size_t i = 0; i < b->d->workload_count; i++) {
		struct draft_workload *is = &b->d->workloads[i];
		const struct draft_name *was = name_find(b->before, b->before_count, is->id);

		if (!was && b->next_label >= POLICY_LABEL_MAX)
			return draft_complain(
				b->d, &is->at,
				"no number is left for %s: %u new ids were seen since this host booted: reboot it",
				is->id, POLICY_LABEL_MAX);
		is->label = was ? was->number : b->next_label++;
	}
	return 0;
}

static int ids_unique(struct build *b)
{
	size_t n = b->d->workload_count;

	draft_sort(b->by_id, n, sizeof(*b->by_id), order_ids);
	for (size_t i = 1; i < n; i++) {
		const struct draft_workload *first = b->by_id[i - 1], *again = b->by_id[i];

		if (strcmp(first->id, again->id) != 0)
			continue;
		if (again < first) { /* the array is in the order of the files */
			first = b->by_id[i];
			again = b->by_id[i - 1];
		}
		return draft_complain(b->d, &again->at,
				      "%s is a workload already, at %s:%u: give each id once",
				      again->id, first->at.file, first->at.line);
	}
	return 0;
}

static int order_by_place_name(const void *a, const void *b)
{
	const struct draft_workload *const *x = a, *const *y = b;

	return strcmp((*x)->place, (*y)->place);
}

static void places_set(struct build *b, const struct policy_image *previous)
{
	const struct policy_place *was = previous ? policy_at(previous, &previous->places) : NULL;
	size_t n = b->d->workload_count;

	draft_sort(b->by_place, n, sizeof(*b->by_place), order_by_place_name);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(b->by_place[i - 1]->place, b->by_place[i]->place) != 0)
			b->places[b->place_count++].name = b->by_place[i]->place;

	for (size_t i = 0, k = 0; previous && i < previous->places.count; i++) { /* both sorted */
		const char *name = policy_string(previous, was[i].name);

		while (k < b->place_count && strcmp(b->places[k].name, name) < 0)
			k++;
		if (k < b->place_count && strcmp(b->places[k].name, name) == 0)
			b->places[k].number = was[i].place;
	}
	for (size_t i = 0; i < n; i++) {
		struct draft_name *place =
			name_find(b->places, b->place_count, b->d->workloads[i].place);

		if (place->number == 0)
			place->number = b->next_place++;
		b->d->workloads[i].place_number = place->number;
	}
}

static unsigned narrowness(const struct draft_workload *w)
{
	return !!(w->rule_flags & CLEAT_RULE_UID) + !!(w->rule_flags & CLEAT_RULE_GID);
}

static int order_rules(const void *a, const void *b)
{
	const struct draft_workload *const *x = a, *const *y = b;

	if ((*x)->place_number != (*y)->place_number)
		return (*x)->place_number < (*y)->place_number ? -1 : 1;
	if (narrowness(*x) != narrowness(*y))
		return narrowness(*x) > narrowness(*y) ? -1 : 1;
	return (*x)->label < (*y)->label ? -1 : (*x)->label > (*y)->label;
}

/* Could one task fit both, and neither be the narrower? */
static bool ambiguous(const struct draft_workload *x, const struct draft_workload *y)
{
	const uint32_t both = CLEAT_RULE_UID | CLEAT_RULE_GID;
	uint32_t shared = x->rule_flags & y->rule_flags & both;

	if (narrowness(x) != narrowness(y))
		return false;
	if ((shared & CLEAT_RULE_UID) && x->uid != y->uid)
		return false;
	if ((shared & CLEAT_RULE_GID) && x->gid != y->gid)
		return false;
	return true;
}

static int complain_ambiguous(struct build *b, const struct draft_workload *x,
			      const struct draft_workload *y)
{
	const struct draft_workload *first = x < y ? x : y, *later = x < y ? y : x;

	return draft_complain(b->d, &later->at,
			      "%s and %s (%s:%u) could claim the same task at %s: tell them apart "
			      "by uid, by gid or by both",
			      later->id, first->id, first->at.file, first->at.line, later->place);
}

/* One cgroup has one place: a path and a unit that may be the same cgroup are refused. */
static int spellings_apart(struct build *b)
{
	for (size_t i = 0; i < b->d->workload_count; i++) {
		const struct draft_workload *path = b->by_place[i];
		const char *unit = policy_unit_of(path->place);

		if (!unit || !name_find(b->places, b->place_count, unit))
			continue;
		for (size_t k = 0; k < b->d->workload_count; k++)
			if (strcmp(b->by_place[k]->place, unit) == 0)
				return complain_ambiguous(b, path, b->by_place[k]);
	}
	return 0;
}

static int claims_apart(struct build *b)
{
	size_t n = b->d->workload_count, first = 0;

	draft_sort(b->by_place, n, sizeof(*b->by_place), order_rules);
	for (size_t i = 0; i < n; i++) {
		if (b->by_place[i]->place_number != b->by_place[first]->place_number)
			first = i;
		if (i - first >= CLEAT_RULES_MAX)
			return draft_complain(b->d, &b->by_place[i]->at,
					      "more than %u workloads at %s: give some of them a "
					      "cgroup of their own",
					      CLEAT_RULES_MAX, b->by_place[i]->place);
		for (size_t k = first; k < i; k++)
			if (kept(policy_overlap) && ambiguous(b->by_place[k], b->by_place[i]))
				return complain_ambiguous(b, b->by_place[k], b->by_place[i]);
	}
	return spellings_apart(b);
}

/* The label of a workload of this host, or a complaint that there is none. */
static int resolve(struct build *b, const char *id, const struct place_in_file *at,
		   uint32_t *ret_label)
{
	const struct draft_workload key = { .id = id }, *wanted = &key;
	struct draft_workload **found = b->d->workload_count
						? bsearch(&wanted, b->by_id, b->d->workload_count,
							  sizeof(*b->by_id), order_ids)
						: NULL;

	if (!found)
		return draft_complain(b->d, at,
				      "%s is no workload of this host: add it under workloads, or "
				      "remove what names it",
				      id);
	*ret_label = (*found)->label;
	return 0;
}

static int names_resolve(struct build *b)
{
	struct draft *d = b->d;
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->workload_count; i++)
		if (d->workloads[i].accepted_by)
			r = resolve(b, d->workloads[i].accepted_by, &d->workloads[i].accepted_by_at,
				    &d->workloads[i].accepted_by_label);
	for (size_t i = 0; r == 0 && i < d->call_count; i++)
		r = resolve(b, d->calls[i].from, &d->calls[i].at, &d->calls[i].from_label);
	for (size_t i = 0; r == 0 && i < d->accept_count; i++)
		r = resolve(b, d->accepts[i].to, &d->accepts[i].at, &d->accepts[i].to_label);
	return r;
}

static void tombstones_set(struct build *b, const struct policy_image *previous)
{
	const struct policy_label *dead =
		previous ? policy_at(previous, &previous->tombstones) : NULL;
	size_t too_many;

	for (size_t i = 0; previous && i < previous->tombstones.count; i++)
		b->tombstones[b->tombstone_count++] =
			(struct draft_name){ policy_string(previous, dead[i].id), dead[i].label };
	for (size_t i = 0; i < b->before_count; i++) {
		const struct draft_workload key = { .id = b->before[i].name }, *wanted = &key;

		if (!b->d->workload_count ||
		    !bsearch(&wanted, b->by_id, b->d->workload_count, sizeof(*b->by_id), order_ids))
			b->tombstones[b->tombstone_count++] = b->before[i];
	}
	draft_sort(b->tombstones, b->tombstone_count, sizeof(*b->tombstones), order_numbers);
	if (b->tombstone_count > DRAFT_TOMBSTONES_MAX) {
		too_many = b->tombstone_count - DRAFT_TOMBSTONES_MAX;
		b->tombstone_count = DRAFT_TOMBSTONES_MAX;
		memmove(b->tombstones, b->tombstones + too_many,
			b->tombstone_count * sizeof(*b->tombstones));
	}
}

static int order_labels(const void *a, const void *b)
{
	const struct draft_workload *x = a, *y = b;

	return x->label < y->label ? -1 : x->label > y->label;
}

static int order_bundles(const void *a, const void *b)
{
	const struct bundle *const *x = a, *const *y = b;

	return strcmp((*x)->trust_domain, (*y)->trust_domain);
}

/* By label for the image; the pointers into the array are set anew. */
static void workloads_sort(struct build *b)
{
	struct draft *d = b->d;

	draft_sort(d->workloads, d->workload_count, sizeof(*d->workloads), order_labels);
	for (size_t i = 0; i < d->workload_count; i++)
		b->by_place[i] = &d->workloads[i];
	draft_sort(b->by_place, d->workload_count, sizeof(*b->by_place), order_rules);
	if (d->bundle_count)
		draft_sort(d->bundles, d->bundle_count, sizeof(*d->bundles), order_bundles);
}

int draft_build(struct draft *d, const struct policy_image *previous, void **ret_image,
		size_t *ret_size)
{
	owned(build_drop) struct build b = { 0 };
	struct draft_numbers numbers = { .generation = previous ? previous->generation + 1 : 1 };
	int r = build_open(&b, d, previous);

	if (r < 0)
		return r;
	if ((r = ids_unique(&b)) < 0)
		return r;
	if ((r = labels_set(&b, previous)) < 0)
		return r;
	places_set(&b, previous);
	if ((r = claims_apart(&b)) < 0 || (r = names_resolve(&b)) < 0 ||
	    (r = draft_rules_sort(d)) < 0)
		return r;
	tombstones_set(&b, previous); /* the last one to need by_id */
	workloads_sort(&b);

	numbers.next_label = b.next_label;
	numbers.next_place = b.next_place;
	numbers.by_place = b.by_place;
	numbers.places = b.places;
	numbers.place_count = b.place_count;
	numbers.tombstones = b.tombstones;
	numbers.tombstone_count = b.tombstone_count;
	return draft_lay_out(d, &numbers, ret_image, ret_size);
}
