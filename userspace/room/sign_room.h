/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sign room: holds the host key and the proof keys, answers sign and whoami on sign.sock. It parses nothing a
 * client sent: a request is a fixed struct and a descriptor; it prints JSON and never reads it.
 */
#ifndef CLEAT_ROOM_SIGN_ROOM_H
#define CLEAT_ROOM_SIGN_ROOM_H

/* The whole life of the room: exit code. */
int sign_room_main(void);

#endif
