# SPDX-License-Identifier: Apache-2.0
"""The stage of the VM tests: hosts, daemons, actors, and the form of a refusal's test.

A test is a function marked @test(number, "name", twin="check"). Its refusal is shown by Stage.refused(): the
legitimate variant passes, the attack is refused with exactly one audit line that has the reason, the counter moves by
one, descriptors go back to what they were, the legitimate variant passes again. An attack that is accepted raises
Accepted, which the runner prints as ACCEPTED: that line, not just any failure, is what a broken twin must bring about.
"""
import base64
import concurrent.futures
import contextlib
import functools
import json
import os
import re
import select
import subprocess
import threading
import time

SRC = os.environ.get("CLEAT_SRC", os.getcwd())
BUILD = os.environ.get("CLEAT_BUILD", SRC + "/build")
TD = "test.example"
IP = {"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.0.3"}
IP6 = {"a": "fd77::1", "b": "fd77::2", "c": "fd77::3"}
CONF, STATE, RUN, AUDIT = "/etc/cleat", "/var/lib/cleat", "/run/cleat", "/var/log/cleat/audit.jsonl"

POLICY = """\
version: 1
trust_domain: test.example
host: {host}
clock: {clock}
{extra_main}workloads:
  - id: /good
    match: {{ cgroup: /good, uid: 1001 }}
  - id: /evil
    match: {{ cgroup: /evil }}
  - id: /svc
    match: {{ cgroup: /svc }}
  - id: /other
    match: {{ cgroup: /other }}
  - id: /rooty
    match: {{ cgroup: /rooty }}
{extra_workloads}call:
  - {{ from: /good, to: [ /svc, /other, /good ] }}
  - {{ from: /evil, to: [ /svc ] }}
  - {{ from: /rooty, to: [ /svc ] }}
  - {{ from: /svc, to: [ /good ], as: server }}
accept:
  - {{ to: /svc, from: [ /good ], hosts: [ a, b, c ] }}
  - {{ to: /other, from: [ /good ] }}
  - {{ to: /good, from: [ /svc ], as: server }}
{extra_rules}est_tolerance: 5s   # an emulated guest beside three others may see the last segment of a handshake seconds late
"""
KEPT = "/persist/kept"
CGROUPS = ["/good", "/evil", "/svc", "/other", "/rooty", "/nobody"]


class Accepted(Exception):
    """An attack got through."""


class Wrong(Exception):
    """Anything else than what must be."""


class Skip(Exception):
    """Cannot be run here; says why."""


def until(question, what, limit=20.0):
    """Asks until the answer is true; raises Wrong when the limit has passed. What is waited for has half of the time at
    least: a question may be a program, which takes the guest that it is asked in."""
    end = time.monotonic() + limit
    while True:
        began = time.monotonic()
        answer = question()
        if answer:
            return answer
        now = time.monotonic()
        if now > end:
            raise Wrong("waited %.0f s for %s" % (limit, what))
        time.sleep(max(0.02, min(now - began, 1)))


def status(host):
    """The exit status says whether it is armed; a daemon that is not is an answer all the same."""
    out = host.run("%s/cleatctl --json status" % BUILD_MAIN)[1]
    return json.loads(out[out.index("{"):])


def right_again(clock, start):
    """Sets a Stage.clock() that said @start right: by the boot clock, which nobody turns."""
    now = clock.must("now")
    clock.must("step %d" % (start["real"] + now["boot"] - start["boot"] - now["real"]))


def ctl(host, args):
    """cleatctl as root there; the parsed answer."""
    rc, out = host.run("%s/cleatctl --json %s" % (BUILD_MAIN, args))
    answer = json.loads(out)
    if rc != 0 or not answer["ok"]:
        raise Wrong("cleatctl %s: exit %d: %s" % (args, rc, out))
    return answer


@functools.lru_cache
def reason_words():
    text = open(SRC + "/userspace/model/reason.h").read()
    return re.findall(r'X\([A-Z_]+,\s*"([a-z-]+)"', text)


class Actor:
    """One process on the stage. Actor("connect c 10.77.0.2 7000") gives the answer as a dict."""

    def __init__(self, host, cgroup="/good", uid=1001, gid=None, netns=None, actor=None):
        args = [actor or (BUILD_MAIN + "/tests-vm/actor")]
        for word, value in (("--netns", netns), ("--cgroup", cgroup), ("--uid", uid), ("--gid", gid)):
            if value:
                args += [word, str(value)]
        self.host = host
        self.p = subprocess.Popen(host.command(args + ["--again"], stdin=True), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.must("pid")["pid"]

    def __call__(self, command):
        try:
            self.p.stdin.write(command + "\n")
            self.p.stdin.flush()
        except BrokenPipeError:
            raise Wrong("the actor is gone at: " + command)
        line = self.p.stdout.readline()
        if not line:
            raise Wrong("the actor ended at: " + command)
        return json.loads(line)

    def must(self, command):
        answer = self(command)
        if not answer["ok"]:
            raise Wrong("%s: %s" % (command[:200], answer))
        return answer

    def child(self, name):
        """Forks a second actor with the same sockets; the returned callable speaks to it."""
        pid = self.must("fork " + name)["pid"]

        def say(command):
            return self("@%s %s" % (name, command))
        say.pid = pid
        say.must = lambda command: self.must("@%s %s" % (name, command))
        return say

    def close(self):
        self.p.stdin.close()
        try:
            self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        self.p.stdout.close()


BUILD_MAIN = os.environ.get("CLEAT_BUILD_MAIN", BUILD.split("/twin/")[0])


class Shell:
    """A standing root shell of a host: a question costs a fork there instead of two programs."""

    MARK = "--- end of the script, exit status "

    def __init__(self, command):
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.rest = b""

    def run(self, script, limit):
        self.p.stdin.write(("( %s\n) </dev/null 2>&1; printf '\\n%s%%d\\n' $?\n" % (script, self.MARK)).encode())
        self.p.stdin.flush()
        end, mark = time.monotonic() + limit, b"\n" + self.MARK.encode()
        while mark not in self.rest or not self.rest.split(mark, 1)[1].endswith(b"\n"):
            ready, _, _ = select.select([self.p.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(self.p.stdout.fileno(), 1 << 20) if ready else b""
            if not more:
                self.p.kill()
                self.p.wait()
                raise Wrong("%s: %s" % ("the shell ended" if ready else "no end within %d s" % limit, script))
            self.rest += more
        out, status = self.rest.split(mark, 1)
        self.rest = b""
        # the shell itself may add a line about a process that died of a signal
        return int(status.split(b"\n", 1)[0]), out.decode("utf-8", "replace")


class Witness:
    """witness.py on a host, asked from here."""

    def __init__(self, command):
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, name, args):
        try:
            self.p.stdin.write(json.dumps([name, args]) + "\n")
            line = self.p.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Wrong("the witness ended at: %s%s" % (name, args))
        answer = json.loads(line)
        if "error" in answer:
            raise Wrong(answer["error"])
        return answer["answer"]


class Host:
    # Standing shell and witness are the administrator: at level full only root in the daemon's own cgroup may signal or
    # trace the rooms (bpf/self.bpf.c). A daemon started from no cgroup of its own makes this one.
    keeper = "/sys/fs/cgroup/cleatd"

    def __init__(self, name):
        self.shell, self.witness, self.lock = None, None, threading.Lock()
        self.name, self.ip, self.ip6 = name, IP[name], IP6[name]
        self.here = os.environ.get("HOST", "a") == name
        self.build = BUILD
        self.daemon_up = False
        self.audit_at = self.account_at = 0     # where in the audit log: read until, begun by this daemon

    def command(self, args, stdin=False):
        if self.here:
            return args
        return ["on"] + (["-i"] if stdin else []) + [self.name] + args

    def run(self, script, limit=60):
        """A bash script as root; (exit status, output)."""
        with self.lock:
            if not self.shell or self.shell.p.poll() is not None:
                self.shell = Shell(self.command(["bash"], stdin=True))
                if self.keeper:
                    self.shell.run("mkdir -p {0}; echo $$ >{0}/cgroup.procs".format(self.keeper), limit)
            return self.shell.run(script, limit)

    def sh(self, script, limit=60):
        rc, out = self.run(script, limit)
        if rc != 0:
            raise Wrong("host %s: %s: exit %d: %s" % (self.name, script, rc, out))
        return out

    def ask(self, name, *args):
        """A question of witness.py."""
        with self.lock:
            if not self.witness or self.witness.p.poll() is not None:
                witness = ["/usr/bin/python3", SRC + "/tests/attack/witness.py"] + ([self.keeper] if self.keeper else [])
                self.witness = Witness(self.command(witness, stdin=True))
            return self.witness.ask(name, args)

    def reboot(self):
        """Whatever ran there is gone, and what spoke to it from here would wait for it for ever."""
        for standing in (self.shell, self.witness):
            if standing:
                standing.p.kill()
                standing.p.wait()
        self.shell = self.witness = None
        subprocess.run(["vm-reboot", self.name], check=True, timeout=200)
        self.daemon_up, self.audit_at = False, 0

    def write(self, path, text):
        self.ask("write", path, text)

    def read(self, path):
        return self.sh("cat " + path)

    # ---- the daemon ----

    def config(self, clock="unsynchronised-ok", extra_main="", extra_workloads="", extra_rules="", policy=None):
        self.write(CONF + "/cleat.yaml", (policy or POLICY).format(
            host=self.name, clock=clock, extra_main=extra_main, extra_workloads=extra_workloads,
            extra_rules=extra_rules))

    def enrol(self):
        """A host that never was one before: makes the host key; answers the bundle entry. What another build left pinned
        is not adopted by the one to come."""
        self.disarm()                           # its words are not the entry's
        return self.sh("rm -rf %s %s && %s/cleatctl host init --dir %s --name %s --trust-domain %s --scope /" % (
            STATE, RUN, BUILD_MAIN, STATE, self.name, TD))

    def trust(self, entries):
        for i, entry in enumerate(entries):
            self.write("/run/entry%d.json" % i, entry)
        self.sh("rm -rf {c}/trust; mkdir -p {c}/trust; for e in {n}; do {b}/cleatctl trust add --bundle "
                "{c}/trust/{td}.json /run/entry$e.json; done".format(
                    c=CONF, b=BUILD_MAIN, td=TD, n=" ".join(str(i) for i in range(len(entries)))))

    def start(self, build=None, args=""):
        """Starts cleatd (of the build it was last started from, if none is named) and waits until it says ready."""
        self.build = build or self.build
        self.account_at = self.ask("size", AUDIT)
        # as from any shell: it is the daemon that goes into a cgroup of its own
        self.pid = int(self.sh("mkdir -p /var/log/cleat /run/cleat %s; echo 0 >/sys/fs/cgroup/cgroup.procs; "
                               "rm -f /run/cleatd.log; setsid %s/cleatd run %s >/run/cleatd.log 2>&1 </dev/null & echo $!" % (
                                   " ".join("/sys/fs/cgroup" + c for c in CGROUPS), self.build, args)))
        up, log = self.ask("ready", self.pid, "/run/cleatd.log", 300)
        if not up:
            raise Wrong("cleatd ended on host %s: %s" % (self.name, log))
        if "ready" not in log:
            raise Wrong("waited 300 s for cleatd to be ready on host " + self.name)
        self.daemon_up = True
        # from here on, whatever a test before left there
        self.audit_at = self.ask("size", AUDIT)

    def comes_up(self, *words, args=""):
        """Does it start? If not it says so with these words."""
        try:
            self.start(args=args)
            return True
        except Wrong as e:
            if not all(w in str(e) for w in words):
                raise
            return False

    def balance(self):
        """N2 and N3 of attacks.md, for all that this daemon answered: what each room was asked is what it answered, and
        each answer has one audit line, with its reason, or is among those that a line says were only counted. No "ok" is
        ever among these. Raises Wrong."""
        try:
            until(lambda: not self.unbalanced(), "suppressed lines to be told", 3)
        except Wrong:
            raise Wrong("host %s: %s" % (self.name, self.unbalanced()))

    def unbalanced(self):
        """What does not add up, as a list."""
        told, wrong = self.tally(), []
        for room in ("sign", "check"):
            lines = told.get(room, {})
            asked, *answered = self.counted(room)
            counted = {w: n for w, n in zip(reason_words(), answered) if n and w != "no-audit"}
            untold = sum(counted.values()) - lines.pop("suppressed", 0) - sum(lines.values())
            if asked != sum(answered):
                wrong.append("the %s room was asked %d times and answered %d" % (room, asked, sum(answered)))
            if untold or counted.get("ok", 0) != lines.get("ok", 0) or \
                    any(n > counted.get(w, 0) for w, n in lines.items()):
                wrong.append("the %s room counted %s, its audit lines are %s, %d untold" % (room, counted, lines, untold))
        return wrong

    def tally(self):
        return self.ask("tally", AUDIT, self.account_at)

    def counted(self, room):
        return self.ask("counters", self.page(room))

    def stop(self):
        if self.daemon_up:
            self.run("kill -TERM %d" % self.pid)         # it may be gone already
            if not self.ask("dead", self.pid, 20):
                raise Wrong("waited 20 s for cleatd to end on host " + self.name)
        self.daemon_up = False

    def end(self):
        """Whatever state a test left it in: no daemon and no actor is left."""
        self.ask("end_all", ["cleatd", "actor"], 10)
        self.daemon_up = False

    def as_kept(self):
        return self.ask("same", KEPT + "/conf", CONF) and self.ask("same", KEPT + "/state", STATE)

    def restore(self):
        """The disk as keep() found it; what is pinned goes with its run directory. A run directory that has seen a newer
        bundle than keep() did would not take that one any more: it goes, with the pins."""
        self.sh("[ \"$(cat {s}/trust/{td}.sequence)\" = \"$(grep -o 'spiffe_sequence[^,}}]*' {k}/conf/trust/{td}.json | tr -dc 0-9)\" ] || "
                "{b}/cleatd disarm; [ -d /sys/fs/bpf/cleat ] || rm -rf {r}; rm -rf {c} {s}; cp -a {k}/conf {c} && "
                "cp -a {k}/state {s}".format(k=KEPT, c=CONF, s=STATE, r=RUN, td=TD, b=BUILD_MAIN))

    def disarm(self):
        """The kernel side of a stopped daemon goes: the next one begins with a fresh one."""
        self.sh(BUILD_MAIN + "/cleatd disarm")

    def pins(self):
        """How the running daemon came by its kernel side: fresh, adopted, changed, replaced."""
        return re.search(r" pins=(\w+)", self.read("/run/cleatd.log")).group(1)

    def kill(self):
        """kill -9 of the daemon; its rooms end with it."""
        self.sh("kill -KILL %d" % self.pid)
        until(lambda: not self.ask("alive", self.pid), "cleatd to be dead on host " + self.name)
        self.daemon_up = False

    def reload(self):
        """SIGHUP, and waits for the outcome: the log line after it."""
        return self.ask("hang_up", self.pid, "/run/cleatd.log", 30)

    def reloaded(self):
        """A reload that must succeed."""
        lines = self.reload()
        if not any("generation=" in l for l in lines):
            raise Wrong("host %s: %s" % (self.name, lines))

    def rooms(self):
        return self.ask("rooms")

    def fds(self):
        return self.ask("fds")

    def look(self, room):
        """Descriptors of the rooms, new audit lines, counters of @room: in one question."""
        fds, page, audit = self.ask("look", self.page(room), AUDIT, self.audit_at)
        return fds, self.lines(audit), self.words(page)

    def look_before(self, room):
        """Descriptors and counters before an attack. Audit lines until here are not read: they may be thousands."""
        fds, page, self.audit_at = self.ask("look_before", self.page(room), AUDIT)
        return fds, self.words(page)

    def audit(self):
        """The audit lines since the last call, parsed."""
        return self.lines(self.ask("after", AUDIT, self.audit_at))

    def counters(self, room):
        return self.words(self.counted(room))

    @staticmethod
    def page(room):
        return "%s/private/counters.%s" % (RUN, room)

    @staticmethod
    def words(page):
        return dict(zip(reason_words(), page[1:]))

    def lines(self, audit):
        self.audit_at += len(audit.encode())
        return [json.loads(line) for line in audit.splitlines()]


class Stage:
    """Hosts a and b (and c), enrolled with each other, daemons running, one policy."""

    def __init__(self, hosts="ab", **config):
        self.hosts = {n: Host(n) for n in hosts}
        self.a, self.b, self.c = (self.hosts.get(n) for n in "abc")
        self.actors = []
        self.seen = []                          # every token that sign() got
        self.port = 7000
        entries = self.each(Host.enrol)

        def furnish(h):
            h.trust(entries)
            h.config(**config)
        self.each(furnish)

    def each(self, work):
        """work(host) for all of them at the same time: what takes seconds in one guest does so in every guest."""
        with concurrent.futures.ThreadPoolExecutor(len(self.hosts)) as pool:
            return list(pool.map(work, self.hosts.values()))

    def start(self, builds=None, args=""):
        self.each(lambda h: h.start((builds or {}).get(h.name), args))

    def keep(self):
        """What the hosts have on disk now is what again() gives them back, even after a test that reset one."""
        self.each(lambda h: h.sh("rm -rf {k} && mkdir {k} && cp -a {c} {k}/conf && cp -a {s} {k}/state".format(
            k=KEPT, c=CONF, s=STATE)))

    def again(self, build, at):
        """Fresh daemons of another build on the hosts @at, of the shipped one on the others, where one that runs is left
        alone; all of them on disks as keep() found them."""
        def anew(h):
            wanted, whole = build if h.name in at else BUILD_MAIN, h.as_kept()
            if whole and h.build == wanted and h.daemon_up and h.ask("alive", h.pid):
                return
            h.end()
            if not whole:
                h.restore()
            h.start(wanted)
        self.each(anew)

    def restart(self, **config):
        """New daemons with another configuration (or the standard one), on the kernel side of the ones before."""
        def again(h):
            h.stop()
            h.config(**config)
            h.start()
        self.each(again)

    @contextlib.contextmanager
    def policy(self, hosts="ab", **config):
        """Another configuration by reload, and the standard one again at the end."""
        for name in hosts:
            self.hosts[name].config(**config)
            self.hosts[name].reloaded()
        try:
            yield
        finally:
            for name in hosts:
                self.hosts[name].config()
                self.hosts[name].reloaded()

    def stop(self):
        self.dismiss()
        self.each(Host.stop)

    def actor(self, host, cgroup="/good", uid=None, **more):
        """An actor of a workload; /good plays as uid 1001, the others as 1002."""
        a = Actor(host, cgroup, uid if uid is not None else (1001 if cgroup == "/good" else 1002), **more)
        self.actors.append(a)
        return a

    def dismiss(self):
        for a in self.actors:
            a.close()
        self.actors = []

    # ---- what most tests begin with ----

    def clock(self, host):
        """The clock of a host, as rawtcp knows to turn it: "now", "step NANOSECONDS"."""
        return self.actor(host, "/nobody", 0, actor=BUILD_MAIN + "/tests-vm/rawtcp")

    def service(self, host=None, cgroup="/svc", ip=None, options=""):
        """An actor listening as "l"; its .at is "IP PORT"."""
        host = host or self.b
        self.port += 1
        s = self.actor(host, cgroup)
        s.at = "%s %d" % (ip or host.ip, self.port)
        s.must("listen l %s %s" % (s.at, options))
        s.count = 0
        return s

    def connect(self, client, service, name="c", options=""):
        """A connection; client keeps it as @name, service as the returned name."""
        client.must("connect %s %s %s" % (name, service.at, options))
        service.count += 1
        service.must("accept s%d l" % service.count)
        return "s%d" % service.count

    def reset(self, client, name, service, end):
        """The connection is reset, and gone on both hosts: its addresses are free. A room may have held a descriptor of
        the client's socket, so that the reset leaves after the client's close; the service's end waits for it."""
        client.must("reset " + name)
        service("recv " + end)
        service.must("close " + end)

    def audience(self, path="/svc"):
        return "spiffe://%s%s" % (TD, path)

    def sign(self, client, name="c", to="/svc"):
        t = client.must("sign %s %s" % (name, self.audience(to)))
        self.seen += [t["wit"], t["wpt"]]
        return t

    @staticmethod
    def claims(t, which="wpt"):
        part = t[which].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    def verify(self, service, name, t, expect="client"):
        return service("verify %s %s %s %s" % (name, expect, t["wit"], t["wpt"]))

    def accepted(self, client, service, **more):
        """The legitimate variant: a fresh connection, an assertion, an accept."""
        name = self.connect(client, service, "control", **more)
        v = self.verify(service, name, self.sign(client, "control"))
        if not v["ok"]:
            raise Wrong("the legitimate presentation was refused: %s" % v)
        if v["subject"] != self.audience("/good"):
            raise Wrong("accepted, but as %s" % v["subject"])
        client("reset control")
        service("close " + name)
        return v

    def refused(self, attack, reason, host, room="check", control=None, public=None, lines=1):
        """attack() -> the daemon's answer. @reason: the exact word (or several) in audit and counter; @public: what
        the asker reads, where it is another. @lines 0: refused by the kernel before any request."""
        reasons = [reason] if isinstance(reason, str) else list(reason)
        if control:
            control()
        before_fds, before = host.look_before(room)
        answer = attack()
        if answer["ok"]:
            raise Accepted("%s" % {k: v for k, v in answer.items() if k not in ("wit", "wpt")})
        fds, audit, after = host.look(room)
        if lines:
            if answer.get("reason") not in ([public] if public else reasons):
                raise Wrong("refused, but with %s instead of %s" % (answer, public or reasons))
            seen = [l for l in audit if l.get("room") == room]
            if len(seen) != lines or any(l["reason"] not in reasons for l in seen):
                raise Wrong("audit: %d lines: %s" % (len(seen), [l["reason"] for l in seen]))
            moved = {w: after[w] - before[w] for w in after if after[w] != before[w]}
            if sum(moved.values()) != lines or any(w not in reasons for w in moved):
                raise Wrong("counters moved: %s" % moved)
            answer["audit"] = seen
        if fds != before_fds:
            until(lambda: all(n <= m for n, m in zip(host.fds(), before_fds)),
                  "descriptors to go back to %s" % before_fds)
        if control:
            control()
        return answer
