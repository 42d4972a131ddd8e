# SPDX-License-Identifier: Apache-2.0
"""Whoever happens to run where packets arrive has nothing to do with them (attacks.md 67)."""
import os
import threading

import stage
from stage import Accepted, Wrong, test

CROWD = stage.BUILD_MAIN + "/tests-vm/crowd"
TOTAL = int(os.environ.get("BYSTANDER", "5000"))


def rx_on_one_cpu(host, cpu):
    """Every interrupt of the test network's device goes to one processor; no steering to others."""
    host.sh("""dev=$(basename $(readlink -f /sys/class/net/eth0/device)); n=0
for f in $(grep -l . /proc/irq/*/$dev-* 2>/dev/null) $(ls -d /proc/irq/*/*$dev* 2>/dev/null); do
    echo %d > $(dirname $f)/smp_affinity_list && n=$((n + 1)); done
for q in /sys/class/net/eth0/queues/rx-*; do echo 0 > $q/rps_cpus; done
[ $n -gt 0 ]""" % cpu)


@test(67, name="current_in_softirq", twin="owner_at_accept")
def softirq(s):
    """evil spins on the processor where b's packets arrive; thousands of connections to good, none of them evil's."""
    total = 200 if "/twin/" in s.b.build else TOTAL     # a twin errs at nearly each
    rx_on_one_cpu(s.b, 1)
    evil, good = s.actor(s.b, "/evil", 0, actor=CROWD), s.actor(s.b, "/good", 1001, actor=CROWD)
    peer = s.actor(s.a, "/svc", actor=CROWD)
    s.port += 1
    good.must("listen %s %d" % (s.b.ip, s.port))
    burner = evil.must("burn 1")["pid"]
    s.b.audit()
    answers = []
    muster = threading.Thread(target=lambda: answers.append(good("muster %d %s" % (total, s.audience("/good")))))
    muster.start()
    sent = peer("volley %s %d %d" % (s.b.ip, s.port, total))
    muster.join()
    evil.must("quench %d" % burner)
    if not sent["ok"] or not answers[0]["ok"]:
        raise Wrong("%s %s" % (sent, answers))
    r = answers[0]
    print("    %d connections: %d mine, %d others', %d refused %s; bound 3/n = %.4f" % (
        total, r["mine"], r["others"], r["refused"], r["word"], 3 / total))
    lines = [l for l in s.b.audit() if l.get("ask") == "whois"]
    carried = [l for l in lines if l.get("owner") == s.audience("/evil") or l.get("owner_pid") in (evil.pid, burner)]
    if carried or r["others"]:
        raise Accepted("%d records carry evil's label or pid: %s" % (len(carried) + r["others"], carried[:1]))
    if r["mine"] != total:
        raise Wrong(str(r))
