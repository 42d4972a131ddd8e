# SPDX-License-Identifier: Apache-2.0
"""The doors before clients that keep no rule (attacks.md 115, 120, 125, 126)."""
import json
import os
import subprocess
import sys

from native_stage import CGROUPS, DIR, SCALE
from stage import Accepted, Wrong

ASKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "asker.py")


def ask(mode, workload, uid, *args):
    want = "" if workload == "good" and uid != 1001 else "spiffe://test.example/" + workload
    return subprocess.Popen([sys.executable, ASKER, mode, "%s/%s" % (CGROUPS, workload), str(uid), DIR + "/run", want] +
                            [str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def told(p):
    out = p.communicate(timeout=300)[0]
    try:
        answer = json.loads(out)
    except ValueError:
        raise Wrong(out)
    if "accepted" in answer:
        raise Accepted(answer["accepted"])
    if p.returncode:
        raise Wrong(out)
    return answer


def scene(s):
    good, svc = s.actor(s.a), s.service()
    s.accepted(good, svc)
    return good, svc


def mixup(s):
    """Five processes of four identities ask at once, all with the same serial number, over descriptors of the daemon's that
    are used again and again."""
    good, svc = scene(s)
    each = int(1000 * max(SCALE, 0.1))
    crowd = [ask("mixup", w, uid, each) for w, uid in (
        ("good", 1001), ("good", 1001), ("good", 1009), ("svc", 1002), ("svc", 1003))]
    answered = sum(told(p)["answered"] for p in crowd)
    s.accepted(good, svc)
    return "%d answers, each its asker's: a mix-up in below 3 of %d" % (answered, answered)


def fuzz(s):
    """Any bytes to both doors: answered, and refused."""
    good, svc = scene(s)
    fds, count = s.a.fds(), int(10000 * max(SCALE, 0.1))
    words = told(ask("fuzz", "good", 1001, count))
    s.a.fds_back(fds)
    if s.a.p.poll() is not None:
        raise Accepted("the daemon ended")
    s.accepted(good, svc)
    return "below 3 of %d: %s" % (count, words)


def status(s):
    """Flags, owner, time limits, options, what waits to be read, the offset of a file: as they were."""
    good, svc = scene(s)
    helper = ask("status", "good", 1001, *svc.at.split())
    svc.must("accept x l")
    svc.must("send x hello")
    compared = told(helper)["compared"]
    s.accepted(good, svc)
    return "%d values compared" % compared


def oracle(s):
    """Somebody else's socket, one handed over, one that nobody could know: one answer to the byte. And what is not allowed
    sounds like what is not there."""
    good, svc = scene(s)
    s.connect(good, svc, "one")
    evil = s.actor(s.a, "/svc", 1003)
    evil.must("mailbox evil")
    for name in ("one",):
        good.must("sendfd %s evil" % name)
        evil.must("recvfd %s evil" % name)
    kid = good.child("kid")
    s.a.sh("echo %d >%s/svc/cgroup.procs" % (kid.pid, CGROUPS))
    evil.must("api door sign")
    kid.must("api door sign")
    body = "00000000" + "%02x000000" % len(s.audience()) + "00" * 64 + s.audience().encode().ljust(2048, b"\0").hex()
    ask_hex = "01000000" + "01000000" + "0700000000000000" + body
    answers = {"handed over": evil("ask door %s one" % ask_hex), "inherited": kid("ask door %s one" % ask_hex)}
    if any(a["ok"] for a in answers.values()):
        raise Accepted(str(answers))
    if len({a["hex"] for a in answers.values()}) != 1 or answers["inherited"]["reason"] != "not-yours":
        raise Wrong("the answers differ: %s" % answers)
    good.must("api door sign")
    said = {}
    for audience in (s.audience("/good"), s.audience("/nosuch"), "spiffe://elsewhere.example/svc"):
        message = ask_hex[:40] + "%02x000000" % len(audience) + "00" * 64 + audience.encode().ljust(2048, b"\0").hex()
        said[audience] = good("ask door %s one" % message)
    if any(a["ok"] for a in said.values()):
        raise Accepted(str(said))
    if len({a["hex"] for a in said.values()}) != 1:
        raise Wrong("the answers differ: %s" % said)
    s.accepted(good, svc)
    return "%d answers, two texts" % (len(answers) + len(said))


def sender(s):
    """Another process of the same workload sends on good's API connection; a process sends with other ids than it connected
    with."""
    good, svc = scene(s)
    s.connect(good, svc, "one")
    good.must("api door sign")
    kid = good.child("kid")
    s.refused(lambda: kid("sign one %s via door" % s.audience()), "peer-gone", s.a, room="sign")
    good.must("sign one %s via door" % s.audience())
    root = s.actor(s.a, "/svc", 0)
    root.must("api door sign")
    root.must("whoami via door")
    root.must("setuid 1003")
    s.refused(lambda: root("whoami via door"), "peer-gone", s.a, room="sign")
    s.accepted(good, svc)
    return "the owner of the connection alone, as who it was"


TESTS = [("attack_053_another_process_sends", sender), ("attack_115_shared_file_status", status), ("attack_120_any_bytes", fuzz), ("attack_125_whose_answer_is_it", mixup),
         ("attack_126_one_answer_for_all_that_is_not_yours", oracle)]
