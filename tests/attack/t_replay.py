# SPDX-License-Identifier: Apache-2.0
"""Replay and connection binding (attacks.md B): the same bytes anywhere else than where they belong."""
import base64
import hashlib
import ipaddress
import json
import os

import stage
from stage import Accepted, Wrong, test, IP


def part(token, n):
    p = token.split(".")[n]
    return json.loads(base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)))


@test(20, name="replay_on_a_second_connection", twin="cb")
def second_connection(s):
    good, svc = s.actor(s.a), s.service()
    s.connect(good, svc, "one")
    t = s.sign(good, "one")
    two = s.connect(good, svc, "two")
    s.refused(lambda: s.verify(svc, two, t), "wrong-connection", s.b, control=lambda: s.accepted(good, svc))


@test(20, name="same_endpoints_later_with_new_isns", twin="cb")
def same_endpoints(s):
    """The client binds one port, resets, and connects again from it: every endpoint equal, other sequence numbers."""
    good, svc = s.actor(s.a), s.service()
    options = "from %s 42001" % s.a.ip
    first = s.connect(good, svc, "one", options)
    t = s.sign(good, "one")
    s.reset(good, "one", svc, first)
    again = s.connect(good, svc, "two", options)
    s.refused(lambda: s.verify(svc, again, t), "wrong-connection", s.b, control=lambda: s.accepted(good, svc))


@test(21, name="replay_from_another_unit", twin="cb")
def another_unit(s):
    good, evil, svc = s.actor(s.a), s.actor(s.a, "/evil"), s.service()
    s.connect(good, svc, "one")
    t = s.sign(good, "one")
    theirs = s.connect(evil, svc, "e")
    s.refused(lambda: s.verify(svc, theirs, t), "wrong-connection", s.b, control=lambda: s.accepted(good, svc))


@test(21, name="no_assertion_of_its_own_for_the_identity", twin="sign_policy", at="a")
def no_own_assertion(s):
    """/evil may call /svc, but not /other, which only /good may."""
    good, evil, other = s.actor(s.a), s.actor(s.a, "/evil"), s.service(cgroup="/other")
    s.connect(evil, other, "e")

    def control():
        name = s.connect(good, other, "k")
        v = s.verify(other, name, s.sign(good, "k", "/other"))
        if not v["ok"]:
            raise Wrong(str(v))
    s.refused(lambda: evil("sign e " + s.audience("/other")), "policy", s.a, room="sign", control=control)


@test(22, name="replay_from_another_enrolled_host", twin="cb", hosts="abc")
def another_host(s):
    good, hx, svc = s.actor(s.a), s.actor(s.c), s.service()
    first = s.connect(good, svc, "one", "from %s 42002" % s.a.ip)
    t = s.sign(good, "one")
    theirs = s.connect(hx, svc, "x")
    s.refused(lambda: s.verify(svc, theirs, t), "wrong-connection", s.b, control=lambda: s.accepted(good, svc))
    # Now with the victim's very endpoints: c takes a's address and port on the wire.
    root = s.actor(s.c, "/good", 0)
    s.reset(good, "one", svc, first)
    mac = s.c.sh("cat /sys/class/net/eth0/address").strip()
    s.c.sh("ip rule add iif eth0 lookup 100; ip route add local %s dev lo table 100" % s.a.ip)
    s.b.sh("ip neigh replace %s lladdr %s dev eth0 nud permanent" % (s.a.ip, mac))
    try:
        stolen = s.connect(root, svc, "y", "from %s 42002 transparent" % s.a.ip)
        s.refused(lambda: s.verify(svc, stolen, t), "wrong-connection", s.b)
    finally:
        s.b.sh("ip neigh del %s dev eth0" % s.a.ip)
        s.c.sh("ip rule del iif eth0 lookup 100; ip route flush table 100")
    s.accepted(good, svc)


@test(25, name="reflection", twin="role", at="a")
def reflection(s):
    """svc sends the assertion back to good on the same connection; good asks its own daemon."""
    good, svc = s.actor(s.a), s.service()

    def control():
        name = s.connect(good, svc, "k")
        v = s.verify(good, "k", svc.must("sign %s %s" % (name, s.audience("/good"))), "server")
        if not v["ok"]:
            raise Wrong(str(v))
    with s.policy("a", extra_rules="  - { to: /good, from: [ /good ] }\n"):
        s.connect(good, svc, "one")
        t = s.sign(good, "one", "/good")
        s.refused(lambda: s.verify(good, "one", t, "client"), "wrong-role", s.a, control=control)


@test(25, name="role_swapped", twin="role")
def role_swapped(s):
    """The service says that it expects the server's end: the client's assertion is none."""
    good, svc = s.actor(s.a), s.service()
    with s.policy("b", extra_rules="  - { to: /svc, from: [ /good ], as: server }\n"):
        one = s.connect(good, svc, "one")
        t = s.sign(good, "one")
        s.refused(lambda: s.verify(svc, one, t, "server"), "wrong-role", s.b, control=lambda: s.accepted(good, svc))


@test(20, name="the_same_seq_twice", twin="seq")
def same_seq(s):
    good, svc = s.actor(s.a), s.service()
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    if not s.verify(svc, one, t)["ok"]:
        raise Wrong("the first presentation must be accepted")
    s.refused(lambda: s.verify(svc, one, t), "replayed", s.b, control=lambda: s.accepted(good, svc))
    if not s.verify(svc, one, s.sign(good, "one"))["ok"]:
        raise Wrong("the next number on the same connection must be accepted")


@test(20, name="malleated_signature_with_the_same_seq", twin="seq")
def malleated(s):
    """ECDSA: (r, n - s) is as good a signature; the bytes differ, the number is the same."""
    n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
    good, svc = s.actor(s.a), s.service()
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    head, body, sig = t["wpt"].split(".")
    raw = base64.urlsafe_b64decode(sig + "==")
    twisted = raw[:32] + (n - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    other = dict(t, wpt=".".join([head, body, base64.urlsafe_b64encode(twisted).decode().rstrip("=")]))
    if not s.verify(svc, one, t)["ok"]:
        raise Wrong("the first presentation must be accepted")
    s.refused(lambda: s.verify(svc, one, other), "replayed", s.b, control=lambda: s.accepted(good, svc))


@test(20, name="assertion_for_another_service", twin="audience")
def another_service(s):
    good, svc = s.actor(s.a), s.service()
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one", "/other")
    s.refused(lambda: s.verify(svc, one, t), "wrong-audience", s.b, control=lambda: s.accepted(good, svc))


@test(20, name="wire_cb_equals_the_claim", kernels=("6.1", "6.12"))
def wire_cb(s):
    """Not an attack: an independent computation over the packets on the wire gives the very cb of the claim."""
    good, svc, watcher = s.actor(s.a), s.service(), s.actor(s.b, "/nobody", 0)
    svc6 = s.service(ip=s.b.ip6)
    watcher.must("sniff w eth0")
    for service in (svc, svc6):
        one = s.connect(good, service, "one")
        t = s.sign(good, "one")
        n = good.must("names one")
        w = watcher.must("isns w %d %d" % (n["lport"], n["rport"]))

        def addr(ip):
            a = ipaddress.ip_address(ip)
            return a.packed if a.version == 6 else b"\0" * 10 + b"\xff\xff" + a.packed
        raw = b"tcp-conn-v1\0" + addr(n["local"]) + n["lport"].to_bytes(2, "big") + addr(n["remote"]) + \
            n["rport"].to_bytes(2, "big") + w["client_isn"].to_bytes(4, "big") + w["server_isn"].to_bytes(4, "big")
        cb = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
        claim = part(t["wpt"], 1)["cleat/conn"]["cb"]
        if cb != claim:
            raise Wrong("wire says %s, the claim %s" % (cb, claim))
        if not s.verify(service, one, t)["ok"]:
            raise Wrong("and it must be accepted")


@test(35, name="relay_that_terminates_tcp", twin="cb", hosts="abc")
def relay(s):
    """c stands in the middle, keeps both addresses (as TPROXY does) and relays: the sequence numbers differ."""
    good, svc, hm = s.actor(s.a), s.service(), s.actor(s.c, "/good", 0)
    mac = s.c.sh("cat /sys/class/net/eth0/address").strip()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    port = svc.at.split()[1]
    hm.must("listen l 0.0.0.0 %s transparent" % port)
    s.c.sh("ip rule add iif eth0 lookup 100; ip route add local %s dev lo table 100; ip route add local %s dev lo "
           "table 100" % (s.a.ip, s.b.ip))
    s.a.sh("ip neigh replace %s lladdr %s dev eth0 nud permanent" % (s.b.ip, mac))
    s.b.sh("ip neigh replace %s lladdr %s dev eth0 nud permanent" % (s.a.ip, mac))
    try:
        good.must("connect one %s from %s 42003" % (svc.at, s.a.ip))
        hm.must("accept front l")
        hm.must("connect back %s from %s 42003 transparent" % (svc.at, s.a.ip))
        svc.must("accept sx l")
        t = s.sign(good, "one")
        n = svc.must("names sx")
        if n["remote"] != s.a.ip or n["rport"] != 42003:
            raise Wrong("the relay did not keep the address: %s" % n)
        s.refused(lambda: s.verify(svc, "sx", t), "wrong-connection", s.b)
    finally:
        s.a.sh("ip neigh del %s dev eth0" % s.b.ip)
        s.b.sh("ip neigh del %s dev eth0" % s.a.ip)
        s.c.sh("ip rule del iif eth0 lookup 100; ip route flush table 100")
    control()


@test(38, name="stale_tag_after_connect_unspec", twin="generation", at="a")
def unspec(s):
    """The same struct sock, another connection: the old assertion is not for it, and a new one speaks of it."""
    good, svc = s.actor(s.a), s.service()
    first = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    s.verify(svc, first, t)
    good.must("unspec one")
    r = good("sign one " + s.audience())
    if r["ok"]:
        raise Accepted("an assertion for a disconnected socket")
    again = s.connect(good, svc, "one", "reuse")
    new = s.sign(good, "one")
    if part(new["wpt"], 1)["cleat/conn"]["cb"] == part(t["wpt"], 1)["cleat/conn"]["cb"]:
        raise Accepted("the second connection has the first one's cb")
    if part(new["wpt"], 1)["cleat/conn"]["seq"] != 1:
        raise Accepted("a new generation must start its numbers afresh")
    s.refused(lambda: s.verify(svc, again, t), "wrong-connection", s.b, control=lambda: s.accepted(good, svc))
    if not s.verify(svc, again, new)["ok"]:
        raise Wrong("the new connection's own assertion must be accepted")


@test(39, name="disconnect_listen_children_inherit", twin="clone_fresh", at="a")
def children_inherit(s):
    """A former client listens; its children are servers of their own connections and carry nothing of the old one."""
    good, svc, peer = s.actor(s.a), s.service(), s.actor(s.b, "/good")
    with s.policy("a", extra_rules="  - { to: /good, from: [ /good ] }\n"):
        s.connect(good, svc, "one")
        old = s.sign(good, "one", "/good")
        good.must("unspec one")
        good.must("listen one %s 7999 reuse" % s.a.ip)
        peer.must("connect p %s 7999" % s.a.ip)
        good.must("accept kid one")
        w = good("whois kid")
        if w["ok"] and w["role"] != 2:
            raise Accepted("the child says that it is the client: %s" % w)

        def control():
            v = s.verify(good, "kid", peer.must("sign p " + s.audience("/good")))
            if not v["ok"]:
                raise Wrong(str(v))
        s.refused(lambda: s.verify(good, "kid", old), ("wrong-connection", "wrong-role"), s.a, control=control)


@test(41, name="burning_a_victims_token", twin="consume_last")
def burning(s):
    """An attacker on b submits the victim's presentation with a wrong socket, many times; the victim's still works."""
    good, svc, thief = s.actor(s.a), s.service(), s.service()
    one = s.connect(good, svc, "one")
    wrong = s.connect(good, thief, "w")
    t = s.sign(good, "one")
    words = set()
    for _ in range(100):
        v = s.verify(thief, wrong, t)
        if v["ok"]:
            raise Accepted(str(v))
        words.add(v["reason"])
    v = s.verify(svc, one, t)
    if not v["ok"]:
        raise Accepted("the victim's presentation was burnt by strangers: %s" % v)
    if words != {"wrong-connection"}:
        raise Wrong("the thief read %s" % words)


@test(45, name="two_verifiers_for_one_audience", twin="cb", at="c", hosts="abc")
def two_verifiers(s):
    good, svc, replica = s.actor(s.a), s.service(), s.service(host=s.c)
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    theirs = s.connect(good, replica, "two")
    s.refused(lambda: s.verify(replica, theirs, t), "wrong-connection", s.c, control=lambda: s.accepted(good, replica))
    if not s.verify(svc, one, t)["ok"]:
        raise Wrong("the one it was for must accept it")


@test(48, name="v4_mapped_and_v6", twin="cb")
def mapped(s):
    good = s.actor(s.a)
    control = lambda: s.accepted(good, dual)  # noqa: E731
    dual = s.service(ip="::")
    dual.at = "::ffff:%s %s" % (s.b.ip, dual.at.split()[1])
    control()                           # v6 socket to v4-mapped, accepted by a dual-stack listener
    dual.at = "%s %s" % (s.b.ip, dual.at.split()[1])
    control()                           # v4 socket, accepted by a dual-stack listener
    dual.at = "%s %s" % (s.b.ip6, dual.at.split()[1])
    control()                           # real IPv6
    s.connect(good, dual, "one")
    t = s.sign(good, "one")
    dual.at = "%s %s" % (s.b.ip, dual.at.split()[1])
    other = s.connect(good, dual, "two")
    s.refused(lambda: s.verify(dual, other, t), "wrong-connection", s.b, control=control)


@test(48, name="link_local_between_hosts", twin="link_local", at="a")
def link_local(s):
    svc, good = s.service(ip="::"), s.actor(s.a)
    ll = s.b.sh("ip -6 -o addr show dev eth0 scope link | awk '{print $4}' | cut -d/ -f1").strip()
    index = s.a.sh("cat /sys/class/net/eth0/ifindex").strip()
    port = svc.at.split()[1]
    control_svc = s.service()
    good.must("connect one %s%%%s %s" % (ll, index, port))
    svc.must("accept s1 l")
    s.refused(lambda: good("sign one " + s.audience()), "link-local", s.a, room="sign",
              control=lambda: s.accepted(good, control_svc))


@test(24, name="the_same_token_at_once", twin="seq")
def at_once(s):
    """4 processes of 64 threads share one socket and present the same bytes at once: one accept a round."""
    good, svc = s.actor(s.a), s.service()
    crowd = s.actor(s.b, "/svc", actor=stage.BUILD_MAIN + "/tests-vm/crowd")
    s.accepted(good, svc)
    one = s.connect(good, svc, "one")
    crowd.must("mailbox crowd")
    svc.must("sendfd %s crowd" % one)
    crowd.must("take")
    doors = crowd.must("crowd 4 64")["doors"]
    if doors != 256:
        raise Wrong("%d of 256 got a connection to the daemon" % doors)
    before = s.b.counters("check")
    rounds = 50 if os.environ["KERNEL"] == "6.12" else 10   # what refuses is the room's own code, the same on both
    for r in range(rounds):
        t = s.sign(good, "one")
        a = crowd.must("round %s %s" % (t["wit"], t["wpt"]))
        if a["accepted"] > 1:
            raise Accepted("round %d: %d accepts of one presentation" % (r, a["accepted"]))
        if a["accepted"] != 1 or a["replayed"] != 255:
            raise Wrong("round %d: %s" % (r, a))
    after = s.b.counters("check")
    if after["ok"] - before["ok"] != rounds or after["replayed"] - before["replayed"] != rounds * 255:
        raise Wrong("the counters say otherwise")
    s.accepted(good, svc)
