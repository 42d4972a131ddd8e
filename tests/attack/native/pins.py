# SPDX-License-Identifier: Apache-2.0
"""Restart, upgrade, kill -9, planted pins (attacks.md 42, 106, 153 to 155, 157 to 159), natively at level reduced, with a
bpffs, a cgroup and daemons of their own. Started by tests/attack/native/run with SUITE=pins. Every test begins with
nothing pinned. A test with twins runs once more with the daemon of each, and must then end in an accept.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from native_stage import CGROUPS, DIR, PATH, NativeStage  # noqa: E402
import stage  # noqa: E402
from stage import Accepted, Wrong, until  # noqa: E402

MAIN = stage.BUILD_MAIN
OBJECT, LAYOUT = MAIN + "/other/object", MAIN + "/other/layout"
PINS = "/sys/fs/bpf/cleat"
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
ROUNDS = max(3, int(50 * float(os.environ.get("ROUNDS", "1"))))
TESTS = []


def test(*numbers, twins=()):
    def mark(f):
        f.test = "attack_%s_%s" % ("_".join(map(str, numbers)), f.__name__)
        f.twins = twins
        TESTS.append(f)
        return f
    return mark


# ---- daemons ----

def arguments(build, run="run", etc="etc", pins=None):
    return [build + "/cleatd", "run", "--level", "reduced", "--cgroup", CGROUPS, "--config-dir", DIR + "/" + etc,
            "--state-dir", DIR + "/var", "--runtime-dir", DIR + "/" + run, "--audit", DIR + "/audit.jsonl"] + (
                ["--pins", pins] if pins else [])


def cleatd(*args):
    """(exit status, what it said) of a daemon that is to end by itself."""
    p = subprocess.run(list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=60)
    return p.returncode, p.stdout


def refused_start(build, *what, **more):
    """The start must be refused, at once, in one line that says all of @what."""
    rc, said = cleatd(*arguments(build, **more))
    if rc == 0 or not all(w in said for w in what):
        raise Wrong("exit %d instead of a refusal that says %s: %s" % (rc, what, said))
    return said


def kill(s):
    s.a.p.kill()
    s.a.p.wait(20)


def up(s, build, pins, **more):
    """Starts @build; @pins: what it must say of them."""
    s.a.start(build, arguments=arguments(build, **more))
    said = re.search(r"pins=(\w+)", open(DIR + "/log").read()).group(1)
    if said != pins:
        raise Wrong("pins %s instead of %s: %s" % (said, pins, open(DIR + "/log").read()))


def disarm():
    rc, said = cleatd(MAIN + "/cleatd", "disarm")
    if rc:
        raise Wrong(said)
    return said


def config(s):
    return json.loads(subprocess.run([MAIN + "/cleatctl", "--json", "status"], stdout=subprocess.PIPE, text=True).stdout)


def the_set():
    names = os.listdir(PINS)
    if len(names) != 1:
        raise Wrong("not one set: %s" % names)
    return PINS + "/" + names[0]


def bpftool(*args):
    p = subprocess.run(["bpftool", "-j"] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        raise Wrong("bpftool %s: %s" % (args, p.stdout + p.stderr))
    return json.loads(p.stdout) if p.stdout.strip() else None


def attached():
    """The hooks on our cgroup: sorted names of their programs."""
    return sorted(h["name"] for h in bpftool("cgroup", "list", CGROUPS) or [])


HOOKS = ["reduced_birth", "reduced_conn", "reduced_conn4", "reduced_conn6"]


def hooks(times=1):
    if attached() != sorted(HOOKS * times):
        raise Wrong("attached: %s" % attached())


# ---- what is said of a connection ----

def present(s, svc, name, t, reason):
    """verify() must answer @reason."""
    v = s.verify(svc, name, t)
    if v["ok"] and reason != "ok":
        raise Accepted("instead of %s: %s" % (reason, v))
    if not v["ok"] and v.get("reason") != reason:
        raise Wrong("%s instead of %s" % (v, reason))


def untagged(s, good, name):
    """The socket's tag is not believed any more, and the audit says so."""
    s.a.audit()
    r = good("sign %s %s" % (name, s.audience()))
    if r["ok"]:
        raise Accepted("an assertion for a socket of another kernel side: seq %d" % s.claims(r)["cleat/conn"]["seq"])
    said = [l["reason"] for l in s.a.audit() if l.get("ask") == "sign"]
    if said != ["untagged"]:
        raise Wrong("%s, in the audit %s" % (r, said))


def scene(s):
    """A connection; two assertions, of which the first is accepted and the second kept."""
    good, svc = s.actor(s.a), s.service()
    one = s.connect(good, svc, "one")
    used, unused = s.sign(good, "one"), s.sign(good, "one")
    present(s, svc, one, used, "ok")
    return good, svc, one, used, unused


def goes_on(s, good, svc, one, used, unused):
    """The same connection after a restart: its seq, its window, its cb are what they were."""
    present(s, svc, one, used, "replayed")
    present(s, svc, one, unused, "ok")
    present(s, svc, one, unused, "replayed")
    last = number(s, unused)
    for i in range(20):     # sixteen in a row are written one by one, then sixteen ahead: so many may be left out
        t = s.sign(good, "one")
        if not last < number(s, t) <= last + (1 if i else 16):
            raise Wrong("number %d behind %d" % (number(s, t), last))
        last = number(s, t)
        present(s, svc, one, t, "ok")
    return t, s.sign(good, "one")


def number(s, t):
    return s.claims(t)["cleat/conn"]["seq"]


# ---- restart ----

@test(42, 106, 155)
def restart(s, build):
    """kill -9, stop, start: what is open goes on, what is opened meanwhile is tagged, what was used is used."""
    up(s, build, "fresh")
    actors = scene(s)
    good, svc, one = actors[:3]
    before = config(s)
    for end in (kill, lambda s: s.a.stop()):
        end(s)
        r = good("sign one " + s.audience())
        if r["ok"] or "reason" in r:
            raise Accepted("without a daemon: %s" % r)
        hooks()
        s.connect(good, svc, "meanwhile")
        up(s, build, "adopted")
        last = number(s, actors[4])
        actors = good, svc, one, *goes_on(s, *actors)
        left_out = number(s, actors[3]) - last - 20
        name = "s%d" % svc.count
        present(s, svc, name, s.sign(good, "meanwhile"), "ok")
        svc.must("close " + name)
        good.must("close meanwhile")
    if config(s)["epoch"] != before["epoch"]:
        raise Wrong("the epoch moved")
    s.a.stop()
    left = [n for n in os.listdir(DIR + "/run") if n.endswith(".sock")]
    if left:
        raise Accepted("stale: %s" % left)
    if not left_out:
        raise Wrong("nothing was written ahead: this test has not tried it")
    return "two restarts, epoch %d, %d numbers left out" % (before["epoch"], left_out)


class Load:
    """Pairs of actors that connect, sign and present each assertion twice, whatever the daemon does."""

    def __init__(self, s, pairs=3):
        self.s, self.stop = s, threading.Event()
        self.accepts, self.refusals, self.lost, self.ahead, self.wrong = 0, {}, 0, 0, []
        self.threads = [threading.Thread(target=self.run, args=(s.actor(s.a), s.service())) for _ in range(pairs)]
        for t in self.threads:
            t.start()

    def run(self, good, svc):
        try:
            while not self.stop.is_set():
                name, last = self.s.connect(good, svc, "c"), 0
                for _ in range(24):     # past the 16th number they are written ahead (flow/seq.c)
                    last = self.one(good, svc, name, last)
                good.must("reset c")
                svc.must("close " + name)
        except Exception as e:  # noqa: BLE001 - the test reads it
            self.wrong.append(repr(e))

    def one(self, good, svc, name, last):
        t = good("sign c " + self.s.audience())
        if not t["ok"]:
            self.no(t)
            return last
        seq, oks = number(self.s, t), 0
        if seq <= last:
            self.wrong.append("number %d behind %d" % (seq, last))
        self.ahead += last and seq > last + 1
        for _ in range(4):              # each until two answers came
            v = svc("verify %s client %s %s" % (name, t["wit"], t["wpt"]))
            if v["ok"]:
                oks += 1
            else:
                self.no(v)
        self.accepts += oks
        if oks > 1:
            self.wrong.append("accepted %d times" % oks)
        return seq

    def no(self, answer):
        if "reason" in answer:
            self.refusals[answer["reason"]] = self.refusals.get(answer["reason"], 0) + 1
        else:
            self.lost += 1

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        self.check()
        return "%d accepts, refused %s, %d times no daemon, numbers left out %d times" % (
            self.accepts, self.refusals, self.lost, self.ahead)

    def check(self):
        twice = [w for w in self.wrong if "accepted" in w]
        if twice:
            raise Accepted(twice[0])
        if self.wrong:
            raise Wrong(self.wrong[0])
        if set(self.refusals) - {"replayed"}:       # a socket without a tag would be not-yours
            raise Wrong("refused: %s" % self.refusals)


@test(154, 155, twins=("seq",))
def kill_loop(s, build):
    """kill -9 at random moments under load, fifty times, and an upgrade or downgrade each fifth time."""
    chance = random.Random(SEED)
    load, now, changes = None, build, 0
    up(s, build, "fresh")
    load = Load(s)
    try:
        for i in range(ROUNDS):
            threading.Event().wait(chance.random() * 0.05)      # the moment is the attack
            victim = chance.choice(s.a.rooms())
            os.kill(victim, 9)
            s.a.p.wait(20)
            then, now = now, chance.choice((build, OBJECT)) if i % 5 == 4 else now
            changes += then != now
            up(s, now, "adopted" if then == now else "changed")
            load.check()
        before = load.accepts
        until(lambda: load.accepts > before or load.wrong, "an accept after the last start")
    finally:
        said = load.end()
    hooks()
    s.a.stop()
    return "seed %d, %d kills, %d changes: %s" % (SEED, ROUNDS, changes, said)


def traced(pid, *options):
    """strace on the thread that serves (all of them would wait for each other at the end); returns when it is attached."""
    p = subprocess.Popen(["strace", "-qq", "-p", str(pid)] + list(options), stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def attached_or_dead():             # what waits in a system call enters it anew: it may be the one
        try:
            return "TracerPid:\t0" not in open("/proc/%d/status" % pid).read()
        except FileNotFoundError:
            return True
    until(attached_or_dead, "strace to be attached")
    return p


def room_of(s, which):
    for pid in s.a.rooms()[1:]:
        if open("/proc/%d/comm" % pid).read().strip() == "cleatd-" + which:
            return pid
    raise Wrong("no %s room" % which)


def steps_of(s, room, act, least):
    """The room's system calls during one act: [(name, which of that name)]; @least: so many of bpf(2) make it one."""
    log = DIR + "/strace"
    p = traced(room_of(s, room), "-o", log)
    act()
    p.terminate()
    p.wait()
    steps, counts = [], {}
    for line in open(log):
        name = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if name and name.group(1) not in ("restart_syscall", "rt_sigreturn"):
            counts[name.group(1)] = counts.get(name.group(1), 0) + 1
            steps.append((name.group(1), counts[name.group(1)]))
    if counts.get("bpf", 0) < least or len(steps) < 8:
        raise Wrong("the trace shows no request: %s" % steps)
    return steps


def cut(s, build, room, step, act):
    """@room is killed before one step of act(), the daemon started again; what act() said."""
    p = traced(room_of(s, room), "-o", "/dev/null", "-e", "inject=%s:signal=KILL:when=%d" % step)
    said = act()
    p.terminate()
    p.wait()
    if not said["ok"]:
        until(lambda: s.a.p.poll() is not None, "the daemon to end after %s %d" % step, 5)
    if s.a.p.poll() is None:
        kill(s)
    up(s, build, "adopted")
    return said


@test(42, twins=("seq",))
def crash_at_every_step(s, build):
    """The check room is killed before each system call of an accept, the daemon started again, the same presented again."""
    up(s, build, "fresh")
    good, svc, one, _, unused = scene(s)
    steps = steps_of(s, "check", lambda: present(s, svc, one, unused, "ok"), 5)
    outcomes = {}
    for step in steps:
        t = s.sign(good, "one")
        first = cut(s, build, "check", step, lambda: s.verify(svc, one, t))
        second = s.verify(svc, one, t)
        third = s.verify(svc, one, t)
        if sum(v["ok"] for v in (first, second, third)) > 1:
            raise Accepted("twice, killed before %s %d" % step)
        if third.get("reason") != "replayed":
            raise Wrong("killed before %s %d: %s" % (step + (third,)))
        key = ("answered" if first["ok"] else "cut off", "again ok" if second["ok"] else "again " + second["reason"])
        outcomes[key] = outcomes.get(key, 0) + 1
    s.a.stop()
    return "%d steps: %s" % (len(steps), outcomes)


@test(42, 154, twins=("seq_written",))
def no_number_twice(s, build):
    """The sign room is killed before each system call of the first sign of a connection, and of the one that writes numbers
    ahead; what the next daemon gives is higher than all that came before."""
    up(s, build, "fresh")
    good, svc = s.actor(s.a), s.service()
    def ask():
        return good("sign one " + s.audience())
    tried = 0
    for before in (0, 15):
        s.connect(good, svc, "one")
        for _ in range(before):
            s.sign(good, "one")
        steps = steps_of(s, "sign", ask, 3)
        good.must("close one")
        for step in steps:
            one = s.connect(good, svc, "one")
            signed = [s.sign(good, "one") for _ in range(before)]
            t = cut(s, build, "sign", step, ask)
            signed += [t] if t["ok"] else []
            new = s.sign(good, "one")
            if signed and number(s, new) <= number(s, signed[-1]):
                raise Accepted("number %d after %d, killed before %s %d" % ((number(s, new), number(s, signed[-1])) + step))
            present(s, svc, one, new, "ok")
            good.must("close one")
            svc.must("close " + one)
            tried += 1
    s.a.stop()
    return "%d steps" % tried


# ---- upgrade, another layout ----

def start_cut(build, call, nth):
    """A start of @build that is killed before its @nth @call. True: it did not get there."""
    log = open(DIR + "/log.cut", "wb")
    p = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                          "inject=%s:signal=KILL:when=%d" % (call, nth)] + arguments(build), stdin=subprocess.DEVNULL,
                         stdout=log, stderr=log)
    try:
        until(lambda: p.poll() is not None or " ready " in open(DIR + "/log.cut").read(), "the start to be cut", 60)
        return p.poll() is None
    finally:
        if p.poll() is None:
            subprocess.run(["pkill", "-KILL", "-P", str(p.pid)])
        p.wait()
        log.close()


@test(155, 157)
def upgrade_cut_anywhere(s, build):
    """An upgrade is killed before every rename and pin of its take-over, and at other moments; whoever comes next, the new
    one or the old one, completes it, and the connection goes on."""
    up(s, build, "fresh")
    actors, done, now = scene(s), 0, build
    good, svc, one = actors[:3]
    epoch = config(s)["epoch"]
    s.a.stop()
    for call, step in (("renameat", 1), ("unlinkat", 1), ("bpf", 5)):
        nth = 1
        while not start_cut(OBJECT if now == build else build, call, nth):
            done += 1
            now = (build, OBJECT)[done // 2 % 2]
            s.a.start(now, arguments=arguments(now))
            said = open(DIR + "/log").read()
            if "pins=adopted" not in said and "pins=changed" not in said:
                raise Wrong("cut before %s %d: %s" % (call, nth, said))
            hooks()
            actors = good, svc, one, *goes_on(s, *actors)
            s.a.stop()
            left = os.listdir(the_set())
            if any(n.endswith("_new") or n.startswith("manifest_") for n in left):
                raise Wrong("left: %s" % left)
            nth += step
        now = OBJECT if now == build else build         # it got through
    up(s, now, "adopted")
    goes_on(s, *actors)
    if config(s)["epoch"] != epoch:
        raise Wrong("the epoch moved")
    s.a.stop()
    return "%d cuts" % done


@test(157, twins=("pins_layout",))
def other_layout(s, build):
    """Sets of another ABI, older and newer: a fresh set, the other one goes, and what was tagged there is untagged."""
    for first, second in ((LAYOUT, build), (build, LAYOUT)):
        if first == build and build != MAIN:
            continue                    # the twin has shown what it does
        up(s, first, "fresh")
        good, svc, one, used, unused = scene(s)
        old = the_set()
        s.a.stop()
        s.a.start(second, arguments=arguments(second))
        if "pins=adopted" not in open(DIR + "/log").read() and "another layout" not in open(DIR + "/log").read():
            raise Wrong("the log does not say why: " + open(DIR + "/log").read())
        untagged(s, good, "one")
        for t in (used, unused):
            present(s, svc, one, t, "not-yours")
        if the_set() == old:
            raise Wrong("the old set is still there")
        hooks()
        s.accepted(s.actor(s.a), s.service())
        s.a.stop()
        disarm()
        s.dismiss()
    return "up and down"


@test(157, twins=("pins_lineage",))
def labels_of_another_directory(s, build):
    """Pins made under one run-time directory, adopted under another, where the same label is somebody else's."""
    up(s, build, "fresh")
    good, svc = s.actor(s.a), s.service()
    s.connect(good, svc, "one")
    heir = good.child("heir")           # inherits the socket, and lives in the other workload
    s.a.sh("echo %d >%s/svc/cgroup.procs" % (heir.pid, CGROUPS))
    r = heir("sign one " + s.audience("/good"))
    if r["ok"] or r["reason"] != "not-yours":
        raise Wrong("the heir: %s" % r)
    s.a.stop()
    shutil.copytree(DIR + "/etc", DIR + "/etc2", dirs_exist_ok=True)
    with open(DIR + "/etc2/cleat.yaml", "w") as f:      # the other one is the first here
        f.write("version: 1\ntrust_domain: test.example\nhost: a\nclock: unsynchronised-ok\nworkloads:\n"
                "  - { id: /svc, match: { cgroup: %s/svc } }\n  - { id: /good, match: { cgroup: %s/good, uid: 1001 } }\n"
                "call:\n  - { from: /svc, to: [ /good ] }\n" % (PATH, PATH))
    # where the players look, stands another directory
    os.rename(DIR + "/run", DIR + "/run.first")
    try:
        s.a.start(build, arguments=arguments(build, etc="etc2"))
        r = heir("sign one " + s.audience("/good"))
        if r["ok"]:
            raise Accepted("an assertion as %s for a socket of /good" % s.claims(r, "wit")["sub"])
        if r["reason"] != "not-yours":
            raise Wrong(r)
        if "pins=replaced" not in open(DIR + "/log").read():
            raise Wrong(open(DIR + "/log").read())
        s.a.stop()
    finally:
        shutil.rmtree(DIR + "/run")
        os.rename(DIR + "/run.first", DIR + "/run")
    return "replaced"


# ---- two daemons, planted pins, half a set ----

@test(158)
def two_daemons(s, build):
    """Another configuration, another run-time directory, the same pins; and the same binary started twice."""
    up(s, build, "fresh")
    actors = scene(s)
    shutil.copytree(DIR + "/etc", DIR + "/etc2", dirs_exist_ok=True)
    refused_start(build, "another cleatd uses these pins", run="run2", etc="etc2")
    refused_start(build, "another cleatd runs there")
    refused_start(OBJECT, "another cleatd uses these pins", run="run2")
    rc, said = cleatd(build + "/cleatd", "disarm")
    if rc == 0 or "stop it first" not in said:
        raise Wrong("disarm beside a daemon: %d %s" % (rc, said))
    hooks()
    crowd = [subprocess.Popen(arguments(build, run="crowd%d" % i), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) for i in range(8)]
    if not all(p.wait(30) for p in crowd):
        raise Accepted("a second one runs")
    hooks()
    goes_on(s, *actors)
    s.a.stop()
    return "%d refused" % (len(crowd) + 4)


def plants(s):
    """name -> what root left in the set, and what the refusal must name."""
    at = the_set()

    def other_program():
        # the same name, other instructions: the other build's own, attached to the same cgroup
        os.makedirs(DIR + "/bpf", exist_ok=True)
        subprocess.run(["mount", "-t", "bpf", "bpf", DIR + "/bpf"], check=True)
        p = subprocess.Popen(arguments(OBJECT, run="run2", pins=DIR + "/bpf/cleat"), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            for line in p.stdout:
                if " ready " in line:
                    break
            else:
                raise Wrong("the other build does not run")
            theirs = DIR + "/bpf/cleat/" + os.listdir(DIR + "/bpf/cleat")[0]
            link = bpftool("link", "show", "pinned", theirs + "/link_reduced_conn")
            link = link[0] if isinstance(link, list) else link
            os.unlink(at + "/link_reduced_conn")
            bpftool("link", "pin", "id", str(link["id"]), at + "/link_reduced_conn")
        finally:
            p.kill()
            p.wait()
            p.stdout.close()

    def other_maps():
        # the same programs, over maps of the same shape that another daemon made
        os.makedirs(DIR + "/bpf", exist_ok=True)
        subprocess.run(["mount", "-t", "bpf", "bpf", DIR + "/bpf"], check=True)
        p = subprocess.Popen(arguments(MAIN, run="run2", pins=DIR + "/bpf/cleat"), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            if not any(" ready " in line for line in p.stdout):
                raise Wrong("the other daemon does not run")
            theirs = DIR + "/bpf/cleat/" + os.listdir(DIR + "/bpf/cleat")[0]
            os.unlink(at + "/map_cleat_cb")
            bpftool("map", "pin", "id", str(bpftool("map", "show", "pinned", theirs + "/map_cleat_cb")["id"]),
                    at + "/map_cleat_cb")
            os.unlink(at + "/map_cleat_rules")
            bpftool("map", "pin", "id", str(bpftool("map", "show", "pinned", theirs + "/map_cleat_rules")["id"]),
                    at + "/map_cleat_rules")
        finally:
            p.kill()
            p.wait()
            p.stdout.close()

    def swapped():
        os.rename(at + "/link_reduced_conn4", at + "/x")
        os.rename(at + "/link_reduced_conn6", at + "/link_reduced_conn4")
        os.rename(at + "/x", at + "/link_reduced_conn6")

    def other_map(name, *shape):
        os.unlink(at + "/" + name)
        bpftool("map", "create", at + "/" + name, *shape)

    def link_is_map():
        os.unlink(at + "/link_reduced_birth")
        bpftool("map", "create", at + "/link_reduced_birth", "type", "array", "key", "4", "value", "4", "entries", "1",
                "name", "reduced_birth")

    def symlink():
        os.rename(at + "/map_cleat_cb", PINS + "/" + os.path.basename(at) + "/map_cleat_x")
        os.symlink("map_cleat_x", at + "/map_cleat_cb")

    return {
        "another program": (other_program, "link_reduced_conn"),
        "other maps": (other_maps, "works on other maps"),
        "links swapped": (swapped, "link_reduced_conn"),
        "a smaller map": (lambda: other_map("map_cleat_cb", "type", "hash", "key", "40", "value", "24", "entries", "1",
                                            "name", "cleat_cb", "flags", "1"), "map_cleat_cb"),
        "a map of another name": (lambda: other_map("map_cleat_cb", "type", "hash", "key", "40", "value", "24", "entries",
                                                    "65536", "name", "cleat_bc", "flags", "1"), "map_cleat_cb"),
        "a manifest that can be written": (lambda: manifest_forged(at, lambda value: value, freeze=False), "manifest"),
        "a map for a link": (link_is_map, "link_reduced_birth"),
        "a symlink": (symlink, "map_cleat_"),
        "an unknown name": (lambda: bpftool("map", "create", at + "/evil", "type", "array", "key", "4", "value", "4",
                                            "entries", "1", "name", "evil"), "evil"),
        "somebody's": (lambda: os.chown(at + "/map_cleat_cb", 1001, 0), "map_cleat_cb"),
        "a directory of somebody's": (lambda: os.chown(at, 1001, 0), os.path.basename(at)),
        "beside the sets": (lambda: bpftool("map", "create", PINS + "/tc", "type", "array", "key", "4", "value", "4",
                                            "entries", "1", "name", "tc"), "/tc"),
        "a directory beside the sets": (lambda: os.mkdir(PINS + "/globals", 0o700), "/globals"),
        "open to others": (lambda: os.chmod(PINS, 0o755), PINS),
    }


@test(159, twins=("pins_over_maps",))
def planted(s, build):
    """What root or an older tool left in the place of our pins: the start is refused, names it and the way out, and changes
    nothing; disarm is that way."""
    names = list(plants_of(s, build))
    for name in names:
        up(s, MAIN, "fresh")
        s.a.stop()
        plant, says = plants(s)[name]
        plant()
        p = subprocess.run(["timeout", "5"] + arguments(build), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        if " ready " in p.stdout:
            raise Accepted("%s: it runs" % name)
        if says not in p.stdout or "disarm" not in p.stdout or p.returncode != 1:
            raise Wrong("%s: exit %d: %s" % (name, p.returncode, p.stdout))
        disarm()
        if attached() and name not in ("another program", "other maps") or os.path.exists(PINS):
            raise Wrong("%s: disarm left %s" % (name, attached()))
        if os.path.ismount(DIR + "/bpf"):
            subprocess.run(["umount", DIR + "/bpf"], check=True)
    no_bpffs(build)
    return "%d plants, each refused by name" % len(names)


def plants_of(s, build):
    up(s, MAIN, "fresh")
    s.a.stop()
    names = plants(s)
    disarm()
    return names


@test(159, twins=("disarm_ours",))
def disarm_is_ours(s, build):
    """A bpffs of its own for --pins: disarm removes our set, and nothing where something lies there that is no set; neither
    does it in a directory of another tool's."""
    at = DIR + "/own"                   # a part of one, where the kernel has put nothing
    for d in (DIR + "/bpf", at):
        os.makedirs(d, exist_ok=True)
    subprocess.run(["mount", "-t", "bpf", "bpf", DIR + "/bpf"], check=True)
    os.mkdir(DIR + "/bpf/own", 0o700)
    subprocess.run(["mount", "--bind", DIR + "/bpf/own", at], check=True)
    array = ("type", "array", "key", "4", "value", "4", "entries", "1", "name", "tc")
    s.a.start(MAIN, arguments=arguments(MAIN, pins=at))
    s.a.stop()
    bpftool("map", "create", at + "/tc", *array)
    os.mkdir(at + "/globals", 0o700)
    bpftool("map", "create", at + "/globals/tc", *array)
    for pins, what in ((at, "/tc"), (at + "/globals", "/globals/tc")):
        rc, said = cleatd(build + "/cleatd", "disarm", "--pins", pins)
        if not os.path.exists(at + what):
            raise Accepted("%s is gone: %s" % (what, said))
        if rc == 0 or "nothing is removed" not in said:
            raise Wrong("exit %d: %s" % (rc, said))
    hooks()
    os.unlink(at + "/tc")
    os.unlink(at + "/globals/tc")
    os.rmdir(at + "/globals")
    rc, said = cleatd(build + "/cleatd", "disarm", "--pins", at)
    if rc or attached() or os.listdir(at):
        raise Wrong("exit %d: %s; left %s" % (rc, said, os.listdir(at)))
    return said.split("disarm ")[-1].strip()


def no_bpffs(build):
    os.makedirs(DIR + "/plain", mode=0o700, exist_ok=True)
    refused_start(build, "is on no bpffs", pins=DIR + "/plain")
    refused_start(build, "need a bpffs", pins=DIR + "/none/cleat")
    os.symlink("/sys/fs/bpf", DIR + "/link")
    refused_start(build, "is no directory", pins=DIR + "/link")
    os.unlink(DIR + "/link")


@test(157)
def half_a_set(s, build):
    """Each pin missing once: the set is not adopted, what was tagged under it is untagged, and the log names the pin."""
    up(s, build, "fresh")
    names = sorted(os.listdir(the_set()))
    s.a.stop()
    for name in ("manifest", "link_reduced_birth", "map_cleat_cb", "map_cleat_window", "map_cleat_config"):
        if name not in names:
            raise Wrong("no %s" % name)
        s.a.start(build, arguments=arguments(build))
        good, svc, one, used, _ = scene(s)
        s.a.stop()
        os.unlink(the_set() + "/" + name)
        up(s, build, "replaced")
        if name.replace("link_", "") not in open(DIR + "/log").read():
            raise Wrong("the log does not name %s" % name)
        untagged(s, good, "one")
        present(s, svc, one, used, "not-yours")
        hooks()
        s.accepted(s.actor(s.a), s.service())
        s.a.stop()
        s.dismiss()
    # the cgroup it was attached to is another one
    os.makedirs(CGROUPS + "/inner", exist_ok=True)
    moved = [a if a != CGROUPS else CGROUPS + "/inner" for a in arguments(build)]
    s.a.start(build, arguments=moved)
    if "pins=replaced" not in open(DIR + "/log").read() or attached():
        raise Wrong("attached elsewhere: %s" % open(DIR + "/log").read())
    s.a.stop()
    disarm()
    os.rmdir(CGROUPS + "/inner")
    return "5 pins, each missing once; and another cgroup"


@test(154, 157)
def lost_and_pinned_again(s, build):
    """Each kind of pin is removed under a daemon that runs: it is there again, also where a death left the name that it is
    made under; and a start completes what a death left of that."""
    up(s, build, "fresh")
    actors, at = scene(s), the_set()
    names = ("manifest", "link_reduced_conn", "map_cleat_cb")

    def log():
        return open(DIR + "/log").read()
    for name in names:
        if name == "map_cleat_cb":
            bpftool("map", "pin", "id", str(bpftool("map", "show", "pinned", at + "/map_cleat_cb")["id"]), at + "/" + name + "_new")
        before = log().count("pinned again")
        os.unlink(at + "/" + name)
        until(lambda: log().count("pinned again") > before, "%s to be pinned again" % name, 10)
        if not os.path.exists(at + "/" + name) or os.path.exists(at + "/" + name + "_new"):
            raise Wrong("%s: %s" % (name, os.listdir(at)))
    good, svc, one = actors[:3]
    for name in names + ("beside",):
        kill(s)
        if name == "beside":            # the rename was refused
            bpftool("map", "pin", "id", str(bpftool("map", "show", "pinned", at + "/map_cleat_cb")["id"]), at + "/map_cleat_cb_new")
        else:
            os.rename(at + "/" + name, at + "/" + name + "_new")
        up(s, build, "changed")
        hooks()
        actors = good, svc, one, *goes_on(s, *actors)
        left = os.listdir(the_set())
        if any(n.endswith("_new") or n.startswith("manifest_") for n in left) or not set(names) <= set(left):
            raise Wrong("left: %s" % left)
    s.a.stop()
    return "%d lost, 4 deaths" % len(names)


MANIFEST_HEAD, MANIFEST_ROW = 56, 56


def manifest_forged(at, change, flags="0", freeze=True):
    """The set's manifest anew, frozen as ours is or not, with other bytes."""
    rows = bpftool("map", "lookup", "pinned", at + "/manifest", "key", "hex", "00", "00", "00", "00")["value"]
    value = change(bytearray(int(b, 16) for b in rows))
    os.unlink(at + "/manifest")
    bpftool("map", "create", at + "/manifest", "type", "array", "key", "4", "value", str(len(value)), "entries", "1",
            "name", "cleat_manifest", "flags", flags)
    bpftool("map", "update", "pinned", at + "/manifest", "key", "hex", "00", "00", "00", "00", "value", "hex",
            *["%02x" % b for b in value])
    if freeze:
        bpftool("map", "freeze", "pinned", at + "/manifest")


def without(name):
    def change(value):
        count = int.from_bytes(value[4:8], "little")
        rows = [value[MANIFEST_HEAD + i * MANIFEST_ROW:][:MANIFEST_ROW] for i in range(count)]
        rows = [r for r in rows if r.split(b"\0")[0].decode() != name]
        value[4:8] = len(rows).to_bytes(4, "little")
        value[MANIFEST_HEAD:] = b"".join(rows).ljust(len(value) - MANIFEST_HEAD, b"\0")
        return value
    return change


@test(157, twins=("pins_whole",))
def manifest_of_less(s, build):
    """A manifest that names our object and leaves out one of its programs, and the set is without that hook: no whole set. Of
    another object it is taken over, and what was born without the hook is of an epoch that is over. One that the kernel
    calls frozen and that was made to be mapped is none."""
    def other_object(value):
        value[8] ^= 1
        return without("reduced_conn6")(value)
    up(s, MAIN, "fresh")
    epoch = config(s)["epoch"]
    s.a.stop()
    os.unlink(the_set() + "/link_reduced_conn6")
    manifest_forged(the_set(), other_object)
    up(s, MAIN, "changed")
    hooks()
    if config(s)["epoch"] <= epoch:
        raise Wrong("the epoch goes on")
    s.a.stop()
    os.unlink(the_set() + "/link_reduced_conn6")
    manifest_forged(the_set(), without("reduced_conn6"))
    s.a.start(build, arguments=arguments(build))
    if "pins=adopted" in open(DIR + "/log").read():
        raise Accepted("without a hook of its own: %s" % attached())
    if "reduced_conn6 is missing" not in open(DIR + "/log").read():
        raise Wrong(open(DIR + "/log").read())
    hooks()
    s.a.stop()
    manifest_forged(the_set(), lambda value: value, flags="1024")
    said = refused_start(build, "manifest", "disarm")
    return said.split("error=")[-1].strip()[:120]


@test(157)
def replaced_in_one_step(s, build):
    """A start that puts a fresh set in the place of an unfit one is killed before each of its renames: at any moment a set
    has the name, and its hooks are attached."""
    done = 0
    for call in ("renameat", "renameat2"):
        nth = 1
        while True:
            s.a.start(build, arguments=arguments(build))
            s.a.stop()
            os.unlink(the_set() + "/map_cleat_cb")
            if start_cut(build, call, nth):
                break
            done, nth = done + 1, nth + 1
            left = os.listdir(PINS)
            if all(n.endswith(("_new", "_old")) for n in left) or not set(HOOKS) <= set(attached()):
                raise Wrong("cut before %s %d: %s, attached %s" % (call, nth, left, attached()))
    up(s, build, "adopted")
    hooks()
    s.a.stop()
    return "%d cuts" % done


def unproved(build):
    """A start whose live probe cannot be made."""
    rc, said = cleatd("strace", "-qq", "-o", "/dev/null", "-e", "trace=unshare", "-e", "inject=unshare:error=EAGAIN",
                      *arguments(build))
    if rc == 0 or "not-armed" not in said:
        raise Wrong("exit %d: %s" % (rc, said))


@test(153, 157)
def proof_before_the_others_go(s, build):
    """The live probe cannot be made: what the start attached is off again, and the set that was there before, of another
    layout or unfit, is where it was. The older build goes on with its own."""
    unproved(build)
    if attached() or os.listdir(PINS):
        raise Wrong("left: %s, %s" % (attached(), os.listdir(PINS)))
    up(s, LAYOUT, "fresh")
    actors, old = scene(s), the_set()
    s.a.stop()
    unproved(build)
    if the_set() != old:
        raise Wrong("the set before is gone")
    hooks()
    up(s, LAYOUT, "adopted")
    goes_on(s, *actors)
    s.a.stop()
    os.unlink(old + "/map_cleat_cb")
    unproved(LAYOUT)
    if the_set() != old or os.path.exists(old + "/map_cleat_cb"):
        raise Wrong("the unfit set is gone")
    hooks()
    return "a set of another layout and an unfit one stay"


@test(155, 157, twins=("full_remembered",))
def full_is_not_given_up(s, build):
    """A set of level full with our labels is pinned, and full fails: no level reduced is taken instead, which would remove
    it, unless root asks for it. One that was never armed, or has others' labels, is no reason."""
    up(s, build, "fresh")
    s.a.stop()
    manifest = str(bpftool("map", "show", "pinned", the_set() + "/manifest")["id"])
    old, full = the_set(), PINS + "/v1_full_0123456789abcdef"

    def plant():
        os.mkdir(full, 0o700)
        bpftool("map", "pin", "id", manifest, full + "/manifest")

    def auto(**more):
        return [a if a != "reduced" else "auto" for a in arguments(build, **more)]
    plant()
    p = subprocess.run(["timeout", "5"] + auto(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    if " ready " in p.stdout:
        raise Accepted("level reduced, and what full remembered is gone: %s" % p.stdout)
    if p.returncode != 1 or "remembers" not in p.stdout or "cleatd disarm" not in p.stdout:
        raise Wrong("exit %d: %s" % (p.returncode, p.stdout))
    if not os.path.exists(full + "/manifest"):
        raise Wrong("the set is gone")
    up(s, build, "adopted")                             # root asks for level reduced
    s.a.stop()
    if the_set() != old:
        raise Wrong("two sets")
    plant()
    bpftool("map", "create", full + "/map_cleat_config", "type", "array", "key", "4", "value", "24", "entries", "1",
            "name", "cleat_config")
    s.a.start(build, arguments=auto())                  # never armed
    s.a.stop()
    plant()
    s.a.start(build, arguments=auto(run="run2"))        # others' labels
    s.a.stop()
    return "refused once, taken three times"


@test(153)
def all_or_nothing(s, build):
    """A start that fails at any of its bpf calls leaves no hook and no set; the next one starts."""
    failed, whole_left = 0, 0
    for nth in range(2, 160, 4):
        log = open(DIR + "/log.cut", "wb")
        p = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e",
                              "inject=bpf:error=ENOMEM:when=%d" % nth] + arguments(build), stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log)
        until(lambda: p.poll() is not None or " ready " in open(DIR + "/log.cut").read(), "the start to end", 60)
        runs = p.poll() is None
        if runs:
            hooks()
            subprocess.run(["pkill", "-TERM", "-P", str(p.pid)])
        p.wait(20)
        log.close()
        if not runs:
            failed += 1
            left = os.listdir(PINS)
            if attached() != (HOOKS if left else []) or not all(whole(n) for n in left):
                raise Wrong("bpf call %d failed, and left %s, %s" % (nth, attached(), left))
            whole_left += bool(left)
        disarm()
    if failed < 10:
        raise Wrong("only %d starts failed" % failed)
    return "%d starts failed: nothing left, but for %d whole sets where it failed afterwards" % (failed, whole_left)


def whole(name):
    return not name.endswith(("_new", "_old")) and "manifest" in os.listdir(PINS + "/" + name)


def run_one(s, f, build):
    began = time.monotonic()
    try:
        verdict, why = "ok", f(s, build)
    except Accepted as e:
        verdict, why = "fail", "ACCEPTED: %s" % e
    except Wrong as e:
        verdict, why = "fail", str(e)
    except Exception:  # noqa: BLE001 - the next test must run
        verdict, why = "fail", traceback.format_exc()
    finally:
        s.dismiss()
        if s.a.p and s.a.p.poll() is None:
            s.a.p.kill()
            s.a.p.wait()
        for d in (DIR + "/own", DIR + "/bpf"):
            subprocess.run(["umount", d], stderr=subprocess.DEVNULL) if os.path.ismount(d) else None
        if os.path.exists(PINS):
            disarm()
    return verdict, why, time.monotonic() - began


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    chosen = [f for f in TESTS if not words or any(w in f.test for w in words)]
    if "--list" in sys.argv:
        print("\n".join("%s %s" % (f.test, ",".join(f.twins) or "-") for f in chosen))
        return 0
    counts = {"ok": 0, "fail": 0}
    s = NativeStage()
    s.a.p = None
    with open(DIR + "/etc/cleat.yaml", "a") as f:       # what a daemon waits where the memory of accepts is lost
        f.write("est_tolerance: 500ms\n")
    for f in chosen:
        verdict, why, took = run_one(s, f, MAIN)
        counts[verdict] += 1
        print("  %-5s %s (%.1fs): %s" % (verdict, f.test, took, why), flush=True)
        for twin in f.twins if "--no-twins" not in sys.argv else ():
            verdict, why, took = run_one(s, f, MAIN + "/twin/" + twin)
            caught = verdict == "fail" and why.startswith("ACCEPTED")
            counts["ok" if caught else "fail"] += 1
            print("  %-5s twin %s: %s (%.1fs): %s" % ("ok" if caught else "fail", twin, f.test, took,
                                                      "caught" if caught else "NOT CAUGHT: %s" % why), flush=True)
    print("%d passed, %d failed, 0 skipped" % (counts["ok"], counts["fail"]))
    return 0 if counts["ok"] and not counts["fail"] else 1


sys.exit(main())
