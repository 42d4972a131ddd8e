#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a running daemon's rooms: jail_look.py PID full|reduced AUDIT. One line for each thing that is not
as it should be; exit 0 where there is none. And secrets in the memory of its processes: for tests that are root.
"""
import base64
import os
import pwd
import re
import sys

NONE = "0000000000000000"
USERS = {"sign": "cleat-sign", "check": "cleat-check"}
# The maps a room may write, by their type: seq, window (socket storage) and cb (a hash); beside two that it reads.
HASH, SOCKET_STORAGE = 1, 24
WRITES = {"sign": [SOCKET_STORAGE], "check": [HASH, SOCKET_STORAGE]}
READS = [SOCKET_STORAGE, SOCKET_STORAGE]
# What the kernel room may keep, and nothing else (room/jail.c).
KERNEL_CAPS = {"dac_read_search": 2, "kill": 5, "setgid": 6, "setuid": 7, "setpcap": 8, "net_admin": 12, "ipc_lock": 14,
               "sys_admin": 21, "sys_resource": 24, "perfmon": 38, "bpf": 39}


def read(pid, name):
    with open("/proc/%d/%s" % (pid, name), errors="replace") as f:
        return f.read()


def status(pid, task=None):
    text = read(pid, "task/%d/status" % task if task else "status")
    return {k: v.strip() for k, _, v in (l.partition(":") for l in text.splitlines())}


def room_of(pid):
    """Its name; of a probe's child, which may be gone by now, and of a reader as well."""
    try:
        return (re.search(r"--room=(\w+)", read(pid, "cmdline")) or [0, "?"])[1]
    except (FileNotFoundError, ProcessLookupError):
        return "?"


def rooms(daemon):
    """name -> pid of the daemon's rooms, without a reader."""
    named = {room_of(int(k)): int(k) for k in read(daemon, "task/%d/children" % daemon).split()}
    return {n: p for n, p in named.items() if n in USERS}


def limits(pid):
    return {l[:26].strip(): l[26:].split()[:2] for l in read(pid, "limits").splitlines()[1:]}


def descriptors(pid):
    at = "/proc/%d/fd/" % pid
    return {int(n): os.readlink(at + n) for n in os.listdir(at)}


def undumpable(pid):
    """The kernel gives the files of a process that may not be dumped to root, whoever it runs as."""
    return os.stat("/proc/%d/environ" % pid).st_uid == 0


def look_thread(pid, task, user):
    s = status(pid, task)
    want = {"Uid": "\t".join([str(user.pw_uid)] * 4), "Gid": "\t".join([str(user.pw_gid)] * 4), "Groups": "",
            "NoNewPrivs": "1", "Seccomp": "2"}
    want.update({"Cap" + c: NONE for c in ("Inh", "Prm", "Eff", "Bnd", "Amb")})
    return ["thread %d: %s is %r, not %r" % (task, k, s[k], v) for k, v in want.items() if s[k] != v]


def look_root(pid, daemon):
    wrong, root = [], "/proc/%d/root" % pid
    if os.readlink("/proc/%d/ns/mnt" % pid) == os.readlink("/proc/%d/ns/mnt" % daemon):
        wrong.append("it shares the daemon's mount namespace")
    mounts = read(pid, "mountinfo").splitlines()
    if len(mounts) != 1 or " - tmpfs " not in mounts[0] or " ro," not in mounts[0]:
        wrong.append("its mounts are %s" % mounts)
    if os.listdir(root):
        wrong.append("its root holds %s" % os.listdir(root))
    if os.readlink("/proc/%d/cwd" % pid) != "/":
        wrong.append("it stands in %s" % os.readlink("/proc/%d/cwd" % pid))
    return wrong


def look_descriptors(pid, room, level, audit):
    """What is left of those it was given, and what it made: all of them of a kind that leads nowhere."""
    own = re.compile(r"/dev/null$|socket:\[\d+\]$|anon_inode:(bpf-map|\[eventpoll\]|\[eventfd\]|\[timerfd\]|\[pidfd\])$")
    wrong = []
    for fd, to in descriptors(pid).items():
        named = fd in (1, 2) or to in (audit,)
        window = level == "reduced" and fd in (14, 15) and to == "/"
        if not (own.match(to) or named or window or to.startswith("pidfd:")):
            wrong.append("descriptor %d is %s" % (fd, to))
    return wrong + look_maps(pid, room)


def look_maps(pid, room):
    """Which maps it can read and which it can write."""
    held = {os.O_RDONLY: [], os.O_WRONLY: [], os.O_RDWR: []}
    for fd, to in descriptors(pid).items():
        if to == "anon_inode:bpf-map":
            is_ = dict(l.split(None, 1) for l in read(pid, "fdinfo/%d" % fd).splitlines() if l)
            held[int(is_["flags:"], 8) & os.O_ACCMODE].append(int(is_["map_type:"]))
    want = {os.O_RDONLY: READS, os.O_WRONLY: [], os.O_RDWR: WRITES[room]}
    return ["maps held with access %d are of types %s, not %s" % (how, sorted(types), want[how])
            for how, types in held.items() if sorted(types) != want[how]]


def look_room(pid, room, daemon, level, audit):
    wrong = []
    user = pwd.getpwnam(USERS[room])
    for task in os.listdir("/proc/%d/task" % pid):
        wrong += look_thread(pid, int(task), user)
    wrong += look_root(pid, daemon) + look_descriptors(pid, room, level, audit)
    held = limits(pid)
    for what in ("Max core file size", "Max processes"):
        if held[what] != ["0", "0"]:
            wrong.append("%s is %s" % (what, held[what]))
    if not undumpable(pid):
        wrong.append("it can be dumped")
    if read(pid, "environ"):
        wrong.append("it has an environment")
    return ["%s room: %s" % (room, w) for w in wrong]


def look_kernel(pid):
    s, allowed = status(pid), sum(1 << n for n in KERNEL_CAPS.values())
    wrong = ["%s has more than it may: %s" % (k, s[k]) for k in ("CapPrm", "CapEff", "CapBnd") if int(s[k], 16) & ~allowed]
    wrong += ["%s is %s" % (k, s[k]) for k in ("CapAmb", "CapInh") if s[k] != NONE]
    if s["NoNewPrivs"] != "1":
        wrong.append("it can have new privileges")
    if s["Seccomp"] != "2":
        wrong.append("no filter kills it")
    if limits(pid)["Max core file size"] != ["0", "0"]:
        wrong.append("it has core files")
    return ["kernel room: " + w for w in wrong]


def look(daemon, level, audit):
    found = rooms(daemon)
    wrong = [] if sorted(found) == sorted(USERS) else ["the rooms are %s" % found]
    for room, pid in found.items():
        wrong += look_room(pid, room, daemon, level, audit)
    uids = [status(p)["Uid"] for p in found.values()]
    if len(set(uids)) != len(uids):
        wrong.append("two rooms are one user")
    return wrong + look_kernel(daemon)


# ---- secrets in memory ----

def key_forms(path):
    """The private number of a PKCS#8 P-256 key file in the forms it could lie in memory."""
    with open(path) as f:
        lines = f.read().split()
    text = [l for l in open(path).read().splitlines() if l and "-" not in l]
    der = base64.b64decode("".join(text))
    at = der.index(b"\x02\x01\x01\x04\x20") + 5
    assert len(lines) > 2
    return {"bytes": der[at:at + 32], "number": der[at:at + 32][::-1], "text": text[0][-40:].encode()}


def copies(pid, forms):
    """(form, mapping, its flags) for every place in @pid's memory where one of the forms lies."""
    out, head = [], None
    with open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in read(pid, "smaps").splitlines():
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                head = line
            elif line.startswith("VmFlags:") and " rd " in line:
                start, end = (int(x, 16) for x in head.split()[0].split("-"))
                try:
                    mem.seek(start)
                    text = mem.read(end - start)
                except (OSError, OverflowError):        # the vDSO's own pages
                    continue
                out += [(name, head, set(line.split()[1:])) for name, form in forms.items() if form in text]
    return out


if __name__ == "__main__":
    said = look(int(sys.argv[1]), sys.argv[2], sys.argv[3])
    print("\n".join(said) or "as it should be")
    sys.exit(1 if said else 0)
