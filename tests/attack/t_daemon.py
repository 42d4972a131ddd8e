# SPDX-License-Identifier: Apache-2.0
"""The daemon's own doors (attacks.md A12 and E): descriptors and messages that it never asked for."""
import base64
import json
import os
import re

import stage
from stage import Accepted, Wrong, test

BUILD = stage.BUILD_MAIN + "/tests-vm/"


def scene(s):
    good, svc = s.actor(s.a), s.service()
    return good, svc, lambda: s.accepted(good, svc)


def coded(thing):
    return base64.urlsafe_b64encode(json.dumps(thing).encode()).decode().rstrip("=")


def parsed(token, n):
    p = token.split(".")[n]
    return json.loads(base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)))


def changed(token, n, **members):
    parts = token.split(".")
    thing = parsed(token, n)
    thing.update(members)
    parts[n] = coded({k: v for k, v in thing.items() if v is not None})
    return ".".join(parts)


def twisted(token):
    """Another character in the middle of the signature."""
    at = token.rindex(".") + 20
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1:]


def failing(t, other, elsewhere):
    """Every class of failing presentation: name -> (wit, wpt)."""
    wit, wpt = t["wit"], t["wpt"]
    conn = parsed(wpt, 1)["cleat/conn"]
    return {
        "another connection": (other["wit"], other["wpt"]),
        "another service": (elsewhere["wit"], elsewhere["wpt"]),
        "alg none": (changed(wit, 0, alg="none"), wpt),
        "alg HS256": (wit, changed(wpt, 0, alg="HS256")),
        "crit": (changed(wit, 0, crit=["x"]), wpt),
        "typ": (changed(wit, 0, typ="JWT"), wpt),
        "unknown key": (changed(wit, 0, kid="A" * 43), wpt),
        "another trust domain": (changed(wit, 1, sub="spiffe://evil.example/good"), wpt),
        "another subject": (changed(wit, 1, sub="spiffe://test.example/svc"), wpt),
        "no subject": (changed(wit, 1, sub=None), wpt),
        "WIT's signature": (twisted(wit), wpt),
        "WPT's signature": (wit, twisted(wpt)),
        "claims of the WPT": (wit, changed(wpt, 1, jti="x")),
        "cb": (wit, changed(wpt, 1, **{"cleat/conn": dict(conn, cb="A" * 43)})),
        "role": (wit, changed(wpt, 1, **{"cleat/conn": dict(conn, role="server")})),
        "est": (wit, changed(wpt, 1, **{"cleat/conn": dict(conn, est=conn["est"] - 60000)})),
        "seq": (wit, changed(wpt, 1, **{"cleat/conn": dict(conn, seq=0)})),
        "no connection claim": (wit, changed(wpt, 1, **{"cleat/conn": None})),
        "expired": (wit, changed(wpt, 1, exp=1)),
        "swapped": (wpt, wit),
        "twice the WIT": (wit, wit),
        "three dots": (wit + ".x", wpt),
        "padding": (wit + "=", wpt),
        "cut": (wit, wpt[:-1]),
        "empty": ("EMPTY", "EMPTY"),
        "too long": ("LONG", wpt),
        "none": ("NULL", "NULL"),
    }


def untouched(what, r):
    """A caller that ignores the return value has learnt nothing, and both say the same."""
    if r["ok"]:
        raise Accepted("%s: %s" % (what, r))
    if r["left"]:
        raise Accepted("%s: %d bytes of the result are not zero: %s" % (what, r["left"], r))
    if r["in"] != max(r["rc"], 0):
        raise Wrong("%s: returned %d, the result says %d" % (what, r["rc"], r["in"]))


@test(12, name="caller_ignores_the_error_but_reads_the_output", twin="zeroed")
def ignores(s):
    """libcleat's results, filled with 0xA5 before each call, after every class of failure."""
    good, svc, control = scene(s)
    zero = s.actor(s.b, "/svc", actor=BUILD + "zeroed")
    library = s.b.build + "/libcleat.so.0"
    zero.must("library " + (library if os.path.exists(library) else stage.BUILD_MAIN + "/libcleat.so.0"))
    zero.must("mailbox zero")
    one = s.connect(good, svc, "one")
    s.connect(good, svc, "two")
    svc.must("sendfd %s zero" % one)
    zero.must("take")
    t, other, elsewhere = s.sign(good, "one"), s.sign(good, "two"), s.sign(good, "one", "/other")

    def legitimate():
        fresh = s.sign(good, "one")
        r = zero("verify sent client %s %s" % (fresh["wit"], fresh["wpt"]))
        if not r["ok"] or not r["left"] or r["in"] != 1:
            raise Wrong("the legitimate presentation: %s" % r)
        return fresh
    used = legitimate()
    for what, (wit, wpt) in failing(t, other, elsewhere).items():
        untouched(what, zero("verify sent client %s %s" % (wit, wpt)))
        if "NULL" not in wit:
            untouched(what + ", one string", zero("string sent %s~%s" % (wit, wpt)))
    untouched("used", zero("verify sent client %s %s" % (used["wit"], used["wpt"])))
    untouched("reflected", zero("verify sent server %s %s" % (t["wit"], t["wpt"])))
    for sock in ("pipe", "closed", "none"):
        untouched(sock, zero("verify %s client %s %s" % (sock, t["wit"], t["wpt"])))
        untouched("sign " + sock, zero("sign %s %s" % (sock, s.audience())))
        untouched("whois " + sock, zero("whois " + sock))
    untouched("no daemon", zero("verify sent client %s %s elsewhere" % (t["wit"], t["wpt"])))
    untouched("no wave", zero("string sent x"))
    untouched("sign: policy", zero("sign sent " + s.audience("/other")))
    untouched("sign: no audience", zero("sign sent EMPTY"))
    untouched("sign: no daemon", zero("sign sent %s elsewhere" % s.audience()))
    untouched("whois: no daemon", zero("whois sent elsewhere"))
    untouched("whoami: no daemon", zero("whoami elsewhere"))
    s.refused(lambda: {"reason": "wrong-connection",
                       **zero("verify sent client %s %s" % (other["wit"], other["wpt"]))},
              "wrong-connection", s.b, control=control)
    legitimate()


TCP_KINDS = ("tcp", "tcp6", "tcp_listening", "tcp6_listening", "tcp_connecting", "tcp_refused")


def zoo_answers(what, kinds):
    """Prints the list; every kind that exists and can be passed is refused with one of the words for it."""
    seen = {}
    for kind, word in kinds.items():
        seen.setdefault(word, []).append(kind)
    for word in sorted(seen):
        print("    %s: %-24s %s" % (what, word, " ".join(seen[word])))
    for kind, word in kinds.items():
        if word == "ok":
            raise Accepted("%s: a %s" % (what, kind))
        if word.startswith(("none:", "unpassable:")):
            continue
        allowed = ("not-established",) if kind in TCP_KINDS else ("not-tcp", "unsupported")
        if word not in allowed:
            raise Wrong("%s: a %s is %s" % (what, kind, word))
    if sum(not w.startswith(("none:", "unpassable:")) for w in kinds.values()) < 40:
        raise Wrong("only %s" % kinds)


FORBIDDEN = {"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "ioctl", "sendto",
             "sendmsg", "recvfrom", "sendfile", "splice", "tee", "vmsplice", "fcntl", "setsockopt", "mmap", "poll",
             "epoll_ctl", "lseek", "fstat", "newfstatat", "statx", "dup", "dup2", "dup3", "accept4", "shutdown",
             "listen", "bind", "connect"}


def traced_calls(text, own):
    """System calls of the trace on a descriptor that the room had not before: {call: times}."""
    calls = {}
    for line in text.splitlines():
        call = line.split(None, 1)[-1] if line[:1].isdigit() else line
        if call.startswith("[pid"):
            call = call.split("]", 1)[-1].strip()
        name, _, rest = call.partition("(")
        number = (re.findall(r"^-?\d+", rest) or [""])[0]
        if number.isdigit() and int(number) not in own and name.isidentifier():
            calls[name] = calls.get(name, 0) + 1
    return calls


@test(109, name="fd_zoo")
def zoo(s):
    """Every kind of descriptor the kernel has, passed to sign, verify and whois; seen by strace, too."""
    good, svc, control = scene(s)
    control()
    for h in (s.a, s.b):
        h.sh("modprobe tun; modprobe vsock; modprobe sctp; modprobe smc; true")
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    at_a, at_b = s.actor(s.a, "/rooty", 0, actor=BUILD + "zoo"), s.actor(s.b, "/svc", 0, actor=BUILD + "zoo")
    before = s.a.fds(), s.b.fds()
    zoo_answers("sign", at_a.must("visit sign " + s.audience())["kinds"])
    zoo_answers("verify", at_b.must("visit verify %s %s" % (t["wit"], t["wpt"]))["kinds"])
    zoo_answers("whois", at_b.must("visit whois")["kinds"])
    stage.until(lambda: s.a.fds() <= before[0] and s.b.fds() <= before[1], "the zoo to be empty again", 5)
    watched(s, at_b)
    if not s.verify(svc, one, t)["ok"]:
        raise Wrong("the presentation was spent by the zoo")
    control()


def watched(s, player):
    """What the check room does to passed descriptors, by strace: nothing but ask for their names and close them."""
    room = int(s.b.sh("pgrep '^cleatd-check'").split()[0])
    if s.b.run("command -v strace")[0] != 0:
        raise Wrong("no strace")
    own = {int(n) for n in s.b.sh("ls /proc/%d/fd" % room).split()}
    s.b.sh("rm -f /run/zoo.trace; setsid strace -f -qq -o /run/zoo.trace -p %d >/dev/null 2>&1 </dev/null & echo $! "
           ">/run/strace.pid" % room)
    stage.until(lambda: s.b.run("grep -q 'TracerPid:.[1-9]' /proc/%d/status" % room)[0] == 0, "strace")
    try:
        player.must("visit whois")
    finally:
        s.b.sh("kill $(cat /run/strace.pid)")
    stage.until(lambda: s.b.run("grep -q 'TracerPid:.0' /proc/%d/status" % room)[0] == 0, "strace to end")
    calls = traced_calls(s.b.read("/run/zoo.trace"), own | {-1})
    print("    strace: " + ", ".join("%s %d" % c for c in sorted(calls.items())))
    if not calls.get("close"):
        raise Wrong("the trace shows no close: %s" % calls)
    # The room's own connections are new descriptors too: those it adds to its loop, reads and answers.
    worst = {c: n for c, n in calls.items() if c in FORBIDDEN - {"epoll_ctl", "sendmsg", "shutdown"}}
    if worst:
        raise Accepted("on a passed descriptor: %s" % worst)


@test(110, name="fd_count_and_truncation")
def fd_count(s):
    """Exactly one descriptor: anything else is malformed, and every one of them is closed."""
    good, svc, control = scene(s)
    player = s.actor(s.b, "/svc", actor=BUILD + "fdcount")
    control()
    fds, before = s.b.fds(), s.b.counters("check")
    r = player.must("ways")
    print("    " + json.dumps({k: v for k, v in r.items() if k != "ok"}))
    expect = {"0": "malformed", "1": "not-established", "2": "malformed", "16": "malformed", "253": "malformed",
              "254": "errno 22", "1+1": "malformed", "200+200": "errno 22", "creds+1": "not-established",
              "creds+2": "malformed"}
    for way, word in expect.items():
        if r[way] == "ok":
            raise Accepted(way)
        if r[way] != word:
            raise Wrong("%s: %s instead of %s" % (way, r[way], word))
    after = s.b.counters("check")
    if after["malformed"] - before["malformed"] != 6 or after["not-established"] - before["not-established"] != 2:
        raise Wrong("the counters do not say so")
    back = lambda: all(now <= then for now, then in zip(s.b.fds(), fds))  # noqa: E731: the kernel room's probe comes and goes
    stage.until(back, "descriptors to go back")
    control()
    rounds = 10000
    fds, before = s.b.fds(), s.b.counters("check")
    r = player.must("many %d" % rounds)
    after = s.b.counters("check")
    if after["malformed"] - before["malformed"] != r["malformed"]:
        raise Wrong("answered malformed %d times, counted %d" % (r["malformed"], after["malformed"] -
                                                                 before["malformed"]))
    if r["malformed"] + r["other"] + r["unsent"] != rounds:
        raise Wrong(str(r))
    stage.until(back, "descriptors to go back after %d rounds" % rounds)
    control()


@test(111, name="descriptor_and_request_apart", twin="whole_message", at="a")
def desync(s):
    """Whole messages only: a stream client is refused, and half a request is none, nor are two halves one."""
    good, svc, control = scene(s)
    player = s.actor(s.a, "/good", 1001, actor=BUILD + "fdcount")
    control()
    for door in ("sign", "check"):
        r = player("stream " + door)
        if r["ok"]:
            raise Accepted(str(r))
        if r["stream"] != 91 or r["dgram"] != 91:       # EPROTOTYPE
            raise Wrong(str(r))
    # A request cut short behind a whole one: what the one before left in the daemon's buffer must not complete it.
    s.connect(good, svc, "one")
    good.must("api door sign")
    head = "01000000" + "01000000" + "0700000000000000"
    body = "00000000" + "%02x000000" % len(s.audience()) + "00" * 64 + \
        (s.audience().encode() + b"\0" * (2048 - len(s.audience()))).hex()
    if not good("ask door %s one" % (head + body))["ok"]:
        raise Wrong("the whole request must pass")
    s.refused(lambda: good("ask door %s one" % (head + body)[:200]), "malformed", s.a, room="sign", control=control)
    # And the other half of it with the next message.
    before = s.a.counters("sign")["malformed"]
    cuts = (1, 15, 16, 20, 100, 2100)
    for at in cuts:
        r = player.must("split %d" % at)
        if r["first"] != "malformed" or r["second"] != "malformed":
            raise Accepted("cut at %d: %s" % (at, r))
    if s.a.counters("sign")["malformed"] - before != 2 * len(cuts):
        raise Wrong("two malformed requests each")
