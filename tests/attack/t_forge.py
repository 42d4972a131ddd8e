# SPDX-License-Identifier: Apache-2.0
"""Connections that were not made as connections are made (attacks.md B and D)."""
from stage import Accepted, Wrong, test


def scene(s):
    good, svc = s.actor(s.a), s.service()
    return good, svc, lambda: s.accepted(good, svc)


@test(36, name="forged_by_tcp_repair_issue", twin="forged", at="a")
def repair_issue(s):
    """Root of the very workload, in the initial namespace: a socket that says it is established gets nothing."""
    good, svc, control = scene(s)
    rooty = s.actor(s.a, "/rooty", 0)
    s.connect(rooty, svc, "plain")
    rooty.must("sign plain " + s.audience())
    rooty.must("repair f %s 45001 %s 45002 1000 2000" % (s.a.ip, s.b.ip))
    s.refused(lambda: rooty("sign f " + s.audience()), "forged", s.a, room="sign", control=control)
    rooty.must("sign plain " + s.audience())


@test(36, name="forged_by_tcp_repair_verify")
def repair_verify(s):
    """On b, in a network namespace of its own, a socket forged to the victim's endpoints and sequence numbers. No twin:
    such a socket is forged, and the record of its connection was never made either."""
    good, svc, control = scene(s)
    watcher = s.actor(s.b, "/nobody", 0)
    watcher.must("sniff w eth0")
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    n = svc.must("names " + one)
    w = watcher.must("isns w %d %d" % (n["rport"], n["lport"]))
    s.b.sh("ip netns add forge && ip -n forge link set lo up && ip -n forge addr add %s/32 dev lo && "
           "ip -n forge route add default dev lo" % s.b.ip)
    try:
        forger = s.actor(s.b, "/svc", 0, netns="forge")
        # The forged end is the active opener for TCP, so its own sequence number is the server's.
        forger.must("repair f %s %d %s %d %d %d" % (n["local"], n["lport"], n["remote"], n["rport"], w["server_isn"],
                                                  w["client_isn"]))
        s.refused(lambda: s.verify(forger, "f", t), ("forged", "wrong-role"), s.b, control=control)
        if not s.verify(svc, one, t)["ok"]:
            raise Accepted("the victim's presentation was marked by the forger")
    finally:
        s.b.sh("ip netns del forge")


@test(36, name="forged_by_nobody_in_a_user_namespace")
def repair_nobody(s):
    """No twin: nobody has no identity to lend such a socket."""
    good, svc, control = scene(s)
    nobody = s.actor(s.a, "/nobody", 65534)
    nobody.must("unshare")
    nobody.must("repair f 127.0.0.1 45001 127.0.0.1 45002 1000 2000")
    r = nobody("sign f " + s.audience())
    if r["ok"]:
        raise Accepted(str(r))
    # Its own namespace asks for it as well: the socket of a namespace that no policy names is no workload's.
    control()


def counted(host, name):
    """A counter of /proc/net/netstat."""
    lines = [l.split() for l in host.read("/proc/net/netstat").splitlines()]
    for names, values in zip(lines[::2], lines[1::2]):
        if name in names:
            return int(values[names.index(name)])
    raise Wrong("no counter " + name)


@test(81, name="implicit_connect_by_fast_open", twin="connect_owner", at="a")
def fast_open(s):
    """MSG_FASTOPEN and TCP_FASTOPEN_CONNECT pass no socket_connect: tagged all the same, both ends agree, and the
    socket is who connected it."""
    good, svc = s.actor(s.a), None
    for h in (s.a, s.b):
        h.sh("sysctl -qw net.ipv4.tcp_fastopen=3")
    for ip in (s.b.ip, s.b.ip6):
        svc = s.service(ip=ip, options="tfo")
        s.a.sh("ip tcp_metrics flush all")              # no cookie yet
        for how, cookie in (("tfo", 0), ("tfo", 1), ("tfoconnect", 1), ("flush", 0), ("tfoconnect", 0),
                            ("tfoconnect", 1)):
            if how == "flush":
                s.a.sh("ip tcp_metrics flush all")
                continue
            fast_open_one(s, good, svc, ip, how, cookie)
    inherited(s, good, svc)


def fast_open_one(s, good, svc, ip, how, cookie):
    """One connection; with a cookie the SYN carried the bytes, which the kernel counts."""
    what = "%s %s %s" % (ip, how, "with a cookie" if cookie else "without")
    before = counted(s.a, "TCPFastOpenActive")
    good.must("connect one %s %s" % (svc.at, how))
    if how == "tfoconnect":
        good.must("send one hello")
    svc.must("accept s1 l")
    svc.must("recv s1")
    if counted(s.a, "TCPFastOpenActive") - before != cookie:
        raise Wrong("%s: the kernel made it another way" % what)
    v = s.verify(svc, "s1", s.sign(good, "one"))
    if not v["ok"]:
        raise Wrong("%s: %s" % (what, v))
    if v["subject"] != s.audience("/good"):
        raise Accepted("%s: %s" % (what, v))
    if bool(v["flags"] & 2) != bool(cookie):
        raise Wrong("%s: the record says otherwise: %s" % (what, v))
    t = s.sign(svc, "s1", "/good")
    if not s.verify(good, "one", t, "server")["ok"]:
        raise Wrong("%s: the server's own assertion" % what)
    svc.must("close s1")
    good.must("close one")


def inherited(s, good, svc):
    """evil inherits a socket that good made and connects it with MSG_FASTOPEN: the connection is not good's."""
    for how in ("", "tfo"):
        good.must("socket x 6")
        kid = good.child("kid" + how)
        s.a.sh("echo %d > /sys/fs/cgroup/evil/cgroup.procs" % kid.pid)
        kid.must("connect x %s reuse %s" % (svc.at, how))
        svc.must("accept s2 l")
        s.refused(lambda: good("sign x " + s.audience()), ("not-owner", "handed-over"), s.a, room="sign",
                  public="not-yours", control=lambda: fast_open_one(s, good, svc, svc.at.split()[0], "tfo", 1))
        kid.must("close x")
        good.must("close x")
        svc.must("close s2")


@test(82, 47, name="mptcp")
def mptcp(s):
    good, svc, control = scene(s)
    m = s.service(options="mptcp")
    for h in (s.a, s.b):
        h.sh("sysctl -qw net.mptcp.enabled=1")
    good.must("connect one %s mptcp" % m.at)
    m.must("accept s1 l")
    s.refused(lambda: good("sign one " + s.audience()), "unsupported", s.a, room="sign", control=control)
    s.connect(good, svc, "k")
    t = s.sign(good, "k")
    s.refused(lambda: s.verify(m, "s1", t), "unsupported", s.b, control=control)
    # Fallback: an MPTCP client at a plain TCP server.
    good.must("connect two %s mptcp" % svc.at)
    svc.must("accept s2 l")
    r = good("sign two " + s.audience())
    if r["ok"]:
        raise Accepted("an MPTCP socket, fallen back to TCP: %s" % r)
