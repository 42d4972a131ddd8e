#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages on two hosts with systemd as pid 1: README.md's lines, run as they stand there, install them; real
units then present assertions to each other, one of them started by its socket; what another unit replays is refused;
a stopped room, an upgrade, removal and purge. Exit status 1 when a step went otherwise than it must."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "attack"))
import stage  # noqa: E402

TD = "spiffe://prod.example"
DEBS = stage.BUILD + "/deb"
HERE = "/root/enrol"
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
User={uid}
ExecStart={build}/e2e/ledger {args}
StandardOutput=append:/run/test/{name}.out
Environment=LD_LIBRARY_PATH=
"""
SOCKET = """\
[Socket]
ListenStream={ip}:7444
"""
DROP_IN = """\
workloads:
  - id: /reports
    match: { systemd: reports.service }
  - id: /archive
    match: { systemd: archive.service }
call:
  - { from: /payments, to: [ /archive ] }
  - { from: /reports, to: [ /archive ] }
accept:
  - { to: /archive, from: [ /payments ], hosts: [ a ] }
"""


class Unit:
    """A client's unit on host a: payments.py, spoken to through the two pipes its unit names."""

    def __init__(self, host, name, uid):
        host.sh("mkdir -p /run/test && chmod 755 /run/test && rm -f /run/test/{n}.* && mkfifo /run/test/{n}.in "
                "/run/test/{n}.out".format(n=name))
        host.write("/run/systemd/system/%s.service" % name, CLIENT.format(uid=uid, src=stage.SRC, name=name))
        host.sh("useradd -M -u {u} {n}-user && systemctl daemon-reload && systemctl start --no-block {n}".format(
            n=name, u=uid))
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


class Package:
    def __init__(self):
        self.hosts = {h: stage.Host(h) for h in "ab"}
        self.a, self.b = self.hosts["a"], self.hosts["b"]
        self.passed, self.connections = 0, 0

    def ok(self, sentence):
        self.passed += 1
        print("  ok    " + sentence, flush=True)

    # ---- README.md ----

    def readme(self):
        """The lines between the marks, as (hosts, command)."""
        text = open(stage.SRC + "/README.md").read()
        block = re.search(r"<!-- package.py runs these lines -->\n```\n(.*?)```", text, re.S).group(1)
        lines = [re.match(r"(ab|a|b)# (.+)$", line) for line in block.splitlines()]
        if len(lines) != 10 or not all(lines):
            raise stage.Wrong("README.md's installation is not ten lines of the form host# command:\n" + block)
        return [(line.group(1), line.group(2)) for line in lines]

    def copy(self, command):
        """scp on host a, over the test's own channel: the guests have no sshd."""
        for word in re.findall(r"scp (\S+ \S+)", command):
            source, target = word.split()
            from_host = self.hosts[source.split(":")[0]] if ":" in source else self.a
            to_host = self.hosts[target.split(":")[0]] if ":" in target else self.a
            name = source.split(":")[-1]
            to_host.write("%s/%s" % (HERE, name), from_host.read("%s/%s" % (HERE, name)))

    def install(self):
        for host in self.hosts.values():
            host.sh("mkdir -p {h} && cp {d}/cleatd_*.deb {d}/libcleat0_*.deb {h}".format(h=HERE, d=DEBS))
        for names, command in self.readme():
            if command.startswith("scp "):
                self.copy(command)
                continue
            for name in names:
                print("        %s# %s" % (name, command), flush=True)
                out = self.hosts[name].sh("cd %s && %s" % (HERE, command), 400)
                print("".join("        | %s\n" % line for line in out.splitlines()[-6:]), end="", flush=True)
        for host in self.hosts.values():
            self.active(host)
        self.ok("README.md's ten lines install cleatd on both hosts")

    # ---- the daemon as a unit ----

    def show(self, host, name):
        return host.sh("systemctl show --value -p %s cleatd" % name).strip()

    def active(self, host):
        stage.until(lambda: self.show(host, "ActiveState") == "active", "cleatd to be active on " + host.name, 200)

    def pid(self, host):
        return int(self.show(host, "MainPID"))

    def unit(self):
        log = self.a.sh("journalctl -u cleatd --no-pager -o cat")
        if "level=full" not in log:
            raise stage.Wrong("not at level full:\n" + log)
        for name in ("Type=notify", "NRestarts=0"):
            if self.a.sh("systemctl show -p %s cleatd" % name.split("=")[0]).strip() != name:
                raise stage.Wrong("not " + name)
        if int(self.show(self.a, "WatchdogTimestampMonotonic") or 0) == 0:
            raise stage.Wrong("it never told the watchdog that it lives")
        self.ok("the unit is ready at level full, with its watchdog, and was started once")

    def reload(self):
        for host in self.hosts.values():
            host.write("/etc/cleat/policies.d/test.yaml", "workloads: [ {} ]\n")
            host.sh("chmod 644 /etc/cleat/policies.d/test.yaml")
            if host.run("systemctl reload cleatd")[0] == 0:
                raise stage.Wrong("systemctl reload says yes to a policy that is refused")
            if "reload refused" not in self.show(host, "StatusText"):
                raise stage.Wrong("systemctl status does not tell: " + self.show(host, "StatusText"))
            host.write("/etc/cleat/policies.d/test.yaml", DROP_IN)
            host.sh("chmod 644 /etc/cleat/policies.d/test.yaml && systemctl reload cleatd")
            if "refused" in self.show(host, "StatusText"):
                raise stage.Wrong("systemctl status has not forgotten: " + self.show(host, "StatusText"))
        self.ok("systemctl reload fails with a bad drop-in, is done when it returns with a good one, on both hosts")

    # ---- the workloads' units ----

    def services(self):
        b = self.b
        b.sh("mkdir -p /run/test && chmod 777 /run/test")
        for name, uid, args in (("ledger", 1002, b.ip + " 7443"), ("archive", 1003, "-")):
            b.sh("useradd -M -u %d %s-user" % (uid, name))
            b.write("/run/systemd/system/%s.service" % name,
                    SERVICE.format(uid=uid, build=stage.BUILD_MAIN, args=args, name=name))
        b.write("/run/systemd/system/archive.socket", SOCKET.format(ip=b.ip))
        b.sh("systemctl daemon-reload && systemctl start ledger.service archive.socket")
        stage.until(lambda: "listening" in b.run("cat /run/test/ledger.out")[1], "the ledger", 60)
        if b.run("systemctl is-active archive.service")[0] == 0:
            raise stage.Wrong("the archive runs before anybody asked")
        self.payments, self.reports = Unit(self.a, "payments", 1001), Unit(self.a, "reports", 1004)

    def present(self, unit, audience, port, assertion=None):
        """A new connection, an assertion about it (or the one given), presented. (accepted, the assertion)"""
        self.connections += 1
        name = "c%d" % self.connections
        unit.must("connect %s %s %d" % (name, self.b.ip, port))
        if assertion is None:
            assertion = unit.must("sign %s %s%s" % (name, TD, audience))["assertion"]
        return unit("say %s %s hello" % (name, assertion))["ok"], assertion

    def legitimate(self, audience, port):
        ok, assertion = self.present(self.payments, audience, port)
        if not ok:
            raise stage.Wrong("payments is refused at %s: %s" % (audience, self.last(self.b)))
        return assertion

    def last(self, host):
        return json.loads(host.sh("tail -n 1 /var/log/cleat/audit.jsonl"))

    def traffic(self):
        for audience, port in (("/ledger", 7443), ("/archive", 7444)):
            copied = self.legitimate(audience, port)
            if self.present(self.reports, audience, port, copied)[0]:
                raise stage.Accepted("reports presented what payments had obtained for " + audience)
            line = self.last(self.b)
            if line["reason"] in ("ok", "undecided"):
                raise stage.Wrong("the audit log does not say why: %s" % line)
            self.legitimate(audience, port)
            self.ok("payments.service presents to %s; what reports.service replays is refused: %s" % (
                audience, line["reason"]))
        if self.b.run("systemctl is-active archive.service")[0] != 0:
            raise stage.Wrong("the archive was not started by its socket")
        self.ok("archive.service was started by its socket, which systemd made")

    # ---- hang, upgrade, end ----

    def hang(self):
        """A room that is stopped does not answer; systemd must notice by the watchdog and start the daemon anew."""
        before = self.pid(self.b)
        self.b.sh("echo 0 >/sys/fs/cgroup/system.slice/cleatd.service/cgroup.procs && "
                  "kill -STOP $(pgrep -P %d | head -n 1)" % before)
        stage.until(lambda: self.pid(self.b) not in (0, before), "the watchdog to restart cleatd", 60)
        self.active(self.b)
        if "watchdog" not in self.b.sh("journalctl -u cleatd --no-pager -o cat").lower():
            raise stage.Wrong("something else restarted it")
        self.legitimate("/ledger", 7443)
        self.ok("a stopped room makes the watchdog restart the daemon, and assertions go on")

    def rotate(self):
        host = self.b
        if host.sh("test -f /etc/logrotate.d/cleatd && cd /var/log/cleat && mv audit.jsonl audit.jsonl.1 && "
                   "systemctl reload cleatd && wc -l <audit.jsonl.1") != self.lines_after(host):
            raise stage.Wrong("the renamed file still grows")
        if self.last(host)["reason"] != "ok":
            raise stage.Wrong("the new file does not have what followed")
        self.ok("a renamed audit log is left alone after a reload")

    def lines_after(self, host):
        self.legitimate("/ledger", 7443)
        return host.sh("wc -l </var/log/cleat/audit.jsonl.1")

    def upgrade(self):
        before = {h: self.pid(self.hosts[h]) for h in "ab"}
        for host in self.hosts.values():
            host.sh("dpkg -i %s/next/*.deb" % DEBS, 300)
        for name, host in self.hosts.items():
            self.active(host)
            if self.pid(host) == before[name]:
                raise stage.Wrong("the upgrade did not restart cleatd on " + name)
        if "next" not in self.a.sh("dpkg-query -W -f '${Version}' cleatd"):
            raise stage.Wrong("the next version is not what is installed")
        self.legitimate("/ledger", 7443)
        self.ok("an upgrade restarts the daemon with its policy, and assertions go on")

    def remove(self):
        host, shipped = self.a, self.a.sh("dpkg -L cleatd libcleat0").split()
        host.sh("dpkg -r cleatd libcleat0", 300)
        left = host.sh("for f in %s; do [ -d $f ] || [ ! -e $f ] || echo $f; done" % " ".join(shipped)).split()
        if left or host.run("pgrep -x cleatd")[0] == 0:
            raise stage.Wrong("removal left %s" % (left or "the daemon"))
        host.sh("test -s /etc/cleat/cleat.yaml -a -s /var/lib/cleat/host.key -a -s /var/log/cleat/audit.jsonl")
        if self.payments("sign c1 %s/ledger" % TD)["ok"]:
            raise stage.Accepted("an assertion without a daemon")
        self.ok("removal ends the daemon and keeps policy, key and audit log")
        host.sh("dpkg -P cleatd", 300)
        left = host.sh("ls -d /etc/cleat /var/lib/cleat /var/log/cleat /run/cleat /sys/fs/bpf/cleat 2>/dev/null || :")
        if left:
            raise stage.Wrong("purging left " + left)
        self.ok("purging leaves nothing")

    def run(self):
        for host in self.hosts.values():
            # pid 1 is still starting: it has not made its own socket yet, or not everything runs
            stage.until(lambda: host.run("systemctl is-system-running", 250)[1].strip() in ("running", "degraded"),
                        "systemd on host " + host.name, 400)
            # The build host's root is a container's and a developer's: starting services is forbidden, and to index its
            # man pages and the archive's packages takes an emulated guest minutes.
            host.sh("rm -rf /usr/sbin/policy-rc.d /var/lib/man-db/auto-update /var/lib/apt/lists/*; "
                    "rm -f /etc/apt/apt.conf.d/20packagekit")
            # A guest's root is an overlay, which no room is handed files of, so that its audit log could not be rotated.
            host.sh("mount -t tmpfs none /var/log")
            # Nothing disciplines a guest's clock; a host's does NTP.
            host.sh("echo clock synchronised | %s/tests-vm/rawtcp" % stage.BUILD_MAIN)
        for step in (self.install, self.unit, self.reload, self.services, self.traffic, self.rotate, self.hang, self.upgrade,
                     self.remove):
            step()


def main():
    package, failed = Package(), 0
    try:
        package.run()
    except (stage.Accepted, stage.Wrong) as e:
        failed = 1
        print("  FAIL  %s: %s" % (type(e).__name__, e), flush=True)
        for host in package.hosts.values():
            try:
                print(host.run("journalctl -u cleatd --no-pager -o cat | tail -n 30; systemctl --no-pager --failed")[1])
            except stage.Wrong as why:
                print("  host %s does not say more: %s" % (host.name, why))
    print("%d passed, %d failed, 0 skipped" % (package.passed, failed))
    sys.exit(failed)


if __name__ == "__main__":
    main()
