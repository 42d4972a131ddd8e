# SPDX-License-Identifier: Apache-2.0
"""What is the daemon's own (attacks.md D): another process of the host's root gets at none of it, and another tool's
objects are as they were. The kernel's side of it, hook by hook, is in tests/bpf/smoke_self.c.
"""
import json

from stage import BUILD_MAIN, SRC, Accepted, Wrong, status, test, until

FTRACE = "/proc/sys/kernel/ftrace_enabled"
PINS, OTHER = "/sys/fs/bpf/cleat", "/sys/fs/bpf/other"
ELSEWHERE = "echo 0 >/sys/fs/cgroup/nobody/cgroup.procs; "
NAMES = {"map": "cleat_tags", "program": "cleat_birth"}


def thief(host, work, *args, cgroup="/nobody"):
    """What thief.py got, as root in @cgroup of @host."""
    return json.loads(host.sh("/usr/bin/python3 %s/tests/attack/thief.py %s %s %s" % (SRC, cgroup, work, " ".join(map(str, args)))))


def other_tool(host):
    """Another tool makes, pins and gets objects of its own; bpftool lists them, and nothing of ours fails it."""
    made = thief(host, "other", OTHER)
    if set(made.values()) != {"ok"}:
        raise Wrong("another tool's objects: %s" % made)
    for kind in ("prog", "map", "link"):
        listed = host.sh("echo 0 >/sys/fs/cgroup/nobody/cgroup.procs; bpftool %s show" % kind)
        if kind != "link" and "name other" not in listed or kind == "link" and "cgroup_inet_ingress" not in listed:
            raise Wrong("bpftool %s show does not list what is not ours: %s" % (kind, listed))
        if "cleat_" in listed:
            raise Accepted("bpftool %s show: %s" % (kind, listed))


def refusals(host, what):
    """The audit lines of the refusals just made."""
    lines = [l for l in host.audit() if l.get("event") == "self-refused"]
    if what not in {l.get("what") for l in lines} or any(l["uid"] != 0 for l in lines):
        raise Wrong("audit: %s" % lines)


@test(93, name="maps_programs_links_by_id", twin="self_objects")
def objects(s):
    """Every map, program and link of the host by its id: those of another tool are given, ours do not exist for anybody
    but root in the daemon's cgroup."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    s.b.audit()
    try:
        other_tool(s.b)
        stolen = thief(s.b, "objects")
        for kind, found in stolen.items():
            if any(name.startswith("cleat_") for name in found["got"]):
                raise Accepted("%s: %s" % (kind, found["got"]))
            if set(found["refused"]) != {"ENOENT"} or found["refused"]["ENOENT"] < 10 or len(found["got"]) != 1:
                raise Wrong("%s: %s" % (kind, found))
        refusals(s.b, "map")
        mine = thief(s.b, "objects", cgroup="/cleatd")
        for kind, found in mine.items():
            if found["refused"] or found["listed"] != stolen[kind]["listed"]:
                raise Wrong("root in the daemon's cgroup is refused, or the others' lists are not whole: %s" % mine)
            if NAMES.get(kind, "link") not in " ".join(found["got"]):
                raise Wrong("no %s of ours: %s" % (kind, found))
    finally:
        s.b.sh("rm -rf " + OTHER)
    control()


@test(93, name="rooms_of_the_daemon", twin="self_rooms")
def rooms(s):
    """Root traces, reads, limits and signals the rooms."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    pids = s.b.rooms()
    s.b.audit()
    tried = thief(s.b, "rooms", *pids)
    if any("ok" in words for words in tried.values()):
        raise Accepted(str(tried))
    if any(len(words) != len(pids) or set(words) - {"EPERM", "EACCES"} for words in tried.values()):
        raise Wrong(str(tried))
    refusals(s.b, "room")
    if s.b.rooms() != pids:
        raise Wrong("rooms %s are now %s" % (pids, s.b.rooms()))
    control()


def no_pins(host, pin, who=""):
    """The pins are refused to root in another cgroup; @who: a command that makes somebody else of it."""
    out = host.sh("echo 0 >/sys/fs/cgroup/nobody/cgroup.procs; %s /usr/bin/python3 %s/tests/attack/thief.py - pins %s %s" % (
        who, SRC, PINS, pin))
    tried = json.loads(out)
    if who:                                     # what it mounts is in a mount namespace of its own
        tried = {name: word for name, word in tried.items() if name in ("list", "get", "move", "rmdir", "chmod", "make")}
    bound = tried.pop("bind", None)             # elsewhere it may be bound, and is refused there as well
    if "ok" in tried.values() or bound not in (None, "ok", "EPERM", "EACCES"):
        raise Accepted(str(tried))
    if set(tried.values()) - {"EPERM", "EACCES"}:
        raise Wrong(str(tried))


@test(94, name="pins_with_and_without_a_daemon", twin="self_pins")
def pins(s):
    """The pins are refused to root elsewhere and to nobody as root of a user namespace, while the daemon runs and when it
    was killed; then disarm, run by root anywhere, is the way out, and another tool's pins are as they were."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    boxed = "setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user --map-root-user --mount"
    pin = s.b.sh("ls -d %s/v*/map_cleat_tags" % PINS).strip()
    s.b.audit()
    no_pins(s.b, pin)
    refusals(s.b, "pins")
    no_pins(s.b, pin, boxed)
    control()
    s.b.sh("mkdir -p {0}; bpftool map create {0}/map type array key 4 value 4 entries 1 name other".format(OTHER))
    try:
        s.b.sh("kill -KILL %d" % s.b.pid)
        s.b.stop()
        no_pins(s.b, pin)
        s.b.sh("echo 0 >/sys/fs/cgroup/nobody/cgroup.procs; %s/cleatd disarm" % s.b.build)
        left = s.b.sh("ls -d %s 2>/dev/null; bpftool map show pinned %s/map" % (PINS, OTHER))
        if PINS in left or "name other" not in left:
            raise Wrong("disarm left: %s" % left)
        # the kernel frees a program when nobody can be running it any more
        until(lambda: "cleat_" not in s.b.sh("bpftool prog show"), "our programs to be gone")
    finally:
        s.b.sh("rm -rf " + OTHER)
        s.b.start()
    fresh, new = s.actor(s.a), s.service()
    s.accepted(fresh, new)


def pinned(host):
    if host.pins() != "adopted":
        raise Wrong("pins %s" % host.pins())


@test(94, name="mounts_moved_and_another_root", twin=("self_mounts", "self_moved", "self_pivot"))
def mounts(s):
    """Root elsewhere moves what the pins are reached by, or something over it, by each call that the kernel has for that, and
    gives init's namespace another root; what is his own he moves. The next daemon finds what was pinned."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    s.b.audit()
    try:
        tried = thief(s.b, "mounts", PINS)
        mine = tried.pop("mine", None), tried.pop("mine-away", None)
        if "ok" in tried.values():
            raise Accepted(str(tried))
        if set(tried.values()) != {"EPERM"} or len(tried) != 9 or mine != ("ok", "ok"):
            raise Wrong("%s, his own: %s" % (tried, mine))
    finally:                            # after a broken twin
        s.b.sh("[ -d {0} ] || mount --move /run/thief/there /sys/fs/bpf || mount --move /run/thief/there /sys; [ -d {0} ]; "
               "umount -l /run/thief 2>/dev/null || :".format(PINS))
    refusals(s.b, "mount")
    s.b.stop()
    s.b.start()
    pinned(s.b)
    s.accepted(good, svc)


def replacer(how, where="", name="link"):
    """The command that puts a program in the place of one of ours. See replacer.c."""
    return "mkdir -p {0}; {1}/tests-vm/replacer {1}/tests-vm/replace.bpf.o cleat_conn {0}/{2} {3} {4}".format(
        OTHER, BUILD_MAIN, name, how, where)


def replaces_its_own(host):
    """Another tool replaces a part of a program of its own."""
    got = host.run(ELSEWHERE + replacer("own", name="own"))[1].strip()
    if got != "ok":
        raise Wrong("another tool replaces a program of its own: " + got)


def while_silent(host, script):
    """What it says in a moment when no hook of LSM is called."""
    try:
        host.ask("write", FTRACE, "0\n")
        return host.run(script)[1].strip()
    finally:
        host.ask("write", FTRACE, "1\n")


def no_silence(host, silent):
    """Root elsewhere does not turn the sysctl off; @silent: the keeper has, and then he turns it on. Others he writes."""
    tried = json.loads(host.sh("/usr/bin/python3 %s/tests/attack/thief.py /nobody sysctl %s 3 3>%s" % (SRC, FTRACE, FTRACE)))
    now, on = tried.pop("is"), tried.pop("on")
    others = [tried.pop(name) for name in list(tried) if name.startswith(("before-", "after-"))]
    if "ok" in tried.values() or now != ("0" if silent else "1"):
        raise Accepted("%s, and it is %s" % (tried, now))
    if set(tried.values()) != {"EPERM"} or len(tried) != 5 or others != ["ok"] * 6:
        raise Wrong("%s, and others: %s" % (tried, others))
    if on != "ok" or host.sh("cat " + FTRACE).strip() != "1":
        raise Wrong("a silence is not ended by who is told to: " + on)


@test(93, 107, name="the_hooks_silenced", twin="self_sysctl")
def silenced(s):
    """Root in another cgroup silences the hooks of LSM for a moment (kernel.ftrace_enabled), in which nothing would refuse him
    a descriptor: by that file, by a descriptor of it that the keeper opened, by another mount; while they are silent, too,
    since the keeper may. He reads it, and other sysctls are his."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    epoch = status(s.b)["epoch"]
    s.b.audit()
    try:
        no_silence(s.b, False)
        refusals(s.b, "hooks")
        if status(s.b)["epoch"] != epoch:
            raise Accepted("the level fell: %s" % status(s.b))
        control()
        s.b.ask("write", FTRACE, "0\n")
        no_silence(s.b, True)
    finally:
        s.b.ask("write", FTRACE, "1\n")
    until(lambda: status(s.b)["armed"], "the level to come back", 60)
    s.accepted(s.actor(s.a), s.service())


@test(93, 159, name="a_part_of_ours_replaced", twin=("self_replace", "functions_static", "pins_static"))
def replacement(s):
    """A program in the place of one of ours (freplace), of which the program's id and tag say nothing: not by its id, nor by a
    descriptor from a moment when no wall stood, neither loaded for ours nor turned to it from a program of his own, where no
    hook asks; nor by root in the daemon's cgroup. By such a descriptor none is put beside it (fentry), either. What a daemon
    left that loaded them so that it can be done is not adopted."""
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    s.b.audit()
    usual = s.b.build
    if "/twin/" in usual:               # what it loads itself, not what it found
        s.b.stop()
        s.b.disarm()
        s.b.start()
    try:
        replaces_its_own(s.b)
        for who, script, word in (("its id", ELSEWHERE + replacer("for"), "ENOENT"),
                                  ("one turned to ours", replacer("turned", "/nobody"), "EINVAL"),
                                  ("one turned to ours by the keeper", replacer("turned"), "EINVAL"),
                                  ("a descriptor from before", replacer("for", "/nobody"), "EINVAL"),
                                  ("one beside ours", replacer("listen", "/nobody"), "EPERM")):
            got = s.b.run(script)[1].strip()
            if got == "ok":
                raise Accepted("by " + who)
            if got != word:
                raise Wrong("%s: %s" % (who, got))
        refusals(s.b, "program")
        s.accepted(good, svc)
        got = while_silent(s.b, ELSEWHERE + replacer("turned"))
        if got != "EINVAL":
            raise (Accepted if got == "ok" else Wrong)("while LSM is silent, by its id: " + got)
        s.b.stop()
        s.b.disarm()
        s.b.start(BUILD_MAIN + "/twin/functions_static")
        s.b.stop()
        # so it is the kernel's rule that refused it above. Taken out again: it would be found by the probe
        s.b.sh(replacer("turned") + " && rm %s/link" % OTHER)
        s.b.start(usual)
        if s.b.pins() == "adopted":
            raise Accepted("programs of which a part can be replaced, and one was, are adopted")
        if s.b.pins() != "replaced" or "freplace" not in s.b.read("/run/cleatd.log"):
            raise Wrong("pins %s, and why: %s" % (s.b.pins(), s.b.read("/run/cleatd.log")))
        s.b.stop()
        s.b.start()
        pinned(s.b)
        s.accepted(s.actor(s.a), s.service())
    finally:
        s.b.build = usual
        s.b.run("rm -rf " + OTHER)
