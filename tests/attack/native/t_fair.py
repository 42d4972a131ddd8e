# SPDX-License-Identifier: Apache-2.0
"""Who takes more than his part (attacks.md 112, 114, 116, 117, 118, 143), scaled: what is counted is what happens to an
honest client beside it. Limits of time are generous; ratios are `make bench`'s."""
import json
import os
import signal
import subprocess
import sys

from native_stage import CGROUPS, DIR
from stage import Accepted, Wrong, until

CROWDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crowder.py")
ANSWERED_S = 2.0        # an honest question, whatever others do
BACK_S = 5.0


class Player:
    def __init__(self, mode, workload, uid, *args):
        self.p = subprocess.Popen([sys.executable, CROWDER, mode, "%s/%s" % (CGROUPS, workload), str(uid), DIR + "/run"] +
                                  [str(a) for a in args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        line = self.p.stdout.readline()
        if not line:
            raise Wrong("a crowder ended")
        return json.loads(line)

    def end(self):
        self.p.stdin.close()
        answer = self.line()
        self.p.wait(60)
        return answer

    def drop(self):
        self.p.kill()
        self.p.wait(60)


def scene(s):
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    return good, svc


def beside(s, crowd, during=None):
    """Runs an honest client beside @crowd; what it saw. Before, between and after, the legitimate presentation passes."""
    good, svc = scene(s)
    fds = s.a.fds()
    players = crowd()
    try:
        for p in players:
            p.line()
        honest = Player("control", "good", 1001)
        honest.line()
        if during:
            during(players)
        else:
            until(lambda: s.a.counters("sign")["ok"] > 0 and honest.p.poll() is None and took(2), "two seconds", 30)
        saw = honest.end()
    finally:
        for p in players:
            p.drop()
    if set(saw["words"]) != {"ok"}:
        raise Wrong("the honest client was told %s" % saw["words"])
    if saw["worst"] > ANSWERED_S:
        raise Wrong("the honest client waited %.2f s" % saw["worst"])
    s.a.fds_back(fds)
    s.accepted(good, svc)
    return saw


def took(seconds, began={}):
    import time
    began.setdefault("at", time.monotonic())
    if time.monotonic() - began["at"] < seconds:
        return False
    del began["at"]
    return True


def slow(s):
    """Connections that are silent, in the middle of a message, or never read: of as many uids and workloads as there are."""
    def crowd():
        return [Player("hold", w, uid, "sign", 250) for w in ("good", "svc") for uid in range(2000, 2005)]
    saw = beside(s, crowd)
    return "2500 connections of 10 owners beside %d questions: the worst waited %.0f ms" % (saw["count"], 1e3 * saw["worst"])


def floods(s):
    """Sixteen that ask as fast as they can, half of them nobody's, half of one workload, and one that asks like anybody."""
    before = s.a.counters("sign")
    s.a.audit()

    def crowd():
        return [Player("flood", w, uid, "sign") for w in ("good", "svc") for uid in range(2000, 2008)]
    saw = beside(s, crowd)
    after, lines = s.a.counters("sign"), []
    cheap = sum(after[w] - before[w] for w in ("malformed", "busy"))

    def known():
        lines.extend(s.a.audit())
        told = sum(l.get("suppressed", 0) for l in lines if l.get("event") == "suppressed")
        written = sum(1 for l in lines if l.get("ask") in ("", "connect") and l["reason"] in ("malformed", "busy"))
        return cheap, written, told
    until(lambda: sum(known()[1:]) >= cheap, "every refusal to be told of", 10)  # what was suppressed: once a second
    cheap, written, told = known()
    if written + told != cheap:
        raise Wrong("%d refusals, %d lines, %d told as suppressed" % (cheap, written, told))
    if saw["count"] < 20:
        raise Wrong("the honest client was answered %d times" % saw["count"])
    return "%d answers beside %d refusals (%d suppressed): the worst waited %.0f ms" % (
        saw["count"], cheap, told, 1e3 * saw["worst"])


def circles(s):
    """Ends of connections in circles of sockets: nobody holds them any more, and nobody closes them. Their maker is charged,
    and with it they go; others are served meanwhile."""
    good, svc = scene(s)
    fds, most = s.a.fds(), 0
    for door in ("check", "sign"):
        for rounds in (50, 700):
            p = Player("circle", "svc", 2000, door, rounds)
            p.line()                    # and nothing else: any socket that ends may wake the collector
            most = max([most] + [now - then for now, then in zip(s.a.fds(), fds)])
            p.end()
            s.a.fds_back(fds)
            s.accepted(good, svc)
    s.accepted(good, svc)
    return "1500 circles: %s descriptors before and after, at most %d more meanwhile" % (fds, most)


def lingering(s, mode="linger"):
    """Sockets whose close would last an hour, all at once; the FIN of others' sockets in the meantime."""
    number = 500
    good, svc = scene(s)
    fds = s.a.fds()
    room = s.a.rooms()[2]
    calm = Player("fin", "good", 1001, "check", 50).line()
    os.kill(room, signal.SIGSTOP)
    try:
        crowd = [Player(mode, "svc", 2000 + i, "check", number) for i in range(2)]
        for p in crowd:
            p.line()
    finally:
        os.kill(room, signal.SIGCONT)
    busy = Player("fin", "good", 1001, "check", 50).line()
    s.accepted(good, svc)
    for p in crowd:
        p.line()
        p.drop()
    s.a.fds_back(fds)
    for saw in (calm, busy):
        if saw["worst"] > (1.0 if mode == "linger" else 0.25):
            raise (Wrong if saw is calm else Accepted)("a FIN came after %.2f s" % saw["worst"])
    s.accepted(good, svc)
    return "%d lingering: a FIN came after %.1f ms, %.1f at worst; alone %.1f" % (
        2 * number, 1e3 * busy["median"], 1e3 * busy["worst"], 1e3 * calm["worst"])


def carried(s):
    """The same sockets, each in the queue of a Unix socket, whose close is theirs."""
    return lingering(s, "carry")


def exhausted(s):
    """All places of both groups there are taken, each with descriptors on the way: a client of the least owner gets one, a
    reload works, and when the crowd is gone everything is as it was."""
    def crowd():
        return [Player("hold", w, uid, "check", 700) for w in ("good", "svc") for uid in (2000, 2001)]

    def during(players):
        until(lambda: s.a.counters("check")["busy"] > 0, "a refusal")
        os.kill(s.a.p.pid, signal.SIGHUP)
        until(lambda: took(2), "two seconds")
    before = s.a.counters("check")["busy"]
    saw = beside(s, crowd, during)
    busy = s.a.counters("check")["busy"] - before
    if not busy:
        raise Accepted("2800 connections of two groups all got a place")
    return "%d of 2800 were told busy, %d honest questions beside them, the worst waited %.0f ms" % (
        busy, saw["count"], 1e3 * saw["worst"])


def crushed(s):
    """A neighbour with the victim's uid, in another cgroup, holds the uid's places and connects without a pause: the victim,
    which holds none, gets one each time."""
    def crowd():
        return [Player("crush", "svc", 1001, "sign", 1024)]
    before = s.a.counters("sign")["busy"]
    saw = beside(s, crowd)
    busy = s.a.counters("sign")["busy"] - before
    if not busy:
        raise Accepted("no connection of the neighbour was refused")
    return "%d answers beside %d refusals of the same uid: the worst waited %.0f ms" % (saw["count"], busy, 1e3 * saw["worst"])


TESTS = [("attack_112_114_close_stall_and_fin", lingering), ("attack_113_carried_in_queues", carried),
         ("attack_116_circles", circles), ("attack_117_slow_clients", slow),
         ("attack_118_flood_and_fairness", floods), ("attack_143_all_places_taken", exhausted),
         ("attack_143_crushed_by_its_own_uid", crushed)]
