# SPDX-License-Identifier: Apache-2.0
"""The kernel side itself (attacks.md D): what it could not see or hold is unknown, and unknown is refused."""
from stage import STATE, Wrong, right_again, test


@test(96, name="exhaust_optmem_before_tagging", twin="untagged", at="a")
def optmem(s):
    """A socket whose optmem is full keeps its tag from birth; one born without room has none and is refused."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    good.must("socket m 4")
    keys = good.must("md5fill m")["keys"]
    if not 10 < keys < 4096:
        raise Wrong("optmem was not exhausted: %d keys" % keys)
    one = s.connect(good, svc, "m", "reuse")
    v = s.verify(svc, one, s.sign(good, "m"))
    if not v["ok"]:
        raise Wrong("born with its storage, it works with optmem exhausted: %s" % v)
    before = s.a.sh("cat /proc/sys/net/core/optmem_max").strip()
    s.a.sh("echo 100 > /proc/sys/net/core/optmem_max")
    try:
        good.must("socket tiny 4")
        s.connect(good, svc, "tinier")
    finally:
        s.a.sh("echo %s > /proc/sys/net/core/optmem_max" % before)
    s.connect(good, svc, "tiny", "reuse")       # room again does not make up for its birth
    s.refused(lambda: good("sign tinier " + s.audience()), "untagged", s.a, room="sign", public="not-yours",
              control=control)
    s.refused(lambda: good("sign tiny " + s.audience()), "untagged", s.a, room="sign", public="not-yours",
              control=control)


@test(106, name="sockets_older_than_the_daemon", twin="untagged")
def older(s):
    good, svc = s.actor(s.a), s.service()
    one = s.connect(good, svc, "old")
    t = s.sign(good, "old")
    good.must("socket early 4")
    s.b.stop()
    s.b.disarm()                                # what a start finds on a machine that never ran it
    s.b.start()
    s.refused(lambda: s.verify(svc, one, t), "untagged", s.b, public="not-yours")
    s.a.stop()
    s.a.disarm()
    s.a.start()
    s.refused(lambda: good("sign old " + s.audience()), "untagged", s.a, room="sign", public="not-yours")
    fresh, new = s.actor(s.a), s.service()
    s.accepted(fresh, new)
    s.connect(good, new, "early", "reuse")      # born before, connected after
    s.refused(lambda: good("sign early " + s.audience()), "untagged", s.a, room="sign", public="not-yours",
              control=lambda: s.accepted(fresh, new))


@test(163, name="assertion_from_the_previous_boot", twin="cb")
def previous_boot(s):
    """b reboots; what a signed for a connection of before is no good for one of after, from the same port, established
    when b's clock says the same as then."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    s.connect(good, svc, "one", "from %s 42010" % s.a.ip)
    then = s.clock(s.b).must("now")["real"]
    t = s.sign(good, "one")
    keep = [("/etc/cleat", "/persist/etc-cleat"), (STATE, "/persist/var-cleat")]
    s.b.sh("; ".join("rm -rf %s; cp -a %s %s" % (to, at, to) for at, to in keep) + "; sync")
    seed = s.b.sh("cat /proc/sys/kernel/random/boot_id")
    good.must("reset one")
    s.actors = [good]                           # those on b end with it
    s.b.reboot()
    if s.b.sh("cat /proc/sys/kernel/random/boot_id") == seed:
        raise Wrong("b did not reboot")
    s.b.sh("; ".join("rm -rf %s; mkdir -p %s; cp -a %s/. %s" % (at, at, to, at) for at, to in keep))
    s.b.start()
    svc = s.service()
    control()                                   # the first accept costs more than the later ones
    clock = s.clock(s.b)
    start = clock.must("now")
    try:
        clock.must("step %d" % (then - start["real"]))
        again = s.connect(good, svc, "two", "from %s 42010" % s.a.ip)
        s.refused(lambda: s.verify(svc, again, t), "wrong-connection", s.b)
    finally:
        right_again(clock, start)
    control()
