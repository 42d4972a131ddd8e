# SPDX-License-Identifier: Apache-2.0
"""Shares of the doors by kernel facts (attacks.md 117 and 143) at level full: the cgroup is the tag's. What time does to
them is shown natively (native/t_fair.py)."""
import json
import subprocess

from stage import SRC, Accepted, Wrong, test, until

QUARTER = 1024          # of the places there are; room/front.c


@test(117, 143, name="children_of_a_cgroup_share_its_places", hosts="ab")
def children(s):
    """Cgroups below a named one, each with a uid of its own: all are the named one, and have its quarter together."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    fds = s.b.fds()
    s.b.sh("mkdir -p /sys/fs/cgroup/svc/kid1 /sys/fs/cgroup/svc/kid2 /sys/fs/cgroup/svc/kid3")
    kids = [subprocess.Popen(s.b.command(["/usr/bin/python3", SRC + "/tests/attack/native/crowder.py", "hold",
                                          "/sys/fs/cgroup/svc/kid%d" % n, str(2000 + n), "/run/cleat", "check",
                                          str(QUARTER // 3 + 40)], stdin=True), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True) for n in (1, 2, 3)]
    for k in kids:
        json.loads(k.stdout.readline())
    until(lambda: s.b.counters("check")["busy"] > 0, "a refusal")
    def more():
        return max(now - then for now, then in zip(s.b.fds(), fds))
    try:        # those that were refused are closed beside the work
        until(lambda: more() <= QUARTER + 8, "refused connections to be closed")
    except Wrong:
        raise Accepted("the room holds %d connections more" % more())
    extra = [now - then for now, then in zip(s.b.fds(), fds)]
    if max(extra) < QUARTER - 8:
        raise Wrong("the room holds only %s connections more" % extra)
    s.accepted(good, svc)   # svc is of the crowded group, and has less than its even part
    for k in kids:
        k.communicate("")
    until(lambda: all(now <= then for now, then in zip(s.b.fds(), fds)), "descriptors to go back to %s" % fds)
    s.accepted(good, svc)
