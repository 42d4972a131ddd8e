#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Looks at the daemon of its host: one JSON line in, one JSON line out. Stands as long as the stage does, so that a question
costs no program there: under emulation an exec is what takes the time of a test.
"""
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
    return os.stat(path).st_size


def look(page, audit, at):
    return fds(), counters(page), after(audit, at)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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


QUESTIONS = {f.__name__: f for f in (rooms, fds, counters, after, tally, size, look, write, alive, hang_up)}


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
