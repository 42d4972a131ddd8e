# SPDX-License-Identifier: Apache-2.0
"""Attacks that are counted in thousands, natively: one daemon at level reduced, both ends of each connection on this
machine, in a cgroup and network namespace of their own. Started by tests/attack/native/run.
"""
import json
import os
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import stage  # noqa: E402
from stage import Accepted, Wrong, until  # noqa: E402

DIR, PATH = os.environ["CLEAT_TEST_DIR"], os.environ["CLEAT_TEST_PATH"]
CGROUPS = os.environ["CLEAT_TEST_CGROUPS"]
PLAYERS = stage.BUILD_MAIN + "/tests-vm/"
SCALE = float(os.environ.get("ROUNDS", "1"))

POLICY = """\
version: 1
trust_domain: test.example
host: a
clock: unsynchronised-ok
workloads:
  - {{ id: /good, match: {{ cgroup: {path}/good, uid: 1001 }} }}
  - {{ id: /svc, match: {{ cgroup: {path}/svc }} }}
call:
  - {{ from: /good, to: [ /svc ] }}
accept:
  - {{ to: /svc, from: [ /good ], level: reduced }}
"""


class Native(stage.Host):
    """This machine as the only host of the stage."""

    def __init__(self):
        super().__init__("a")
        self.here, self.ip, self.ip6 = True, "127.0.0.1", "::1"

    def furnish(self):
        self.write(DIR + "/etc/cleat.yaml", POLICY.format(path=PATH))
        entry = self.sh("%s/cleatctl host init --dir %s/var --name a --trust-domain %s --scope /" % (
            stage.BUILD_MAIN, DIR, stage.TD))
        self.write(DIR + "/entry.json", entry)
        self.sh("umask 022; mkdir -p %s/etc/trust %s/run; %s/cleatctl trust add --bundle %s/etc/trust/%s.json "
                "%s/entry.json" % (DIR, DIR, stage.BUILD_MAIN, DIR, stage.TD, DIR))
        for c in ("good", "svc"):
            os.makedirs(CGROUPS + "/" + c, exist_ok=True)

    def start(self, build=None, args=""):
        self.log = open(DIR + "/log", "wb")
        self.p = subprocess.Popen([(build or stage.BUILD) + "/cleatd", "run", "--level", "reduced", "--cgroup", CGROUPS,
                                   "--config-dir", DIR + "/etc", "--state-dir", DIR + "/var", "--runtime-dir",
                                   DIR + "/run", "--audit", DIR + "/audit.jsonl"], stdin=subprocess.DEVNULL,
                                  stdout=self.log, stderr=self.log)
        until(self.ready, "cleatd to be ready", 60)

    def ready(self):
        text = open(DIR + "/log").read()
        if self.p.poll() is not None:
            raise Wrong("cleatd ended: " + text)
        return " ready " in text

    def stop(self):
        self.p.terminate()
        self.p.wait(30)
        self.log.close()

    def rooms(self):
        kids = subprocess.run(["pgrep", "-P", str(self.p.pid)], stdout=subprocess.PIPE, text=True).stdout
        return [self.p.pid] + [int(k) for k in kids.split()]

    def audit(self):
        with open(DIR + "/audit.jsonl", "rb") as f:
            f.seek(self.audit_at)
            out = f.read()
        self.audit_at += len(out)
        return [json.loads(l) for l in out.splitlines()]

    def counters(self, room):
        page = self.sh("od -An -v -t u8 -w8 %s/run/private/counters.%s" % (DIR, room)).split()
        return dict(zip(stage.reason_words(), map(int, page[1:])))


class NativeStage(stage.Stage):
    def __init__(self):
        self.a = self.b = Native()
        self.hosts, self.actors, self.port = {"a": self.a}, [], 7000
        self.a.furnish()


def at_once(s):
    """4 processes of 64 threads share one socket and present the same bytes at once: one accept a round."""
    rounds = max(10, int(1000 * SCALE))
    good, svc = s.actor(s.a), s.service()
    crowd = s.actor(s.b, "/svc", actor=PLAYERS + "crowd")
    s.accepted(good, svc)
    one = s.connect(good, svc, "one")
    crowd.must("mailbox crowd")
    svc.must("sendfd %s crowd" % one)
    crowd.must("take")
    if crowd.must("crowd 4 64")["doors"] != 256:
        raise Wrong("not everybody got a connection to the daemon")
    before = s.b.counters("check")
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
    return "%d rounds of 256" % rounds


def fd_count(s):
    """Any number of descriptors in a message, very often: as many are open afterwards as before."""
    rounds = max(1000, int(1000000 * SCALE))
    good, svc = s.actor(s.a), s.service()
    player = s.actor(s.b, "/svc", actor=PLAYERS + "fdcount")
    s.accepted(good, svc)
    player.must("many 640")
    fds, before = s.b.fds(), s.b.counters("check")
    done = 0
    while done < rounds:
        n = min(100000, rounds - done)
        r = player.must("many %d" % n)
        done += n
        if r["malformed"] + r["other"] + r["unsent"] != n:
            raise Wrong(str(r))
        until(lambda: s.b.fds() == fds, "descriptors to go back after %d rounds" % done, 5)
    after = s.b.counters("check")
    if after["ok"] != before["ok"]:
        raise Accepted("%d of them" % (after["ok"] - before["ok"]))
    s.accepted(good, svc)
    return "%d rounds, %s descriptors" % (rounds, fds)


TESTS = [("attack_024_the_same_token_at_once", at_once), ("attack_110_fd_count_and_truncation", fd_count)]


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    chosen = [(n, f) for n, f in TESTS if not words or any(w in n for w in words)]
    if "--list" in sys.argv:
        print("\n".join(n for n, _ in chosen))
        return 0
    counts = {"ok": 0, "fail": 0}
    s = NativeStage()
    s.a.start()
    for name, f in chosen:
        began = time.monotonic()
        try:
            verdict, why = "ok", f(s)
        except Accepted as e:
            verdict, why = "fail", "ACCEPTED: %s" % e
        except Wrong as e:
            verdict, why = "fail", str(e)
        except Exception:  # noqa: BLE001 - the next test must run
            verdict, why = "fail", traceback.format_exc()
        finally:
            s.dismiss()
        counts[verdict] += 1
        print("  %-5s %s (%.1fs): %s" % (verdict, name, time.monotonic() - began, why), flush=True)
    s.a.stop()
    print("%d passed, %d failed, 0 skipped" % (counts["ok"], counts["fail"]))
    return 0 if counts["ok"] and not counts["fail"] else 1


sys.exit(main())
