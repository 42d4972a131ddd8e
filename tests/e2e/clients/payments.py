#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's client: a program in another language, with libcleat through ctypes. It does what its standard input
says, one command a line, and answers one JSON line:

    connect NAME IP PORT      say NAME TEXT...       (one line to the service, and its answer)
    sign NAME AUDIENCE        give NAME BOX          take NAME BOX
    load IP PORT AUDIENCE     rest                   (connections until then, each assertion presented twice: counts)
"""
import array
import collections
import ctypes
import json
import os
import socket
import sys
import threading

lib = ctypes.CDLL(os.environ.get("LIBCLEAT", "libcleat.so.0"))
lib.cleat_reason_word.restype = ctypes.c_char_p


class Assertion(ctypes.Structure):
    _fields_ = [("wit", ctypes.c_char_p), ("wpt", ctypes.c_char_p), ("wit_len", ctypes.c_size_t),
                ("wpt_len", ctypes.c_size_t), ("expires", ctypes.c_int64), ("policy_generation", ctypes.c_uint32),
                ("reason", ctypes.c_int), ("word", ctypes.c_char * 32), ("detail", ctypes.c_char * 192)]


socks = {}


def connect(name, ip, port):
    socks[name] = socket.create_connection((ip, int(port)), timeout=20)
    return {"ok": True}


def assertion_for(sock, audience):
    """The assertion, or None; and why not."""
    a = Assertion()
    rc = lib.cleat_sign(sock.fileno(), audience.encode(), None, ctypes.byref(a))
    if rc != 0:
        return None, {"reason": a.word.decode() or lib.cleat_reason_word(rc).decode(), "detail": a.detail.decode()}
    text = "%s~%s" % (a.wit.decode(), a.wpt.decode())
    lib.cleat_assertion_clear(ctypes.byref(a))
    return text, None


def ask(sock, line):
    """The service's answer; an empty one when it hung up."""
    sock.sendall((line + "\n").encode())
    answer = b""
    while not answer.endswith(b"\n"):
        more = sock.recv(4096)
        if not more:
            break
        answer += more
    return answer.decode().strip()


def sign(name, audience):
    text, why = assertion_for(socks[name], audience)
    return {"ok": True, "assertion": text} if text else dict(why, ok=False)


def say(name, *words):
    answer = ask(socks[name], " ".join(words))
    return {"ok": answer == "ok", "answer": answer}


class Load(threading.Thread):
    """One connection after another; what became of each is counted, by its reason."""

    def __init__(self, ip, port, audience):
        super().__init__(daemon=True)
        self.to, self.audience = (ip, int(port)), audience
        self.counts, self.ending = collections.Counter(), threading.Event()

    def once(self):
        with socket.create_connection(self.to, timeout=20) as sock:
            text, why = assertion_for(sock, self.audience)
            if not text:
                return "sign: " + why["reason"]
            first, again = ask(sock, text + " load"), ask(sock, text + " again")
            return "%s, then %s" % (first or "hung up", again or "hung up")

    def run(self):
        while not self.ending.is_set():
            try:
                self.counts[self.once()] += 1
            except OSError as e:
                self.counts["network: %s" % e] += 1
            self.ending.wait(0.1)               # the guests' processors are for the others too


loads = []


def load(ip, port, audience):
    loads.append(Load(ip, port, audience))
    loads[0].start()
    return {"ok": True}


def rest():
    it = loads.pop()
    it.ending.set()
    it.join()
    return {"ok": True, "counts": dict(it.counts)}


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


COMMANDS = {f.__name__: f for f in (connect, sign, say, give, take, box, load, rest)}
for line in sys.stdin:
    words = line.split()
    try:
        result = COMMANDS[words[0]](*words[1:])
    except OSError as e:
        result = {"ok": False, "reason": "error", "detail": str(e)}
    print(json.dumps(result), flush=True)
