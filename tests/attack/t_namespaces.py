# SPDX-License-Identifier: Apache-2.0
"""Twice the same addresses on one host, and a connection that goes on elsewhere (attacks.md B). The thief is root of his
own network namespace and chooses his first sequence number; SYN cookies then give him the server's number, too."""
import contextlib

from stage import Accepted, Wrong, right_again, test


@contextlib.contextmanager
def namespaces(host, names, setup):
    host.sh("; ".join("ip netns add %s; ip -n %s link set lo up; ip netns exec %s sysctl -qw net.ipv4.tcp_syncookies=2" %
                      (n, n, n) for n in names) + "; " + setup)
    try:
        yield
    finally:
        host.sh("; ".join("ip netns del " + n for n in names))


class Pair:
    """good and svc, each in its namespace of host a."""

    def __init__(self, s, at, client, server, iface, options=""):
        self.s, self.ip, self.iface = s, at[1], iface
        self.good, self.svc = s.actor(s.a, netns=client), s.actor(s.a, "/svc", netns=server)
        self.root = s.actor(s.a, "/rooty", 0, netns=client)
        self.ends = "%s %d from %s %d" % (at[1], at[2], at[0], at[2] + 35000)
        self.ports = "%d %d" % (at[2] + 35000, at[2])
        self.svc.at, self.svc.count = "%s %d" % at[1:], 0
        self.svc.must("listen l %s %s" % (self.svc.at, options))
        self.root.must("sniff w " + iface)

    def control(self):
        self.s.accepted(self.good, self.svc)

    def connect(self, client, name, more=""):
        client.must("connect %s %s %s" % (name, self.ends, more))
        self.svc.must("accept " + name + " l")
        w = self.root.must("isns w " + self.ports)
        return w["client_isn"], w["server_isn"]

    def drop(self, client, name):
        client.must("reset " + name)
        self.svc("recv " + name)
        self.svc.must("close " + name)


def the_same_pair(victim, thief, between=lambda t: None):
    """victim connects and gets an assertion, thief connects with the same two numbers: "one" and "two"."""
    for _ in range(5):                          # the minute of the cookies may turn in between
        isns = victim.connect(victim.good, "one")
        t = victim.s.sign(victim.good, "one")
        between(t)
        if thief.connect(thief.root, "two", "isn %d" % isns[0]) == isns:
            return t
        victim.drop(victim.good, "one")
        thief.drop(thief.root, "two")
    raise Wrong("the numbers never came again")


@test(32, name="loopback_twins_in_two_network_namespaces", twin="ns", at="a")
def loopback(s):
    """127.0.0.1:P to 127.0.0.1:Q in both, at the same time, with the same sequence numbers: equal but for the namespace."""
    with namespaces(s.a, ("first", "second"), "true"):
        at = ("127.0.0.1", "127.0.0.1", 7032)
        one, two = Pair(s, at, "first", "first", "lo"), Pair(s, at, "second", "second", "lo")
        one.control()
        two.control()
        t = the_same_pair(one, two)
        s.refused(lambda: s.verify(two.svc, "two", t), "wrong-netns", s.a, control=two.control)
        if not s.verify(one.svc, "one", t)["ok"]:
            raise Wrong("where it was made for it must be accepted")
        one.control()
        s.dismiss()


# A network of its own between @0's "p" and the hub, where it is VRF @1 (table @2).
NETWORK = """
ip -n hub link add {1} type vrf table {2}; ip -n hub link set {1} up
ip link add p netns {0} type veth peer name {1}0 netns hub
ip -n {0} addr add 10.9.0.1/24 dev p; ip -n {0} link set p up
ip -n hub link set {1}0 master {1}; ip -n hub addr add 10.9.0.2/24 dev {1}0; ip -n hub link set {1}0 up
"""


@test(33, name="overlapping_addresses_and_vrf", twin="cb", at="a")
def overlapping(s):
    """Clients in two network namespaces, servers in two VRFs of one, addresses and ports equal. Connections differ in their
    sequence numbers; where a thief made these equal, the first presentation has settled which one it is."""
    with namespaces(s.a, ("here", "there", "hub"), "modprobe vrf; modprobe veth" + NETWORK.format("here", "red", 10) +
                    NETWORK.format("there", "blue", 11)):
        at = ("10.9.0.1", "10.9.0.2", 7033)
        one, two = Pair(s, at, "here", "hub", "p", "device red"), Pair(s, at, "there", "hub", "p", "device blue")
        one.control()
        two.control()
        one.connect(one.good, "one")
        two.connect(two.good, "one")
        t, other = s.sign(one.good, "one"), s.sign(two.good, "one")
        s.refused(lambda: s.verify(two.svc, "one", t), "wrong-connection", s.a)
        s.refused(lambda: s.verify(one.svc, "one", other), "wrong-connection", s.a)
        for pair, own in ((one, t), (two, other)):
            if not s.verify(pair.svc, "one", own)["ok"]:
                raise Wrong("where it was made for it must be accepted")
            pair.drop(pair.good, "one")

        def settle(t):
            if not s.verify(one.svc, "one", t)["ok"]:
                raise Wrong("the victim's own presentation")
        t = the_same_pair(one, two, settle)
        s.refused(lambda: s.verify(two.svc, "two", t), "other-socket", s.a, control=two.control)
        s.dismiss()


@test(37, name="checkpoint_and_restore", twin="forged", at="a")
def restored(s):
    """What criu does with a live connection: dumped, and restored in a process of another workload. It goes on, but
    gets no assertion; one of before is still for the connection that it was for, and no longer than it lives."""
    good, svc, criu = s.actor(s.a), s.service(), s.actor(s.a, "/rooty", 0)
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    clock = s.clock(s.b)
    end = s.connect(good, svc, "one", "from %s 42037" % s.a.ip)
    t, late = s.sign(good, "one"), s.sign(good, "one")
    criu.must("mailbox criu")
    good.must("sendfd one criu")
    criu.must("recvfd x criu")
    criu.must("dump x")
    good.must("close one")
    criu.must("restore y")
    criu.must("send y still-here")
    if svc.must("recv " + end)["text"] != "still-here":
        raise Wrong("the restored connection does not go on")
    s.refused(lambda: criu("sign y " + s.audience()), "forged", s.a, room="sign", control=control)
    other = s.connect(criu, svc, "z")
    s.refused(lambda: s.verify(svc, other, t), "wrong-connection", s.b)
    if not s.verify(svc, end, t)["ok"]:
        raise Wrong("the server's end is the connection that it was")
    start = clock.must("now")
    try:
        clock.must("step %d" % (600 * 10**9))
        v = s.verify(svc, end, late)
    finally:
        right_again(clock, start)
    if v["ok"]:
        raise Accepted("ten minutes later: %s" % v)
    control()
