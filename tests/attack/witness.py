#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at the daemon of its host: one JSON line in, one JSON line out. Stands as long as the stage does, so that a question
costs no program there: under emulation an exec is what takes the time of a test.
"""
import filecmp
import json
import os
import re
import signal
import struct
import sys
import time


def parent(pid):
    with open("/proc/%s/stat" % pid) as f:
        above = f.read().rsplit(")", 1)[1].split()[1]
    with open("/proc/%s/comm" % above) as f:
        return f.read().strip()


def rooms():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % pid) as f:
                name = f.read().strip()
            # the reader and the probe, which is the main process's fork, come and go
            if name in ("cleatd-sign", "cleatd-check") or name == "cleatd" and parent(pid) != "cleatd":
                found.append(int(pid))
        except OSError:                 # gone since
            pass
    return sorted(found)


def fds():
    """Of each room that lives: one that is dead and not waited for yet has none."""
    return [n for n in (len(os.listdir("/proc/%d/fd" % pid)) for pid in rooms()) if n]


def counters(path):
    """What the room was asked, and how often it gave each answer: what follows in the page (model/counters.h) is not of
    answers."""
    with open(path, "rb") as f:
        return struct.unpack_from("=65Q", f.read())


def after(path, at):
    """What the file has from byte @at on; a file that is not there is empty."""
    try:
        with open(path, "rb") as f:
            f.seek(at)
            return f.read().decode()
    except FileNotFoundError:
        return ""


# How an audit line begins (userspace/edge/audit.c). No string in it has a quotation mark that is not escaped.
ANSWER = re.compile(r'\{"time":"[^"]*","room":"(\w+)",(?:"ask":"[^"]*","reason":"([^"]+)"|'
                    r'"event":"suppressed".*"suppressed":(\d+)).*\}$')


def tally(path, at):
    """Of the audit lines from @at on: {room: {reason: how many}}, of answers only, and how many were "suppressed" beside
    them. A torn line is none."""
    rooms = {}
    for line in after(path, at).splitlines():
        answer = ANSWER.match(line)
        if answer:
            reasons = rooms.setdefault(answer[1], {})
            word = answer[2] or "suppressed"
            reasons[word] = reasons.get(word, 0) + int(answer[3] or 1)
    return rooms


def size(path):
    return os.stat(path).st_size if os.path.exists(path) else 0


def look(page, audit, at):
    return fds(), counters(page), after(audit, at)


def look_before(page, audit):
    return fds(), counters(page), size(audit)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def put(path, text):
    """Bytes, as latin-1, by another file renamed over the old one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "wb") as f:
        f.write(text.encode("latin-1"))
    os.rename(path + ".new", path)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ready(pid, log, limit):
    """Until the daemon says so or ends, and what it said."""
    end = time.monotonic() + limit
    while True:
        up, said = alive(pid), after(log, 0)
        if not up or "ready" in said or time.monotonic() > end:
            return up, said
        time.sleep(0.05)


def dead(pid, limit):
    end = time.monotonic() + limit
    while alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def named(names):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % pid) as f:
                if f.read().strip() in names:
                    found.append(int(pid))
        except OSError:                 # gone since
            pass
    return found


def end_all(names, limit):
    """Every process of these names ends: asked to, and killed after @limit seconds."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in named(names):
            if alive(pid):
                os.kill(pid, how)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if not named(names):
                return
            time.sleep(0.05)
    raise TimeoutError("%s: no end" % named(names))


def same(one, other):
    """The same files with the same bytes, below both."""
    def below(top):
        return sorted(os.path.relpath(os.path.join(at, name), top) for at, _, names in os.walk(top) for name in names)
    names = below(one)
    return names == below(other) and filecmp.cmpfiles(one, other, names, shallow=False)[1:] == ([], [])


def hang_up(pid, log, limit):
    """SIGHUP, and the lines about it that the log then has."""
    at, end = os.stat(log).st_size, time.monotonic() + limit
    os.kill(pid, signal.SIGHUP)
    while time.monotonic() < end:
        lines = [line for line in after(log, at).split("\n")[:-1] if "reload" in line]
        if lines:
            return lines
        time.sleep(0.02)
    raise TimeoutError("no outcome of the reload within %d s" % limit)


QUESTIONS = {f.__name__: f for f in (rooms, fds, counters, after, tally, size, look, look_before, write, put, alive,
                                     ready, dead, end_all, same, hang_up)}


def main():
    if sys.argv[1:]:                    # the cgroup of who may signal the daemon
        os.makedirs(sys.argv[1], exist_ok=True)
        with open(sys.argv[1] + "/cgroup.procs", "w") as f:
            f.write("0")
    for line in sys.stdin:
        name, args = json.loads(line)
        try:
            answer = {"answer": QUESTIONS[name](*args)}
        except OSError as e:
            answer = {"error": "%s%s: %s" % (name, tuple(args), e)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
