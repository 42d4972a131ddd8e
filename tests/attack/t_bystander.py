# SPDX-License-Identifier: Apache-2.0
"""Whoever happens to run where packets arrive has nothing to do with them (attacks.md 67)."""
import os
import threading

import stage
from stage import Accepted, Wrong, ctl, test, until

CROWD = stage.BUILD_MAIN + "/tests-vm/crowd"
TOTAL = int(os.environ.get("BYSTANDER", "5000"))
BATCH = 250


def rx_on_one_cpu(host, cpu):
    """Every interrupt of the test network's device goes to one processor; no steering to others."""
    host.sh("""dev=$(basename $(readlink -f /sys/class/net/eth0/device)); n=0
for f in $(grep -l . /proc/irq/*/$dev-* 2>/dev/null) $(ls -d /proc/irq/*/*$dev* 2>/dev/null); do
    echo %d > $(dirname $f)/smp_affinity_list && n=$((n + 1)); done
for q in /sys/class/net/eth0/queues/rx-*; do echo 0 > $q/rps_cpus; done
[ $n -gt 0 ]""" % cpu)


def records(host, port):
    """The kernel's records of the connections that the host's listener at @port has taken, by cookie. A list that is read
    while sockets come and go may lack one, or have one twice."""
    at = "%s:%d" % (host.ip, port)
    return {x["cookie"]: x for x in ctl(host, "sockets --all")["sockets"] if x["role"] == "server" and x["server"] == at}


@test(67, name="current_in_softirq", twin="owner_at_accept")
def softirq(s):
    """evil spins on the processor where b's packets arrive; thousands of connections to good, none of them evil's."""
    total = BATCH if "/twin/" in s.b.build else TOTAL   # a twin errs at nearly each
    rx_on_one_cpu(s.b, 1)
    evil, good = s.actor(s.b, "/evil", 0, actor=CROWD), s.actor(s.b, "/good", 1001, actor=CROWD)
    peer = s.actor(s.a, "/svc", actor=CROWD)
    s.port += 1
    good.must("listen %s %d" % (s.b.ip, s.port))
    burner = evil.must("burn 1")["pid"]

    def burn(signal):                           # while packets arrive; what else the guest does it would only slow down
        s.b.sh("kill -%s %d" % (signal, burner))
    carried, wrong, past = [], [], set()
    for _ in range(0, total, BATCH):
        answers = []
        burn("CONT")
        muster = threading.Thread(target=lambda: answers.append(good("muster %d" % BATCH)))
        muster.start()
        sent = peer("volley %s %d %d" % (s.b.ip, s.port, BATCH))
        muster.join()
        burn("STOP")
        if not sent["ok"] or not answers[0]["ok"]:
            raise Wrong("%s %s" % (sent, answers))
        seen = {}

        def whole():
            seen.update((c, x) for c, x in records(s.b, s.port).items() if c not in past)
            return len(seen) >= BATCH
        until(whole, "the records of %d connections" % BATCH)
        if len(seen) != BATCH:
            raise Wrong("%d records of %d connections" % (len(seen), BATCH))
        past.update(seen)
        others = [x for x in seen.values() if x["owner"] != s.audience("/good") or x["pid"] != good.pid]
        carried += [x for x in others if x["owner"] == s.audience("/evil") or x["pid"] in (evil.pid, burner)]
        wrong += others
        for end in (peer, good):
            end.must("scatter")
    evil.must("quench %d" % burner)
    print("    %d connections: %d records of others, %d of evil; bound 3/n = %.4f" % (
        total, len(wrong), len(carried), 3 / total))
    if wrong:
        raise Accepted("%d records carry evil's label or pid, %d another: %s" % (len(carried), len(wrong), wrong[:1]))
