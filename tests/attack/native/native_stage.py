# SPDX-License-Identifier: Apache-2.0
"""The stage of the native attacks: one daemon at level reduced, both ends of each connection on this machine, in a cgroup
and network namespace of their own.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import stage  # noqa: E402
import witness  # noqa: E402
from stage import Wrong, until  # noqa: E402

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

    keeper = None

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

    def start(self, build=None, args="", arguments=None):
        self.account_at = os.path.getsize(DIR + "/audit.jsonl") if os.path.exists(DIR + "/audit.jsonl") else 0
        self.log = open(DIR + "/log", "wb")
        self.p = subprocess.Popen(arguments or [(build or stage.BUILD) + "/cleatd", "run", "--level", "reduced", "--cgroup", CGROUPS,
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
        # the reader and the probe come and go
        kids = subprocess.run(["pgrep", "-P", str(self.p.pid), "cleatd-(sign|check)"], stdout=subprocess.PIPE, text=True).stdout
        return [self.p.pid] + [int(k) for k in kids.split()]

    def fds(self):
        """Of each room, the least of some looks: at level reduced the kernel room opens cgroups four times a second."""
        looks = []
        until(lambda: looks.append(super(Native, self).fds()) or len(looks) == 16, "sixteen looks")
        return [min(room) for room in zip(*looks)]

    def fds_back(self, before):
        """Waits until no room has more descriptors than @before."""
        until(lambda: all(n <= m for n, m in zip(self.fds(), before)), "descriptors to go back to %s" % before)

    def audit(self):
        with open(DIR + "/audit.jsonl", "rb") as f:
            f.seek(self.audit_at)
            out = f.read()
        self.audit_at += len(out)
        return [json.loads(l) for l in out.splitlines()]

    def look_before(self, room):
        self.audit_at = os.path.getsize(DIR + "/audit.jsonl")
        return self.fds(), self.counters(room)

    def look(self, room):
        return self.fds(), self.audit(), self.counters(room)

    def counted(self, room):
        return list(witness.counters("%s/run/private/counters.%s" % (DIR, room)))

    def counters(self, room):
        return self.words(self.counted(room))

    def tally(self):
        return witness.tally(DIR + "/audit.jsonl", self.account_at)


class NativeStage(stage.Stage):
    def __init__(self):
        self.a = self.b = Native()
        self.hosts, self.actors, self.port, self.seen = {"a": self.a}, [], 7000, []
        self.a.furnish()
