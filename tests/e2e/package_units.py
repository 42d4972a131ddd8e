# SPDX-License-Identifier: Apache-2.0
"""What package.py gives systemd to run: the units of the services on host b and of the clients on host a, and the policy
drop-in that names them. Every service is the same program, `ledger`; they differ in who listens and who accepts."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "attack"))
import stage  # noqa: E402

UNITS = "/run/systemd/system"
CLIENT = """\
[Service]
User={uid}
Environment=LIBCLEAT=libcleat.so.0
ExecStart=/usr/bin/python3 {src}/tests/e2e/clients/payments.py
StandardInput=file:/run/test/{name}.in
StandardOutput=file:/run/test/{name}.out
"""
SERVICE = """\
[Service]
{lines}
ExecStart={build}/e2e/ledger {args}
StandardOutput=append:/run/test/{log}.out
"""
SOCKET = "[Socket]\nListenStream={at}\n{lines}\n"

# name: what it is in its unit's [Service], and ledger's arguments. Each has a port of its own, in this order from 7443
# on; those of "archive" and "till" are their socket units'.
SERVICES = {
    "ledger": ("User=1002", "{ip} {port}"),
    "archive": ("User=1003", "-"),                                  # Accept=no: it accepts what systemd listens for
    "till@": ("User=1005\nStandardInput=socket", "accepted"),       # Accept=yes: systemd accepts
    "inetd": ("", "inetd {ip} {port} 1006"),                        # a super-server, and /desk below it
    "hive": ("", "prefork {ip} {port} 1007"),                       # listens as root; its children accept
    "thief": ("User=1008\nSockets=archive.socket", "-"),            # another unit given the archive's socket
}
PORT = {name.rstrip("@"): 7443 + i for i, name in enumerate(SERVICES)}
PORT["desk"] = PORT["inetd"]

# Nobody accepts for /till and /desk, until ACCEPTED_BY says who may. systemd accepts (Accept=yes) in a child of pid 1 that
# is in the socket unit's cgroup.
DROP_IN = """\
workloads:
  - id: /reports
    match: { systemd: reports.service }
  - id: /archive
    match: { systemd: archive.service }
  - id: /pid1
    match: { cgroup: /init.scope, uid: 0 }
  - id: /door
    match: { systemd: till.socket }
  - id: /till
    match: { cgroup: /system.slice/system-till.slice, uid: 1005 }
    # accepted_by: /door
  - id: /inetd
    match: { systemd: inetd.service, uid: 0 }
  - id: /desk
    match: { systemd: inetd.service, uid: 1006 }
    # accepted_by: /inetd
  - id: /hive
    match: { systemd: hive.service, uid: 1007 }
  - id: /thief
    match: { systemd: thief.service }
call:
  - { from: /payments, to: [ /archive, /till, /door, /pid1, /desk, /inetd, /hive ] }
  - { from: /reports, to: [ /archive ] }
accept:
  - { to: /archive, from: [ /payments ], hosts: [ a ] }
  - { to: /till, from: [ /payments ] }
  - { to: /door, from: [ /payments ] }
  - { to: /pid1, from: [ /payments ] }
  - { to: /desk, from: [ /payments ] }
  - { to: /inetd, from: [ /payments ] }
  - { to: /hive, from: [ /payments ] }
"""
ACCEPTED_BY = DROP_IN.replace("# accepted_by", "accepted_by")


def user_lines(*uids):
    """A shell line that makes users: systemd wants one for each User=, and useradd(8) takes an emulated guest seconds."""
    return "".join("echo u%d:x:%d:%d::/:/usr/sbin/nologin >>/etc/passwd; " % (u, u, u) for u in uids)


def services_start(b):
    """All but thief run, or wait for their first connection."""
    b.sh("mkdir -p /run/test && chmod 777 /run/test")
    for name, (lines, args) in SERVICES.items():
        log = name.rstrip("@")
        b.write("%s/%s.service" % (UNITS, name), SERVICE.format(
            lines=lines, build=stage.BUILD_MAIN, args=args.format(ip=b.ip, port=PORT[log]), log=log))
    for name, lines in (("archive", ""), ("till", "Accept=yes")):
        b.write("%s/%s.socket" % (UNITS, name), SOCKET.format(at="%s:%d" % (b.ip, PORT[name]), lines=lines))
    b.sh(user_lines(*range(1002, 1009)) + "systemctl daemon-reload; "
         "systemctl start ledger inetd hive archive.socket till.socket")
    for name in ("ledger", "inetd", "hive"):
        stage.until(lambda: "listening" in b.run("cat /run/test/%s.out" % name)[1], name + " to listen", 60)


class Client:
    """A client's unit on host a: payments.py, spoken to through the two pipes its unit names."""

    def __init__(self, host, name, uid):
        host.sh("mkdir -p /run/test && chmod 755 /run/test && rm -f /run/test/{n}.* && mkfifo /run/test/{n}.in "
                "/run/test/{n}.out".format(n=name))
        host.write("%s/%s.service" % (UNITS, name), CLIENT.format(uid=uid, src=stage.SRC, name=name))
        host.sh(user_lines(uid) + "systemctl daemon-reload && systemctl start --no-block " + name)
        # Read and write, as a pipe's end that does not wait for the other.
        self.to = os.fdopen(os.open("/run/test/%s.in" % name, os.O_RDWR), "w", buffering=1)
        self.back = os.fdopen(os.open("/run/test/%s.out" % name, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)
        self.name, self.rest = name, b""

    def _line(self):
        more = self.back.read()
        self.rest += more or b""
        return b"\n" in self.rest

    def __call__(self, command):
        self.to.write(command + "\n")
        stage.until(self._line, "%s to answer: %s" % (self.name, command[:60]), 120)
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def must(self, command):
        answer = self(command)
        if not answer["ok"]:
            raise stage.Wrong("%s: %s: %s" % (self.name, command[:80], answer))
        return answer
