/* SPDX-License-Identifier: Apache-2.0 */
/* A seccomp filter from tables. See seccomp.h. */
#include "edge/seccomp.h"

#include "base/cleanup.h"
#include <errno.h>
#include <seccomp.h>
#include <string.h>

static void filter_free(scmp_filter_ctx *f)
{
	if (*f)
		seccomp_release(*f);
}

static int rule_add(scmp_filter_ctx f, const struct seccomp_rule *r)
{
	struct scmp_arg_cmp cmp[SECCOMP_ARGS];
	unsigned n = 0;

	for (unsigned i = 0; i < SECCOMP_ARGS; i++)
		if (r->where[i].mask)
			cmp[n++] = SCMP_CMP64(r->where[i].arg, SCMP_CMP_MASKED_EQ, r->where[i].mask,
					      r->where[i].value);
	return seccomp_rule_add_exact_array(f, SCMP_ACT_ALLOW, r->call, n, cmp);
}

static int table_add(scmp_filter_ctx f, const struct seccomp_table *t)
{
	int err = 0;

	for (size_t i = 0; i < t->count && err == 0; i++)
		err = rule_add(f, &t->rules[i]);
	return err;
}

int seccomp_seal(const struct seccomp_table *tables, size_t count)
{
	owned(filter_free) scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!f)
		return -ENOMEM;
	err = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (err == 0)
		err = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	/* a call finds its rule by halving the numbers; of one that always may the kernel remembers it */
	if (err == 0)
		err = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < count && err == 0; i++)
		err = table_add(f, &tables[i]);
	return err < 0 ? err : seccomp_load(f);
}
