# SPDX-License-Identifier: Apache-2.0
"""One process of a cgroup and uid that asks the daemon in ways libcleat never would: asker.py MODE CGROUP UID RUN ARG...
Prints one JSON object; exits 1 with {"accepted": ...} where something came back that must not, with {"wrong": ...} else.
"""
import array
import fcntl
import json
import os
import random
import socket
import struct
import sys

SIGN, WHOAMI, VERIFY, WHOIS = 1, 2, 3, 4
HEAD = struct.Struct("=IIQII32s192s")           # struct cleat_answer_head
SELF = struct.Struct("=IIII2056s")              # what whoami adds
AUDIENCE = b"spiffe://test.example/svc"
LIMIT = 20


class Accepted(Exception):
    pass


class Wrong(Exception):
    pass


def head(kind, serial=7):
    return struct.pack("=IIQ", 1, kind, serial)


def sign_ask(audience=AUDIENCE):
    return head(SIGN) + struct.pack("=II", 0, len(audience)) + bytes(64) + audience.ljust(2048, b"\0")


def verify_ask(wit=b"x", wpt=b"y"):
    return head(VERIFY) + struct.pack("=IIII", 0, 1, len(wit), len(wpt)) + bytes(64) + wit + wpt


class Door:
    def __init__(self, run, name):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(LIMIT)
        self.s.connect("%s/%s.sock" % (run, name))

    def send(self, message, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.s.sendmsg([message], control)

    def answer(self):
        """word, serial, the whole answer"""
        got = self.s.recv(1 << 17)
        if len(got) < HEAD.size:
            raise Wrong("an answer of %d bytes" % len(got))
        h = HEAD.unpack_from(got)
        for text in (h[5], h[6]):               # nothing behind the NUL of a text
            if text.split(b"\0", 1)[1].strip(b"\0"):
                raise Accepted("bytes behind a text: %r" % text)
        return h[5].split(b"\0")[0].decode(), h[2], got

    def ask(self, message, fds=()):
        self.send(message, fds)
        return self.answer()


# ---- 125: whose answer is it ----

def itself(got, uid, want):
    label, level, pid, as_uid, name = SELF.unpack_from(got, HEAD.size)
    seen = (pid, as_uid, name.rstrip(b"\0").decode())
    if seen != (os.getpid(), uid, want) or len(got) != HEAD.size + SELF.size:
        raise Accepted("%s was answered %s" % ((os.getpid(), uid, want), seen))


def mixup(run, uid, want, count):
    """@count requests, all with one serial number; half of the connections go away with answers on the way to them."""
    answered, count = 0, int(count)
    while answered < count:
        doors = [Door(run, "sign") for _ in range(8)]
        for d in doors:
            for _ in range(4):
                d.send(head(WHOAMI))
        for d in doors[1::2]:
            d.s.close()
        for d in doors[::2]:
            for _ in range(4):
                word, serial, got = d.answer()
                if (word, serial) != ("ok", 7):
                    raise Wrong("%s to %d" % (word, serial))
                itself(got, uid, want)
                answered += 1
            d.s.close()
    return {"answered": answered}


# ---- 120: any bytes ----

def any_message(r):
    kind = r.random()
    if kind < 0.2:
        return r.randbytes(r.choice((0, 1, 15, 16, 17, 96, 200, 2136, r.randrange(40000))))
    if kind < 0.4:
        return head(r.randrange(6), r.getrandbits(64)) + r.randbytes(r.randrange(3000))
    message = bytearray(r.choice((sign_ask(), verify_ask(r.randbytes(300), r.randbytes(300)), head(WHOIS), head(WHOAMI))))
    for _ in range(r.randrange(1, 6)):
        message[r.randrange(len(message))] = r.randrange(256)
    if r.random() < 0.3:
        del message[r.randrange(len(message)):]
    if r.random() < 0.2:
        message += r.randbytes(r.randrange(1, 40000))
    return bytes(message)


def fuzz(run, uid, want, count):
    """@count messages of any form, with any number of descriptors: each is answered, and none with a yes but whoami."""
    r, words = random.Random(120), {}
    doors = {name: Door(run, name) for name in ("sign", "check")}
    null = os.open("/dev/null", os.O_RDONLY)
    for i in range(int(count)):
        name = r.choice(("sign", "check"))
        message = any_message(r)
        word, _, got = doors[name].ask(message, [null] * r.choice((0, 0, 1, 1, 1, 2, 3)))
        words[word] = words.get(word, 0) + 1
        if word == "ok" and message[4:8] != head(WHOAMI)[4:8]:
            raise Accepted("message %d: %s" % (i, message[:64].hex()))
        if word != "ok" and got[HEAD.size:].strip(b"\0"):
            raise Accepted("message %d: a refusal that says something: %s" % (i, got[HEAD.size:].hex()))
    itself(doors["sign"].ask(head(WHOAMI))[2], uid, want)
    return words


# ---- 115: what a descriptor looks like afterwards ----

OPTIONS = [(socket.SOL_SOCKET, o, n) for o, n in (
    (socket.SO_RCVTIMEO, 16), (socket.SO_SNDTIMEO, 16), (socket.SO_LINGER, 8), (socket.SO_RCVBUF, 4), (socket.SO_SNDBUF, 4),
    (socket.SO_KEEPALIVE, 4), (socket.SO_PRIORITY, 4), (socket.SO_MARK, 4), (socket.SO_RCVLOWAT, 4))] + [
    (socket.IPPROTO_TCP, o, 4) for o in (socket.TCP_NODELAY, socket.TCP_CORK, socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT)]


def looks(fd, sock=None):
    seen = [fcntl.fcntl(fd, c) for c in (fcntl.F_GETFL, fcntl.F_GETOWN, fcntl.F_GETSIG)]
    if sock:
        seen += [sock.getsockopt(level, option, n) for level, option, n in OPTIONS]
        seen.append(fcntl.ioctl(fd, 0x541b, bytes(4)))      # FIONREAD
    else:
        seen.append(os.lseek(fd, 0, os.SEEK_CUR))
    return seen


def status(run, uid, want, ip, port):
    one = socket.create_connection((ip, int(port)))
    one.settimeout(LIMIT)
    one.recv(1, socket.MSG_PEEK)                # what the service said waits to be read
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 7, 0))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 9))
    fcntl.fcntl(one.fileno(), fcntl.F_SETOWN, os.getpid())
    plain = os.open("/proc/self/exe", os.O_RDONLY)
    os.lseek(plain, 41, os.SEEK_SET)
    compared = 0
    for flags in (0, os.O_NONBLOCK):
        fcntl.fcntl(one.fileno(), fcntl.F_SETFL, flags)
        before, before_plain = looks(one.fileno(), one), looks(plain)
        signer, checker = Door(run, "sign"), Door(run, "check")
        words = [signer.ask(sign_ask(), [one.fileno()])[0], checker.ask(verify_ask(), [one.fileno()])[0],
                 checker.ask(head(WHOIS), [one.fileno()])[0], signer.ask(sign_ask(), [plain])[0],
                 checker.ask(head(WHOIS), [plain])[0]]
        if words[0] != "ok" or words[3] == "ok":
            raise Wrong(str(words))
        for a, b in ((before, looks(one.fileno(), one)), (before_plain, looks(plain))):
            if a != b:
                raise Accepted("changed: %s, then %s" % (a, b))
            compared += len(a)
    return {"compared": compared}


MODES = {f.__name__: f for f in (mixup, fuzz, status)}


def main():
    mode, cgroup, uid, run, want = sys.argv[1:6]
    with open(cgroup + "/cgroup.procs", "w") as f:
        f.write("0")
    os.setgroups([])
    os.setresgid(*[int(uid)] * 3)
    os.setresuid(*[int(uid)] * 3)
    try:
        print(json.dumps(MODES[mode](run, int(uid), want, *sys.argv[6:])))
    except Accepted as e:
        print(json.dumps({"accepted": str(e)}))
        return 1
    except (Wrong, OSError) as e:
        print(json.dumps({"wrong": "%s: %s" % (type(e).__name__, e)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
