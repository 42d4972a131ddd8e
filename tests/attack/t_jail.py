# SPDX-License-Identifier: Apache-2.0
"""The rooms' jail at level full: what the kernel says of each thread, and what a crash leaves (attacks.md 128, 160). What a
sealed room is killed for is tried in tests/unit/jail.c.
"""
import concurrent.futures

import stage
from stage import Accepted, test, until

CORES = "/var/tmp/cores"
# The kernel takes a plain path as a file in the dying process' own root, and what begins with | as a program in its own.
PATTERNS = {"a": CORES + "/file.%e.%p", "b": "|/usr/bin/tee " + CORES + "/pipe.%e.%p"}


def beside(h, script):
    """As root in the daemon's own cgroup: from elsewhere even root is kept from the rooms."""
    return h.run("echo $$ >/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/%d/cgroup)/cgroup.procs; %s" % (h.pid, script))


def look(h):
    rc, out = beside(h, "/usr/bin/python3 -B %s/tests/attack/jail_look.py %d full %s" % (stage.SRC, h.pid, stage.AUDIT))
    if rc != 0:
        raise Accepted("host %s: %s" % (h.name, out))


@test(128, name="rooms_are_jailed")
def jailed(s):
    """The main job with the jail on, and each room as the kernel sees it, before and after a reload."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    s.each(look)
    s.each(lambda h: h.reloaded())
    s.accepted(good, svc)
    s.each(look)


def cores(h):
    return h.sh("ls " + CORES).split()


def crash(h):
    """Every process of the daemon, each by a signal that dumps; then what lies there."""
    h.sh("mkdir -p {c}; chmod 1777 {c}; rm -f {c}/*; echo 1 >/proc/sys/fs/suid_dumpable; "
         "echo '{p}' >/proc/sys/kernel/core_pattern".format(c=CORES, p=PATTERNS[h.name]))
    h.run("(cd /; ulimit -c unlimited; sh -c 'kill -SEGV $$')")
    until(lambda: cores(h), "a process without a jail to leave a core on host " + h.name)
    h.sh("rm -f %s/*" % CORES)
    beside(h, "kill -STOP {d}; kill -SEGV $(pgrep -P {d}); kill -ABRT {d}; kill -CONT {d}".format(d=h.pid))
    until(lambda: not h.ask("alive", h.pid), "cleatd to end on host " + h.name)
    return cores(h)


@test(160, name="no_core_of_any_room", twin="jail_core", at="ab")
def core(s):
    """Started with ulimit -c unlimited, cores of set-user programs allowed, to a file on one host, into a pipe on the other."""
    s.accepted(s.actor(s.a), s.service())
    s.dismiss()
    usual = {h: h.build for h in (s.a, s.b)}

    def trial(h):
        h.stop()
        h.start("sh -c 'ulimit -c unlimited; exec \"$0\" \"$@\"' " + usual[h])
        return crash(h)

    def again(h):
        h.sh("echo core >/proc/sys/kernel/core_pattern; echo 0 >/proc/sys/fs/suid_dumpable; rm -rf " + CORES)
        h.stop()
        h.start(usual[h])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:      # what takes seconds in one guest does so in both
        try:
            left = list(pool.map(trial, (s.a, s.b)))
        finally:
            list(pool.map(again, (s.a, s.b)))
    if any(left):
        raise Accepted("cores are left: %s" % left)
    s.accepted(s.actor(s.a), s.service())
