# SPDX-License-Identifier: Apache-2.0
"""Replay and connection binding (attacks.md B): the same bytes anywhere else than where they belong."""
from stage import test


@test(20, name="replay_on_a_second_connection", twin="cb")
def second_connection(s):
    good, svc = s.actor(s.a), s.service()
    s.connect(good, svc, "one")
    t = s.sign(good, "one")
    two = s.connect(good, svc, "two")
    s.refused(lambda: s.verify(svc, two, t), "wrong-connection", s.b, control=lambda: s.accepted(good, svc))


@test(21, name="replay_from_another_unit", twin="cb")
def another_unit(s):
    good, evil, svc = s.actor(s.a), s.actor(s.a, "/evil"), s.service()
    s.connect(good, svc, "one")
    t = s.sign(good, "one")
    theirs = s.connect(evil, svc, "e")
    s.refused(lambda: s.verify(svc, theirs, t), "wrong-connection", s.b, control=lambda: s.accepted(good, svc))


@test(25, name="reflection", twin="role")
def reflection(s):
    good, svc = s.actor(s.a), s.service()
    s.connect(good, svc, "one")
    t = s.sign(good, "one", "/good")

    def control():
        name = s.connect(good, svc, "k")
        r = svc.must("sign %s %s" % (name, s.audience("/good")))
        v = s.verify(good, "k", r, "server")
        if not v["ok"]:
            raise AssertionError(v)
    s.refused(lambda: s.verify(good, "one", t, "client"), "wrong-role", s.a, control=control)
