# SPDX-License-Identifier: Apache-2.0
"""The two hosts of package.py, README.md's lines on them, and what is asked of cleatd's unit."""
import concurrent.futures
import re
import time

from package_units import stage

HERE = "/root/enrol"
AUDIT = "/var/log/cleat/audit.jsonl"


class Hosts:
    def __init__(self):
        self.hosts = {h: stage.Host(h) for h in "ab"}
        self.a, self.b = self.hosts["a"], self.hosts["b"]
        self.passed, self.connections, self.began = 0, 0, time.monotonic()
        self.within = 20 if "TCG" in open("/proc/cpuinfo").read() else 10

    def ok(self, sentence):
        self.passed += 1
        now = time.monotonic()
        print("  ok    %s (%.0f s)" % (sentence, now - self.began), flush=True)
        self.began = now

    def each(self, work, hosts=None):
        """work(host) on both at the same time: an emulated guest is slow, and there are two processors."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(work, hosts or self.hosts.values()))

    def prepare(self, host):
        # pid 1 is still starting: it has not made its own socket yet, or not everything runs
        stage.until(lambda: host.run("systemctl is-system-running", 250)[1].strip() in ("running", "degraded"),
                    "systemd on host " + host.name, 400)
        # The build host's root is a container's and a developer's: starting services is forbidden there, documentation is
        # left out, the rooms' users may be there, and to index man pages and the archive's packages takes an emulated guest
        # minutes. Nothing disciplines a guest's clock either; a host's does NTP.
        host.sh("rm -rf /usr/sbin/policy-rc.d /var/lib/man-db/auto-update /var/lib/apt/lists/* "
                "/etc/apt/apt.conf.d/20packagekit; rm -f $(grep -ls path-exclude /etc/dpkg/dpkg.cfg.d/*); "
                "for u in sign check read; do userdel cleat-$u 2>/dev/null; done; "
                "echo clock synchronised | %s/tests-vm/rawtcp" % stage.BUILD_MAIN)

    def explain(self):
        for host in self.hosts.values():
            try:
                print("--- host %s\n%s" % (host.name, host.run(
                    "journalctl -u cleatd --no-pager -o cat | tail -n 30; systemctl --no-pager --failed; "
                    "systemctl --no-pager status cleatd | head -n 12; tail -n 3 %s; "
                    "find /run/test -type f -exec tail -v -n 3 {} +" % AUDIT)[1]))
            except stage.Wrong as why:
                print("  host %s does not say more: %s" % (host.name, why))

    # ---- cleatd's unit ----

    def show(self, host, name):
        return host.sh("systemctl show --value -p %s cleatd" % name).strip()

    def active(self, host):
        stage.until(lambda: self.show(host, "ActiveState") == "active", "cleatd to be active on " + host.name, 200)

    def pid(self, host):
        return int(self.show(host, "MainPID"))

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

    def line(self, names, command):
        """One of README's lines on the hosts it names."""
        if command.startswith("scp "):
            return self.copy(command)
        for name, out in zip(names, self.each(lambda h: h.sh("cd %s && %s" % (HERE, command), 400),
                                              [self.hosts[n] for n in names])):
            print("        %s# %s" % (name, command), flush=True)
            print("".join("        | %s\n" % line for line in out.splitlines()[-4:]), end="", flush=True)
        return None
