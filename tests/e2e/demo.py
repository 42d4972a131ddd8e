#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo inside guest a: hosts A and B with their daemons, a client in Python, a service in C, one connection, and
what becomes of the same bytes anywhere else. Exit status 1 when a scene went otherwise than it must."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "attack"))
import stage  # noqa: E402

CLIENTS = stage.SRC + "/tests/e2e/clients"
POLICY = """\
version: 1
trust_domain: prod.example
host: {host}
clock: {clock}
{extra_main}workloads:
  - id: /payments
    match: {{ cgroup: /system.slice/payments.service, uid: 1001 }}
  - id: /reports
    match: {{ cgroup: /system.slice/reports.service }}
  - id: /ledger
    match: {{ systemd: ledger.service }}
{extra_workloads}call:
  - {{ from: /payments, to: [ /ledger ], life: 30s }}
  - {{ from: /reports, to: [ /ledger ] }}
accept:
  - {{ to: /ledger, from: [ /payments ], hosts: [ a ], level: full }}
{extra_rules}"""
LEDGER = "spiffe://prod.example/ledger"
AT = stage.IP["b"] + " 7443"
bold, dim, red, green, plain = ("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m") \
    if os.environ.get("COLOUR") == "1" else ("",) * 5


class Program:
    """A real program of a unit's cgroup and uid on a host."""

    def __init__(self, host, unit, uid, command):
        script = ("mkdir -p /sys/fs/cgroup/system.slice/{u}; echo 0 > /sys/fs/cgroup/system.slice/{u}/cgroup.procs; "
                  "LIBCLEAT={b}/libcleat.so.0 exec setpriv --reuid {i} --regid {i} --clear-groups {c}").format(
                      u=unit, i=uid, c=command, b=stage.BUILD_MAIN)
        self.p = subprocess.Popen(host.command(["bash", "-c", script], stdin=True), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, bufsize=1)

    def line(self):
        return self.p.stdout.readline().strip()

    def __call__(self, command):
        self.p.stdin.write(command + "\n")
        line = self.p.stdout.readline()
        if not line:
            raise stage.Wrong("a program ended at: " + command[:60])
        return json.loads(line)


def say(text=""):
    print(text, flush=True)


class Demo:
    def __init__(self):
        self.passed, self.failed = 0, []
        self.s = None

    def scene(self, title, ok, want, answer, lines, ledger=None):
        """@ok: what came; @want: what must. Prints what each party sees."""
        right = ok == want
        self.passed += right
        if not right:
            self.failed.append(title)
        mark = green + "accepted" if ok else red + "refused"
        say("%s%d. %s%s" % (bold, self.passed + len(self.failed), title, plain))
        say("     %-22s %s%s" % ("the asker reads", mark + plain, ": " + answer if answer else ""))
        if ledger:
            say("     %-22s %s" % ("the ledger on B knows", ledger))
        for l in lines:
            say("     %-22s %sreason=%s: %s%s" % ("the audit log says", dim, l["reason"], l.get("detail", l["why"]),
                                                 plain))
            if l["reason"] != "ok":
                known = ["%s=%s" % (k, l[k]) for k in ("workload", "pid", "client", "server", "claimed_subject") if k in l]
                say("     %-22s %s%s%s" % ("", dim, " ".join(known), plain))
        if not right:
            say("     %sTHIS WENT OTHERWISE THAN IT MUST%s" % (red, plain))
        say()

    def raise_curtain(self):
        stage.TD, stage.POLICY = "prod.example", POLICY
        say("Booted host A (%s) and host B (%s), kernel %s." % (stage.IP["a"], stage.IP["b"], os.uname().release))
        self.s = s = stage.Stage("ab")
        say("Enrolled: each host made its key; both read the same bundle. Starting cleatd on A and B ...")
        for h in (s.a, s.b):
            h.sh("mkdir -p /sys/fs/cgroup/system.slice/{payments,reports,ledger}.service")
        s.start()
        say("cleatd runs on both hosts, level full.\n")

    def play(self):
        a, b = self.s.a, self.s.b
        ledger = Program(b, "ledger.service", 1003, "%s/e2e/ledger %s" % (stage.BUILD_MAIN, AT))
        ledger.line()
        python = "/usr/bin/python3 %s/payments.py" % CLIENTS
        payments = Program(a, "payments.service", 1001, python)
        reports = Program(a, "reports.service", 1002, python)
        local = Program(b, "reports.service", 1002, python)
        for h in (a, b):
            h.audit()

        payments("connect one " + AT)
        t = payments("sign one " + LEDGER)
        if not t["ok"]:
            raise stage.Wrong("no assertion: %s" % t)
        say("%sThe payments service on A connected to the ledger on B and asked its own daemon for an assertion:%s" % (
            bold, plain))
        say("     %s...~...%s  (%d bytes, WIT~WPT)\n" % (t["assertion"][:40], t["assertion"][-24:], len(t["assertion"])))
        copied = t["assertion"]

        r = payments("say one %s pay 42" % copied)
        self.scene("The presentation on its own connection", r["ok"], True, "", b.audit(), ledger.line())

        reports("connect stolen " + AT)
        r = reports("say stolen %s pay 1000000" % copied)
        self.scene("The same bytes from a process of another service on A", r["ok"], False, r["answer"], b.audit(),
                   ledger.line())

        payments("connect two " + AT)
        r = payments("say two %s pay 42" % copied)
        self.scene("The same bytes on another connection of the right process", r["ok"], False, r["answer"], b.audit(),
                   ledger.line())

        local("connect own " + AT)
        r = local("say own %s pay 1000000" % copied)
        self.scene("The same bytes from B itself", r["ok"], False, r["answer"], b.audit(), ledger.line())

        r = payments("say one %s pay 42" % copied)
        self.scene("The same bytes a second time on the same connection", r["ok"], False, r["answer"], b.audit(),
                   ledger.line())

        reports("box hand")
        payments("give one hand")
        reports("take passed hand")
        a.audit()
        r = reports("sign passed " + LEDGER)
        self.scene("A process that was handed the connected socket asks for an assertion of its own", r["ok"], False,
                   "%s: %s" % (r.get("reason"), r.get("detail")), [l for l in a.audit() if l.get("room") == "sign"])

        r = payments("say one %s pay 43" % payments("sign one " + LEDGER)["assertion"])
        self.scene("And its owner, with a fresh assertion on the first connection", r["ok"], True, "", b.audit(),
                   ledger.line())


def main():
    demo = Demo()
    try:
        demo.raise_curtain()
        demo.play()
    except (stage.Wrong, OSError, ValueError, subprocess.SubprocessError) as e:
        demo.failed.append("the stage itself")
        say("%s%s%s" % (red, e, plain))
        for h in demo.s.hosts.values() if demo.s else ():
            say(h.run("tail -n 20 /run/cleatd.log; tail -n 5 " + stage.AUDIT)[1])
    for title in demo.failed:
        say("went otherwise: " + title)
    say("%d passed, %d failed" % (demo.passed, len(demo.failed)))
    return 1 if demo.failed or demo.passed != 7 else 0


sys.exit(main())
