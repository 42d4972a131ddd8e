# SPDX-License-Identifier: Apache-2.0
"""The same endpoints and the same two sequence numbers once more (attacks.md 28-30, token.md 8).

The client that brings this about is tests/attack/rawtcp.c, no socket of any kernel: it stands behind a tun interface of
host b, takes over the victim's address, port and sequence number, and lets only b's kernel choose. Where a real host
would need 275 s, b's clock is stepped; where an emulated guest needs longer than a real host, b's clock is stepped
back by that time, so that only what the test is about can refuse.
"""
import base64
import hashlib
import ipaddress
import json
import threading

import stage
from stage import Accepted, Wrong, test, until

PERIOD = 1 << 38        # ns: 274.877906944 s, when the clock in a sequence number has gone round
STRANGER = "10.77.0.100"


def part(token, n):
    p = token.split(".")[n]
    return json.loads(base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)))


def cb_of(client, cport, server, sport, client_isn, server_isn):
    """token.md 5, computed from what the raw client itself sent and got."""
    def addr(ip):
        return b"\0" * 10 + b"\xff\xff" + ipaddress.ip_address(ip).packed
    raw = b"tcp-conn-v1\0" + addr(client) + cport.to_bytes(2, "big") + addr(server) + sport.to_bytes(2, "big") + \
        client_isn.to_bytes(4, "big") + server_isn.to_bytes(4, "big")
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


class Thief:
    """The raw client on b, and the victim whose connection it repeats."""

    def __init__(self, s, sport):
        self.s, self.sport = s, sport
        self.good, self.svc = s.actor(s.a), s.service()
        self.dport = int(self.svc.at.split()[1])
        s.b.sh("modprobe tun")
        self.raw = s.actor(s.b, "/nobody", 0, actor=stage.BUILD_MAIN + "/tests-vm/rawtcp")
        self.raw.must("tun tun0")
        self.watcher = s.actor(s.b, "/nobody", 0)
        self.start = self.raw.must("now")

    def control(self):
        self.s.accepted(self.good, self.svc)

    def victim(self, accept=True, count=1):
        """The victim's connection and @count assertions about it, one of them accepted. self.isn is the pair."""
        self.watcher.must("sniff w eth0")
        self.end = self.s.connect(self.good, self.svc, "one", "from %s %d" % (self.s.a.ip, self.sport))
        self.at = self.raw.must("now")
        tokens = [self.s.sign(self.good, "one") for _ in range(count)]
        if accept:
            v = self.s.verify(self.svc, self.end, tokens[0])
            if not v["ok"]:
                raise Wrong("the victim's own presentation: %s" % v)
        w = self.watcher.must("isns w %d %d" % (self.sport, self.dport))
        self.watcher.must("close w")
        self.isn = (w["client_isn"], w["server_isn"])
        return tokens[0]

    def vanish(self):
        """The victim's connection ends, at both ends, and its address is the thief's."""
        self.raw.must("route " + self.s.a.ip)
        self.s.reset(self.good, "one", self.svc, self.end)

    def where(self, isn=None):
        return "x %s %d %s %d %d" % (self.s.a.ip, self.sport, self.s.b.ip, self.dport,
                                     self.isn[0] if isn is None else isn)

    def same_moment(self, extra_ns=0):
        """b's clock: as if no more than the victim's own time had passed since it connected."""
        now = self.raw.must("now")
        self.raw.must("step %d" % (self.at["real"] + extra_ns - now["real"]))

    def leave(self):
        """The address is a's again, and b's clock is right again."""
        self.raw("rst x")
        self.raw("unroute " + self.s.a.ip)
        now = self.raw.must("now")
        self.raw.must("step %d" % (self.start["real"] + now["boot"] - self.start["boot"] - now["real"]))


@test(29, name="syn_cookie_gives_the_same_pair", twin="cb_memory")
def syn_cookie(s):
    """tcp_syncookies=2: the same SYN within the same minute gets the same server number."""
    s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=2")
    thief = Thief(s, 42101)
    try:
        v = s.accepted(thief.good, thief.svc)
        if not v["flags"] & 1:
            raise Wrong("the connection was not made from a cookie: %s" % v)
        for how in ("syn", "bare"):
            repeat_by_cookie(s, thief, how)
        thief.control()
    finally:
        s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=1")


@test(42, 29, name="syn_cookie_over_a_restart", twin="cb_memory")
def syn_cookie_restart(s):
    """What was accepted is remembered by the daemon after the one that accepted it, kill -9 in between."""
    s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=2")
    thief = Thief(s, 42106)

    def restart():
        s.b.kill()
        s.b.start()
        if s.b.pins() != "adopted":
            raise Wrong("pins " + s.b.pins())
    try:
        thief.control()
        repeat_by_cookie(s, thief, "syn", between=restart)
        thief.control()
    finally:
        s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=1")


def repeat_by_cookie(s, thief, how, reason="other-socket", between=None, **victim):
    for _ in range(5):                          # the minute may turn in between
        t = thief.victim(**victim)
        thief.vanish()
        if between:
            between()
        try:
            if how == "syn":
                if thief.raw.must("syn " + thief.where())["server_isn"] != thief.isn[1]:
                    continue
            else:                               # not even a SYN: the cookie is in what the victim's ACK said
                thief.raw.must("pretend %s %d" % (thief.where(), thief.isn[1]))
            thief.raw.must("ack x")
            if not thief.svc("accept x l")["ok"]:
                continue
            if reason == "other-socket":
                thief.same_moment()
            else:
                thief.same_moment(10 * 10**9)   # ten seconds later
            s.refused(lambda: s.verify(thief.svc, "x", t), reason, s.b)
            thief.svc.must("close x")
            return
        finally:
            thief.leave()
    raise Wrong("the server's number never came again")


@test(29, name="syn_cookie_ten_seconds_later", twin="est")
def syn_cookie_later(s):
    """The victim never presented its assertion; the thief does, on the same pair, when it is no longer that time."""
    s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=2")
    thief = Thief(s, 42102)
    try:
        thief.control()
        repeat_by_cookie(s, thief, "syn", "wrong-establishment", accept=False)
        thief.control()
    finally:
        s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=1")


# 6.1 lets the SYN through TIME_WAIT too, but the listener answers it by its clock: there the pair does not come again.
@test(28, name="time_wait_reuse_gives_the_same_pair", twin="cb_memory", kernels=("6.12",))
def time_wait(s):
    """A SYN in TIME_WAIT gets the last number the server used and 65 537: after 2^32 - 2 * 65 539 bytes more it is the
    first one again."""
    for h in (s.a, s.b):
        h.sh("sysctl -qw net.ipv4.tcp_timestamps=1")
    s.a.sh("sysctl -qw net.ipv4.tcp_timestamps=0")
    thief = Thief(s, 42103)
    thief.control()
    try:
        t = thief.victim()
        thief.raw.must("route " + s.a.ip)       # from here on b's answers go to the thief, a hears nothing more
        thief.raw.must("pretend %s %d" % (thief.where(), thief.isn[1]))
        thief.svc.must("close " + thief.end)    # the server closes first: TIME_WAIT is on its side
        thief.raw.must("drain x")
        n = thief.raw.must("syn %s ts 1000" % thief.where((thief.isn[0] + 1000) % 2**32))["server_isn"]
        if (n - thief.isn[1]) % 2**32 != 65539:
            raise Wrong("TIME_WAIT gave %d, %d further" % (n, (n - thief.isn[1]) % 2**32))
        thief.raw.must("ack x")
        thief.svc.must("accept x l")
        pour = threading.Thread(target=thief.svc, args=("pour x %d" % (2**32 - 2 * 65539),))
        pour.start()
        thief.raw.must("drain x")
        pour.join()
        n = thief.raw.must("syn %s ts 2000000" % thief.where())["server_isn"]
        if n != thief.isn[1]:
            raise Wrong("TIME_WAIT gave %d instead of %d" % (n, thief.isn[1]))
        thief.raw.must("ack x")
        thief.svc.must("accept x l")
        thief.same_moment()
        s.refused(lambda: s.verify(thief.svc, "x", t), "other-socket", s.b)
        thief.svc.must("close x")
    finally:
        thief.leave()
        thief.good("reset one")
        s.a.sh("sysctl -qw net.ipv4.tcp_timestamps=1")
    thief.control()


@test(28, 183, name="isn_period_and_the_clock_set_back", twin="cb_memory")
def isn_period_memory(s):
    """b's clock stands where it stood: the pair is the same, est is the same, nothing has expired. The memory runs on
    the boot clock, and an hour forward in between does not make it forget."""
    thief = Thief(s, 42104)
    thief.control()
    try:
        t = thief.victim()
        thief.vanish()
        thief.raw.must("step %d" % (3600 * 10**9))
        boot = thief.raw.must("now")["boot"]
        until(lambda: thief.raw.must("now")["boot"] - boot > 6 * 10**9, "the check room to sweep its memory", 30)
        r = thief.raw.must("rewind %s %d %d 120" % (thief.where(), thief.isn[1], thief.at["real"]))
        print("    a full match after %d tries" % r["tries"])
        thief.raw.must("ack x")
        thief.svc.must("accept x l")
        s.refused(lambda: s.verify(thief.svc, "x", t), "other-socket", s.b)
        thief.svc.must("close x")
    finally:
        thief.leave()
    thief.control()


@test(28, name="isn_period_one_period_later", twin="est")
def isn_period_est(s):
    """A stolen assertion that was never presented, on the pair as it comes again 274.877906944 s later."""
    thief = Thief(s, 42105)
    thief.control()
    try:
        t = thief.victim(accept=False)
        thief.vanish()
        r = thief.raw.must("rewind %s %d %d 120" % (thief.where(), thief.isn[1], thief.at["real"] + PERIOD))
        print("    a full match after %d tries" % r["tries"])
        thief.raw.must("ack x")
        thief.svc.must("accept x l")
        # So late it has expired too. Were it only ten seconds later, est alone would stand against it.
        thief.same_moment(10 * 10**9)
        s.refused(lambda: s.verify(thief.svc, "x", t), "wrong-establishment", s.b)
        thief.same_moment(PERIOD)
        s.refused(lambda: s.verify(thief.svc, "x", t), "wrong-establishment", s.b)
        thief.svc.must("close x")
    finally:
        thief.leave()
    thief.control()


@test(28, name="life_over_a_minute_is_refused")
def long_life(s):
    """A life that would reach the next period is no policy."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    generation = good.must("whoami")["generation"]
    text = stage.POLICY.replace("/good ] }}", "/good ], life: 600s }}", 1)
    s.a.config(policy=text)
    try:
        lines = s.a.reload()
        if any("generation=" in l for l in lines):
            raise Accepted("a life of 600 s")
        if not any("cleat.yaml:" in l and "60" in l for l in lines):
            raise Wrong(str(lines))
        if good.must("whoami")["generation"] != generation:
            raise Wrong("the generation before must stay")
        s.accepted(good, svc)
    finally:
        s.a.config()
        s.a.reloaded()
    s.accepted(good, svc)


@test(30, name="isn_steering", twin="cb")
def steering(s):
    """The third ACK says another sequence number than the SYN did, or is missing: what is recorded is the SYN's."""
    thief = Thief(s, 42106)
    good, svc, raw = thief.good, thief.svc, thief.raw
    raw.must("route " + STRANGER)
    sport, accepted = 43000, []
    for delta in (0, 1, 1000, 20001, 60000):
        for text in ("", " text hello"):
            sport += 1
            r = raw.must("syn y %s %d %s %d %d" % (STRANGER, sport, s.b.ip, thief.dport, 77 + sport))
            raw.must("ack y delta %d%s" % (delta, text))
            steered(s, thief, sport, r, "delta %d%s" % (delta, text), accepted)
    # The third ACK is lost and the second segment comes first; then the first one.
    sport += 1
    r = raw.must("syn y %s %d %s %d %d" % (STRANGER, sport, s.b.ip, thief.dport, 0xfffffff0))
    raw.must("ack y delta 5 text world")
    steered(s, thief, sport, r, "segment 2 first", accepted, close=False)
    raw.must("ack y delta 0 text hello")
    if svc.must("recv x")["text"] not in ("hello", "helloworld"):
        raise Wrong("the connection itself is whole")
    svc.must("close x")
    if len(accepted) < 9:
        raise Wrong("only %s were established" % accepted)
    # Out of the window, and with cookies: no connection at all.
    sport += 1
    raw.must("syn y %s %d %s %d 5" % (STRANGER, sport, s.b.ip, thief.dport))
    raw.must("ack y delta 2000000 text hello")
    raw.must("look y A")
    s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=2")
    try:
        sport += 1
        raw.must("syn y %s %d %s %d 5" % (STRANGER, sport, s.b.ip, thief.dport))
        raw.must("ack y delta 1000")
        raw.must("look y R")
        r = raw.must("syn y %s %d %s %d 5" % (STRANGER, sport + 1, s.b.ip, thief.dport))
        raw.must("ack y")
        steered(s, thief, sport + 1, r, "from a cookie", accepted)
    finally:
        s.b.sh("sysctl -qw net.ipv4.tcp_syncookies=1")
    # The attack: the SYN says less than the victim's, the third ACK says what the victim's said.
    try:
        t = thief.victim(accept=False)
        thief.vanish()
        raw.must("syn " + thief.where((thief.isn[0] - 1000) % 2**32))
        raw.must("ack x delta 1000")
        svc.must("accept x l")
        thief.same_moment()
        s.refused(lambda: s.verify(svc, "x", t), "wrong-connection", s.b)
        svc.must("close x")
    finally:
        thief.leave()
    thief.control()


def steered(s, thief, sport, r, what, accepted, close=True):
    """svc signs for what it accepted: the claim's cb is that of the numbers in SYN and SYN-ACK."""
    if not thief.svc("accept x l")["ok"]:
        return
    accepted.append(what)
    t = s.sign(thief.svc, "x", "/good")
    claim = part(t["wpt"], 1)["cleat/conn"]["cb"]
    true = cb_of(STRANGER, sport, s.b.ip, thief.dport, r["client_isn"], r["server_isn"])
    if claim != true:
        raise Accepted("%s: the record is not that of the SYN" % what)
    if close:
        thief.raw.must("rst y")
        thief.svc.must("close x")
