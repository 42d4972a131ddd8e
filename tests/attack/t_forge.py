# SPDX-License-Identifier: Apache-2.0
"""Connections that were not made as connections are made (attacks.md B and D)."""
from stage import Accepted, Wrong, test


def scene(s):
    good, svc = s.actor(s.a), s.service()
    return good, svc, lambda: s.accepted(good, svc)


@test(36, name="forged_by_tcp_repair_issue", twin="forged")
def repair_issue(s):
    """Root of the very workload, in the initial namespace: a socket that says it is established gets nothing."""
    good, svc, control = scene(s)
    rooty = s.actor(s.a, "/rooty", 0)
    s.connect(rooty, svc, "plain")
    rooty.must("sign plain " + s.audience())
    rooty.must("repair f %s 45001 %s 45002 1000 2000" % (s.a.ip, s.b.ip))
    s.refused(lambda: rooty("sign f " + s.audience()), "forged", s.a, room="sign", control=control)
    rooty.must("sign plain " + s.audience())


@test(36, name="forged_by_tcp_repair_verify", twin="forged")
def repair_verify(s):
    """On b, in a network namespace of its own, a socket forged to the victim's endpoints and sequence numbers."""
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


@test(36, name="forged_by_nobody_in_a_user_namespace", twin="forged")
def repair_nobody(s):
    good, svc, control = scene(s)
    nobody = s.actor(s.a, "/nobody", 65534)
    nobody.must("unshare")
    nobody.must("repair f 127.0.0.1 45001 127.0.0.1 45002 1000 2000")
    r = nobody("sign f " + s.audience())
    if r["ok"]:
        raise Accepted(str(r))
    # Its own namespace asks for it as well: the socket of a namespace that no policy names is no workload's.
    control()


@test(81, name="implicit_connect_by_fast_open", twin=None)
def fast_open(s):
    """MSG_FASTOPEN and TCP_FASTOPEN_CONNECT pass no socket_connect: tagged all the same, both ends agree."""
    good, svc = s.actor(s.a), None
    for h in (s.a, s.b):
        h.sh("sysctl -qw net.ipv4.tcp_fastopen=3")
    for ip in (s.b.ip, s.b.ip6):
        svc = s.service(ip=ip, options="tfo")
        for how in ("tfo", "tfo", "tfoconnect", "tfoconnect"):      # without a cookie first, then with one
            good.must("connect one %s %s" % (svc.at, how))
            if how == "tfoconnect":
                good.must("send one hello")
            svc.must("accept s1 l")
            svc.must("recv s1")
            v = s.verify(svc, "s1", s.sign(good, "one"))
            if not v["ok"]:
                raise Wrong("%s %s: %s" % (ip, how, v))
            if v["subject"] != s.audience("/good"):
                raise Accepted(str(v))
            svc.must("close s1")
            good.must("close one")


@test(82, 47, name="mptcp", twin="unsupported")
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
