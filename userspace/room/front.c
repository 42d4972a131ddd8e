/* SPDX-License-Identifier: Apache-2.0 */
/* What the sign room and the check room have in common. See front.h. */
#include "room/front.h"

#include "base/twin.h"
#include "room/image.h"
#include "room/jail.h"
#include "room/rooms.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECTIONS_MAX 4096

/* ---- what the kernel room may say ---- */

static int on_start(void *room, const void *body, int *fd)
{
	const struct channel_start *m = body;
	struct front *f = room;
	int err;

	(void)fd;
	f->host = m->host;
	f->door.at_once = m->level == CLEAT_LEVEL_FULL; /* the caller is recorded by then */
	err = f->start(f->room);
	if (err == 0)
		err = door_open(f->loop, f->reaper, ROOM_FD_LISTEN,
				f->connections < CONNECTIONS_MAX ? f->connections : CONNECTIONS_MAX,
				&f->door, &f->opened);
	if (err < 0) {
		log_error("start", "error=\"%s\"", strerror(-err));
		return err;
	}
	f->phase = PHASE_RUN;
	return 0;
}

static int on_image(void *room, const void *body, int *fd)
{
	const struct channel_image *m = body;
	const struct policy_image *p;
	struct front *f = room;
	int err = image_map(*fd, &p);

	if (err < 0)
		return err;
	if (p->generation != m->generation) {
		image_unmap(p);
		return -EPROTO;
	}
	const struct policy_image *before = f->image;

	f->image = p;
	f->renew(f->room, p->generation < before->generation); /* they only rise */
	image_unmap(before);
	struct channel_done done = { .generation = m->generation, .key_kept = f->key_kept };

	f->key_kept = false;
	return channel_send(ROOM_FD_CHANNEL, TELL_DONE, &done, sizeof(done), -1);
}

static int on_key(void *room, const void *body, int *fd)
{
	const struct channel_key *m = body;
	struct front *f = room;

	if (!m->next) /* the first of a reload: what was wrong with the one before is not its */
		f->key_kept = false;
	int kept_before = f->key && m->next <= 1 ? f->key(f->room, m->next, *fd) : -EPROTO;

	if (kept_before > 0)
		f->key_kept = true;
	return kept_before < 0 ? kept_before : 0;
}

static int on_no_next(void *room, const void *body, int *fd)
{
	struct front *f = room;

	(void)body;
	(void)fd;
	return f->key ? f->key(f->room, true, -1) : -EPROTO;
}

static int on_settled(void *room, const void *body, int *fd)
{
	struct front *f = room;

	(void)body;
	(void)fd;
	if (!f->settled)
		return -EPROTO;
	f->settled(f->room);
	return 0;
}

static int on_stop(void *room, const void *body, int *fd)
{
	struct front *f = room;

	(void)body;
	(void)fd;
	loop_end(f->loop, 0);
	return 0;
}

static int on_alive(void *room, const void *body, int *fd)
{
	(void)room;
	(void)body;
	(void)fd;
	return channel_send(ROOM_FD_CHANNEL, TELL_ALIVE, NULL, 0, -1);
}

/* The old file has every line written so far; one thread writes, so none falls between the two. */
static int on_audit(void *room, const void *body, int *fd)
{
	struct front *f = room;

	(void)body;
	close(f->account.audit);
	f->account.audit = take_fd(fd);
	return 0;
}

static const struct channel_entry asks[] = {
	{ ASK_START, sizeof(struct channel_start), DURING(START), false, on_start },
	{ ASK_IMAGE, sizeof(struct channel_image), DURING(RUN), true, on_image },
	{ ASK_KEY, sizeof(struct channel_key), DURING(START) | DURING(RUN), true, on_key },
	{ ASK_NO_NEXT, 0, DURING(START) | DURING(RUN), false, on_no_next },
	{ ASK_SETTLED, 0, DURING(RUN), false, on_settled },
	{ ASK_STOP, 0, DURING(START) | DURING(RUN), false, on_stop },
	{ ASK_ALIVE, 0, DURING(RUN), false, on_alive },
	{ ASK_AUDIT, 0, DURING(RUN), true, on_audit },
};

static void on_channel(struct loop_source *s, uint32_t events)
{
	struct front *f = s->owner;
	int err = channel_serve(s->fd, asks, sizeof(asks) / sizeof(asks[0]), f->phase, f);

	(void)events;
	if (err < 0 && err != -EPIPE)
		log_error("channel", "error=\"%s\"", strerror(-err));
	if (err < 0)
		loop_end(f->loop, 1);
}

/* ---- the door's questions that are the same in both rooms ---- */

static void identify(void *room, int api_fd, struct caller *ret)
{
	struct front *f = room;

	caller_identify(&f->maps, f->image, api_fd, ret);
}

static void again(void *room, struct caller *c)
{
	struct front *f = room;

	caller_again(&f->maps, c);
}

static enum reason refuse(void *room, const struct door_call *call, enum reason reason,
			  const char *detail, struct door_answer *answer)
{
	struct front *f = room;

	account_charge(&f->account, call->caller->share_uid, call->caller->tag.owner.label);
	account_begin(&f->account, call->ask_name, reason);
	audit_str(&f->account.line, "detail", detail);
	account_caller(&f->account, f->image, &call->caller->tag);
	answer->generation = f->image->generation;
	answer->detail = detail;
	return account_end(&f->account, f->image, reason);
}

void front_account_fd(struct front *f, const struct door_call *call, enum reason reason)
{
	struct cleat_tag tag;

	if (call->fd < 0 || kern_tag_get(f->maps.tags, call->fd, &tag) < 0)
		return;
	if (reason_public(reason) == REASON_NOT_YOURS && reason != REASON_UNTAGGED)
		account_stranger(&f->account, f->image, &tag, &call->caller->tag);
	account_socket(&f->account, f->image, &tag);
}

/* ---- start and run ---- */

int front_open(struct front *f, const char *name)
{
	int err;

	*f = (struct front){
		.name = name,
		.maps = { .tags = ROOM_FD_TAGS, .callers = ROOM_FD_CALLERS },
		.phase = PHASE_START,
	};
	err = account_open(&f->account, name, ROOM_FD_AUDIT, ROOM_FD_COUNTERS);
	if (err ==
	    0) /* mapped; its lock is ours until we are dead, and nobody's who has a descriptor from us: place.c */
		close(ROOM_FD_COUNTERS);
	if (err == 0)
		err = kern_config_view(ROOM_FD_CONFIG, &f->maps.config);
	if (err == 0 && kept(config_closed)) /* it is in memory now, and this one could write it */
		close(ROOM_FD_CONFIG);
	if (err == 0)
		err = image_map(ROOM_FD_IMAGE, &f->image);
	if (err == 0)
		err = loop_new(&f->loop);
	return err;
}

static void after_round(void *ctx)
{
	struct front *f = ctx;

	if (f->opened) {
		door_round(f->opened);
		account_door(&f->account, door_counts(f->opened), reaper_forced(f->reaper));
	}
	if (f->round && f->round(f->room))
		loop_within(f->loop, 0);
	if (account_tick(&f->account, f->image))
		loop_within(f->loop, 1000);
}

int front_run(struct front *f)
{
	int err;

	close(ROOM_FD_IMAGE); /* mapped */
	f->connections = door_capacity();
	f->door.room = f;
	f->door.identify = identify;
	f->door.again = again;
	f->door.refuse = refuse;
	f->channel = (struct loop_source){ ROOM_FD_CHANNEL, on_channel, f };
	err = loop_add(f->loop, &f->channel, EPOLLIN);
	/* from the strangers' descriptors on everything happens in the jail: the threads, and what they can do */
	if (err == 0)
		err = reaper_start(&f->reaper);
	if (err == 0)
		err = jail_seal();
	if (err == 0)
		err = channel_send(ROOM_FD_CHANNEL, TELL_READY, NULL, 0, -1);
	int code = err < 0 ? 1 : loop_run(f->loop, after_round, f);

	if (f->opened)
		door_close(f->opened);
	loop_free(f->loop);
	image_unmap(f->image);
	return code;
}
