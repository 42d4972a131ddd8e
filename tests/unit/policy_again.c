/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files -> image, one after the other: numbers stay, an old policy put back is a new generation (attacks.md 139),
 * and names end exactly where the bound says (17).
 */
#include "../policy_config.h"

#define HEAD "version: 1\ntrust_domain: prod.example\nhost: a\n"

Test(policy_again, numbers_stay_from_one_generation_to_the_next)
{
	const struct policy_image *p;
	struct config c;

	config_open(&c);
	cr_assert_eq(compile_text(&c, HEAD "workloads:\n"
					   "  - { id: /a, match: { cgroup: /a } }\n"
					   "  - { id: /b, match: { cgroup: /b } }\n"
					   "  - { id: /c, match: { cgroup: /c } }\n"),
		     0);
	cr_expect_eq(label(c.image, "spiffe://prod.example/c"), 3);

	/* b goes, d comes, the order changes */
	put_text(&c, "cleat.yaml",
		 HEAD "workloads:\n"
		      "  - { id: /d, match: { cgroup: /d } }\n"
		      "  - { id: /c, match: { cgroup: /c } }\n"
		      "  - { id: /a, match: { cgroup: /a } }\n");
	p = c.image;
	c.image = NULL;
	cr_assert_eq(compile_after(&c, p), 0, "%s", c.error);
	free((void *)(uintptr_t)p);
	p = c.image;
	cr_expect_eq(p->generation, 2);
	cr_expect_eq(label(p, "spiffe://prod.example/a"), 1);
	cr_expect_eq(label(p, "spiffe://prod.example/b"), 0);
	cr_expect_eq(label(p, "spiffe://prod.example/c"), 3);
	cr_expect_eq(label(p, "spiffe://prod.example/d"), 4);
	cr_expect_eq(policy_place_of(p, "/c"), 3);
	cr_expect_eq(policy_place_of(p, "/d"), 4);
	cr_expect_eq(p->tombstones.count, 1);

	/* b comes back: somebody new; its old number stays dead */
	put_text(&c, "cleat.yaml",
		 HEAD "workloads:\n"
		      "  - { id: /b, match: { cgroup: /b } }\n");
	c.image = NULL;
	cr_assert_eq(compile_after(&c, p), 0, "%s", c.error);
	free((void *)(uintptr_t)p);
	p = c.image;
	cr_expect_eq(p->generation, 3);
	cr_expect_eq(label(p, "spiffe://prod.example/b"), 5);
	cr_expect_eq(policy_place_of(p, "/b"), 5);
	cr_expect_eq(p->tombstones.count, 4);
	cr_expect_eq(p->next_label, 6);
	cr_expect_eq(policy_check(p, c.size), 0);
	config_close(&c);
}

/* Compiles @text as the next generation after the one that stands. */
static const struct policy_image *next(struct config *c, const char *text)
{
	const void *before = c->image;

	put_text(c, "cleat.yaml", text);
	cr_assert_eq(compile_after(c, before), 0, "%s", c->error);
	cr_expect(policy_follows(c->image, before));
	cr_expect(!before || !policy_follows(before, c->image));
	free((void *)(uintptr_t)before);
	return c->image;
}

static bool calls(const struct policy_image *p, const char *from, const char *to)
{
	return policy_call(p, label(p, from), to, CLEAT_ROLE_CLIENT) != NULL;
}

/*
 * Policy files are root's own and bear no signature: who may write them may write anything. What is promised is that an
 * old one does not pass for the old generation: it gets a number of its own, which every verdict from then on names, and
 * what it brings back are new workloads, so that no socket of before is theirs. (Bundles do bear a number: attack 175.)
 */
/* A boot has so many labels, and who has one keeps it. */
Test(policy_again, labels_end)
{
	struct policy_image *last;
	struct config c;

	config_open(&c);
	cr_assert_eq(compile_text(&c, HEAD "workloads:\n"
					   "  - { id: /a, match: { cgroup: /a } }\n"),
		     0);
	last = c.image;
	c.image = NULL;
	last->next_label = POLICY_LABEL_MAX - 1;
	put_text(&c, "cleat.yaml",
		 HEAD "workloads:\n"
		      "  - { id: /a, match: { cgroup: /a } }\n"
		      "  - { id: /b, match: { cgroup: /b } }\n");
	cr_assert_eq(compile_after(&c, last), 0, "%s", c.error);
	cr_expect_eq(label(c.image, "spiffe://prod.example/b"), POLICY_LABEL_MAX - 1);
	cr_expect_eq(policy_check(c.image, c.size), 0);
	put_text(&c, "cleat.yaml",
		 HEAD "workloads:\n"
		      "  - { id: /a, match: { cgroup: /a } }\n"
		      "  - { id: /c, match: { cgroup: /c } }\n");
	cr_expect_eq(compile_after(&c, c.image), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "no number is left for spiffe://prod.example/c"), "%s",
			   c.error);
	free(last);
	config_close(&c);
}

Test(policy_again, attack_139_an_old_policy_is_a_new_generation)
{
	static const char old[] = HEAD "workloads:\n"
				       "  - { id: /a, match: { cgroup: /a } }\n"
				       "  - { id: /b, match: { cgroup: /b } }\n"
				       "call:\n"
				       "  - { from: /a, to: [ /b ] }\n";
	static const char new[] = HEAD "workloads:\n"
				       "  - { id: /a, match: { cgroup: /a } }\n";
	static const char a[] = "spiffe://prod.example/a", b[] = "spiffe://prod.example/b";
	const struct policy_image *p;
	uint64_t seen = 0;
	uint32_t labels = 0;
	struct config c;

	config_open(&c);
	for (int i = 0; i < 20; i++) {
		p = next(&c, i % 2 ? new : old);
		cr_expect_gt(p->generation, seen, "round %d", i);
		seen = p->generation;
		cr_expect_eq(label(p, a), 1, "who stays keeps its number");
		cr_expect_eq(calls(p, a, b), i % 2 == 0);
		if (i % 2)
			continue;
		cr_expect_gt(label(p, b), labels, "who comes back is somebody new");
		labels = label(p, b);
	}
	config_close(&c);
}

/* ---- 17: every name at its bound, one less, one more, and far more ---- */

/* The policy that has @name where its kind stands. */
static char *policy_with(const char *kind, const char *name)
{
	size_t cap = strlen(name) + 512;
	char *text = malloc(cap);

	if (strcmp(kind, "host") == 0)
		snprintf(text, cap, "version: 1\ntrust_domain: prod.example\nhost: %s\n", name);
	else if (strcmp(kind, "id") == 0)
		snprintf(text, cap, HEAD "workloads:\n  - { id: %s, match: { cgroup: /p } }\n",
			 name);
	else if (strcmp(kind, "audience") == 0)
		snprintf(text, cap,
			 HEAD "workloads:\n  - { id: /p, match: { cgroup: /p } }\n"
			      "call:\n  - { from: /p, to: [ \"%s\" ] }\n",
			 name);
	else
		snprintf(text, cap, HEAD "workloads:\n  - { id: /p, match: { %s: %s } }\n", kind,
			 name);
	return text;
}

static bool taken(struct config *c, const char *kind, const char *name)
{
	owned_mem char *text = policy_with(kind, name);
	int err;

	err = compile_text(c, text);
	cr_assert(err == 0 || err == -EBADMSG, "%s of %zu: %d", kind, strlen(name), err);
	return err == 0;
}

Test(policy_again, attack_017_names_end_at_their_bound)
{
	static const struct {
		const char *kind, *before, *after;
		size_t max;
	} rows[] = {
		{ "host", "h", "", 255 },
		{ "id", "/", "", 2048 - 21 }, /* behind spiffe://prod.example */
		{ "audience", "spiffe://o.example/", "", 2048 },
		{ "cgroup", "/", "", 255 },
		{ "systemd", "u", ".service", 254 }, /* and the slash before it */
	};
	static const int off[] = { -1, 0, 1, 65536 };
	struct config c;

	config_open(&c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int o = 0; o < 4; o++) {
			size_t len = (size_t)((int)rows[i].max + off[o]);
			size_t tail = strlen(rows[i].after);
			owned_mem char *name = malloc(len + 1);

			memset(name, 'x', len);
			memcpy(name, rows[i].before, strlen(rows[i].before));
			memcpy(name + len - tail, rows[i].after, tail);
			name[len] = '\0';
			cr_expect_eq(taken(&c, rows[i].kind, name), off[o] <= 0,
				     "%s of %zu: %.200s", rows[i].kind, len, c.error);
		}
	config_close(&c);
}
