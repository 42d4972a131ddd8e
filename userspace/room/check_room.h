/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check room: answers verify and whois on check.sock. It parses hostile bytes and holds no secret.
 */
#ifndef CLEAT_ROOM_CHECK_ROOM_H
#define CLEAT_ROOM_CHECK_ROOM_H

/* The whole life of the room: exit code. */
int check_room_main(void);

#endif
