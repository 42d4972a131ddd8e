#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Root of the host, but not in the daemon's cgroup, tries to get at what is the daemon's: thief.py CGROUP WORK [ARGUMENT...]
prints one JSON object. CGROUP -: where it is. WORK: objects (maps, programs, links by id, and what it could then write), rooms PID..., pins
DIRECTORY PIN, mounts DIRECTORY, sysctl PATH DESCRIPTOR (the same one, writable, from before), forge SET PROGRAM without|other|own (a manifest and the set to it), other DIRECTORY (what another
tool does with its own objects, all of which must go).
"""
import ctypes
import errno
import json
import os
import signal
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
BPF, PIDFD_OPEN, PIDFD_SEND_SIGNAL, PIDFD_GETFD, PROCESS_VM_READV = 321, 434, 424, 438, 310
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, PIVOT_ROOT = 428, 429, 430, 431, 432, 155
FSCONFIG_CREATE, MOVE_EMPTY_PATH, AT_FDCWD, MS_MOVE, MS_PRIVATE = 6, 4, -100, 8192, 1 << 18
PTRACE_ATTACH, PTRACE_SEIZE, RLIMIT_CPU, MNT_DETACH, MS_BIND = 16, 0x4206, 0, 2, 4096
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROG_LOAD, OBJ_PIN, OBJ_GET, INFO, RAW_OPEN, FREEZE, LINK_CREATE = 0, 1, 2, 5, 6, 7, 15, 17, 22, 28
NEXT_ID = {"program": 11, "map": 12, "link": 31}
FD_BY_ID = {"program": 13, "map": 14, "link": 30}
NAME_AT = {"program": 64, "map": 24}            # of struct bpf_prog_info, bpf_map_info


def call(*args):
    """The result, or -errno."""
    n = LIBC.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return -ctypes.get_errno() if n < 0 else n


def bpf(cmd, *fields):
    """@fields: pairs of struct format and value, in order."""
    attr = ctypes.create_string_buffer(b"".join(struct.pack("=" + f, v) for f, v in fields), 128)
    n = call(BPF, cmd, attr, 128)
    return n, attr.raw


def word(n):
    return errno.errorcode.get(-n, str(n)) if n < 0 else "ok"


def text(s):
    return ctypes.create_string_buffer(s.encode())


def ids(kind):
    at = 0
    while True:
        n, attr = bpf(NEXT_ID[kind], ("I", at), ("I", 0))
        if n < 0:
            return
        at = struct.unpack_from("=I", attr, 4)[0]
        yield at


def name_of(kind, fd):
    info = ctypes.create_string_buffer(256)
    n, _ = bpf(INFO, ("I", fd), ("I", 256), ("Q", ctypes.addressof(info)))
    if n < 0 or kind not in NAME_AT:
        return ""
    return info.raw[NAME_AT[kind]:NAME_AT[kind] + 16].split(b"\0")[0].decode()


def objects():
    """What is listed, what is refused with which word, what was got by which name."""
    found = {}
    for kind in NEXT_ID:
        got, refused, listed = [], {}, 0
        for i in ids(kind):
            listed += 1
            fd, _ = bpf(FD_BY_ID[kind], ("I", i))
            if fd < 0:
                refused[word(fd)] = refused.get(word(fd), 0) + 1
                continue
            got.append(name_of(kind, fd) or "link %d" % i)
            os.close(fd)
        found[kind] = {"listed": listed, "got": got, "refused": refused}
    return found


def limits(pid):
    both = struct.pack("=QQ", 1, 1)
    return LIBC.prlimit(pid, RLIMIT_CPU, both, None)


def traced(request, pid):
    n = LIBC.ptrace(ctypes.c_long(request), pid, None, None)
    n = -ctypes.get_errno() if n < 0 else 0
    if n == 0:
        os.waitpid(pid, 0x40000000) if request == PTRACE_ATTACH else None
        LIBC.ptrace(ctypes.c_long(17), pid, None, None)
    return n


def opened(path):
    try:
        os.close(os.open(path, os.O_RDWR))
        return 0
    except OSError as e:
        return -e.errno


def read_memory(pid):
    byte = ctypes.create_string_buffer(8)
    here = struct.pack("=QQ", ctypes.addressof(byte), 8)
    there = struct.pack("=QQ", 0x400000, 8)
    return call(PROCESS_VM_READV, pid, here, 1, there, 1, 0)


def rooms(pids):
    """One word an attempt, the harmless ones first."""
    found = {}
    for pid in map(int, pids):
        pidfd = call(PIDFD_OPEN, pid, 0)
        tries = {
            "attach": lambda: traced(PTRACE_ATTACH, pid),
            "seize": lambda: traced(PTRACE_SEIZE, pid),
            "mem": lambda: opened("/proc/%d/mem" % pid),
            "read": lambda: read_memory(pid),
            "getfd": lambda: call(PIDFD_GETFD, pidfd, 3, 0),
            "prlimit": lambda: -ctypes.get_errno() if limits(pid) < 0 else 0,
            "cont": lambda: call(PIDFD_SEND_SIGNAL, pidfd, signal.SIGCONT, None, 0),
            "hup": lambda: call(PIDFD_SEND_SIGNAL, pidfd, signal.SIGHUP, None, 0),
            "kill": lambda: -ctypes.get_errno() if LIBC.kill(pid, signal.SIGKILL) < 0 else 0,
        }
        for name, attempt in tries.items():
            found.setdefault(name, []).append(word(attempt()))
            if found[name][-1] == "ok":
                return found            # a broken twin: no more harm than that
    return found


def attempts():
    """What came of which attempt, and the function that makes one."""
    found = {}

    def attempt(name, f):
        try:
            n = f()
        except OSError as e:
            found[name] = word(-e.errno)
            return
        if isinstance(n, int) and n == -1:
            n = -ctypes.get_errno()
        found[name] = word(n if isinstance(n, int) else 0)
    return found, attempt


def moved(tree, to):
    return tree if tree < 0 else call(MOVE_MOUNT, tree, text(""), AT_FDCWD, text(to), MOVE_EMPTY_PATH)


def new_tmpfs():
    fs = call(FSOPEN, text("tmpfs"), 0)
    call(FSCONFIG, fs, FSCONFIG_CREATE, None, None, 0)
    return call(FSMOUNT, fs, 0, 0)


def mounts(directory):
    """Moves, by each call that the kernel has for it, and another root; up to the first that is not refused."""
    fs, aside = os.path.dirname(directory), "/run/thief"
    there, root = aside + "/there", aside + "/root"
    found, attempt = attempts()
    os.makedirs(aside, exist_ok=True)
    if LIBC.mount(b"none", text(aside), b"tmpfs", 0, None) or LIBC.mount(None, text(aside), None, MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), aside)
    os.mkdir(there)
    os.mkdir(root)
    os.chdir(os.path.dirname(fs))

    def pivot():
        os.mkdir(root + "/old")
        n = call(PIVOT_ROOT, text(root), text(root + "/old"))
        if n == 0:                      # back at once: nobody but a broken twin gets here
            call(PIVOT_ROOT, text("/old"), text("/old" + there))
        return n
    tries = {
        "move": lambda: moved(call(OPEN_TREE, AT_FDCWD, text(fs), 0), there),
        "move-way": lambda: moved(call(OPEN_TREE, AT_FDCWD, text("/sys"), 0), there),
        "over": lambda: moved(new_tmpfs(), fs),
        "over-one": lambda: moved(new_tmpfs(), directory),
        "over-way": lambda: moved(new_tmpfs(), "/sys/fs"),
        "old-move": lambda: LIBC.mount(text(fs), text(there), None, MS_MOVE, None),
        "old-move-relative": lambda: LIBC.mount(text(os.path.basename(fs)), text(there), None, MS_MOVE, None),
        "old-move-way": lambda: LIBC.mount(b"/sys", text(there), None, MS_MOVE, None),
        "mine": lambda: moved(new_tmpfs(), root),
        "pivot": pivot,
    }
    for name, f in tries.items():
        attempt(name, f)
        if found[name] == "ok" and name != "mine":
            return found                # there it stays, for who looks
    attempt("mine-away", lambda: moved(call(OPEN_TREE, AT_FDCWD, text(root), 0), there))
    LIBC.umount2(text(aside), MNT_DETACH)
    return found


HEAD, ROW, LSM_MAC = 56, 56, 27          # of struct kern_manifest, kern_manifest_program


def sysctl(path, held):
    """Writes by each way to the file: its name, a descriptor from before, another mount of its file system; and whether it is
    read, and others are written what they are."""
    found, attempt = attempts()

    def put_in(name, value):
        fd = os.open(name, os.O_WRONLY)
        try:
            os.write(fd, value)
        finally:
            os.close(fd)

    def in_another_mount():
        aside = "/run/thief"
        os.makedirs(aside, exist_ok=True)
        if LIBC.mount(b"none", text(aside), b"proc", 0, None):
            return -1
        try:
            return put_in(path.replace("/proc", aside, 1), b"0\n")
        finally:
            LIBC.umount2(text(aside), MNT_DETACH)

    def others(how):
        # shorter than its name, as long, and longer
        for name in ("kernel/panic", "vm/vfs_cache_pressure", "kernel/ftrace_dump_on_oops"):
            with open("/proc/sys/" + name, "rb") as f:
                value = f.read()
            attempt("%s-%s" % (how, name), lambda: put_in("/proc/sys/" + name, value))  # noqa: B023 - called at once
    others("before")
    for value in (b"0\n", b"0", b"01\n"):
        attempt("write-%s" % value.decode().strip() + "-%d" % len(value), lambda: put_in(path, value))  # noqa: B023
    attempt("held", lambda: os.write(int(held), b"0\n") and None)
    attempt("another-mount", in_another_mount)
    others("after")
    with open(path) as f:
        found["is"] = f.read().strip()
    attempt("on", lambda: put_in(path, b"1\n"))
    return found


def get(path):
    at = text(path)
    return bpf(OBJ_GET, ("Q", ctypes.addressof(at)), ("I", 0))[0]


def put(path, fd):
    at = text(path)
    return bpf(OBJ_PIN, ("Q", ctypes.addressof(at)), ("I", fd))[0]


def info_of(fd):
    info = ctypes.create_string_buffer(256)
    bpf(INFO, ("I", fd), ("I", 256), ("Q", ctypes.addressof(info)))
    return info.raw


def does_nothing(row):
    """A program with the name and the place of @row's."""
    code = struct.pack("=BBhi", 0xb7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    code, licence = ctypes.create_string_buffer(code, 16), text("GPL")
    kind, btf = struct.unpack_from("=II", row, 40)
    return bpf(PROG_LOAD, ("I", kind), ("I", 2), ("Q", ctypes.addressof(code)), ("Q", ctypes.addressof(licence)), ("I", 0),
               ("I", 0), ("Q", 0), ("I", 0), ("I", 0), ("16s", row[:15]), ("I", 0), ("I", LSM_MAC), ("I", 0), ("I", 0),
               ("Q", 0), ("I", 0), ("I", 0), ("Q", 0), ("I", 0), ("I", btf))[0]


def manifest_write(path, value, rows):
    """Frozen as ours is. Words."""
    new = value[:4] + struct.pack("=I", len(rows)) + value[8:HEAD] + b"".join(rows)
    zero, new = ctypes.create_string_buffer(4), ctypes.create_string_buffer(new, HEAD + 64 * ROW)
    fd = bpf(MAP_CREATE, ("I", 2), ("I", 4), ("I", len(new)), ("I", 1), ("I", 0), ("I", 0), ("I", 0), ("16s", b"cleat_manifest"))[0]
    written = bpf(MAP_UPDATE, ("I", fd), ("I", 0), ("Q", ctypes.addressof(zero)), ("Q", ctypes.addressof(new)), ("Q", 0))[0]
    os.unlink(path)
    return [word(n) for n in (written, bpf(FREEZE, ("I", fd))[0], put(path, fd))]


def forge(directory, program, how):
    """As who was there while no wall stood: a hook of the set goes, or gets another program, or its own again; and so says
    the manifest."""
    manifest, link, aside = directory + "/manifest", directory + "/link_" + program, os.path.dirname(os.path.dirname(directory)) + "/own"
    zero, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(HEAD + 64 * ROW)
    found = [word(bpf(MAP_LOOKUP, ("I", get(manifest)), ("I", 0), ("Q", ctypes.addressof(zero)), ("Q", ctypes.addressof(value)))[0])]
    rows = [value.raw[HEAD + i * ROW:][:ROW] for i in range(struct.unpack_from("=I", value, 4)[0])]
    at, = [i for i, row in enumerate(rows) if row.split(b"\0")[0].decode() == program]
    if how == "other":
        own = bpf(FD_BY_ID["program"], ("I", struct.unpack_from("=I", info_of(get(link)), 8)[0]))[0]
        found.append(word(put(aside, own)))
    os.unlink(link)
    if how == "without":
        del rows[at]
    else:
        fd = does_nothing(rows[at]) if how == "other" else get(aside)
        rows[at] = rows[at][:32] + info_of(fd)[8:16] + rows[at][40:]
        found.append(word(put(link, bpf(RAW_OPEN, ("Q", 0), ("I", fd))[0])))
    if how == "own":
        os.unlink(aside)
    return found + manifest_write(manifest, value.raw, rows)


def pins(directory, pin):
    path, at = text(directory), text(pin)        # held: their addresses go to the kernel
    found, attempt = attempts()
    attempt("list", lambda: os.listdir(directory) and 0)
    attempt("get", lambda: bpf(OBJ_GET, ("Q", ctypes.addressof(at)), ("I", 0))[0])
    if "ok" in found.values():
        return found
    attempt("move", lambda: os.rename(directory, directory + "-moved"))
    attempt("rmdir", lambda: os.rmdir(directory))
    attempt("chmod", lambda: os.chmod(directory, 0o777))
    attempt("make", lambda: os.mkdir(directory + "/mine"))
    fs = text(os.path.dirname(directory))
    attempt("unmount", lambda: LIBC.umount2(fs, 0))
    attempt("unmount-lazily", lambda: LIBC.umount2(fs, MNT_DETACH))
    attempt("hide", lambda: LIBC.mount(b"none", fs, b"tmpfs", 0, None))
    attempt("hide-one", lambda: LIBC.mount(b"none", path, b"tmpfs", 0, None))
    os.makedirs("/run/thief", exist_ok=True)
    attempt("bind", lambda: LIBC.mount(path, b"/run/thief", None, MS_BIND, None))
    attempt("list-bound", lambda: os.listdir("/run/thief") and 0)
    LIBC.umount2(b"/run/thief", MNT_DETACH)
    return found


def other(directory):
    """Another tool: its own map, program and link, pinned, gotten by id and by pin."""
    code = struct.pack("=BBhi", 0xb7, 0, 0, 1) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    code, licence = ctypes.create_string_buffer(code, 16), text("GPL")
    made = {
        "map": bpf(MAP_CREATE, ("I", 2), ("I", 4), ("I", 4), ("I", 1), ("I", 0), ("I", 0), ("I", 0), ("16s", b"other"))[0],
        "program": bpf(PROG_LOAD, ("I", 8), ("I", 2), ("Q", ctypes.addressof(code)), ("Q", ctypes.addressof(licence)),
                       ("I", 0), ("I", 0), ("Q", 0), ("I", 0), ("I", 0), ("16s", b"other"))[0],
    }
    cgroup = os.open("/sys/fs/cgroup/nobody", os.O_RDONLY)
    made["link"] = bpf(LINK_CREATE, ("I", made["program"]), ("I", cgroup), ("I", 0), ("I", 0))[0]
    found = {kind: word(fd) for kind, fd in made.items()}
    os.makedirs(directory, exist_ok=True)
    for kind, fd in made.items():
        path = text("%s/%s" % (directory, kind))
        found["pin " + kind] = word(bpf(OBJ_PIN, ("Q", ctypes.addressof(path)), ("I", fd))[0])
        found["get " + kind] = word(bpf(OBJ_GET, ("Q", ctypes.addressof(path)), ("I", 0))[0])
    return found


def main():
    if sys.argv[1] != "-":
        with open("/sys/fs/cgroup%s/cgroup.procs" % sys.argv[1], "w") as f:
            f.write("0")
    work = {"objects": objects, "rooms": lambda: rooms(sys.argv[3:]), "pins": lambda: pins(*sys.argv[3:5]),
            "mounts": lambda: mounts(sys.argv[3]), "sysctl": lambda: sysctl(*sys.argv[3:5]), "forge": lambda: forge(*sys.argv[3:6]), "other": lambda: other(sys.argv[3])}
    print(json.dumps(work[sys.argv[2]]()))


main()
