# SPDX-License-Identifier: Apache-2.0
"""What a host runs out of (attacks.md D, H, J): room for events, disk for the audit log, processors."""
import threading
import time

import stage
from stage import AUDIT, Accepted, Wrong, ctl, status, test, until

FLOOD = 4000
LEEWAY_S = 30


def in_background(*works):
    threads = [threading.Thread(target=w) for w in works]
    for t in threads:
        t.start()
    return threads


def forged(host):
    """The kernel side's two counts, the lines of the audit log, and how many have none, as a line there tells."""
    counts = ctl(host, "status")["kernel"]
    return (counts["forged"], counts["event-lost"], int(host.sh("grep -c '\"event\":\"forged\"' %s || true" % AUDIT)),
            host.tally().get("kernel", {}).get("suppressed", 0))


@test(101, name="ring_buffer_flood")
def flood(s):
    """Anybody can make the kernel side speak. What the daemon cannot read in time is lost, what is above a uid's rate has no
    line: both are counted, and decide nothing."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    evils = [s.actor(s.a, "/evil") for _ in range(3)]
    asker, other = s.actor(s.a, "/evil"), s.service(cgroup="/other")
    s.connect(asker, other, "e")
    control()
    before, began = forged(s.a), time.monotonic()
    # They go before the daemon on every processor, which is how to make it late.
    s.a.sh("; ".join("chrt -f -p 50 %d" % e.pid for e in evils))
    running = in_background(*(lambda e=e: e.must("flood %d" % FLOOD) for e in evils))
    s.refused(lambda: asker("sign e " + s.audience("/other")), "policy", s.a, room="sign", control=control)
    during = sum(t.is_alive() for t in running)
    for t in running:
        t.join()
    made = len(evils) * FLOOD
    told = stage.until(lambda: seen(forged(s.a), before, made), "every event to be written or counted")
    print("    %d events, %d written, %d lost, %d suppressed; %d of %d floods still ran at the end" % (
        (made,) + told + (during, len(evils))))
    if told[0] > 500 + 100 * (time.monotonic() - began + 1):
        raise Accepted("%d lines of one uid" % told[0])
    s.a.audit()
    control()


def seen(now, before, made):
    if now[0] - before[0] != made:
        raise Wrong("counted %d of %d" % (now[0] - before[0], made))
    lost, written, suppressed = (n - b for n, b in zip(now[1:], before[1:]))
    if written + lost + suppressed > made:
        raise Wrong("%d written, %d lost, %d suppressed of %d" % (written, lost, suppressed, made))
    return (written, lost, suppressed) if written + lost + suppressed == made else None


def audited_ok(host, room):
    return sum(l["reason"] == "ok" and l.get("room") == room and l["ask"] in ("sign", "verify") for l in host.audit())


@test(146, name="audit_disk_full_or_read_only", twin="audit_written", at="a")
def disk_full(s):
    """No token and no accept that the audit log does not have. What is refused so is neither lost nor spent for ever."""
    good, svc = s.actor(s.a), s.service(host=s.a)
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    one = s.connect(good, svc, "one")
    s.a.audit()
    place, disk = AUDIT.rsplit("/", 1)[0], s.a.audit_at
    s.a.sh("mount -t tmpfs -o ro,size=64k none " + place)
    try:
        s.a.audit_at = 0
        print("    reload: " + "; ".join(s.a.reload()))
        control()                                       # into the file that it has
        if s.a.audit():
            raise Wrong("lines on a disk that cannot be written")
    finally:
        s.a.sh("umount " + place)
    s.a.audit_at = disk
    if audited_ok(s.a, "sign") != 1:
        raise Accepted("an assertion that no audit line tells of")
    disk = s.a.audit_at
    s.a.sh("mount -t tmpfs -o size=64k none " + place)
    try:
        s.a.audit_at = 0
        s.a.reloaded()
        control()
        if audited_ok(s.a, "sign") != 1:
            raise Wrong("the new file has not the new lines")
        fds = s.a.fds()
        fill_and_refuse(s, good, svc, one)
        until(lambda: all(n <= m for n, m in zip(s.a.fds(), fds)), "descriptors to go back to %s" % fds)
        s.a.sh("rm %s/fill" % place)
        control()
    finally:
        s.dismiss()
        s.a.stop()                                      # no room is handed a file of the guests' own file system
        s.a.sh("umount " + place)
        s.a.audit_at = disk
        s.a.start()
    s.accepted(s.actor(s.a), s.service(host=s.a))


def fill_and_refuse(s, good, svc, one):
    """Signs until the disk has no byte left."""
    t = s.sign(good, "one")
    start = len(lines_of(s.a, "sign", "ok"))
    s.a.run("dd if=/dev/zero of=%s/fill bs=512 2>/dev/null" % AUDIT.rsplit("/", 1)[0])
    tokens, refused = 0, None
    for _ in range(60):                                 # the page of the last line may have room yet
        r = good("sign one " + s.audience())
        if not r["ok"]:
            refused = r
            break
        tokens += 1
    if not refused:
        raise Accepted("%d assertions, audited: %d" % (tokens, len(lines_of(s.a, "sign", "ok")) - start))
    for answer in [refused] + [good("sign one " + s.audience()) for _ in range(3)]:
        if answer["ok"]:
            raise Accepted("an assertion that no audit line tells of: %s" % answer["reason"])
        if answer["reason"] != "busy":
            raise Wrong("refused, but with %s" % answer)
    v = s.verify(svc, one, t)
    if v["ok"]:
        raise Accepted("an accept that no audit line tells of: %s" % v)
    if v["reason"] != "busy" or s.a.counters("sign")["no-audit"] < 4 or s.a.counters("check")["no-audit"] < 1:
        raise Wrong("verify: %s" % v)
    if len(lines_of(s.a, "sign", "ok")) - start != tokens:
        raise Accepted("%d assertions, audited: %d" % (tokens, len(lines_of(s.a, "sign", "ok")) - start))
    print("    %d assertions until the disk was full, %d of them audited" % (tokens, tokens))


def lines_of(host, room, reason):
    """Whole lines: the last one may be torn. The place of the audit log is left alone."""
    want = ('"room":"%s"' % room, '"reason":"%s"' % reason)
    whole = [l for l in host.ask("after", AUDIT, 0).split("\n") if l.endswith("}")]
    host.audit_at = host.ask("size", AUDIT)
    return [l for l in whole if all(w in l for w in want)]


def ticks(host):
    """Of all its processors, idle ones too. An emulated one that does not run counts none, and by the clock took nothing."""
    return sum(map(int, host.read("/proc/stat").split("\n", 1)[0].split()[1:9]))


def epochs(s):
    """Of the two hosts, and whether they are armed. A starved daemon may not answer in the time that cleatctl gives it."""
    def of(host):
        now = status(host)
        return (now["epoch"], now["armed"]) if "epoch" in now else None
    return [until(lambda: of(host), "the status of host " + host.name, 120) for host in (s.a, s.b)]


def justified(s, before, t, v):
    """The refusals that a starved host may bring about, and no other. @v may be @t, the refusal to sign."""
    now = epochs(s)
    if v["reason"] in ("not-armed", "peer-gone") and (now[0] if v is t else now[1]) != (before[0] if v is t else before[1]):
        return                                          # the level is down, or was a moment ago
    if v["reason"] == "level" and v is not t and s.claims(t)["cleat/level"] != "full" and now[0] != before[0]:
        return                                          # it was, since the connection was made, and the claim says so
    if v["reason"] == "expired" and s.claims(t)["exp"] + LEEWAY_S < s.clock(s.b).must("now")["real"] / 1e9:
        return
    raise Wrong("slow is not wrong: %s, verified: %s, epochs %s and now %s" % (t, v, before, now))


def hog_stats(host, hogs):
    """Of each, /proc/PID/stat from the state on: [11] is the hundredths of a second that it took; nothing if it is gone."""
    lines = host.run("cat %s" % " ".join("/proc/%s/stat" % hog for hog in hogs))[1].splitlines()
    return [line.rpartition(")")[2].split() for line in lines] + [[]] * (len(hogs) - len(lines))


def is_hog(stat):
    """SCHED_FIFO."""
    return stat[38:39] == ["1"]


@test(147, name="cpu_starvation")
def starved(s):
    """A real-time hog on every processor of the signing host: slower, and the same answers; where no probe gets through for
    half a minute the level falls, says so, and comes back, for processes that begin then."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    one = s.connect(good, svc, "one")
    two = s.connect(good, svc, "two")
    t = s.sign(good, "one")
    pid, before = s.a.pid, epochs(s)
    hogs = s.a.sh("for i in $(seq $(nproc)); do setsid chrt -f 50 sh -c 'while :; do :; done' >/dev/null 2>&1 "
                  "</dev/null & echo $!; done").split()
    try:
        # The last one may come late, behind those that run already.
        until(lambda: all(is_hog(f) for f in hog_stats(s.a, hogs)), "the hogs", 120)
        had, begun = sum(int(f[11]) for f in hog_stats(s.a, hogs)), ticks(s.a)
        s.refused(lambda: s.verify(svc, two, t), "wrong-connection", s.b)
        for _ in range(2):                              # five seconds each, under emulation
            t = good("sign one " + s.audience())
            v = s.verify(svc, one, t) if t["ok"] else t
            if not v["ok"]:
                justified(s, before, t, v)
                break
        stats = hog_stats(s.a, hogs)
        took = sum(int(f[11]) for f in stats) - had
        all_took = ticks(s.a) - begun
    finally:
        s.a.sh("kill -9 " + " ".join(hogs))
    print("    %d hogs took %.1f of %.1f s of processor" % (len(hogs), took / 100, all_took / 100))
    if not all(is_hog(f) for f in stats) or took < all_took / 2:
        raise Wrong("the hogs were none")
    if not s.a.ask("alive", pid):
        raise Wrong("the daemon ended")
    until(lambda: all(armed for _, armed in epochs(s)), "the levels", 60)
    good, svc = s.actor(s.a), s.service()               # of the epochs that there are now
    control()
