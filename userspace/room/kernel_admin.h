/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel room's own door: private/admin.sock, for root alone, whatever the mode of the directory became. Requests
 * are a table of fixed structs (model/admin.h); a message that is not in it is answered malformed. Nothing is queued:
 * few connections, one request at a time each.
 */
#ifndef CLEAT_ROOM_KERNEL_ADMIN_H
#define CLEAT_ROOM_KERNEL_ADMIN_H

#include "base/cleanup.h"

struct kernel_room;
struct admin;

/* Binds below the private directory; nobody can connect before admin_serve(). */
int admin_open(struct kernel_room *k, struct admin **ret);
/* Listens, in the room's loop. */
int admin_serve(struct admin *a);
/* The outcome of the reload that began as number k->reloads: whoever waits for it is told. @error "": it succeeded. */
void admin_reloaded(struct admin *a, const char *error);
void admin_free(struct admin *a);
DEFINE_OWNER(admin_owned, struct admin, admin_free)

#endif
