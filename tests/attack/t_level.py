# SPDX-License-Identifier: Apache-2.0
"""The level (attacks.md 91, 95, 107): proved before it is claimed, lost when a hook is, back when it is, and never claimed
for what was born in between."""
import json

import json

from stage import Accepted, Wrong, status, test, until

FTRACE = "/proc/sys/kernel/ftrace_enabled"
FULL = 2


def turn_ftrace(host, on):
    host.ask("write", FTRACE, "%d\n" % on)      # no exec: the witness of execs has no part in it


def scene(s):
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    return good, svc


def looked_ns(clock):
    return clock.must("now")["boot"]


@test(107, name="tracing_switched_off", twin="probe", at="a")
def ftrace_off(s):
    """ftrace_enabled=0 silences every LSM program while its link stays whole: only the live probe can tell."""
    good, svc = scene(s)
    clock = s.clock(s.a)
    s.connect(good, svc, "before")
    epoch = status(s.a)["epoch"]
    log = lambda: s.a.ask("after", "/run/cleatd.log", 0)  # noqa: E731 - no exec, either
    losses = log().count("level-lost")
    turn_ftrace(s.a, False)
    began = looked_ns(clock)
    try:
        # new API connections are refused from the first moment: their caller is not recorded
        t = good("sign before " + s.audience())
        if t["ok"]:
            raise Accepted("signed for a caller that no hook saw")
        # emulated, the guest works sixteen times slower than its clock goes: five seconds of it are a fraction of one
        while log().count("level-lost") == losses:
            if looked_ns(clock) - began > 5 * 10**9:
                raise Accepted("armed at level full while no LSM hook runs")
        took = (looked_ns(clock) - began) / 1e9
        now = status(s.a)
        if now["armed"] or now["level"] != "none" or "ftrace_enabled" not in now["why"]:
            raise Wrong("status: %s" % now)
        t = good("sign before " + s.audience())
        if t["ok"] or t["reason"] != "not-armed":
            raise Wrong("not armed, and the answer is %s" % t)
    finally:
        turn_ftrace(s.a, True)
    until(lambda: status(s.a)["armed"], "the level to come back", 60)
    print("    noticed after %.1f s of the guest's time, epoch %d -> %d" % (took, epoch, status(s.a)["epoch"]))
    if status(s.a)["epoch"] < epoch + 2:
        raise Wrong("the epoch does not count both: %s" % status(s.a))
    s.accepted(s.actor(s.a), svc)


@test(107, name="tracing_switched_off_without_a_daemon", twin="exec_unforked", at="a")
def ftrace_off_unwatched(s):
    """The same between two daemons, and on again before the second: that a process was made unseen is remembered. A restart
    alone keeps the epoch."""
    good, svc = scene(s)
    one = s.connect(good, svc, "before")
    epoch = status(s.a)["epoch"]
    s.a.kill()
    s.a.start()
    t = s.sign(good, "before")
    if status(s.a)["epoch"] != epoch or not s.verify(svc, one, t)["ok"]:
        raise Wrong("a restart is no gap: %s, %s" % (status(s.a), s.claims(t)))
    s.a.kill()
    turn_ftrace(s.a, False)
    try:
        s.a.sh("/bin/true")
    finally:
        turn_ftrace(s.a, True)
    s.a.start()
    fresh = s.actor(s.a)
    control = lambda: s.accepted(fresh, svc)  # noqa: E731
    t = s.sign(good, "before")
    s.refused(lambda: s.verify(svc, one, t), "level", s.b, control=control)


@test(107, name="start_while_tracing_is_off")
def ftrace_off_at_start(s):
    """A daemon that finds LSM silent does not start, and the one that comes when it is not any more does not go on with the
    epoch of before."""
    good, svc = scene(s)
    one = s.connect(good, svc, "before")
    s.a.kill()
    turn_ftrace(s.a, False)
    up = False
    try:
        up = s.a.comes_up("not-armed", args="--level full")
        if up:
            raise Accepted("level %s while no LSM hook runs" % status(s.a)["level"])
    finally:
        turn_ftrace(s.a, True)
        if not up:
            s.a.start(args="")
    fresh = s.actor(s.a)
    control = lambda: s.accepted(fresh, svc)  # noqa: E731
    t = s.sign(good, "before")
    s.refused(lambda: s.verify(svc, one, t), "level", s.b, control=control)


def lose_a_hook(s):
    """The sock_ops hook of a is forced off its cgroup: it is put back, without a restart."""
    epoch = status(s.a)["epoch"]
    # at level full only what lives in the daemon's own cgroup sees our links, and may
    own = s.a.sh("sed -n 's/^0:://p' /proc/%d/cgroup" % s.a.pid).strip()
    within = "echo $BASHPID > /sys/fs/cgroup%s/cgroup.procs; %%s; echo $BASHPID > /sys/fs/cgroup/cgroup.procs" % own
    links = json.loads(s.a.sh(within % "bpftool -j link show 2>/dev/null"))
    link = [l["id"] for l in links if l["type"] == "cgroup" and l.get("attach_type") == "cgroup_sock_ops"]
    if len(link) != 1:
        raise Wrong("the guest has %d sock_ops links" % len(link))
    s.a.sh(within % ("bpftool link detach id %d" % link[0]))
    until(lambda: status(s.a)["epoch"] >= epoch + 2 and status(s.a)["armed"], "fall and rise", 60)
    if status(s.a)["falls"] < 1:
        raise Wrong("no fall: %s" % status(s.a))


@test(91, 107, name="born_before_a_hook_was_lost", twin="epoch_now", at="a")
def born_before(s):
    """What was born before a hook was lost and put back is not full any more: neither the connection, nor the process that
    made it."""
    good, svc = scene(s)
    one = s.connect(good, svc, "before")
    lose_a_hook(s)
    fresh = s.actor(s.a)
    control = lambda: s.accepted(fresh, svc)  # noqa: E731
    t = s.sign(good, "before")
    s.refused(lambda: s.verify(svc, one, t), "level", s.b, control=control)
    if s.claims(t)["cleat/level"] != "reduced":
        raise Wrong("claims %s" % s.claims(t))


WHOAMI = "01000000" + "02000000" + "0700000000000000"


@test(91, name="api_connection_from_before_a_hook_was_lost", twin="api_epoch", at="a")
def api_before(s):
    """Nobody saw who spoke on a standing API connection meanwhile: what comes there is refused, and it is over."""
    good, svc = scene(s)
    good.must("api door sign")
    if not good("ask door " + WHOAMI)["ok"]:
        raise Wrong("the standing connection is not answered")
    lose_a_hook(s)
    s.refused(lambda: good("ask door " + WHOAMI), "peer-gone", s.a, room="sign")
    r = good("ask door " + WHOAMI)
    if r["ok"]:
        raise Accepted("it is still answered: %s" % r)
    if r.get("reason"):
        raise Wrong("it is still open: %s" % r)
    good.must("whoami")
    s.accepted(s.actor(s.a), svc)


@test(95, name="bpf_is_no_active_lsm", twin="lsm_listed", at="a")
def not_listed(s):
    """The kernel does not say that it calls BPF LSM (here: the file says so; tests/e2e/vm boots without it): level full is
    refused, whatever attaches."""
    scene(s)
    fake, real = "/run/lsm-without-bpf", "/sys/kernel/security/lsm"
    s.dismiss()
    s.a.stop()
    s.a.write(fake, "lockdown,capability,yama,apparmor")
    s.a.sh("mount --bind %s %s" % (fake, real))
    try:
        if s.a.comes_up("reason=not-armed", "lsm=", args="--level full"):
            raise Accepted("level %s although the kernel names no bpf" % status(s.a)["level"])
    finally:
        s.a.stop()
        s.a.sh("umount " + real)
        s.a.start(args="")
    scene(s)
