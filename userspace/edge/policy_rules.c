/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a draft in the order of their questions; two rules that answer one question alike are
 * refused, because one of them would never be the one that is named in a verdict.
 */
#include "edge/policy_draft.h"

#include <errno.h>
#include <string.h>

static int order_calls(const void *a, const void *b)
{
	const struct draft_call *x = a, *y = b;
	int order;

	if (x->from_label != y->from_label)
		return x->from_label < y->from_label ? -1 : 1;
	order = strcmp(x->to, y->to);
	if (order)
		return order;
	return x->as < y->as ? -1 : x->as > y->as;
}

static int order_accept_questions(const struct draft_accept *x, const struct draft_accept *y)
{
	int order;

	if (x->to_label != y->to_label)
		return x->to_label < y->to_label ? -1 : 1;
	order = strcmp(x->from, y->from);
	if (order)
		return order;
	return x->as < y->as ? -1 : x->as > y->as;
}

static int order_hosts(const struct draft_hosts *x, const struct draft_hosts *y)
{
	uint32_t nx = x ? x->count : 0, ny = y ? y->count : 0;

	for (uint32_t i = 0; i < nx && i < ny; i++) {
		int order = strcmp(x->names[i], y->names[i]);

		if (order)
			return order;
	}
	return nx < ny ? -1 : nx > ny;
}

static int order_accepts(const void *a, const void *b)
{
	const struct draft_accept *x = a, *y = b;
	int order = order_accept_questions(x, y);

	if (order)
		return order;
	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	return order_hosts(x->hosts, y->hosts);
}

int draft_rules_sort(struct draft *d)
{
	size_t same = 1;

	draft_sort(d->calls, d->call_count, sizeof(*d->calls), order_calls);
	for (size_t i = 1; i < d->call_count; i++)
		if (order_calls(&d->calls[i - 1], &d->calls[i]) == 0)
			return draft_complain(
				d, &d->calls[i].at,
				"%s may call %s already, at %s:%u: keep one of the two",
				d->calls[i].from, d->calls[i].to, d->calls[i - 1].at.file,
				d->calls[i - 1].at.line);

	draft_sort(d->accepts, d->accept_count, sizeof(*d->accepts), order_accepts);
	for (size_t i = 1; i < d->accept_count; i++) {
		const struct draft_accept *last = &d->accepts[i - 1], *is = &d->accepts[i];

		if (order_accepts(last, is) == 0)
			return draft_complain(
				d, &is->at, "%s accepts %s already, at %s:%u: keep one of the two",
				is->to, is->from, last->at.file, last->at.line);
		same = order_accept_questions(last, is) == 0 ? same + 1 : 1;
		if (same > POLICY_ACCEPTS_SAME)
			return draft_complain(
				d, &is->at,
				"more than %u rules by which %s accepts %s: list their "
				"hosts in fewer rules",
				POLICY_ACCEPTS_SAME, is->to, is->from);
	}
	return 0;
}
