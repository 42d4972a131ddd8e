# SPDX-License-Identifier: Apache-2.0
"""The kernel side outlives the daemon (attacks.md 42, 106, 155, 157): restart, upgrade, half a set, at level full. What can
be shown at level reduced as well, with the long counts, is in native/pins.py."""
import json
import os
import threading

import stage
from stage import Accepted, Wrong, test

OTHER = stage.BUILD_MAIN + "/other/object"     # the same maps, other programs


def present(s, svc, name, t, reason):
    v = s.verify(svc, name, t)
    if v["ok"] and reason != "ok":
        raise Accepted("instead of %s: %s" % (reason, v))
    if not v["ok"] and v.get("reason") != reason:
        raise Wrong("%s instead of %s" % (v, reason))


def pins(host, want):
    if host.pins() != want:
        raise Wrong("pins %s instead of %s on host %s" % (host.pins(), want, host.name))


def seq(s, t):
    return s.claims(t)["cleat/conn"]["seq"]


@test(42, 106, 155, name="restart_keeps_what_is_open", twin="seq")
def restart(s):
    """kill -9 on both hosts: tags, seq, window and cb are what they were, what was opened meanwhile is tagged, and a
    request in between is a clean error."""
    good, svc = s.actor(s.a), s.service()
    one = s.connect(good, svc, "one")
    used, unused = s.sign(good, "one"), s.sign(good, "one")
    present(s, svc, one, used, "ok")
    s.each(stage.Host.kill)
    r = good("sign one " + s.audience())
    if r["ok"] or "reason" in r:
        raise Accepted("without a daemon: %s" % r)
    meanwhile = s.connect(good, svc, "meanwhile")
    s.each(stage.Host.start)
    pins(s.a, "adopted")
    pins(s.b, "adopted")
    s.refused(lambda: s.verify(svc, one, used), "replayed", s.b, control=lambda: s.accepted(good, svc))
    present(s, svc, one, unused, "ok")
    t = s.sign(good, "one")
    if seq(s, t) <= seq(s, unused):
        raise Wrong("seq began anew: %d" % seq(s, t))
    if s.claims(t)["cleat/level"] != "full":
        raise Wrong("not full any more: %s" % s.claims(t))
    present(s, svc, one, t, "ok")
    present(s, svc, meanwhile, s.sign(good, "meanwhile"), "ok")


@test(155, 157, name="upgrade_without_a_gap")
def upgrade(s):
    """Another build on host a, and back: the same connections go on, and none of those that are made all the while is
    without a tag."""
    if not os.path.exists(OTHER + "/cleatd"):
        raise Wrong("not built: %s (make other-builds)" % OTHER)
    good, svc, busy, busy_svc = s.actor(s.a), s.service(), s.actor(s.a), s.service()
    one = s.connect(good, svc, "one")
    shipped = s.a.build
    last = s.sign(good, "one")
    for build in (OTHER, shipped):
        done, made = threading.Event(), []

        def connecting():
            while not done.is_set() and len(made) < 48:
                made.append(("x%d" % len(made), s.connect(busy, busy_svc, "x%d" % len(made))))
                done.wait(0.2)
        thread = threading.Thread(target=connecting)
        thread.start()
        try:
            s.a.stop()
            s.a.start(build)
        finally:
            done.set()
            thread.join()
        pins(s.a, "changed")
        t = s.sign(good, "one")
        if seq(s, t) <= seq(s, last) or s.claims(t)["cleat/level"] != "full":
            raise Wrong("after %s: %s" % (seq(s, last), s.claims(t)))
        present(s, svc, one, last, "ok")
        last = t
        for name, end in made:
            present(s, busy_svc, end, s.sign(busy, name), "ok")
            busy.must("close " + name)
            busy_svc.must("close " + end)
        print("    %d connections made meanwhile, each with its tag" % len(made))
        if len(made) < 5:
            raise Wrong("only %d connections were made" % len(made))


@test(107, 155, name="full_fails_for_a_while", kernels=("6.12",))
def fails_for_a_while(s):
    """Tracing is switched off while the daemon is down: it does not start at level reduced, which would remove what level
    full remembers, and when it is on again goes on with all of it."""
    good, svc = s.actor(s.a), s.service()
    s.connect(good, svc, "one")
    last = seq(s, s.sign(good, "one"))
    s.a.kill()
    s.a.sh("echo 0 > /proc/sys/kernel/ftrace_enabled")
    try:
        s.a.start()
        raise Accepted("it runs: %s" % s.a.sh("cat /run/log"))
    except Wrong as e:
        if "remembers" not in str(e) or "ftrace_enabled" not in str(e):
            raise
    finally:
        s.a.sh("echo 1 > /proc/sys/kernel/ftrace_enabled")
    s.a.start()
    pins(s.a, "adopted")
    if seq(s, s.sign(good, "one")) <= last:             # execs were missed meanwhile: its epoch is over, its memory is not
        raise Wrong("seq began anew")


@test(157, name="half_a_set_is_no_set", twin="pins_whole", at="a")
def half(s):
    """Two hooks' pins are gone, and with them the hooks: the set is not adopted, so that nobody takes what it did not
    see for what did not happen."""
    good, svc = s.actor(s.a), s.service()
    s.connect(good, svc, "old")
    s.a.stop()
    s.a.sh("rm /sys/fs/bpf/cleat/*/link_cleat_sendmsg /sys/fs/bpf/cleat/*/link_cleat_file")
    s.a.start()
    fresh, new = s.actor(s.a), s.service()
    s.connect(fresh, new, "one")
    fresh.must("api door sign")
    kid = fresh.child("kid")
    s.a.sh("echo %d > /sys/fs/cgroup/evil/cgroup.procs" % kid.pid)
    r = kid("sign one %s via door" % s.audience())
    if r["ok"]:
        raise Accepted("a message of another workload than the connection's: %s" % r)
    pins(s.a, "replaced")
    s.refused(lambda: good("sign old " + s.audience()), "untagged", s.a, room="sign", public="not-yours",
              control=lambda: s.accepted(fresh, new))


def forged(host, program, how):
    """While no wall stands: the daemon's set, with a manifest that was made to it."""
    host.stop()
    at = host.sh("ls -d /sys/fs/bpf/cleat/v*").strip()
    done = json.loads(host.sh("/usr/bin/python3 %s/tests/attack/thief.py - forge %s %s %s" % (stage.SRC, at, program, how)))
    if set(done) != {"ok"}:
        raise Wrong("the forgery: %s" % done)


@test(157, 159, name="a_set_and_the_manifest_to_it", twin=("pins_whole", "probe"))
def manifest(s):
    """Root who was there while no wall stood makes the manifest as well. It can name another program than ours: where that
    does not do what the live probe looks at the daemon does not begin. It cannot leave out a hook: the daemon's own object
    says which there are, and the set is replaced."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    try:
        forged(s.b, "cleat_accept", "other")
        if s.b.comes_up("reason=not-armed", "an accept was not seen"):
            pins_are = s.b.pins()
            s.b.stop()
            s.b.disarm()                # else the next daemon would find that one there
            raise Accepted("with another cleat_accept, pins %s" % pins_are)
        forged(s.b, "cleat_accept", "own")
    finally:
        s.b.run("rm -f /sys/fs/bpf/own")
    forged(s.b, "cleat_setopt", "without")
    s.b.start()
    if s.b.pins() == "adopted":
        raise Accepted("without cleat_setopt")
    pins(s.b, "replaced")
    if "cleat_setopt is missing, and from the manifest, too" not in s.b.read("/run/cleatd.log"):
        raise Wrong(s.b.read("/run/cleatd.log"))
    s.accepted(s.actor(s.a), s.service())
