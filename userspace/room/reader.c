/* SPDX-License-Identifier: Apache-2.0 */
/* The one-shot reader, both its sides. See reader.h. */
#include "room/reader.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "edge/json.h"
#include "edge/policy_yaml.h"
#include "edge/sig.h"
#include "room/channel.h"
#include "room/image.h"
#include "room/jail.h"
#include "room/rooms.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- the kernel room's side ---- */

struct reader_answer {
	int image;
	uint32_t generation;
	char error[sizeof(struct channel_error)];
};

static int on_image(void *room, const void *body, int *fd)
{
	const struct channel_image *m = body;
	struct reader_answer *a = room;

	a->generation = m->generation;
	a->image = take_fd(fd);
	return 0;
}

static int on_error(void *room, const void *body, int *fd)
{
	const struct channel_error *m = body;
	struct reader_answer *a = room;

	(void)fd;
	memcpy(a->error, m->line, sizeof(a->error));
	a->error[sizeof(a->error) - 1] = '\0';
	return 0;
}

static const struct channel_entry answers[] = {
	{ TELL_IMAGE, sizeof(struct channel_image), DURING(START), true, on_image },
	{ TELL_ERROR, sizeof(struct channel_error), DURING(START), false, on_error },
};

static void image_drop(const struct policy_image **p)
{
	if (*p)
		image_unmap(*p);
}

/* What came must be what was said: sealed, well-formed, the one that follows @previous. The reader has looked into every
 * file: whoever has it chooses what this generation says, and must not choose what can still come after it. */
static int image_accept(struct reader_answer *a, int previous, int *ret_image, char *error,
			size_t error_cap)
{
	owned_fd int image = take_fd(&a->image);
	owned(image_drop) const struct policy_image *p = NULL, *before = NULL;
	int err = image_map(image, &p);

	if (err < 0) {
		snprintf(error, error_cap, "the reader's image is not one: %s", strerror(-err));
		return err;
	}
	err = previous < 0 ? 0 : image_map(previous, &before);
	if (err < 0) {
		snprintf(error, error_cap, "the image of the generation before: %s",
			 strerror(-err));
		return err;
	}
	if (p->generation != a->generation || !policy_follows(p, before)) {
		snprintf(error, error_cap,
			 "the reader's image, of generation %u, does not follow generation %u",
			 p->generation, before ? before->generation : 0);
		return -EBADMSG;
	}
	*ret_image = take_fd(&image);
	return 0;
}

int reader_start(const struct reader_options *o, int previous, struct room_child *ret, char *error,
		 size_t error_cap)
{
	const char *const args[] = { "--config-dir",
				     o->config_dir,
				     "--state-dir",
				     o->state_dir,
				     "--log-format",
				     o->format == LOG_JSON ? "json" : "text",
				     NULL };
	owned_fd int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int before = previous >= 0 ? previous : none;
	int err = room_spawn("reader", args, &before, 1, ret);

	if (err < 0)
		snprintf(error, error_cap, "cannot start the reader: %s", strerror(-err));
	return err;
}

int reader_finish(struct room_child *child, bool late, int previous, int *ret_image, char *error,
		  size_t error_cap)
{
	struct reader_answer a = { .image = -1 };
	int err = late ? -ETIMEDOUT : channel_serve(child->channel, answers, 2, PHASE_START, &a);

	room_end(child);
	if (err < 0) {
		snprintf(error, error_cap, "the reader gave no answer: %s", strerror(-err));
		return err;
	}
	if (a.image >= 0)
		return image_accept(&a, previous, ret_image, error, error_cap);
	/* a reader that was taken over, or a file that it quotes: what it says becomes one line of the manager's, too */
	snprintf(error, error_cap, "%s", line_clean(a.error));
	return -EBADMSG;
}

int reader_run(const struct reader_options *o, int previous, int *ret_image, char *error,
	       size_t error_cap)
{
	struct room_child child;
	int err = reader_start(o, previous, &child, error, error_cap);

	if (err < 0)
		return err;
	struct pollfd p = { .fd = child.channel, .events = POLLIN };
	bool late = poll(&p, 1, READER_LIMIT_S * 1000) <= 0;

	return reader_finish(&child, late, previous, ret_image, error, error_cap);
}

/* ---- the child's side ---- */

/* All the bytes it will ever see. The files are root's, and maybe for root's eyes only. */
struct read_all {
	struct policy_files *files;
	char *previous; /* image of the generation before */
	size_t previous_len;
};

static int read_all(const struct reader_options *o, struct read_all *ret, char *error,
		    size_t error_cap)
{
	struct policy_source source = { .config_dir = o->config_dir, .state_dir = o->state_dir };
	int err = file_read_fd(ROOM_FD_IMAGE, POLICY_MAX, &ret->previous, &ret->previous_len);

	if (err < 0) {
		snprintf(error, error_cap, "the image of the generation before: %s",
			 strerror(-err));
		return err;
	}
	return policy_gather(&source, &ret->files, error, error_cap);
}

static int compile(const struct reader_options *o, const struct read_all *all, int *ret_fd,
		   uint32_t *ret_generation, char *error, size_t error_cap)
{
	owned_mem void *image = NULL;
	size_t size;
	int err = all->previous_len ? policy_check(all->previous, all->previous_len) : 0;

	if (err < 0) {
		snprintf(error, error_cap, "the image of the generation before: %s",
			 strerror(-err));
		return err;
	}
	struct policy_source source = {
		.config_dir = o->config_dir,
		.state_dir = o->state_dir,
		.previous = all->previous_len ? all->previous : NULL,
		.files = all->files,
	};

	err = policy_compile(&source, &image, &size, error, error_cap);
	if (err < 0)
		return err;
	*ret_generation = ((const struct policy_image *)image)->generation;
	err = image_seal(image, size, ret_fd);
	if (err < 0)
		snprintf(error, error_cap, "cannot seal the image: %s", strerror(-err));
	return err;
}

int reader_main(const struct reader_options *o)
{
	struct channel_error bad = { 0 };
	struct channel_image good = { 0 };
	struct read_all all = { 0 }; /* until the process ends */
	owned_fd int image = -1;
	int err = sig_open();

	if (err == 0)
		err = json_open();
	if (err < 0)
		snprintf(bad.line, sizeof(bad.line), "OpenSSL or jansson cannot be initialised");
	if (err == 0)
		err = read_all(o, &all, bad.line, sizeof(bad.line));
	/* nothing was looked into so far; from here on there is nothing to open and nobody to be */
	if (jail_enter() < 0 || jail_seal() < 0)
		return 1;
	if (err == 0)
		err = compile(o, &all, &image, &good.generation, bad.line, sizeof(bad.line));
	if (err < 0)
		err = channel_send(ROOM_FD_CHANNEL, TELL_ERROR, &bad, sizeof(bad), -1);
	else
		err = channel_send(ROOM_FD_CHANNEL, TELL_IMAGE, &good, sizeof(good), image);
	return err < 0 ? 1 : 0;
}
