/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel room's word on the level: what the watcher finds goes into log, audit and the service manager's status. */
#include "room/kernel_state.h"

#include "model/admin.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct watcher_state *state(const struct kernel_room *k)
{
	return k->watcher ? watcher_state(k->watcher) : NULL;
}

const char *kernel_level_word(const struct kernel_room *k)
{
	const struct watcher_state *s = state(k);

	return level_word(s && !s->armed ? CLEAT_LEVEL_NONE : kern_level(k->kern));
}

void kernel_level_line(const struct kernel_room *k, char *ret, size_t cap)
{
	const struct watcher_state *s = state(k);

	if (s && !s->armed)
		snprintf(ret, cap, "not armed: %s", s->why);
	else
		snprintf(ret, cap, "level %s%s%.200s%s%s", kernel_level_word(k),
			 k->level_why[0] ? " (not full: " : "", k->level_why,
			 k->level_why[0] ? ")" : "",
			 s && !s->synchronised ? ", clock not synchronised" : "");
}

void kernel_level_status(const struct kernel_room *k, struct cleat_admin_answer_status *ret)
{
	const struct watcher_state *s = state(k);

	ret->wanted = kern_level(k->kern);
	snprintf(ret->why, sizeof(ret->why), "%s", s && s->why[0] ? s->why : k->level_why);
	if (!s)
		return;
	ret->hooks = s->hooks;
	ret->synchronised = s->synchronised;
	ret->falls = s->falls;
	ret->looked_ns = s->looked_ns;
	ret->proved_ns = s->proved_ns;
}

static void audit_level(struct kernel_room *k, const struct watcher_state *s)
{
	struct cleat_config config = { 0 };

	kern_config(k->kern, &config);
	audit_event(&k->line, "kernel", s->armed ? "armed" : "not-armed");
	audit_str(&k->line, "level", kernel_level_word(k));
	audit_u64(&k->line, "epoch", config.epoch);
	if (s->why[0])
		audit_str(&k->line, "why", s->why);
	audit_u64(&k->line, "generation", k->current.p->generation);
	if (audit_end(&k->line, k->audit, false) < 0)
		log_error("audit", "event=armed error=\"not written\"");
}

static void on_changed(void *ctx, const struct watcher_state *s)
{
	struct kernel_room *k = ctx;

	audit_level(k, s);
	kernel_notify_status(k);
}

/* The rooms would go on signing at a level that is not there. */
static void on_lost(void *ctx, int err)
{
	struct kernel_room *k = ctx;

	log_error("level-lost", "reason=not-armed error=\"cannot write it down: %s\"",
		  strerror(-err));
	loop_end(k->loop, 1);
}

int kernel_watch(struct kernel_room *k)
{
	const struct watcher_room room = { k, on_changed, on_lost };
	int err = watcher_new(k->kern, k->probe, &room, &k->watcher);

	return err < 0 ? err : watcher_start(k->watcher, k->loop);
}
