/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files -> image. tests/policy/bad: each file's first line says what must be complained of, and where.
 * tests/policy/good and the examples of policies/: each compiles, passes policy_check(), and its canonical
 * print parses to the same policy. Then bytes, files, generations, bundles.
 */
#include "../policy_config.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "edge/policy_read.h"
#include "edge/policy_tree.h"
#include "edge/policy_yaml.h"
#include "edge/sig.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Everything an image says but files and lines. */
static char *dump(const struct policy_image *p)
{
	const struct policy_workload *w = policy_at(p, &p->workloads);
	const struct policy_call *calls = policy_at(p, &p->calls);
	const struct policy_accept *a = policy_at(p, &p->accepts);
	const struct policy_place *places = policy_at(p, &p->places);
	const struct policy_rule *r = policy_at(p, &p->rules);
	const uint32_t *hosts = policy_at(p, &p->hosts);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

#define S(at) policy_string(p, at)
	fprintf(f, "%s %s %u %u %u %u %u\n", S(p->trust_domain), S(p->host), p->flags, p->leeway_s,
		p->est_tolerance_ms, p->next_label, p->next_place);
	for (uint32_t i = 0; i < p->workloads.count; i++)
		fprintf(f, "w %u %s %u %u\n", w[i].label, S(w[i].id), w[i].flags, w[i].accepted_by);
	for (uint32_t i = 0; i < p->calls.count; i++)
		fprintf(f, "c %u %s %u %u\n", calls[i].from, S(calls[i].to), calls[i].as,
			calls[i].life_s);
	for (uint32_t i = 0; i < p->accepts.count; i++) {
		fprintf(f, "a %u %s %u %u", a[i].to, S(a[i].from), a[i].as, a[i].level);
		for (uint32_t k = 0; k < a[i].hosts.count; k++)
			fprintf(f, " %s", S(hosts[a[i].hosts.at + k]));
		fputc('\n', f);
	}
	for (uint32_t i = 0; i < p->places.count; i++)
		fprintf(f, "p %s %u\n", S(places[i].name), places[i].place);
	for (uint32_t i = 0; i < p->rules.count; i++)
		fprintf(f, "r %u %u %u %u %u %u\n", r[i].place, r[i].slot, r[i].label, r[i].uid,
			r[i].gid, r[i].flags);
#undef S
	fclose(f);
	return text;
}

static char *printed(const struct policy_image *p)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	cr_assert_eq(policy_print(p, f), 0);
	fclose(f);
	return text;
}

/* Calls @each with every *.yaml of @dir; returns how many there were. */
static int each_file(const char *dir, void (*each)(const char *path))
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	cr_assert_not_null(d, "%s", dir);
	while ((e = readdir(d))) {
		char path[512];

		if (strlen(e->d_name) < 6 || strcmp(e->d_name + strlen(e->d_name) - 5, ".yaml"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		each(path);
		n++;
	}
	closedir(d);
	return n;
}

/* ---- the files of tests/policy ---- */

/* Which check refuses the bad file of this name, where there is a twin of it. */
static const char *twin_of(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	if (strncmp(name, "unknown-", 8) == 0 || strncmp(name, "later-", 6) == 0)
		return "policy_unknown_key";
	if (strncmp(name, "overlap-", 8) == 0)
		return "policy_overlap";
	return "none";
}

static void is_refused(const char *path)
{
	static const char mark[] = "# expect ";
	owned_mem char *bytes = NULL;
	char want[512];
	struct config c;
	size_t len;
	int err;

	config_open(&c);
	put_copy(&c, "cleat.yaml", path);
	cr_assert_eq(file_read(AT_FDCWD, path, 1u << 20, FILE_ANY, &bytes, &len), 0);
	cr_assert_eq(strncmp(bytes, mark, strlen(mark)), 0, "%s says nothing", path);
	snprintf(want, sizeof(want), "cleat.yaml:%.*s", (int)strcspn(bytes + strlen(mark), "\n"),
		 bytes + strlen(mark));
	err = compile(&c);
	refused(err, twin_of(path), path);
	cr_expect_eq(strncmp(complaint(&c), want, strlen(want)), 0, "%s:\n  want %s\n  got  %s",
		     path, want, complaint(&c));
	cr_expect_null(strchr(c.error, '\n'), "%s: one line", path);
	config_close(&c);
}

Test(policy_yaml, attack_132_bad_files_are_refused_with_their_place)
{
	cr_assert_gt(each_file("tests/policy/bad", is_refused), 100);
}

static void prints_and_parses(const char *path)
{
	owned_mem char *first = NULL, *second = NULL, *was = NULL, *is = NULL;
	struct config c;

	config_open(&c);
	put_copy(&c, "cleat.yaml", path);
	cr_assert_eq(compile(&c), 0, "%s: %s", path, c.error);
	cr_assert_eq(policy_check(c.image, c.size), 0, "%s", path);
	first = printed(c.image);
	was = dump(c.image);
	cr_assert_eq(compile_text(&c, first), 0, "%s printed: %s\n%s", path, c.error, first);
	second = printed(c.image);
	is = dump(c.image);
	cr_expect_str_eq(first, second, "%s", path);
	cr_expect_str_eq(was, is, "%s", path);
	config_close(&c);
}

Test(policy_yaml, good_files_print_and_parse_again)
{
	cr_assert_gt(each_file("tests/policy/good", prints_and_parses), 10);
}

Test(policy_yaml, examples_print_and_parse_again)
{
	cr_assert_gt(each_file("policies", prints_and_parses), 2);
}

/* ---- bytes ---- */

#define HEAD	 "version: 1\ntrust_domain: prod.example\nhost: a\n"
#define BYTES(s) s, sizeof(s) - 1

Test(policy_yaml, attack_135_bytes)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t len;
		const char *want;
	} rows[] = {
		{ "no byte", BYTES(""), "1:1: the file is empty" },
		{ "a newline", BYTES("\n"), "1:1: the file is empty" },
		{ "blanks", BYTES("   \n\n"), "1:1: the file is empty" },
		{ "BOM", BYTES("\xef\xbb\xbf" HEAD), "1:1: a byte order mark" },
		{ "BOM within", BYTES(HEAD "\xef\xbb\xbf"), "4:1: a byte order mark" },
		{ "UTF-16 LE", BYTES("\xff\xfev\0e\0"), "1:1: UTF-16" },
		{ "UTF-16 BE", BYTES("\xfe\xff\0v\0e"), "1:1: UTF-16" },
		{ "UTF-16 unmarked", BYTES("v\0e\0r\0"), "1:2: a NUL byte" },
		{ "NUL", BYTES(HEAD "# \0\n"), "4:3: a NUL byte" },
		{ "CRLF", BYTES("version: 1\r\n"), "1:11: a carriage return" },
		{ "CR", BYTES("version: 1\rhost: a\n"), "1:11: a carriage return" },
		{ "NEL", BYTES("version: 1\xc2\x85host: a\n"), "1:11: a NEL" },
		{ "LS", BYTES("# x\xe2\x80\xa8host: a\n"), "1:4: a line separator" },
		{ "PS", BYTES("# x\xe2\x80\xa9host: a\n"), "1:4: a paragraph separator" },
		{ "not UTF-8", BYTES(HEAD "# \xff\n"), "4:3: invalid leading UTF-8 octet" },
		{ "surrogate", BYTES(HEAD "# \xed\xa0\x80\n"), "4:3: " },
		{ "bell", BYTES(HEAD "# \a\n"), "4:3: control characters are not allowed" },
		{ "NUL escaped", BYTES("host: \"a\\0b\"\n"), "1:7: a NUL inside" },
		{ "cut in a word", BYTES(HEAD "call: []"), "4:9: the last line does not end" },
		{ "cut in a brace", BYTES("{ version: 1,\n host: a"), "3:1: " },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char want[128];
		struct config c;

		config_open(&c);
		put(&c, "cleat.yaml", rows[i].bytes, rows[i].len);
		snprintf(want, sizeof(want), "cleat.yaml:%s", rows[i].want);
		refused(compile(&c), strstr(want, "does not end") ? "policy_cut" : "policy_empty",
			rows[i].what);
		cr_expect_eq(strncmp(complaint(&c), want, strlen(want)), 0, "%s: %s", rows[i].what,
			     complaint(&c));
		config_close(&c);
	}
}

/* Whatever is left of a policy that was cut off within a line is refused; cut between two lines it may
 * be a policy, but never one with a workload, a call or an accept more. */
Test(policy_yaml, attack_135_cut_off_anywhere)
{
	owned_mem char *whole = NULL;
	struct config c;
	size_t len;

	config_open(&c);
	cr_assert_eq(file_read(AT_FDCWD, "tests/policy/good/everything.yaml", 1u << 20, FILE_ANY,
			       &whole, &len),
		     0);
	put(&c, "cleat.yaml", whole, len);
	cr_assert_eq(compile(&c), 0);
	for (size_t cut = 0; cut < len; cut++) {
		put(&c, "cleat.yaml", whole, cut);
		if (cut == 0 || whole[cut - 1] != '\n')
			refused(compile(&c), cut ? "policy_cut" : "policy_empty", "cut off");
		else if (compile(&c) == 0)
			cr_expect_eq(policy_check(c.image, c.size), 0, "cut at %zu", cut);
	}
	config_close(&c);
}

static char *repeated(const char *before, const char *unit, size_t times, size_t *ret_len)
{
	size_t head = strlen(before), one = strlen(unit);
	char *text = malloc(head + one * times + 2);

	cr_assert_not_null(text);
	memcpy(text, before, head);
	for (size_t i = 0; i < times; i++)
		memcpy(text + head + i * one, unit, one);
	*ret_len = head + one * times;
	text[(*ret_len)++] = '\n';
	text[*ret_len] = '\0';
	return text;
}

/* A million of anything that nests is refused at depth 32, at once and without the memory of a million. */
Test(policy_yaml, attack_130_a_million_deep, .timeout = 20)
{
	static const struct {
		const char *unit;
		const char *want;
	} rows[] = {
		{ "[", "nested deeper than 32" },    { "{", "a list or map as a key" },
		{ "- ", "nested deeper than 32" },   { "? ", "a list or map as a key" },
		{ "{a: ", "nested deeper than 32" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena = { 0 };
		struct tree_error error = { 0 };
		struct tree_node *root;
		size_t len;
		owned_mem char *text = repeated("accept:\n ", rows[i].unit, 1000000, &len);

		if (len > TREE_BYTES_MAX)
			text[len = TREE_BYTES_MAX - 1] = '\0';
		cr_expect_eq(tree_parse(&arena, text, len, &root, &error), -EBADMSG, "%s",
			     rows[i].unit);
		cr_expect_not_null(strstr(error.what, rows[i].want), "%s: %s", rows[i].unit,
				   error.what);
		arena_drop(&arena);
	}
}

Test(policy_yaml, attack_130_depth)
{
	for (size_t depth = 31; depth <= 34; depth++) {
		struct arena arena = { 0 };
		struct tree_error error = { 0 };
		struct tree_node *root;
		char text[128] = "";
		int err;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		text[2 * depth] = '\n';
		err = tree_parse(&arena, text, 2 * depth + 1, &root, &error);
		if (depth <= TREE_DEPTH_MAX)
			cr_expect_eq(err, 0, "%zu: %s", depth, error.what);
		else
			refused(err, "policy_depth", "deeper than 32");
		arena_drop(&arena);
	}
}

Test(policy_yaml, too_large_files_are_refused)
{
	struct config c;
	size_t len;
	owned_mem char *text = repeated(HEAD "#", "x", TREE_BYTES_MAX, &len);

	config_open(&c);
	put(&c, "cleat.yaml", text, len);
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "cleat.yaml:1:1: too large"), "%s", c.error);
	config_close(&c);
}

/* ---- files and directories ---- */

#define ONE_WORKLOAD(id, place) "workloads:\n  - { id: " id ", match: { cgroup: " place " } }\n"

Test(policy_yaml, drop_ins_add_in_name_order)
{
	const struct policy_workload *w;
	struct config c;

	config_open(&c);
	put_text(&c, "cleat.yaml", HEAD ONE_WORKLOAD("/m", "/m"));
	put_text(&c, "policies.d/20-b.yaml", ONE_WORKLOAD("/b", "/b"));
	put_text(&c, "policies.d/10-a.yaml",
		 "version: 1\n" ONE_WORKLOAD("/a", "/a") "accept: [ { to: /b, from: [ /x ] } ]\n");
	put_text(&c, "policies.d/.hidden.yaml", "{");
	put_text(&c, "policies.d/README", "{");
	put_text(&c, "policies.d/30-c.yaml~", "{");
	cr_assert_eq(compile(&c), 0, "%s", c.error);
	cr_expect_eq(label(c.image, "spiffe://prod.example/m"), 1);
	cr_expect_eq(label(c.image, "spiffe://prod.example/a"), 2);
	cr_expect_eq(label(c.image, "spiffe://prod.example/b"), 3);
	w = policy_workload(c.image, 3);
	cr_expect_str_eq(policy_string(c.image, w->file), "policies.d/20-b.yaml");
	cr_expect_eq(w->line, 2);
	config_close(&c);
}

Test(policy_yaml, attack_135_drop_ins)
{
	static const struct {
		const char *what;
		const char *name;
		const char *text;
		const char *want;
	} rows[] = {
		{ "empty", "policies.d/a.yaml", "", "policies.d/a.yaml:1:1: the file is empty" },
		{ "host", "policies.d/a.yaml", "host: b\n",
		  "policies.d/a.yaml:1:1: host stands only in cleat.yaml" },
		{ "clock", "policies.d/a.yaml", "\nclock: unsynchronised-ok\n",
		  "policies.d/a.yaml:2:1: clock stands only in cleat.yaml" },
		{ "trust domain", "policies.d/a.yaml", "trust_domain: x\n",
		  "policies.d/a.yaml:1:1: trust_domain stands only" },
		{ "version", "policies.d/a.yaml", "version: 2\n",
		  "policies.d/a.yaml:1:10: version 2" },
		{ "twice", "policies.d/a.yaml", ONE_WORKLOAD("/m", "/n"),
		  "policies.d/a.yaml:2:5: spiffe://prod.example/m is a workload already" },
		{ "overlap", "policies.d/a.yaml", ONE_WORKLOAD("/n", "/m"),
		  "policies.d/a.yaml:2:5: spiffe://prod.example/n and spiffe://prod.example/m" },
		{ "yml", "policies.d/a.yml", "workloads: []\n",
		  "policies.d/a.yml:1:1: would not be read: rename it" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config c;

		config_open(&c);
		put_text(&c, "cleat.yaml", HEAD ONE_WORKLOAD("/m", "/m"));
		put_text(&c, rows[i].name, rows[i].text);
		refused(compile(&c),
			strstr(rows[i].want, "is empty") ? "policy_empty" : "policy_overlap",
			rows[i].what);
		cr_expect_eq(strncmp(complaint(&c), rows[i].want, strlen(rows[i].want)), 0,
			     "%s: %s", rows[i].what, complaint(&c));
		config_close(&c);
	}
}

Test(policy_yaml, files_of_others_are_refused)
{
	char path[256], other[256];
	struct config c;
	int fd;

	config_open(&c);
	cr_assert_eq(compile_text(&c, HEAD), 0, "%s", c.error);
	snprintf(path, sizeof(path), "%s/cleat.yaml", c.dir);
	snprintf(other, sizeof(other), "%s/other.yaml", c.dir);

	cr_assert_eq(chmod(path, 0620), 0);
	refused(compile(&c), "policy_owner", "writable by the group");
	cr_expect_not_null(strstr(c.error, "chmod go-w"), "%s", c.error);
	cr_assert_eq(chmod(path, 0644), 0);
	cr_assert_eq(compile(&c), 0, "%s", c.error);

	if (geteuid() == 0) {
		cr_assert_eq(chown(path, 65534, 65534), 0);
		refused(compile(&c), "policy_owner", "nobody's");
		cr_expect_not_null(strstr(c.error, "chown root"), "%s", c.error);
		cr_assert_eq(chown(path, 0, 0), 0);
	}
	cr_assert_eq(chmod(c.dir, 0770), 0);
	refused(compile(&c), "policy_owner", "in a directory of others");
	cr_assert_eq(chmod(c.dir, 0755), 0);

	fd = open(path, O_WRONLY | O_APPEND);
	cr_assert_geq(fd, 0);
	cr_expect_eq(compile(&c), -EBADMSG, "while somebody writes");
	cr_expect_not_null(strstr(c.error, "being written"), "%s", c.error);
	close(fd);
	cr_assert_eq(compile(&c), 0, "%s", c.error);

	cr_assert_eq(rename(path, other), 0);
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "cleat.yaml:1:1: not there"), "%s", c.error);
	cr_assert_eq(symlink(other, path), 0);
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "a symbolic link"), "%s", c.error);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "not a regular file"), "%s", c.error);
	config_close(&c);
}

/* ---- bundles ---- */

Test(policy_yaml, bundle_table)
{
	char path[256];
	struct config c;

	config_open(&c);
	cr_assert_eq(compile_text(&c, HEAD), 0, "%s", c.error);

	put_text(&c, "trust/prod.example.json", "{\n \"keys\": 7 }");
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "trust/prod.example.json:"), "%s", c.error);
	put_text(&c, "trust/prod.example.json", "{\n \"keys\": [\n");
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "trust/prod.example.json:3:"), "%s", c.error);
	put_text(&c, "trust/prod.example.json", "");
	cr_expect_eq(compile(&c), -EBADMSG);
	put_text(&c, "trust/Not A Domain.json", "{}");
	put_copy(&c, "trust/prod.example.json", BUNDLE);
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "no bundle's name"), "%s", c.error);
	snprintf(path, sizeof(path), "%s/trust/Not A Domain.json", c.dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(compile(&c), 0, "%s", c.error);
	snprintf(path, sizeof(path), "%s/trust/prod.example.json", c.dir);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(compile(&c), -EBADMSG);
	cr_expect_not_null(strstr(c.error, "trust/prod.example.json:1:1: not there"), "%s",
			   c.error);
	cr_expect_not_null(strstr(c.error, "cleatctl trust add"), "%s", c.error);
	config_close(&c);
}

Test(policy_yaml, attack_175_bundle_never_goes_back)
{
	const struct policy_domain *d;
	const struct policy_key *k;
	struct config c;

	config_open(&c);
	cr_assert_eq(compile_text(&c, HEAD), 0, "%s", c.error);
	d = policy_domain(c.image, "prod.example", 12);
	cr_assert_not_null(d);
	cr_expect_eq(d->sequence_lo, 7);
	cr_expect_eq(d->keys.count, 2);
	k = policy_key(c.image, d, "cP1J4FyqjL05eGEd1bBvwpHewZ1sn8TF4mf6Cl0Uk7w");
	cr_assert_not_null(k);
	cr_expect_str_eq(policy_string(c.image, k->issuer), "spiffe://prod.example/host/b");
	cr_expect(policy_key_allows(c.image, k, "/ledger/x", 9));
	cr_expect(!policy_key_allows(c.image, k, "/ledgers", 8));

	cr_assert_eq(policy_sequences_store(c.image, c.state), 0);
	cr_assert_eq(compile(&c), 0, "the same again: %s", c.error);
	put_text(&c, "state/trust/prod.example.sequence", "8\n");
	refused(compile(&c), "bundle_sequence", "an older bundle");
	cr_expect_not_null(strstr(c.error, "went back"), "%s", c.error);
	cr_assert_eq(policy_sequences_store(c.image, c.state), 0);
	cr_expect_eq(compile(&c), -EBADMSG, "a lower number is not stored over a higher one");
	put_text(&c, "state/trust/prod.example.sequence", "seven\n");
	cr_expect_eq(compile(&c), -EBADMSG);
	put_text(&c, "state/trust/prod.example.sequence", "6\n");
	cr_assert_eq(compile(&c), 0, "%s", c.error);
	config_close(&c);
}

/* ---- sizes, single, README ---- */

Test(policy_yaml, ten_thousand_workloads, .timeout = 60)
{
	owned_mem char *text = NULL;
	struct config c;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(HEAD "workloads:\n", f);
	for (int i = 0; i < 10000; i++)
		fprintf(f, "  - { id: /w/%d, match: { cgroup: /bench.slice/w%d.service } }\n", i,
			i);
	fputs("call:\n", f);
	for (int i = 0; i < 10000; i++)
		fprintf(f, "  - { from: /w/%d, to: [ /w/%d ] }\n", i, (i + 1) % 10000);
	fputs("accept:\n", f);
	for (int i = 0; i < 10000; i++)
		fprintf(f, "  - { to: /w/%d, from: [ /w/%d ] }\n", i, (i + 9999) % 10000);
	fclose(f);
	config_open(&c);
	cr_assert_eq(compile_text(&c, text), 0, "%s", c.error);
	cr_expect_eq(policy_check(c.image, c.size), 0);
	cr_expect_not_null(policy_call(c.image, 10000, "spiffe://prod.example/w/0", 1));
	cr_expect_null(policy_call(c.image, 10000, "spiffe://prod.example/w/1", 1));
	cr_expect_eq(policy_place_of(c.image, "/bench.slice/w9999.service"), 10000);
	cr_expect_lt(c.size, 4u << 20, "%zu bytes", c.size);
	config_close(&c);
}

Test(policy_yaml, single_takes_anybody_but_is_no_image_of_a_room)
{
	const struct policy_accept *rule;
	owned_mem char *bundle = NULL;
	owned_mem void *image = NULL;
	char error[256];
	size_t len, size;

	cr_assert_eq(sig_open(), 0);
	cr_assert_eq(file_read(AT_FDCWD, BUNDLE, 1u << 20, FILE_ANY, &bundle, &len), 0);
	cr_assert_eq(policy_compile_single("prod.example", bundle, len,
					   "spiffe://prod.example/service", 1, 30, 2000, &image,
					   &size, error, sizeof(error)),
		     0, "%s", error);
	cr_expect_eq(policy_accept(image, 1, "spiffe://prod.example/any", 2, "a", 1, &rule),
		     REASON_OK);
	cr_expect_eq(policy_accept(image, 2, "spiffe://prod.example/any", 2, "a", 1, &rule),
		     REASON_POLICY);
	cr_expect_eq(policy_check(image, size), -EBADMSG);
}

Test(policy_yaml, every_key_stands_in_the_readme)
{
	owned_mem char *readme = NULL, *manual = NULL;
	size_t len, n = 0;

	cr_assert_eq(file_read(AT_FDCWD, "policies/README.md", 1u << 20, FILE_ANY, &readme, &len),
		     0);
	cr_assert_eq(file_read(AT_FDCWD, "userspace/man/cleat.policy.5", 1u << 20, FILE_ANY,
			       &manual, &len),
		     0);
	for (; policy_key_name(n); n++) {
		char word[64];

		snprintf(word, sizeof(word), "`%s`", policy_key_name(n));
		cr_expect_not_null(strstr(readme, word), "%s in policies/README.md", word);
		snprintf(word, sizeof(word), "\n.It Ic %s", policy_key_name(n));
		cr_expect_not_null(strstr(manual, word), "%s in cleat.policy(5)", word + 1);
	}
	cr_expect_gt(n, 20);
}
