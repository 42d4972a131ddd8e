/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload brings anew, in this order: the audit file (whoever rotates logs renames it first), the policy image by
 * the reader, the host's keys, then the kernel side when every room has the image. Where a step fails what was before
 * goes on, whole, and the log says so: the sign room takes the keys with the image, and goes back to the ones before with
 * the image before.
 */
#include "room/kernel_state.h"

#include "base/clock.h"
#include "edge/keys.h"
#include "edge/policy_yaml.h"
#include "room/image.h"
#include "room/place.h"
#include "room/reader.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

/* Of channel_passes(). */
static const char *pass_trouble(int err)
{
	return err == -EACCES ? "another LSM lets no room have it" : strerror(-err);
}

/* ---- the policy ---- */

int kernel_image_adopt(struct kernel_room *k, int image, char *error, size_t error_cap)
{
	owned_fd int fd = image;
	const struct policy_image *p;
	int err = image_map(fd, &p);

	if (err == 0) {
		/* before its labels are used: the next start goes on from here */
		err = image_keep(k->private, p);
		if (err ==
		    0) /* and before its keys are: no bundle goes back, not even after a boot */
			err = policy_sequences_store(p, k->o.state_dir);
		if (err < 0)
			image_unmap(p);
	}
	if (err < 0) {
		snprintf(error, error_cap, "cannot keep the image or the sequences: %s",
			 strerror(-err));
		return err;
	}
	if (k->newest.p && k->newest.p != k->current.p) {
		image_unmap(k->newest.p);
		close(k->newest.fd);
	}
	k->newest = (struct held_image){ take_fd(&fd), p };
	return 0;
}

/* ---- the host's keys ---- */

/* The file itself, as at the start: there is no copy of a key. */
static int key_send(struct kernel_room *k, uint32_t next, int fd)
{
	struct channel_key m = { .next = next };

	return channel_send(k->rooms[SIGN].channel, ASK_KEY, &m, sizeof(m), fd);
}

int kernel_keys_send(struct kernel_room *k, char *error, size_t error_cap)
{
	owned_fd int current = -1, next = -1;
	const char *name = KEYS_HOST_FILE;
	int err = keys_open(k->o.state_dir, &current);
	int not_passed = err < 0 ? 0 : channel_passes(current);

	if (err == 0 && not_passed == 0) {
		name = KEYS_NEXT_FILE;
		err = keys_open_next(k->o.state_dir, &next);
		err = err == -ENOENT ? 0 : err;
		not_passed = next < 0 ? 0 : channel_passes(next);
	}
	if (not_passed < 0)
		err = not_passed;
	/* before anything is sent: a file that is not right changes nothing */
	if (err == 0)
		err = key_send(k, 0, current);
	if (err == 0)
		err = next < 0 ? channel_send(k->rooms[SIGN].channel, ASK_NO_NEXT, NULL, 0, -1)
			       : key_send(k, 1, next);
	if (err < 0)
		snprintf(error, error_cap, "%s/%s: %s", k->o.state_dir, name,
			 not_passed < 0 ? pass_trouble(not_passed) : keys_trouble(err));
	return err;
}

/* ---- what the service manager hears ---- */

static void notify_state(struct kernel_room *k, const char *ready, const char *trouble)
{
	char line[1024], level[320];

	kernel_level_line(k, level, sizeof(level));
	snprintf(line, sizeof(line), "%sSTATUS=%s, policy generation %u%s%s", ready, level,
		 k->current.p->generation, *trouble ? "; reload refused: " : "", trouble);
	notify(line);
}

void kernel_notify_ready(struct kernel_room *k, const char *trouble)
{
	notify_state(k, "READY=1\n", trouble);
}

void kernel_notify_status(struct kernel_room *k)
{
	notify_state(k, "", k->reload_error);
}

/* MONOTONIC_USEC is for Type=notify-reload, systemd 253. */
static void notify_reloading(void)
{
	char state[96];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 clock_mono_ns() / 1000);
	notify(state);
}

/* ---- the reload ---- */

static int image_send(struct kernel_room *k, const struct held_image *image)
{
	struct channel_image m = { .generation = image->p->generation };
	int err = 0;

	k->phase = PHASE_RELOAD;
	k->waiting = EVERY_ROOM_BIT;
	for (int i = 0; i < PUBLIC_ROOMS && err == 0; i++)
		err = channel_send(k->rooms[i].channel, ASK_IMAGE, &m, sizeof(m), image->fd);
	return err;
}

static void reload_outcome(struct kernel_room *k, const char *error)
{
	snprintf(k->reload_error, sizeof(k->reload_error), "%s", error);
	if (error[0]) {
		k->reloads_failed++;
		log_error("reload", "kept=%u error=\"%s\"", k->current.p->generation, error);
	} else {
		log_event("reload", "generation=%u", k->current.p->generation);
	}
	admin_reloaded(k->admin, k->reload_error);
	kernel_notify_ready(k, k->reload_error);
}

/* Whoever rotates logs renames the file and reloads. Where a new one cannot be had the old one goes on. */
static int audit_renew(struct kernel_room *k)
{
	char trouble[96] = "";
	owned_fd int fd = -1;
	struct stat was, is;
	int err = place_audit(k->o.audit, &fd);

	if (err < 0)
		snprintf(trouble, sizeof(trouble), "%s", strerror(-err));
	else if (fstat(k->audit, &was) == 0 && fstat(fd, &is) == 0 && was.st_dev == is.st_dev &&
		 was.st_ino == is.st_ino)
		return 0;
	else if ((err = channel_passes(fd)) < 0)
		snprintf(trouble, sizeof(trouble), "%s: %s", pass_trouble(err),
			 err == -EACCES ? "restart to rotate" : "reload again");
	if (trouble[0]) {
		log_error("audit", "path=\"%s\" error=\"%s\" kept=\"the file before\"", k->o.audit,
			  trouble);
		return 0;
	}
	for (int i = 0; i < PUBLIC_ROOMS && err == 0; i++)
		err = channel_send(k->rooms[i].channel, ASK_AUDIT, NULL, 0, fd);
	close(k->audit);
	k->audit = take_fd(&fd);
	return err;
}

/* The reload under way has failed; the one that was asked for meanwhile begins. */
static int reload_failed(struct kernel_room *k, const char *error)
{
	reload_outcome(k, error);
	return k->again ? kernel_room_reload(k) : 0;
}

void kernel_reload_abandon(struct kernel_room *k)
{
	if (!k->reader.pid)
		return;
	loop_drop(k->loop, &k->answer);
	loop_drop(k->loop, &k->late);
	close(k->late.fd);
	room_end(&k->reader);
}

static int read_finish(struct kernel_room *k, bool late)
{
	owned_fd int image = -1;
	char error[512] = "";
	int err;

	loop_drop(k->loop, &k->answer);
	loop_drop(k->loop, &k->late);
	close(k->late.fd);
	err = reader_finish(&k->reader, late, k->newest.fd, &image, error, sizeof(error));
	if (err == 0)
		err = kernel_image_adopt(k, take_fd(&image), error, sizeof(error));
	if (err == 0)
		err = kernel_keys_send(k, error, sizeof(error));
	return err < 0 ? reload_failed(k, error) : image_send(k, &k->newest);
}

static void on_answer(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;

	(void)events;
	if (read_finish(k, false) < 0)
		loop_end(k->loop, 1); /* a room does not take the image: its death is on the way */
}

static void on_late(struct loop_source *s, uint32_t events)
{
	struct kernel_room *k = s->owner;

	(void)events;
	if (read_finish(k, true) < 0)
		loop_end(k->loop, 1);
}

/* Nothing waits for the reader but the reload itself. */
static int read_begin(struct kernel_room *k, char *error, size_t error_cap)
{
	struct reader_options o = { k->o.config_dir, k->o.state_dir, k->o.format };
	struct itimerspec limit = { .it_value.tv_sec = READER_LIMIT_S };
	int err = reader_start(&o, k->newest.fd, &k->reader, error, error_cap);

	if (err < 0)
		return err;
	k->answer = (struct loop_source){ k->reader.channel, on_answer, k };
	k->late = (struct loop_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), on_late, k };
	if (k->late.fd < 0 || timerfd_settime(k->late.fd, 0, &limit, NULL) < 0 ||
	    loop_add(k->loop, &k->answer, EPOLLIN) < 0 ||
	    loop_add(k->loop, &k->late, EPOLLIN) < 0) {
		err = -errno;
		snprintf(error, error_cap, "cannot wait for the reader: %s", strerror(-err));
		kernel_reload_abandon(k);
	}
	return err;
}

int kernel_room_reload(struct kernel_room *k)
{
	char error[512] = "";

	if (k->phase != PHASE_RUN || k->reader.pid) {
		k->again = true;
		return 0;
	}
	k->again = false;
	k->key_kept = false;
	k->reloads++;
	notify_reloading();
	if (audit_renew(k) < 0)
		return -EPIPE;
	return read_begin(k, error, sizeof(error)) < 0 ? reload_failed(k, error) : 0;
}

/* The newest image is in force everywhere, and nothing goes back to the one before, nor to its keys. */
static int in_force(struct kernel_room *k)
{
	char error[512] = "";
	int err = channel_send(k->rooms[SIGN].channel, ASK_SETTLED, NULL, 0, -1);

	image_unmap(k->current.p);
	close(k->current.fd);
	k->current = k->newest;
	if (k->key_kept)
		snprintf(error, sizeof(error),
			 "%s/" KEYS_HOST_FILE " or " KEYS_NEXT_FILE
			 " holds no P-256 private key: policy is in force, the key before signs on",
			 k->o.state_dir);
	reload_outcome(k, error);
	return err;
}

/* Every room has the new image: now the kernel side. Where that fails the rooms go back. */
int kernel_reload_finish(struct kernel_room *k)
{
	char error[512] = "";
	int err = 0;

	k->phase = PHASE_RUN;
	if (k->back) {
		k->back = false;
	} else if (kern_policy_set(k->kern, k->newest.p, error, sizeof(error)) < 0) {
		reload_outcome(k, error);
		k->back = true;
		return image_send(k, &k->current);
	} else {
		err = in_force(k);
	}
	return err == 0 && k->again ? kernel_room_reload(k) : err;
}
