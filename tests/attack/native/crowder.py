# SPDX-License-Identifier: Apache-2.0
"""One process of a cgroup and uid that wants more of the daemon than its part: crowder.py MODE CGROUP UID RUN ARG...
Prints one JSON object a line: the first when it is in place, the last when it was told, by end of its stdin, to end.
"""
import json
import os
import select
import socket
import struct
import sys
import time

import asker
from asker import LIMIT, VERIFY, WHOAMI, WHOIS, head, verify_ask

LINGER = struct.pack("=ii", 1, 3600)


class Door(asker.Door):
    """Waits for its place in the queue like libcleat does."""

    def __init__(self, run, name):      # not super's: a time limit before connect() means not to wait at all
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.connect("%s/%s.sock" % (run, name))
        self.s.settimeout(LIMIT)


def say(**answer):
    print(json.dumps(answer), flush=True)


def told_to_end(wait=0):
    return bool(select.select([sys.stdin], [], [], wait)[0])


def word_of(d):
    """What the door says; "" when it says nothing any more."""
    try:
        return d.answer()[0]
    except Exception:  # noqa: BLE001 - an end, a reset, half an answer: all the same to a crowder
        return ""


def once(run, door, message, fds=()):
    """One question on a connection of its own, as libcleat does it."""
    d = Door(run, door)
    try:
        d.send(message, fds)
    except OSError:
        pass
    word = word_of(d)
    d.s.close()
    return word


def control(run, door="sign"):
    """An honest client: one question after the other, and how long each waits."""
    waits, words = [], {}
    say(ready=True)
    while not told_to_end():
        began = time.monotonic()
        word = once(run, door, head(WHOAMI) if door == "sign" else head(WHOIS))
        waits.append(time.monotonic() - began)
        words[word] = words.get(word, 0) + 1
    waits.sort()
    say(words=words, count=len(waits), worst=waits[-1], p99=waits[len(waits) * 99 // 100])


def flood(run, door):
    """As fast as it can, every other time with a broken message; answers are read only now and then."""
    count, words = 0, {}
    say(ready=True)
    while not told_to_end():
        d = Door(run, door)
        try:
            for i in range(8):
                d.send(head(WHOAMI) if i % 2 else head(99))
            word = word_of(d)
        except OSError:
            word = word_of(d)
        d.s.close()
        words[word] = words.get(word, 0) + 1
        count += 1
    say(words=words, count=count)


def hold(run, door, number):
    """@number connections: silent, with half a message, with descriptors and never a look at the answers."""
    held, refused, null = [], 0, os.open("/dev/null", os.O_RDONLY)
    for i in range(int(number)):
        d = Door(run, door)
        try:
            if i % 4 == 1:
                d.send(head(VERIFY)[:9])
            elif i % 4 == 2:
                d.send(verify_ask(), [null])
            elif i % 4 == 3:
                for _ in range(8):
                    d.send(head(WHOAMI), [null] * 4)
        except OSError:
            refused += 1
        held.append(d)
    say(ready=True, held=len(held), refused=refused)
    told_to_end(300)
    say(held=len(held))


def crush(run, door, number):
    """@number places held, and connections made one after the other as fast as can be, never with a question."""
    hold, last, count = [], [], 0
    while len(hold) < int(number):
        for _ in range(50):                 # not faster than they are identified
            hold.append(Door(run, door))
        hold[-1].send(head(WHOAMI))
        word_of(hold[-1])
    say(ready=True, held=len(hold))
    while not told_to_end():
        for _ in range(100):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect("%s/%s.sock" % (run, door))
            last.append(s)
        count += 100
        for s in last[:-200]:
            s.close()
        last = last[-200:]
    say(count=count)


def circle(run, door, rounds):
    """Connections whose client end lies in the queue of a socket that lies in its own, all of it passed to the room too: the
    room's copies are the last that is closed, and of that the kernel's collector takes no notice."""
    for _ in range(int(rounds)):
        d = Door(run, door)
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [right.fileno(), d.s.fileno(), left.fileno()]
        socket.send_fds(left, [b"x"], fds)
        try:
            d.send(head(WHOAMI), [left.fileno(), right.fileno(), d.s.fileno()])
        except OSError:
            pass                        # refused: this one's share is full
        for s in (left, right, d.s):
            s.close()
    say(ready=True)
    told_to_end(300)
    say(rounds=rounds)


def stuck_pair(listener):
    """A connection that lingers for an hour when its last copy is closed: the other end never reads."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    s.connect(listener.getsockname())
    peer = listener.accept()[0]
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    return s, peer


def carried(s):
    """@s in the queue of a socket: whoever closes that last closes @s, too."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    socket.send_fds(left, [b"x"], [s.fileno()])
    left.detach()           # stays open until this process ends
    return right


def carry(run, door, number):
    """The same as linger(), each in the queue of a socket, which is what is passed."""
    linger(run, door, number, carried)


def linger(run, door, number, wrapped=lambda s: s):
    """@number sockets whose close lingers, passed by a child that exits: the room's copies are the last. First line: they
    are on their way; second: all are answered."""
    listener, number = socket.socket(), int(number)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    pairs = [stuck_pair(listener) for _ in range(number)]
    doors = [Door(run, door) for _ in range((number + 99) // 100)]
    pid = os.fork()
    if pid == 0:
        passed = [wrapped(s) for s, _ in pairs]
        for i, d in enumerate(doors):
            d.send(head(WHOIS), [s.fileno() for s in passed[100 * i:100 * i + 100]])
        os._exit(0)
    for s, _ in pairs:
        s.close()           # not the last copy: the child's are there
    say(ready=True) if os.waitpid(pid, 0)[1] == 0 else say(wrong="the child")
    words = [word_of(d) for d in doors]
    say(words=words, number=number)
    told_to_end(300)


def fin(run, door, number):
    """How long the other end waits for the FIN of a socket that was passed and closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    d, waits = Door(run, door), []
    for _ in range(int(number)):
        s = socket.create_connection(listener.getsockname())
        peer = listener.accept()[0]
        d.send(head(WHOIS), [s.fileno()])
        s.close()
        began = time.monotonic()
        peer.settimeout(20)
        if peer.recv(1):
            raise AssertionError("no FIN")
        waits.append(time.monotonic() - began)
        d.answer()
        peer.close()
    waits.sort()
    say(worst=waits[-1], median=waits[len(waits) // 2])


MODES = {f.__name__: f for f in (control, flood, hold, crush, circle, linger, carry, fin)}


def main():
    mode, cgroup, uid, run = sys.argv[1:5]
    with open(cgroup + "/cgroup.procs", "w") as f:
        f.write("0")
    os.setgroups([])
    os.setresgid(*[int(uid)] * 3)
    os.setresuid(*[int(uid)] * 3)
    MODES[mode](run, *sys.argv[5:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
