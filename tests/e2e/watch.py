#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""watch.py DIR: one line when it watches, then each name in DIR that is made, moved there or opened."""
import ctypes
import os
import struct
import sys

IN_OPEN, IN_MOVED_TO, IN_CREATE = 0x20, 0x80, 0x100

libc = ctypes.CDLL(None)
fd = libc.inotify_init1(0)
if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(sys.argv[1]), IN_OPEN | IN_MOVED_TO | IN_CREATE) < 0:
    sys.exit("%s cannot be watched" % sys.argv[1])
print("watching", flush=True)
while True:
    events = os.read(fd, 65536)
    while events:
        end = 16 + struct.unpack_from("iIII", events)[3]
        print(os.fsdecode(events[16:end].rstrip(b"\0")), flush=True)
        events = events[end:]
