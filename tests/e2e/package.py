#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages on two hosts with systemd as pid 1: README.md's lines, run as they stand there, install them; real
units then present assertions to each other, however their connections are accepted; what another unit replays is refused;
the audit log is rotated, processes are stopped, the packages go to the next version and back under load, are removed and
purged. Exit status 1 when a step went otherwise than it must."""
import json
import re
import sys
import time

from package_hosts import AUDIT, HERE, Hosts
from package_units import ACCEPTED_BY, DROP_IN, PORT, Client, services_start, stage

TD = "spiffe://prod.example"
DEBS = stage.BUILD + "/deb"
# What a client may meet while its host's daemon, or the other's, is being restarted.
NO_DAEMON = {"no-daemon", "busy", "not-armed", "timeout", "peer-gone"}


class Package(Hosts):
    def install(self):
        self.each(lambda h: h.sh("mkdir -p {h} && cp {d}/cleatd_*.deb {d}/libcleat0_*.deb {h}".format(h=HERE, d=DEBS)))
        first, *rest = self.readme()
        self.doctor("%s/cleatctl" % stage.BUILD_MAIN, ["no user cleat-sign", "no host key", "host init"])
        self.line(*first)
        self.doctor("cleatctl", ["ok    users", "no host key", "host init"])
        self.furnished()
        for names, command in rest:
            self.line(names, command)
        self.each(self.active)
        self.ok("README.md's ten lines install cleatd on both hosts")

    def doctor(self, program, words):
        """Before anything runs: it fails, and says what is missing and what to do."""
        rc, out = self.a.run(program + " doctor")
        if rc == 0 or not all(w in out for w in words):
            raise stage.Wrong("doctor: exit %d, and not all of %s:\n%s" % (rc, words, out))

    def furnished(self):
        """What the package brings and its scripts did: users, directories, pages, completion; nothing started."""
        self.a.sh("getent passwd cleat-sign cleat-check cleat-read >/dev/null")
        modes = self.a.sh("stat -c '%n %a %U:%G' /etc/cleat /etc/cleat/policies.d /etc/cleat/trust /var/lib/cleat "
                          "/var/log/cleat").split("\n")[:5]
        if modes != ["/etc/cleat 755 root:root", "/etc/cleat/policies.d 755 root:root", "/etc/cleat/trust 755 root:root",
                     "/var/lib/cleat 700 root:root", "/var/log/cleat 750 root:adm"]:
            raise stage.Wrong("tmpfiles.d: %s" % modes)
        for page in ("man8/cleatd.8", "man1/cleatctl.1", "man5/cleat.policy.5", "man7/cleat.7"):
            self.a.sh("zcat /usr/share/man/%s.gz | mandoc -T markdown | grep -qx '# NAME'" % page)
        words = self.a.sh("bash -c '. /usr/share/bash-completion/completions/cleatctl; COMP_WORDS=(cleatctl doc) "
                          "COMP_CWORD=1; _cleatctl; echo ${COMPREPLY[@]}'").split()
        if words != ["doctor"]:
            raise stage.Wrong("cleatctl doc<TAB> gives %s" % words)
        if self.a.run("systemctl is-active cleatd")[0] == 0 or self.a.run("systemctl is-enabled cleatd")[0] != 0:
            raise stage.Wrong("a package just installed is to be enabled, and has nothing to run yet")
        self.ok("the package brings users, directories, man pages and completion; doctor says what is missing")

    # ---- the daemon as a unit ----

    def pinned(self):
        return "disarm" in self.a.sh("cleatd --help 2>&1")

    def goes_on(self):
        """After a restart of the daemon."""
        if not self.pinned():
            self.a.sh("systemctl restart payments reports")
        self.legitimate("ledger")

    def unit(self):
        log = self.a.sh("journalctl -u cleatd --no-pager -o cat")
        if "level=full" not in log:
            raise stage.Wrong("not at level full:\n" + log)
        shown = self.a.sh("systemctl show -p Type,NRestarts,WatchdogTimestampMonotonic cleatd").split()
        if "Type=notify" not in shown or "NRestarts=0" not in shown or "WatchdogTimestampMonotonic=0" in shown:
            raise stage.Wrong("not a unit that told its watchdog and was started once: %s" % shown)
        if "libseccomp" in self.a.sh("dpkg-query -W -f '${Depends}' cleatd"):
            self.jailed()
        self.a.sh("cleatctl doctor")
        self.a.sh("systemctl start cleat-metrics.timer")
        stage.until(lambda: "cleat_up 1" in self.a.run("cat /run/cleat/metrics.prom")[1], "the metrics file", 60)
        self.ok("the unit is at level full with its watchdog, doctor has nothing to say, the timer writes metrics")

    def jailed(self):
        for room in ("sign", "check"):
            uid = self.a.sh("stat -c %%U /proc/$(pgrep -x cleatd-%s)" % room).strip()
            if uid != "cleat-" + room:
                raise stage.Wrong("the %s room runs as %s" % (room, uid))

    def drop_in(self, host, text):
        host.write("/etc/cleat/policies.d/test.yaml", text)
        host.sh("chmod 644 /etc/cleat/policies.d/test.yaml && systemctl reload cleatd")
        if "refused" in self.show(host, "StatusText"):
            raise stage.Wrong("systemctl status has not forgotten: " + self.show(host, "StatusText"))

    def reload(self):
        def both_ways(host):
            host.write("/etc/cleat/policies.d/test.yaml", "workloads: [ {} ]\n")
            host.sh("chmod 644 /etc/cleat/policies.d/test.yaml")
            if host.run("systemctl reload cleatd")[0] == 0:
                raise stage.Wrong("systemctl reload says yes to a policy that is refused")
            if "reload refused" not in self.show(host, "StatusText"):
                raise stage.Wrong("systemctl status does not tell: " + self.show(host, "StatusText"))
            self.drop_in(host, DROP_IN)
        self.each(both_ways)
        self.ok("systemctl reload fails with a bad drop-in, is done when it returns with a good one, on both hosts")

    # ---- the workloads' units ----

    def services(self):
        services_start(self.b)
        if self.b.run("systemctl is-active archive.service")[0] == 0:
            raise stage.Wrong("the archive runs before anybody asked")
        self.payments, self.reports = Client(self.a, "payments", 1001), Client(self.a, "reports", 1004)

    def present(self, client, service, assertion=None, audience=None):
        """A new connection, an assertion about it (or the one given), presented. (accepted, the assertion)"""
        self.connections += 1
        name = "c%d" % self.connections
        client.must("connect %s %s %d" % (name, self.b.ip, PORT[service]))
        if assertion is None:
            assertion = client.must("sign %s %s/%s" % (name, TD, audience or service))["assertion"]
        return client("say %s %s hello" % (name, assertion))["ok"], assertion

    def legitimate(self, service):
        ok, assertion = self.present(self.payments, service)
        if not ok:
            raise stage.Wrong("payments is refused at %s: %s" % (service, self.last(self.b)))
        line = self.last(self.b)
        if line["reason"] != "ok" or line["workload"] != "%s/%s" % (TD, service):
            raise stage.Wrong("accepted, but the audit log says %s" % line)
        return assertion

    def refused(self, attack, reasons, what):
        """attack() -> as present(). The audit log says why, and of whom: never a workload that only accepted."""
        if attack()[0]:
            raise stage.Accepted(what)
        line = self.last(self.b)
        if line["reason"] not in reasons or line.get("workload") in (TD + "/pid1", TD + "/door", TD + "/inetd"):
            raise stage.Wrong("%s: refused, but the audit log says %s" % (what, line))
        return line["reason"]

    def last(self, host):
        return json.loads(host.sh("tail -n 1 " + AUDIT))

    def traffic(self):
        for service in ("ledger", "archive"):
            copied = self.legitimate(service)
            reason = self.refused(lambda: self.present(self.reports, service, copied), ["wrong-connection"],
                                  "reports presented what payments had obtained for " + service)
            self.legitimate(service)
            self.ok("payments.service presents to %s; what reports.service replays is refused: %s" % (service, reason))
        self.legitimate("hive")
        self.ok("archive.service, started by its socket, and children that accept for themselves own what they accept")

    def thief(self):
        """Another unit with the archive's socket, while the archive itself does not accept."""
        b = self.b
        b.sh("systemctl kill -s STOP archive.service && systemctl start thief.service")
        stage.until(lambda: "listening" in b.run("cat /run/test/thief.out")[1], "thief", 60)
        reason = self.refused(lambda: self.present(self.payments, "archive"), ["wrong-audience", "policy"],
                              "another unit activated by the archive's socket took what was for the archive")
        b.sh("systemctl stop thief.service && systemctl kill -s CONT archive.service")
        self.legitimate("archive")
        self.ok("another unit with the archive's socket cannot take what is for the archive: " + reason)

    def accepted_by(self):
        """Accept=yes and inetd: somebody else accepted."""
        cases = (("till", ("door", "pid1"), "systemd's Accept=yes"), ("desk", ("inetd",), "inetd"))
        for service, _, who in cases:
            self.refused(lambda: self.present(self.payments, service), ["not-owner", "handed-over"],
                         "accepted by %s, and nobody said that it may" % who)
        self.drop_in(self.b, ACCEPTED_BY)
        for service, acceptors, _ in cases:
            self.legitimate(service)
            for other in acceptors:
                self.refused(lambda: self.present(self.payments, service, audience=other), ["wrong-audience"],
                             "%s took for its own what was for %s" % (service, other))
            self.legitimate(service)
        self.ok("accepted by systemd (Accept=yes) or by inetd: refused, until accepted_by says who may; never as pid 1")

    # ---- load ----

    def lines(self):
        """Reasons of the check room's answers on b, counted through both the audit log and the one renamed."""
        text = self.b.sh("cat %s.1 %s 2>/dev/null || :" % (AUDIT, AUDIT))
        counts = {}
        for line in map(json.loads, text.splitlines()):
            if line.get("ask") == "verify":
                counts[line["reason"]] = counts.get(line["reason"], 0) + 1
        return counts

    def under_load(self, work):
        """work() while connections come one after another, each assertion presented twice. Every accept was audited, none
        was accepted twice (one that no daemon answered the first time may be, the second time), and whoever was not accepted was
        refused for want of a daemon."""
        before = self.lines()
        self.payments.must("load %s %d %s/ledger" % (self.b.ip, PORT["ledger"], TD))
        try:
            work()
        finally:
            counts = self.payments.must("rest")["counts"]
        after = self.lines()
        accepts = sum(n for outcome, n in counts.items() if outcome.startswith("ok, then") or outcome.endswith(", then ok"))
        if "ok, then ok" in counts:
            raise stage.Accepted("a second presentation: %s" % counts)
        if after.get("ok", 0) - before.get("ok", 0) != accepts or accepts == 0:
            raise stage.Wrong("%d accepts, audited are %s before and %s after" % (accepts, before, after))
        strange = {o for o in counts if o.startswith("sign: ") and o[6:] not in NO_DAEMON} | {
            r for r in after if after[r] != before.get(r, 0) and r not in NO_DAEMON | {"ok", "replayed"} | self.gap()}
        if strange or any(o.startswith("network") for o in counts):
            raise stage.Wrong("%s in %s; the audit log: %s, then %s" % (strange, counts, before, after))
        return counts

    def gap(self):
        """What outlived its daemon: where the kernel side is not pinned, nothing is known of a connection any more, and a
        process is at level reduced until its next exec."""
        return set() if self.pinned() else {"untagged", "level"}

    def rotate(self):
        host = self.b

        def work():
            stage.until(lambda: len(self.lines()) > 1, "load", 60)
            host.sh("logrotate -v -f /etc/logrotate.d/cleatd")
            old = host.sh("wc -l <%s.1" % AUDIT)
            stage.until(lambda: host.sh("wc -l <" + AUDIT).strip() not in ("0", "1"), "lines in the new file", 60)
            if host.sh("wc -l <%s.1" % AUDIT) != old:
                raise stage.Wrong("the renamed file still grows")
        counts = self.under_load(work)
        self.ok("the package's logrotate rule rotates the audit log under load, and no line is lost: %s" % counts)

    def version(self, host):
        return host.sh("dpkg-query -W -f '${Version}' cleatd")

    def install_debs(self, debs):
        before = self.each(self.pid)

        def work(host):
            host.sh("dpkg -i " + debs, 300)
            self.active(host)
        self.each(work)
        if any(b == now for b, now in zip(before, self.each(self.pid))):
            raise stage.Wrong("dpkg -i %s did not restart cleatd" % debs)

    def upgrade(self):
        """N-1, N, N-1: what is older is newer without its policy, key or log having changed."""
        kept = "cat /etc/cleat/cleat.yaml /var/lib/cleat/host.key | sha256sum"
        before, versions = self.each(lambda h: h.sh(kept)), [self.version(self.a)]

        def work():
            self.install_debs("%s/next/*.deb" % DEBS)
            versions.append(self.version(self.a))
            self.install_debs("%s/cleatd_*.deb %s/libcleat0_*.deb" % (DEBS, DEBS))
            versions.append(self.version(self.a))
        counts = self.under_load(work)
        if "next" not in versions[1] or versions[0] != versions[2] or self.each(lambda h: h.sh(kept)) != before:
            raise stage.Wrong("%s, or policy and key changed" % versions)
        self.goes_on()
        self.ok("an upgrade and a downgrade under load: %s" % counts)

    # ---- processes that hang, and the end ----

    def hang(self):
        """On b a room is stopped, on a the main process: the first does not answer, the second does not ask. systemd must
        notice by the watchdog and start the daemon anew within ten seconds; where the processor is emulated it may take
        longer to end what was killed, and is given twice as long."""
        def stop(host):
            pid = self.pid(host)
            which = "$(pgrep -x cleatd-check)" if host.name == "b" else pid
            # from the daemon's own cgroup: at level full its processes take no signal from any other but pid 1's
            return pid, float(host.sh("(echo $BASHPID >/sys/fs/cgroup/system.slice/cleatd.service/cgroup.procs && "
                                      "kill -STOP %s) && cut -d' ' -f1 /proc/uptime" % which))
        stopped = dict(zip("ab", self.each(stop)))
        began = time.monotonic()
        if self.present(self.payments, "ledger")[0]:
            raise stage.Accepted("by a room that is stopped")
        if time.monotonic() - began > 8 or "timeout" not in self.b.sh("tail -n 1 /run/test/ledger.out"):
            raise stage.Wrong("the service did not give up in time: " + self.b.sh("tail -n 1 /run/test/ledger.out"))

        def restarted(host):
            pid, at = stopped[host.name]
            stage.until(lambda: self.pid(host) not in (0, pid), "the watchdog to restart cleatd", 60)
            log = host.sh("journalctl -u cleatd --no-pager -o short-monotonic")
            noticed = re.findall(r"^\[ *([0-9.]+)\] .*Watchdog timeout", log, re.M)
            took = [float(t) - at for t in noticed[-1:]] + [
                float(self.show(host, "ExecMainStartTimestampMonotonic")) / 1e6 - at]
            if len(took) != 2 or took[0] > 8 or took[1] > self.within:
                raise stage.Wrong("noticed and restarted %s s after it was stopped:\n%s" % (took, log[-2000:]))
            self.active(host)
            return took
        took = self.each(restarted)
        self.goes_on()
        self.ok("a room stopped, or the main process: clients time out, the watchdog notices after %s s, restarts after %s s" % (
            " and ".join("%.1f" % t[0] for t in took), " and ".join("%.1f" % t[1] for t in took)))

    def remove(self):
        host, shipped = self.a, self.a.sh("dpkg -L cleatd libcleat0").split()
        host.sh("dpkg -r cleatd libcleat0", 300)
        left = host.sh("for f in %s; do [ -d $f ] || [ ! -e $f ] || echo $f; done" % " ".join(
            f for f in shipped if not f.startswith("/etc/"))).split()
        if left or host.run("pgrep -x cleatd")[0] == 0 or host.run("systemctl is-active cleat-metrics.timer")[0] == 0:
            raise stage.Wrong("removal left %s" % (left or "the daemon or the timer"))
        host.sh("test -s /etc/cleat/cleat.yaml -a -s /var/lib/cleat/host.key -a -s " + AUDIT)
        hooks = host.sh("ls -d /sys/fs/bpf/cleat 2>/dev/null; bpftool prog show | grep ' name cleat_' || :")
        if hooks:
            raise stage.Wrong("removal left the hooks in the kernel:\n" + hooks)
        self.payments.must("connect late %s %d" % (self.b.ip, PORT["ledger"]))
        if self.payments("sign late %s/ledger" % TD)["ok"]:
            raise stage.Accepted("an assertion without a daemon")
        self.ok("removal ends daemon, timer and hooks, and keeps policy, key and audit log")

    def purge(self):
        self.a.sh("dpkg -P cleatd", 300)
        left = self.a.sh("ls -d /etc/cleat /var/lib/cleat /var/log/cleat /run/cleat /sys/fs/bpf/cleat /etc/logrotate.d/cleatd "
                         "2>/dev/null; getent passwd cleat-sign cleat-check cleat-read; getent group cleat-sign; "
                         "find /etc/systemd /var/lib/systemd /run/systemd -name '*cleat*'; dpkg -l cleatd 2>/dev/null | "
                         "grep '^[ri]' || :")
        if left:
            raise stage.Wrong("purging left:\n" + left)
        self.ok("purging leaves nothing, users included")

    def run(self):
        self.each(self.prepare)
        self.ok("systemd is up")
        for step in (self.install, self.unit, self.reload, self.services, self.traffic, self.thief, self.accepted_by,
                     self.rotate, self.hang, self.upgrade, self.remove, self.purge):
            step()


def main():
    package, failed = Package(), 0
    try:
        package.run()
    except (stage.Accepted, stage.Wrong) as e:
        failed = 1
        print("  FAIL  %s: %s" % (type(e).__name__, e), flush=True)
        package.explain()
    print("%d passed, %d failed, 0 skipped" % (package.passed, failed))
    sys.exit(failed)


if __name__ == "__main__":
    main()
