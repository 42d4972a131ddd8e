# SPDX-License-Identifier: Apache-2.0
"""Clocks (attacks.md J): stepped, and called unsynchronised."""
import time

import stage
from stage import Accepted, Wrong, right_again, test, until

SECOND = 10**9


@test(183, name="clock_set_back_an_hour", twin="est")
def set_back(s):
    """b's clock goes back: what was consumed is not fresh again, what had expired is not alive again."""
    clock = s.clock(s.b)
    start = clock.must("now")
    text = stage.POLICY.replace("/good ] }}", "/good ], life: 1s }}", 1)
    with s.policy(policy=text, extra_main="leeway: 5s\n"):
        good, svc = s.actor(s.a), s.service()
        control = lambda: s.accepted(good, svc)  # noqa: E731
        control()
        try:
            # Never presented in time: it expires. Then the clock goes back to when it was signed, or as near as a
            # second behind it; on its own connection, and still it is not the time of that connection any more.
            two = s.connect(good, svc, "two")
            signed = clock.must("now")
            t = s.sign(good, "two")
            until(lambda: clock.must("now")["boot"] - signed["boot"] > 8 * SECOND, "the assertion to expire", 30)
            v = s.verify(svc, two, t)
            if v["ok"] or v["reason"] != "expired":
                raise Wrong("it must have expired: %s" % v)
            apart = max(clock.must("now")["boot"] - signed["boot"], 3 * SECOND)
            clock.must("step %d" % -apart)
            s.refused(lambda: s.verify(svc, two, t), "wrong-establishment", s.b)
            right_again(clock, start)
            control()
            # Consumed, and an hour back.
            one = s.connect(good, svc, "one")
            t = s.sign(good, "one")
            if not s.verify(svc, one, t)["ok"]:
                raise Wrong("the first presentation must be accepted")
            clock.must("step %d" % (-3600 * SECOND))
            s.refused(lambda: s.verify(svc, one, t), "wrong-establishment", s.b)
        finally:
            right_again(clock, start)
        control()


@test(183, name="clock_unsynchronised", twin="verify_clock")
def unsynchronised(s):
    """Without "unsynchronised-ok" a clock that the kernel calls unsynchronised is no clock to check times by; one that
    it calls synchronised is."""
    clocks = s.clock(s.a), s.clock(s.b)
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    for c in clocks:
        c.must("clock synchronised")
    with s.policy(clock="synchronised"):
        control()
        try:
            one = s.connect(good, svc, "one")
            t = s.sign(good, "one")
            clocks[1].must("clock unsynchronised")
            s.refused(lambda: s.verify(svc, one, t), "clock", s.b)
            clocks[1].must("clock synchronised")
            control()
        finally:
            for c in clocks:
                c.must("clock synchronised")
        if not s.verify(svc, one, t)["ok"]:
            raise Wrong("nothing was spent by the refusal")
        control()
    for c in clocks:
        c.must("clock unsynchronised")


@test(183, name="clock_unsynchronised_at_the_signer", twin="sign_clock", at="a")
def unsynchronised_sign(s):
    clock = s.clock(s.a)
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    clock.must("clock synchronised")
    with s.policy(hosts="a", clock="synchronised"):
        control()
        s.connect(good, svc, "one")
        clock.must("clock unsynchronised")
        try:
            s.refused(lambda: good("sign one " + s.audience()), "clock", s.a, room="sign")
        finally:
            clock.must("clock synchronised")
        control()
    clock.must("clock unsynchronised")


@test(187, name="slewed_as_fast_as_the_kernel_can")
def slewed(s):
    """500 ppm and a tenth more or less a tick, in opposite directions: a connection's time of establishment is told by
    both hosts as before, and their clocks may part by as much as a second in ten."""
    ends = s.actor(s.a, "/nobody", 0), s.actor(s.b, "/nobody", 0)
    clocks = s.clock(s.a), s.clock(s.b)
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    start = [c.must("now") for c in clocks]
    one, old = s.connect(good, svc, "one"), s.connect(good, svc, "old")
    t = s.sign(good, "old")
    try:
        for end, how in zip(ends, ("500 11000", "-500 9000")):
            end.must("slew " + how)
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > 5, "the clocks to part", 10)
        if not s.verify(svc, old, t)["ok"]:
            raise Wrong("an assertion of before")
        if not s.verify(svc, one, s.sign(good, "one"))["ok"]:
            raise Wrong("a connection of before")
        control()
    finally:
        for end, clock, then in zip(ends, clocks, start):
            end.must("slew 0 10000")
    apart = [c.must("now")["real"] - then["real"] for c, then in zip(clocks, start)]
    print("    the clocks parted by %d ms" % ((apart[0] - apart[1]) // 10**6))
    meet(clocks, start)
    control()


def meet(clocks, start):
    """What slewing parted: b's clock is set by a's."""
    ahead = [c.must("now")["real"] - then["real"] for c, then in zip(clocks, start)]
    clocks[1].must("step %d" % (ahead[0] - ahead[1]))


@test(190, name="long_lived_connection")
def long_lived(s):
    """A day passes on both clocks. The connection is still who it was at, the assertion of its beginning is over, and the
    next one is of now: its WIT too."""
    clocks = s.clock(s.a), s.clock(s.b)
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    one = s.connect(good, svc, "one")
    if not s.verify(svc, one, s.sign(good, "one"))["ok"]:
        raise Wrong("at the beginning")
    t = s.sign(good, "one")
    day = 86400 * SECOND
    start = [c.must("now") for c in clocks]
    try:
        for c in clocks:
            c.must("step %d" % day)
        s.refused(lambda: s.verify(svc, one, t), ("expired", "wrong-establishment"), s.b)
        new = s.sign(good, "one")
        if s.claims(new, "wit")["iat"] - s.claims(t, "wit")["iat"] < 86000:
            raise Wrong("the WIT is of yesterday: %s" % s.claims(new, "wit"))
        if not s.verify(svc, one, new)["ok"]:
            raise Wrong("a day later")
        control()
    finally:
        for c, then in zip(clocks, start):
            right_again(c, then)
    control()


@test(184, name="clock_set_forward_a_day")
def set_forward(s):
    """A day ahead on the receiving host everything has expired, on the signing host nothing is valid yet; said so, and over
    when the clock is right again, without a restart, for the very same processes."""
    day = 24 * 3600 * SECOND
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    for host, reason in ((s.b, ("expired", "wrong-establishment")), (s.a, ("not-yet-valid", "wrong-establishment"))):
        clock = s.clock(host)
        start = clock.must("now")
        one = s.connect(good, svc, "one")
        try:
            clock.must("step %d" % day)
            t = s.sign(good, "one")
            s.refused(lambda: s.verify(svc, one, t), reason, s.b)
        finally:
            right_again(clock, start)
        s.reset(good, "one", svc, one)
        control()
