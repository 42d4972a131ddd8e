/* SPDX-License-Identifier: Apache-2.0 */
/* One of the host's keys through a reload. See host_key.h. */
#include "room/host_key.h"

#include <stddef.h>

static void other_free(struct host_key *k)
{
	sig_key_free(k->other);
	k->other = NULL;
	k->what = HOST_KEY_NOTHING;
}

static void change_places(struct host_key *k)
{
	struct sig_key *was = k->now;

	k->now = k->other;
	k->other = was;
}

void host_key_stage(struct host_key *k, struct sig_key *key)
{
	other_free(k);
	k->other = key;
	k->what = HOST_KEY_STAGED;
}

void host_key_unstage(struct host_key *k)
{
	if (k->what == HOST_KEY_STAGED)
		other_free(k);
}

void host_key_take(struct host_key *k)
{
	if (k->what != HOST_KEY_STAGED) {
		other_free(k); /* going back from here is no further than to now */
		return;
	}
	change_places(k);
	k->what = HOST_KEY_BEFORE;
}

void host_key_back(struct host_key *k)
{
	if (k->what == HOST_KEY_BEFORE)
		change_places(k);
	other_free(k);
}

void host_key_settle(struct host_key *k)
{
	if (k->what == HOST_KEY_BEFORE)
		other_free(k);
}

void host_key_free(struct host_key *k)
{
	other_free(k);
	sig_key_free(k->now);
	k->now = NULL;
}
