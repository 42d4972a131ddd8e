# SPDX-License-Identifier: Apache-2.0
"""The watcher at level reduced (attacks.md 91): a hook that is forced off its cgroup lowers the level within a second, is put
back, and the level comes back without a restart. Where the fall cannot be written down nothing goes on at all."""
import glob
import json
import os
import re
import signal
import subprocess
import time

import stage
import witness
from native_stage import CGROUPS, DIR
from stage import Accepted, Wrong, until

GAP_MAX_S = 10          # room/watcher.c


def scene(s):
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    return good, svc


def status():
    out = subprocess.run([stage.BUILD_MAIN + "/cleatctl", "--runtime-dir", DIR + "/run", "--json", "status"],
                         stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def detach(kind):
    """Forces our hook of that kind off our cgroup, as any root can."""
    links = json.loads(subprocess.run(["bpftool", "-j", "link", "show"], stdout=subprocess.PIPE, check=True).stdout)
    ours = [l["id"] for l in links if l.get("cgroup_id") == os.stat(CGROUPS).st_ino and l.get("attach_type") == kind]
    if len(ours) != 1:
        raise Wrong("%d hooks of kind %s" % (len(ours), kind))
    subprocess.run(["bpftool", "link", "detach", "id", str(ours[0])], check=True)


def until_refused(s, good, name, limit):
    """Asks again and again: seconds until the first refusal, which must be not-armed."""
    began, t = time.monotonic(), {"ok": True}
    while t["ok"] and time.monotonic() - began < limit:
        t = good("sign %s %s" % (name, s.audience()))
    if t["ok"]:
        raise Accepted("still signing %g s after a hook was taken away" % limit)
    if t["reason"] != "not-armed":
        raise Wrong("refused with %s" % t)
    return time.monotonic() - began


def back(epoch):
    until(lambda: status()["armed"], "the level to come back", 20)
    now = status()
    if now["epoch"] != epoch + 2 or now["level"] != "reduced" or now["why"]:
        raise Wrong("epoch %d, then: %s" % (epoch, now))
    return now["epoch"]


def detached(s):
    good, svc = scene(s)
    s.connect(good, svc, "one")
    epoch, took = status()["epoch"], []
    s.a.audit()
    for kind in ("cgroup_sock_ops", "cgroup_inet4_connect", "cgroup_inet_sock_create"):
        detach(kind)
        took.append(until_refused(s, good, "one", 5))
        epoch = back(epoch)
        s.accepted(good, svc)
    if min(took) > 1:               # a machine that does other things may be late once, not every time
        raise Wrong("noticed after %s s" % took)
    events = [l["event"] for l in s.a.audit() if l.get("event") in ("armed", "not-armed")]
    if events != ["not-armed", "armed"] * 3:
        raise Wrong("audit: %s" % events)
    return "noticed after %s s" % ", ".join("%.2f" % t for t in took)


def stopped_for(s, seconds, meanwhile):
    """The kernel room does not run for so long."""
    os.kill(s.a.p.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        meanwhile()
        until(lambda: time.monotonic() - began > seconds, "time to pass", seconds + 20)
    finally:
        os.kill(s.a.p.pid, signal.SIGCONT)


def unwatched(s):
    """Time without a look: what was done in it is found, nothing is lost where nothing was done, and after too long a time
    nothing of before is believed whatever is found."""
    good, svc = scene(s)
    s.connect(good, svc, "one")
    epoch = status()["epoch"]
    looks = lambda: status()["looked_ms"] < 1000  # noqa: E731
    stopped_for(s, 1.5, lambda: None)
    until(looks, "a look", 20)
    if status()["epoch"] != epoch:
        raise Wrong("a late look that found everything in its place took the level: %s" % status())
    stopped_for(s, 1.5, lambda: detach("cgroup_sock_ops"))
    until_refused(s, good, "one", 5)
    epoch = back(epoch)
    stopped_for(s, GAP_MAX_S + 0.4, lambda: None)
    until(looks, "a look", 20)
    if status()["epoch"] != epoch + 1 or not status()["armed"]:
        raise Accepted("%d s without a look, and still epoch %d: %s" % (GAP_MAX_S, epoch, status()))
    s.accepted(good, svc)
    return "3 gaps"


def unwritten(s):
    """The map in which the rooms read the level is frozen, as any root can at level reduced: a fall cannot be written down.
    Then the daemon ends, its rooms with it; the next one takes nothing of that for whole."""
    good, svc = scene(s)
    s.connect(good, svc, "one")
    pin, = glob.glob("/sys/fs/bpf/cleat/*/map_cleat_config")
    subprocess.run(["bpftool", "map", "freeze", "pinned", pin], check=True)
    rooms = s.a.rooms()
    detach("cgroup_sock_ops")
    try:
        rc = s.a.p.wait(5)
    except subprocess.TimeoutExpired:
        t = good("sign one %s" % s.audience())
        raise (Accepted if t["ok"] else Wrong)("5 s after a fall that is written nowhere the daemon runs: %s, %s" % (t, status()))
    log = open(DIR + "/log").read()
    if rc != 1 or not re.search(r"level-lost reason=not-armed error=\"cannot write it down: ", log):
        raise Wrong("exit %d: %s" % (rc, log))
    left = [pid for pid in rooms if witness.alive(pid)]
    t = good("sign one %s" % s.audience())
    if left or t["ok"]:
        raise Accepted("the rooms %s are left, and a request gets %s" % (left, t))
    s.dismiss()
    s.a.start()
    now = status()
    if now["pins"] != "replaced" or now["epoch"] != 1:
        raise Accepted("what could not be written is believed by the next daemon: %s" % now)
    s.accepted(*scene(s))
    return "ended with %d, and replaced" % rc


# make check-native runs these by name; the others are make check-counts
detached.named_only = unwatched.named_only = unwritten.named_only = True
TESTS = [("attack_091_hook_taken_away", detached), ("attack_091_time_without_a_look", unwatched),
         ("attack_091_fall_that_cannot_be_written", unwritten)]
