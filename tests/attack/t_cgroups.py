# SPDX-License-Identifier: Apache-2.0
"""Cgroup hierarchies other than the one that counts (attacks.md C): v1 alone, v1 beside cgroup2, cgroup2 mounted twice."""
import os
import subprocess

from stage import Accepted, Wrong, test

V1 = "mount -t cgroup -o none,name=cleat-test cleat-test "
# As systemd.unified_cgroup_hierarchy=0 leaves a host: no cgroup2 anywhere.
V1_ONLY = "umount -R -l /sys/fs/cgroup && %s /sys/fs/cgroup" % V1
# As a hybrid boot does, and the root of cgroup2 neither the first cgroup2 mount of the list nor the only one.
HYBRID = """\
mkdir -p /run/cg/all /run/cg/part
mount -t cgroup2 all /run/cg/all && mount --bind /run/cg/all/svc /run/cg/part && umount /run/cg/all
umount -R -l /sys/fs/cgroup
mount -t tmpfs none /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup/again
%s /sys/fs/cgroup/systemd
mount -t cgroup2 unified /sys/fs/cgroup/unified
mount -t cgroup2 again /sys/fs/cgroup/again
""" % V1


def born(path):
    os.mkdir(path)
    return os.stat(path).st_ino


def join(actor, cgroup):
    with open(cgroup + "/cgroup.procs", "w") as procs:
        procs.write(str(actor.pid))


def v1_takes_the_id(path):
    """On host a, in a fresh v1 hierarchy at /run/v1, a cgroup @path that has the id of a unified cgroup; answers that one.
    Both hierarchies count from one on, so many numbers for each cgroup."""
    os.makedirs("/run/v1")
    subprocess.run(V1 + "/run/v1", shell=True, check=True)
    at, step = 0, 0
    for _ in range(2):
        at, step = born("/run/v1/x"), -at
        step += at
        os.rmdir("/run/v1/x")
    for n in range(100):
        unified = "/nobody/%d" % n
        wanted = born("/sys/fs/cgroup" + unified)
        if wanted > at and (wanted - at) % step == 0:
            break
    while at + step < wanted:
        at = born("/run/v1/x")
        os.rmdir("/run/v1/x")
    if born("/run/v1" + path) != wanted:
        raise Wrong("no v1 cgroup with id %d, last was %d, step %d" % (wanted, at, step))
    return unified


@test(63, name="v1_beside_the_unified_hierarchy", twin="cgroup_unified", at="a")
def hybrid(s):
    """A v1 cgroup with a workload's name and a stranger's id makes nobody of the stranger's that workload."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    try:
        stranger = s.actor(s.a, v1_takes_the_id("/good"), 1001)
        s.connect(stranger, svc)
        join(stranger, "/run/v1/good")
        s.refused(lambda: stranger("sign c " + s.audience()), "no-workload", s.a, room="sign",
                  control=lambda: s.accepted(good, svc))
        born("/run/v1/evil")
        join(good, "/run/v1/evil")              # what it is in another hierarchy takes nothing from it either
        s.accepted(good, svc)
    finally:
        s.dismiss()
        s.a.sh("rmdir /run/v1/*/ && umount /run/v1 && rmdir /run/v1 /sys/fs/cgroup/nobody/*/")


@test(63, name="v1_only_and_two_cgroup2_mounts")
def mounts(s):
    """Without the unified hierarchy the daemon does not arm, and says why; it finds its root among others."""
    rc, said = s.b.run("unshare -m bash -c '%s; %s/cleatd run --runtime-dir /run/v1-only --pins /sys/fs/bpf/v1-only'" % (V1_ONLY, s.b.build))
    if rc == 0:
        raise Accepted("a daemon without a unified hierarchy: " + said)
    if "unified cgroup hierarchy" not in said or "systemd.unified_cgroup_hierarchy=1" not in said:
        raise Wrong("it does not say why, and what to do: " + said)
    good, build = s.actor(s.a), s.b.build
    s.b.write("/run/hybrid/mounts", HYBRID)
    s.b.write("/run/hybrid/cleatd", "#!/bin/bash\nset -e\n[ $UNSHARED ] || UNSHARED=1 exec unshare -m $0 \"$@\"\n"
              ". /run/hybrid/mounts\nexec %s/cleatd \"$@\"\n" % build)
    s.b.sh("chmod 755 /run/hybrid/cleatd")
    s.b.stop()
    s.b.start("/run/hybrid")
    s.b.build = build                           # the daemon stays as it is; the next one is started as usual
    s.accepted(good, s.service())
    s.b.sh("mkdir /sys/fs/cgroup/svc/new")      # one that is made now is seen where it is
    s.accepted(good, s.service(cgroup="/svc/new"))
