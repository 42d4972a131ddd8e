/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration directory of a test's own, and the image it compiles to. */
#ifndef CLEAT_TESTS_POLICY_CONFIG_H
#define CLEAT_TESTS_POLICY_CONFIG_H

#include "base/cleanup.h"
#include "base/file.h"
#include "edge/policy_yaml.h"
#include "edge/sig.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE "tests/policy/trust/prod.example.json"

/* ---- a configuration directory of the test's own ---- */

struct config {
	char dir[64];
	char state[80];
	char error[1024];
	void *image;
	size_t size;
};

static inline void put(const struct config *c, const char *name, const void *bytes, size_t len)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", c->dir, name);
	unlink(path);
	cr_assert_eq(file_write(AT_FDCWD, path, bytes, len, 0600), 0, "%s", path);
}

static inline void put_text(const struct config *c, const char *name, const char *text)
{
	put(c, name, text, strlen(text));
}

static inline void put_copy(const struct config *c, const char *name, const char *from)
{
	owned_mem char *bytes = NULL;
	size_t len;

	cr_assert_eq(file_read(AT_FDCWD, from, 16u << 20, FILE_ANY, &bytes, &len), 0, "%s", from);
	put(c, name, bytes, len);
}

static inline void config_open(struct config *c)
{
	char path[96];

	memset(c, 0, sizeof(*c));
	strcpy(c->dir, "/tmp/cleat-policy-XXXXXX");
	cr_assert_not_null(mkdtemp(c->dir));
	snprintf(path, sizeof(path), "%s/trust", c->dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/policies.d", c->dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	snprintf(c->state, sizeof(c->state), "%s/state", c->dir);
	cr_assert_eq(sig_open(), 0);
	put_copy(c, "trust/prod.example.json", BUNDLE);
}

static inline void config_close(struct config *c)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", c->dir);
	cr_assert_eq(system(command), 0);
	free(c->image);
}

/* Compiles after @previous; the image of @c stays what it was on failure. */
static inline int compile_after(struct config *c, const void *previous)
{
	const struct policy_source source = { .config_dir = c->dir,
					      .state_dir = c->state,
					      .previous = previous };
	void *image;
	size_t size;
	int err = policy_compile(&source, &image, &size, c->error, sizeof(c->error));

	if (err == 0) {
		if (c->image != previous)
			free(c->image);
		c->image = image;
		c->size = size;
	}
	return err;
}

static inline int compile(struct config *c)
{
	return compile_after(c, NULL);
}

static inline int compile_text(struct config *c, const char *text)
{
	put_text(c, "cleat.yaml", text);
	return compile(c);
}

/* The complaint without the directory it was made in. */
static inline const char *complaint(const struct config *c)
{
	size_t len = strlen(c->dir);

	return strncmp(c->error, c->dir, len) == 0 ? c->error + len + 1 : c->error;
}

static inline uint32_t label(const struct policy_image *p, const char *id)
{
	const struct policy_workload *w = policy_workload_by_id(p, id);

	return w ? w->label : 0;
}

/* It must have been refused. In the broken twin of the check that refuses it, it says so in these words. */
static inline void refused(int err, const char *twin, const char *what)
{
	cr_expect(err != 0, "accepted: twin=%s: %s", twin, what);
	cr_expect(err == 0 || err == -EBADMSG, "%s: %d", what, err);
}

#endif
