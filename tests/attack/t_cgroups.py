# SPDX-License-Identifier: Apache-2.0
"""Cgroup hierarchies other than the one that counts (attacks.md C): v1 alone, v1 beside cgroup2, cgroup2 mounted twice."""
import stage
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


def v1_takes_the_id(host, path, of):
    """A cgroup of a v1 hierarchy that bears the name @path and the id of the unified cgroup @of."""
    host.sh("mkdir -p /run/v1 && %s /run/v1" % V1)
    host.sh("want=$(stat -c %%i /sys/fs/cgroup%s); until mkdir /run/v1/x && [ $(stat -c %%i /run/v1/x) -ge $((want - 1)) ]; "
            "do rmdir /run/v1/x; done; mkdir /run/v1%s; [ $(stat -c %%i /run/v1%s) = $want ]" % (of, path, path))


@test(63, name="v1_beside_the_unified_hierarchy", twin="cgroup_unified")
def hybrid(s):
    """A v1 cgroup with a service's name and a stranger's id makes nobody of the stranger's that service."""
    good, svc, stranger = s.actor(s.a), s.service(), s.service(cgroup="/nobody")
    s.accepted(good, svc)
    v1_takes_the_id(s.b, "/svc", "/nobody")
    try:
        s.b.sh("echo %d >/run/v1/svc/cgroup.procs" % stranger.pid)
        name = s.connect(good, stranger)
        s.refused(lambda: s.verify(stranger, name, s.sign(good)), "no-workload", s.b,
                  control=lambda: s.accepted(good, svc))
        s.b.sh("mkdir /run/v1/evil && echo %d >/run/v1/evil/cgroup.procs" % svc.pid)
        s.accepted(good, svc)                   # what it is in another hierarchy takes nothing from it either
    finally:
        s.dismiss()
        s.b.sh("rmdir /run/v1/* && umount /run/v1")


@test(63, name="v1_only_and_two_cgroup2_mounts")
def mounts(s):
    """Without the unified hierarchy the daemon does not arm, and says why; it finds its root among others."""
    rc, said = s.b.run("unshare -m bash -c '%s; %s/cleatd run --runtime-dir /run/v1-only'" % (V1_ONLY, s.b.build))
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
