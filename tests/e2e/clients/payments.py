#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's client: a program in another language, with libcleat through ctypes. It does what its standard input
says, one command a line, and answers one JSON line:

    connect NAME IP PORT      say NAME TEXT...       (one line to the service, and its answer)
    sign NAME AUDIENCE        give NAME BOX          take NAME BOX
"""
import array
import ctypes
import json
import os
import socket
import sys

lib = ctypes.CDLL(os.environ.get("LIBCLEAT", "libcleat.so.0"))


class Assertion(ctypes.Structure):
    _fields_ = [("wit", ctypes.c_char_p), ("wpt", ctypes.c_char_p), ("wit_len", ctypes.c_size_t),
                ("wpt_len", ctypes.c_size_t), ("expires", ctypes.c_int64), ("policy_generation", ctypes.c_uint32),
                ("reason", ctypes.c_int), ("word", ctypes.c_char * 32), ("detail", ctypes.c_char * 192)]


socks = {}


def connect(name, ip, port):
    socks[name] = socket.create_connection((ip, int(port)), timeout=20)
    return {"ok": True}


def sign(name, audience):
    a = Assertion()
    rc = lib.cleat_sign(socks[name].fileno(), audience.encode(), None, ctypes.byref(a))
    if rc != 0:
        return {"ok": False, "reason": a.word.decode() or "errno %d" % -rc, "detail": a.detail.decode()}
    text = "%s~%s" % (a.wit.decode(), a.wpt.decode())
    lib.cleat_assertion_clear(ctypes.byref(a))
    return {"ok": True, "assertion": text}


def say(name, *words):
    socks[name].sendall((" ".join(words) + "\n").encode())
    answer = b""
    while not answer.endswith(b"\n"):
        more = socks[name].recv(4096)
        if not more:
            break
        answer += more
    return {"ok": answer == b"ok\n", "answer": answer.decode().strip()}


def give(name, box):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect("\0" + box)
        socket.send_fds(s, [b"x"], [socks[name].fileno()])
    return {"ok": True}


boxes = {}


def box(name):
    boxes[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    boxes[name].bind("\0" + name)
    return {"ok": True}


def take(name, box_name):
    boxes[box_name].settimeout(20)
    _, fds, _, _ = socket.recv_fds(boxes[box_name], 1, 1)
    socks[name] = socket.socket(fileno=array.array("i", fds)[0])
    return {"ok": True}


COMMANDS = {f.__name__: f for f in (connect, sign, say, give, take, box)}
for line in sys.stdin:
    words = line.split()
    try:
        result = COMMANDS[words[0]](*words[1:])
    except OSError as e:
        result = {"ok": False, "reason": "error", "detail": str(e)}
    print(json.dumps(result), flush=True)
