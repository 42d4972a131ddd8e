#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of cleatd written from userspace/PROTOCOL.md alone: no libcleat, only the byte layouts.

    protocol_client.py whoami
    protocol_client.py call HOST PORT AUDIENCE   connect, sign, send "WIT~WPT\\n", print the service's line
    protocol_client.py serve PORT                accept one connection, read a line, verify, say who it was
Exit: 0 done, 1 refused, 2 usage.
"""
import array
import os
import socket
import struct
import sys

DIR = os.environ.get("CLEAT_RUNTIME_DIR") or "/run/cleat"
HEAD = struct.Struct("=IIQ")                    # protocol, type, serial
ANSWER = struct.Struct("=IIQII32s192s")         # protocol, type, serial, reason, policy_generation, word, detail
SOCKET = struct.Struct("=16s16sHHIQII")
SIGN, WHOAMI, VERIFY, WHOIS = 1, 2, 3, 4


class Refused(Exception):
    pass


def text(raw):
    return raw.split(b"\0", 1)[0].decode("ascii")


def ask(name, kind, body, fd=None):
    """One request, one answer: the bytes behind the head, of a reason 1 only."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(2)
    s.connect(os.path.join(DIR, name))
    server_uid = struct.unpack("=iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    if server_uid not in (0, os.geteuid()):
        raise Refused("not the daemon's socket")
    rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    s.sendmsg([HEAD.pack(1, kind, 4711), body], rights)
    got = s.recv(65536)
    protocol, answered, serial, reason, _, word, detail = ANSWER.unpack_from(got)
    assert protocol == 1
    if reason != 1:
        raise Refused(f"{text(word)}: {text(detail)}")
    assert (answered, serial) == (kind, 4711)
    return got[ANSWER.size:]


def sign(fd, audience):
    name = audience.encode("ascii")
    body = struct.pack("=II32s32s2048s", 0, len(name), b"", b"", name)
    got = ask("sign.sock", SIGN, body, fd)
    wit_len, wpt_len, _ = struct.unpack_from("=IIq", got)
    tokens = got[16:]
    assert len(tokens) == wit_len + wpt_len
    return tokens[:wit_len] + b"~" + tokens[wit_len:]


def verify(fd, assertion, expect_role=1):
    wit, _, wpt = assertion.partition(b"~")
    body = struct.pack("=IIII32s32s", 0, expect_role, len(wit), len(wpt), b"", b"") + wit + wpt
    got = ask("check.sock", VERIFY, body, fd)
    level, _, _, age_ms, seq = struct.unpack_from("=IIqqQ", got, SOCKET.size)
    at = SOCKET.size + 32 + 32
    return {
        "socket": SOCKET.unpack_from(got),
        "subject": text(got[at:at + 2056]),
        "issuer": text(got[at + 2056:at + 4112]),
        "level": ("none", "reduced", "full")[level],
        "seq": seq,
        "age_ms": age_ms,
    }


def whois(fd):
    got = ask("check.sock", WHOIS, b"", fd)
    at = SOCKET.size
    known, _, _ = struct.unpack_from("=IIq", got, at)
    return text(got[at + 16:at + 2072]), text(got[at + 2072:at + 4128]) if known else ""


def whoami():
    got = ask("sign.sock", WHOAMI, b"")
    label, level, pid, uid = struct.unpack_from("=IIII", got)
    print(f"{text(got[16:]) or 'nobody'} label={label} level={level} pid={pid} uid={uid}")


def call(host, port, audience):
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(sign(s.fileno(), audience) + b"\n")
        reply = s.makefile("rb").readline()
    print(reply.decode("ascii").rstrip())
    if not reply.startswith(b"accepted"):
        sys.exit(1)


def serve(port):
    listener = socket.create_server(("127.0.0.1" if port == "0" else "", int(port)))
    print(f"listening {listener.getsockname()[1]}", flush=True)
    s, _ = listener.accept()
    line = s.makefile("rb").readline().rstrip(b"\n")
    try:
        v = verify(s.fileno(), line)
    except Refused:
        s.sendall(b"refused\n")          # the far end learns no more
        raise
    owner, peer = whois(s.fileno())
    assert peer == v["subject"]
    print(f"accepted {v['subject']} by {v['issuer']} level={v['level']} seq={v['seq']} for {owner}")
    s.sendall(b"accepted " + v["subject"].encode() + b"\n")


COMMANDS = {"whoami": (whoami, 0), "call": (call, 3), "serve": (serve, 1)}

if __name__ == "__main__":
    command, count = COMMANDS.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, -1))
    if len(sys.argv) != count + 2:
        sys.exit(__doc__ and (print(__doc__, file=sys.stderr) or 2))
    try:
        command(*sys.argv[2:])
    except Refused as e:
        print(f"refused {e}")
        sys.exit(1)
