# SPDX-License-Identifier: Apache-2.0
"""The rooms: what each of them is held to, what it can say to the kernel room, and where the keys lie (attacks.md 128, 181)."""
import base64
import ctypes
import json
import os
import random
import select
import signal
import socket
import subprocess

import jail_look
from native_stage import CGROUPS, DIR
import stage
from stage import Accepted, Wrong, until

PIDFD_GETFD = 438
CHANNEL = 3         # enum room_fd
TELL_READY, TELL_DONE, TELL_IMAGE, TELL_ERROR, TELL_ALIVE = 4, 5, 6, 7, 11


def held(s):
    """Every thread of every room, by what the kernel says of it."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    wrong = jail_look.look(s.a.p.pid, "reduced", DIR + "/audit.jsonl")
    if wrong:
        raise Accepted("\n".join(wrong))
    s.accepted(good, svc)
    return "users, capabilities, root, descriptors, limits, filters"


# ---- 128: a room that was taken over, and what it says ----

def u32(*numbers):
    return b"".join(n.to_bytes(4, "little") for n in numbers)


def messages():
    """What a room that runs may not say: name, bytes, with a descriptor."""
    rng = random.Random(128)
    yield "ready once more", u32(TELL_READY), False
    yield "done with no reload", u32(TELL_DONE, 1, 0), False
    yield "alive unasked", u32(TELL_ALIVE), False
    yield "alive, and a byte", u32(TELL_ALIVE) + b"x", False
    yield "alive, and a descriptor", u32(TELL_ALIVE), True
    yield "an image, as the reader has it", u32(TELL_IMAGE, 99), True
    yield "an error, as the reader has it", u32(TELL_ERROR) + bytes(512), False
    yield "a key", u32(8, 0), True
    yield "start", u32(1) + bytes(40), False
    yield "stop", u32(3), False
    yield "an audit file", u32(12), True
    yield "half a type", b"\x04\x00", False
    yield "nothing at all", b"", True
    yield "longer than anything", u32(TELL_DONE) + bytes(4096), False
    for i in range(6):
        yield "any bytes, %d" % i, rng.randbytes(rng.randrange(1, 600)), False


class Daemon:
    """One of its own beside the stage's: each message ends one."""

    def __init__(self, n):
        self.log, self.run, self.pins = "%s/128.log.%d" % (DIR, n), "%s/128.run.%d" % (DIR, n), "/sys/fs/bpf/room%d" % n
        self.out = open(self.log, "wb")
        self.p = subprocess.Popen([stage.BUILD + "/cleatd", "run", "--level", "reduced", "--cgroup", CGROUPS, "--config-dir",
                                   DIR + "/etc", "--state-dir", DIR + "/var", "--runtime-dir", self.run, "--pins", self.pins, "--audit",
                                   "%s/128.audit.%d" % (DIR, n)], stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)

    def text(self):
        with open(self.log) as f:
            return f.read()

    def ready(self):
        if self.p.poll() is not None:
            raise Wrong("cleatd ended: " + self.text())
        return " ready " in self.text()

    def channel(self, room):
        """The room's own end, taken from it: whoever took the room over has it."""
        pidfd = os.pidfd_open(jail_look.rooms(self.p.pid)[room])
        fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, CHANNEL, 0)
        os.close(pidfd)
        if fd < 0:
            raise Wrong("the room's channel: " + os.strerror(ctypes.get_errno()))
        return socket.socket(fileno=fd)

    def whoami(self):
        return subprocess.run([stage.BUILD_MAIN + "/cleatctl", "--runtime-dir", self.run, "whoami"], capture_output=True,
                              text=True).stdout

    def status(self):
        return subprocess.run([stage.BUILD_MAIN + "/cleatctl", "--runtime-dir", self.run, "--json", "status"], check=True,
                              capture_output=True, text=True).stdout

    def stop(self):
        self.p.kill()
        self.p.wait()
        self.out.close()
        subprocess.run([stage.BUILD_MAIN + "/cleatd", "disarm", "--pins", self.pins], stderr=subprocess.DEVNULL, check=True)


def said(d, room, body, with_fd):
    """Sends it as the room; the daemon must end by itself, and say why."""
    with d.channel(room) as c:
        try:
            socket.send_fds(c, [body], [0]) if with_fd else c.send(body)
        except BrokenPipeError:
            pass
        try:
            rc = d.p.wait(10)
        except subprocess.TimeoutExpired:
            return "the daemon goes on"
    if rc == 0 or "error channel room=" + room not in d.text():
        return "it ended with %d: %s" % (rc, d.text())
    if os.path.exists(d.run + "/sign.sock") or os.path.exists(d.run + "/check.sock"):
        return "its sockets are there"
    return None


def fuzzed(s):
    """128: arbitrary messages to the kernel room. Each ends the daemon, with nothing signed or changed."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    cases = list(messages())
    daemons = [Daemon(i) for i in range(len(cases) + 1)]
    try:
        until(lambda: all(d.ready() for d in daemons), "the daemons to be ready", 60)
        for i, (what, body, with_fd) in enumerate(cases):
            room = ("sign", "check")[i % 2]
            wrong = said(daemons[i], room, body, with_fd)
            if wrong:
                raise Accepted("%s room: %s: %s" % (room, what, wrong))
            with open("%s/128.audit.%d" % (DIR, i)) as f:
                if f.read():
                    raise Accepted("%s: something was decided" % what)
        if daemons[-1].p.poll() is not None or "refused" in daemons[-1].whoami():
            raise Wrong("the one that was told nothing does not serve")
    finally:
        for d in daemons:
            d.stop()
    s.accepted(good, svc)
    return "%d messages" % len(cases)


def doubled(s):
    """A check room that was taken over says twice that it has the new policy while the sign room hangs: the reload, and
    with it a revocation, must not pass for done."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    d = Daemon(98)
    try:
        until(d.ready, "the daemon to be ready", 60)
        stopped = os.pidfd_open(jail_look.rooms(d.p.pid)["sign"])
        signal.pidfd_send_signal(stopped, signal.SIGSTOP)
        with d.channel("sign") as pending:              # what it is asked, and does not read
            d.p.send_signal(signal.SIGHUP)
            if not select.select([pending], [], [], 20)[0]:
                raise Wrong("no reload came through")
        d.status()                                      # the round in which the image was sent is over
        wrong = said(d, "check", u32(TELL_DONE, 2, 0), False)
        if wrong or "reload generation=2" in d.text():
            raise Accepted("a reload that the sign room has not taken: %s" % (wrong or d.text()))
        os.close(stopped)
    finally:
        d.stop()
    s.accepted(good, svc)
    return "the daemon ended, the reload did not"


def ended(s):
    """Told to end while a reload waits for the sign room: another reload is busy, and each room's end counts once."""
    d = Daemon(97)
    try:
        until(d.ready, "the daemon to be ready", 60)
        stopped = os.pidfd_open(jail_look.rooms(d.p.pid)["sign"])
        signal.pidfd_send_signal(stopped, signal.SIGSTOP)
        with d.channel("sign") as pending:
            d.p.send_signal(signal.SIGHUP)
            if not select.select([pending], [], [], 20)[0]:
                raise Wrong("no reload came through")
        d.p.terminate()
        until(lambda: " stopping " in d.text(), "the end to begin", 5)
        r = subprocess.run([stage.BUILD_MAIN + "/cleatctl", "--runtime-dir", d.run, "reload"], capture_output=True, text=True)
        signal.pidfd_send_signal(stopped, signal.SIGCONT)
        os.close(stopped)
        if d.p.wait(10) != 0 or r.returncode != 1 or "busy" not in r.stderr or "reload generation" in d.text():
            raise Wrong("reload: %d %s; the daemon: %d %s" % (r.returncode, r.stderr, d.p.returncode, d.text()))
    finally:
        d.stop()
    return "busy, and ended in order"


def orphaned(s):
    """A room that hangs when the daemon is killed dies with it: nothing of its own is needed for that."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    d = Daemon(99)
    try:
        until(d.ready, "the daemon to be ready", 60)
        held = {room: os.pidfd_open(pid) for room, pid in jail_look.rooms(d.p.pid).items()}
        for fd in held.values():
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
    finally:
        d.stop()
    try:
        for room, fd in held.items():
            if not select.select([fd], [], [], 10)[0]:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                raise Accepted("the %s room lives on without the daemon" % room)
    finally:
        for fd in held.values():
            os.close(fd)
    s.accepted(good, svc)
    return "both rooms, stopped"


# ---- 181 ----

def ctl(args):
    return subprocess.run([stage.BUILD_MAIN + "/cleatctl", "--runtime-dir", DIR + "/run", "--json"] + args.split(),
                          check=True, capture_output=True, text=True).stdout


def places(s, forms, what, in_use):
    """The key lies in the sign room's locked memory, or (@in_use False) nowhere."""
    found = jail_look.rooms(s.a.p.pid)
    for room, pid in [("kernel", s.a.p.pid)] + sorted(found.items()):
        for form, head, flags in jail_look.copies(pid, forms):
            if room != "sign" or not in_use or not {"lo", "dd", "wf"} <= flags:
                raise Accepted("%s, %s: as %s in the %s room, %s %s" % (what, "in use" if in_use else "gone", form, room, head,
                                                                       " ".join(sorted(flags))))
    return len(jail_look.copies(found["sign"], forms))


def memory(s):
    """181: the host key in every room's memory, before, during and after its rotation."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    old = jail_look.key_forms(DIR + "/var/host.key")
    before = places(s, old, "the host key", True)
    if not before:
        raise Wrong("the search finds no key at all: it proves nothing")
    with open(DIR + "/next.json", "w") as f:
        f.write(ctl("keys rotate --dir %s/var" % DIR))
    ctl("reload")
    new = jail_look.key_forms(DIR + "/var/host.key.next")
    places(s, old, "the host key in the overlap", True)
    if not places(s, new, "the next key", True):
        raise Wrong("the next key is not in memory: the rotation has not begun")
    ctl("trust add --bundle %s/etc/trust/%s.json %s/next.json" % (DIR, stage.TD, DIR))
    ctl("reload")
    s.accepted(good, svc)
    ctl("keys rotate --finish --dir %s/var" % DIR)
    ctl("reload")
    if not places(s, new, "the new key", True):
        raise Wrong("the new key is not in memory")
    places(s, old, "the key before", False)
    s.accepted(good, svc)
    return "found %d times before, all locked; not once after" % before


# ---- a reload that fails late ----

def reload_fails(why):
    r = subprocess.run([stage.BUILD_MAIN + "/cleatctl", "--runtime-dir", DIR + "/run", "reload"], capture_output=True, text=True)
    if r.returncode == 0 or why not in r.stderr:
        raise Wrong("reload: %d %s" % (r.returncode, r.stderr))


def kid(t):
    head = t["wit"].split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def taken_back(s):
    """The kernel side refuses a generation that the rooms have taken, host keys and all: they go back to the keys before."""
    key, bundle, mounts = DIR + "/var/host.key", "%s/etc/trust/%s.json" % (DIR, stage.TD), "/proc/%d/mountinfo" % s.a.p.pid
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    one = s.connect(good, svc, "one")
    old, generation = kid(s.sign(good, "one")), good.must("whoami")["generation"]
    with open(bundle) as f:                             # a host has two keys at most: 181 leaves one
        for before in {k["kid"] for k in json.load(f)["keys"]} - {old}:
            ctl("trust remove --bundle %s -- %s" % (bundle, before))
    entry = ctl("keys rotate --dir %s/var" % DIR)
    with open(DIR + "/next.json", "w") as f:
        f.write(entry)
    new = json.loads(entry)["kid"]
    ctl("trust add --bundle %s %s/next.json" % (bundle, DIR))
    with open(key) as f:
        text = f.read()
    with open(DIR + "/empty", "w"):
        pass
    subprocess.run(["mount", "--bind", DIR + "/empty", mounts], check=True)     # no cgroup hierarchy to look through
    try:
        reload_fails("cgroup hierarchy")
        if kid(s.sign(good, "one")) != old:
            raise Accepted("signed by a key of a generation that is not in force")
        places(s, jail_look.key_forms(DIR + "/var/host.key.next"), "the key that was taken back", False)
        with open(key, "w") as f:
            f.write("no key\n")
        reload_fails("cgroup hierarchy")
    finally:
        subprocess.run(["umount", mounts], check=True)
        with open(key, "w") as f:
            f.write(text)
    if kid(s.sign(good, "one")) != old or good.must("whoami")["generation"] != generation:
        raise Accepted("a generation that is not in force")
    ctl("reload")                                       # is whole, whatever was wrong with the one before it
    if kid(s.sign(good, "one")) != new:
        raise Wrong("the next key does not sign")
    ctl("keys rotate --finish --dir %s/var" % DIR)
    ctl("trust remove --bundle %s -- %s" % (bundle, old))
    ctl("reload")
    s.accepted(good, svc)
    return "generation %d stayed, with its key" % generation


TESTS = [("attack_128_a_room_that_was_taken_over", fuzzed), ("attack_128_a_room_that_hangs", orphaned), ("attack_128_a_room_that_answers_for_another", doubled),
         ("a_reload_while_it_ends", ended),
         ("attack_181_keys_in_memory", memory), ("keys_of_a_reload_that_is_taken_back", taken_back), ("rooms_are_jailed", held)]
