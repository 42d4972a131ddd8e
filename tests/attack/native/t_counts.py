# SPDX-License-Identifier: Apache-2.0
"""Attacks that are counted in thousands (attacks.md 24 and 110)."""
from native_stage import PLAYERS, SCALE
from stage import Accepted, Wrong


def at_once(s):
    """4 processes of 64 threads share one socket and present the same bytes at once: one accept a round."""
    rounds = max(10, int(1000 * SCALE))
    good, svc = s.actor(s.a), s.service()
    crowd = s.actor(s.b, "/svc", actor=PLAYERS + "crowd")
    s.accepted(good, svc)
    one = s.connect(good, svc, "one")
    crowd.must("mailbox crowd")
    svc.must("sendfd %s crowd" % one)
    crowd.must("take")
    if crowd.must("crowd 4 64")["doors"] != 256:
        raise Wrong("not everybody got a connection to the daemon")
    before = s.b.counters("check")
    for r in range(rounds):
        t = s.sign(good, "one")
        a = crowd.must("round %s %s" % (t["wit"], t["wpt"]))
        if a["accepted"] > 1:
            raise Accepted("round %d: %d accepts of one presentation" % (r, a["accepted"]))
        if a["accepted"] != 1 or a["replayed"] != 255:
            raise Wrong("round %d: %s" % (r, a))
    after = s.b.counters("check")
    if after["ok"] - before["ok"] != rounds or after["replayed"] - before["replayed"] != rounds * 255:
        raise Wrong("the counters say otherwise")
    s.accepted(good, svc)
    return "%d rounds of 256" % rounds


def fd_count(s):
    """Any number of descriptors in a message, very often: as many are open afterwards as before."""
    rounds = max(1000, int(1000000 * SCALE))
    good, svc = s.actor(s.a), s.service()
    player = s.actor(s.b, "/svc", actor=PLAYERS + "fdcount")
    s.accepted(good, svc)
    player.must("many 640")
    fds, before = s.b.fds(), s.b.counters("check")
    done = 0
    while done < rounds:
        n = min(100000, rounds - done)
        r = player.must("many %d" % n)
        done += n
        if r["malformed"] + r["other"] + r["unsent"] != n:
            raise Wrong(str(r))
        s.b.fds_back(fds)
    after = s.b.counters("check")
    if after["ok"] != before["ok"]:
        raise Accepted("%d of them" % (after["ok"] - before["ok"]))
    s.accepted(good, svc)
    return "%d rounds, %s descriptors" % (rounds, fds)


fd_count.named_only = True      # make check-descriptors
TESTS = [("attack_024_the_same_token_at_once", at_once), ("attack_110_fd_count_and_truncation", fd_count)]
