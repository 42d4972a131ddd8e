/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The users of the rooms: jail.h. Of the file, by no name service: at boot none answers, and what answers one is not for a
 * room to load.
 */
#include "room/jail.h"

#include "base/cleanup.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

int jail_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	owned_file FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p = NULL;

	while (f && (p = fgetpwent(f)))
		if (strcmp(p->pw_name, name) == 0)
			break;
	if (!f || !p)
		return -ENOENT;
	if (p->pw_uid == 0 || p->pw_gid == 0)
		return -EPERM;
	*ret_uid = p->pw_uid;
	*ret_gid = p->pw_gid;
	return 0;
}

int jail_users(char *error, size_t error_cap)
{
	static const char *const rooms[] = { "sign", "check", "reader" };
	uid_t uids[3];
	gid_t gid;

	for (size_t i = 0; i < 3; i++) {
		const char *user = jail_of(rooms[i])->user, *why = NULL;
		int err = jail_user(user, &uids[i], &gid);

		if (err == -ENOENT)
			why = "is not in /etc/passwd: run systemd-sysusers";
		else if (err < 0)
			why = "is root: a room never runs as root";
		for (size_t k = 0; k < i && err == 0; k++)
			if (uids[k] == uids[i])
				why = "is another room's user too: give each a uid of its own";
		if (!why)
			continue;
		snprintf(error, error_cap, "the user %s %s", user, why);
		return err < 0 ? err : -EPERM;
	}
	return 0;
}
