# SPDX-License-Identifier: Apache-2.0
"""The daemon's life (attacks.md 127, 156, 166): killed while it signs, stormed with signals, and what its files then say."""
import os
import signal
import subprocess
import threading

from native_stage import DIR
from stage import Accepted, Wrong, until


def scene(s):
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    return good, svc


def signing(s, actors, stop, got):
    """Every actor asks again and again until the daemon is gone; got: the jti of each assertion that arrived."""
    def one(a):
        while not stop.is_set():
            t = a("sign one " + s.audience())
            if t["ok"]:
                got.append(s.claims(t)["jti"])
            elif "reason" not in t:             # the connection broke
                return
    threads = [threading.Thread(target=one, args=(a,)) for a in actors]
    for t in threads:
        t.start()
    return threads


def audited(s):
    """The jti of every assertion that the audit says was issued, of the whole file."""
    s.a.audit_at = 0
    return [l["jti"] for l in s.a.audit() if l.get("ask") == "sign" and l["reason"] == "ok"]


def killed(s):
    """kill -9 of a room or of the daemon while it signs: each assertion that anybody got has its line, and only one."""
    rounds, total = 2, 0                        # each waits out a start: the establishment tolerance
    scene(s)
    for r in range(rounds):
        svc = s.service()
        actors = [s.actor(s.a) for _ in range(4)]
        for a in actors:
            s.connect(a, svc, "one")
        stop, got = threading.Event(), []
        threads = signing(s, actors, stop, got)
        until(lambda: len(got) > 200, "assertions under way", 30)
        victims = s.a.rooms()
        os.kill(victims[r % len(victims)], signal.SIGKILL)
        s.a.p.wait(20)
        stop.set()
        for t in threads:
            t.join()
        lines = audited(s)
        missing = [j for j in got if lines.count(j) != 1]
        if missing:
            raise Accepted("%d of %d assertions are not in the audit exactly once" % (len(missing), len(got)))
        total += len(got)
        s.dismiss()
        s.a.start()
    scene(s)
    return "%d assertions over %d kills, each in the audit once: below 3 of %d" % (total, rounds, total)


def storm(s):
    """Signals of every kind that is not an order to end, as fast as they can be sent, to all rooms; reloads among them."""
    good, svc = scene(s)
    rooms, sent = s.a.rooms(), 0
    before = good.must("whoami")["generation"]
    kinds = [signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT]
    stop = threading.Event()

    def send():
        nonlocal sent
        while not stop.is_set():
            for kind in kinds:
                for pid in rooms:
                    os.kill(pid, kind)
                    sent += 1
    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(20):
            s.accepted(good, svc)
    finally:
        stop.set()
        sender.join()
    if s.a.p.poll() is not None or set(rooms) - set(s.a.rooms()):   # a reader may be there as well: the last reload's
        raise Accepted("a room ended")
    s.accepted(good, svc)
    if good.must("whoami")["generation"] <= before:
        raise Wrong("no reload came through")
    return "%d signals" % sent


def silent(s):
    """Nothing of a token, of a key or of a nonce in any file the daemon writes: of all tests of this run, and of
    presentations of every kind of failure."""
    good, svc = scene(s)
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    for wit, wpt in ((t["wpt"], t["wit"]), (t["wit"], t["wpt"][:-4] + "AAAA"), (t["wit"][:-4] + "AAAA", t["wpt"]),
                     (t["wit"] + "." + t["wpt"], t["wpt"]), ("x" + t["wit"], t["wpt"])):
        if svc("verify %s client %s %s" % (one, wit, wpt))["ok"]:
            raise Accepted("a broken presentation")
    if len(s.seen) < 4:
        raise Wrong("only %d tokens were seen" % len(s.seen))
    names = [os.path.join(at, f) for top in (DIR + "/run", DIR + "/log", DIR + "/audit.jsonl")
             for at, _, files in (os.walk(top) if os.path.isdir(top) else [(os.path.dirname(top), [], [os.path.basename(top)])])
             for f in files]
    with open(DIR + "/var/host.key") as f:
        secrets = {"a line of the host key": line for line in f.read().split("\n")[1:-2]}
    for i, token in enumerate(s.seen):
        for part, text in zip(("header", "claims", "signature"), token.split(".")):
            secrets["token %d, %s" % (i, part)] = text[-40:]
    names = [name for name in names if os.path.isfile(name)]
    looked = sum(os.path.getsize(name) for name in names)
    # thousands of strings in hundreds of megabytes: grep reads the files once for all of them
    found = subprocess.run(["grep", "-aFof", "-"] + names, input="\n".join(secrets.values()), capture_output=True, text=True)
    if found.returncode == 0:
        where = found.stdout.splitlines()[0]
        raise Accepted("%s: %s" % (where, [what for what, s in secrets.items() if where.endswith(s)]))
    if found.returncode != 1:
        raise Wrong(found.stderr)
    if looked < 10000:
        raise Wrong("only %d bytes were written" % looked)
    s.accepted(good, svc)
    return "%d tokens, %d bytes of %d files" % (len(s.seen), looked, len(names))


silent.last = True      # it looks at what all the others left


TESTS = [("attack_156_killed_between_signature_and_audit", killed), ("attack_166_storm_of_signals", storm),
         ("attack_127_secrets_in_logs", silent)]
