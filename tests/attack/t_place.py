# SPDX-License-Identifier: Apache-2.0
"""Identity where ids and cgroups are odd (attacks.md C), and names that anybody can give himself (I)."""
import base64
import json

import stage
from stage import Accepted, Wrong, test


def scene(s):
    good, svc = s.actor(s.a), s.service()
    return good, svc, lambda: s.accepted(good, svc)


def must_be(who, path, s, what):
    """@who is the workload @path, or nobody (None)."""
    w = who("whoami")
    said = w.get("id") or None
    if said != (path and s.audience(path)):
        raise (Accepted if said else Wrong)("%s is %s: %s" % (what, said, w))


def counted_since(host, before):
    """The words that moved, once one "ok" is among them."""
    moved = {w: n - before[w] for w, n in host.counters("sign").items() if n != before[w]}
    if moved.get("ok", 0) > 1:
        raise Accepted("%s" % moved)
    return moved.get("ok") and set(moved)


@test(54, name="confused_deputy_through_setuid")
def deputy(s):
    """su, passwd and mount write what good chose to the connection that good opened: the kernel does not let a root that good
    borrowed speak on it. What is written there as good itself is text, and no request."""
    good, svc, control = scene(s)
    control()
    s.connect(good, svc, "one")
    good.must("api loud sign")
    good.must("deputy loud /bin/echo sub=spiffe://test.example/good uid=1001")
    r = good("recv loud")
    if not r["ok"] or "malformed" not in r["text"] and s.a.audit()[-1]["reason"] != "malformed":
        raise Wrong("text is no request, and must be answered so: %s" % r)
    refused = 0
    for program in ("/bin/su no-such-user-%s", "/bin/su --%s", "/bin/passwd --%s", "/bin/mount /%s", "/bin/umount /%s"):
        name = program.split()[0]
        if s.a.run("test -u %s" % name)[0] != 0:
            continue
        good.must("api door sign")
        s.a.audit()
        before = s.a.counters("sign")
        if not good.must("deputy door " + program % s.audience())["status"]:
            raise Wrong("%s had nothing to complain of" % name)
        good("whoami via door")                         # the last message there, so the last one answered
        after = stage.until(lambda: counted_since(s.a, before), "whoami to be counted")
        words = set()                                   # the kernel's events come by themselves
        stage.until(lambda: words.update(l.get("event") or l["reason"] for l in s.a.audit() if l.get("ask") != "whoami")
                    or words, "a line about " + name)
        if words - {"api-refused", "malformed"} or after - {"ok", "malformed"}:
            raise Accepted("%s: audit %s, counters %s" % (name, words, after))
        refused += words == {"api-refused"}
        print("    %s: %s" % (name, ", ".join(sorted(words))))
    if not refused:
        raise Wrong("no borrowed root was refused by the kernel")
    control()


EXTREME = """\
  - id: /half
    match: { cgroup: /good, uid: 2147483648 }
  - id: /last
    match: { cgroup: /good, uid: 4294967294 }
  - id: /overflow
    match: { cgroup: /good, uid: 65534 }
"""


@test(57, name="uid_extremes_and_unmapped_users", twin="rule_uid", at="a")
def uids(s):
    """Ids are the initial user namespace's and compared whole; what a namespace calls them is nothing."""
    good, svc, control = scene(s)
    with s.policy("a", extra_workloads=EXTREME):
        control()
        for uid, path in ((2**31, "/half"), (2**32 - 2, "/last"), (65534, "/overflow"), (2**31 - 1, None),
                          (2**31 + 1001, None), (2**16 + 1001, None), (2**32 - 3, None), (0, None)):
            who = s.actor(s.a, "/good", uid)
            if who.must("pid")["uid"] % 2**32 != uid:
                raise Wrong("not uid %d: %s" % (uid, who.must("pid")))
            must_be(who, path, s, "uid %d" % uid)
        # In user namespaces: somebody else who calls himself 1001, root, or nothing at all (65534 to himself).
        for inside in ("1001", "0", ""):
            evil = s.actor(s.a, "/good", 1009)
            if evil.must("userns " + inside)["uid"] != int(inside or 65534):
                raise Wrong("the user namespace does not call it %s" % inside)
            must_be(evil, None, s, "1009, inside %s" % (inside or "unmapped"))
            s.connect(evil, svc, "e")
            s.refused(lambda: evil("sign e " + s.audience()), ("no-workload", "not-owner"), s.a, room="sign",
                      public="no-workload")
        # And good in a namespace of its own is good, whatever it is called there.
        good.must("userns 0")
        must_be(good, "/good", s, "good, root in a user namespace of its own")
        control()


@test(58, name="writing_own_cgroup_procs", twin="cgroup_exact", at="a")
def own_procs(s):
    """The unit may move its processes below itself: names there give nothing. Anywhere else the kernel says no."""
    good, svc, control = scene(s)
    control()
    base = "/sys/fs/cgroup"
    s.a.sh("chown 1001 {b}/good {b}/good/cgroup.procs; setpriv --reuid 1001 --regid 1001 --clear-groups "
           "mkdir -p {b}/good/svc {b}/good/good/good".format(b=base))
    try:
        good.must("userns 0")                           # root in user and cgroup namespaces: no help
        for place in ("/svc", "/evil", "/rooty", ""):
            r = good("join " + base + place)
            if r["ok"]:
                raise Accepted("moved itself to %s" % place)
            if r["errno"] not in (1, 13, 2):
                raise Wrong(str(r))
        for place in ("/good/svc", "/good/good", "/good/good/good", "/good"):
            good.must("join " + base + place)
            must_be(good, "/good", s, "good in " + place)
            control()
    finally:
        s.dismiss()
        s.a.sh("cd {b}/good && rmdir svc good/good good; chown 0 {b}/good {b}/good/cgroup.procs".format(b=base))


@test(62, name="threaded_cgroups", twin="cgroup_process", at="a")
def threaded(s):
    """A thread alone in a cgroup that policy names as another workload: it is its process, in all it does."""
    good, svc, control = scene(s)
    inner = "/sys/fs/cgroup/good/inner"
    with s.policy("a", extra_workloads="  - id: /inner\n    match: { cgroup: /good/inner }\n"):
        s.connect(good, svc, "leaders")
        s.a.sh("mkdir %s; echo threaded >%s/cgroup.type" % (inner, inner))
        try:
            thread = good.must("thread")["tid"]         # it does all that follows
            s.a.sh("echo %d >%s/cgroup.threads" % (thread, inner))
            if str(good.pid) == s.a.sh("cat %s/cgroup.threads" % inner).strip():
                raise Wrong("the leader moved, too")
            must_be(good, "/good", s, "the thread in /good/inner")
            end = s.connect(good, svc, "one")
            if not s.verify(svc, end, s.sign(good, "one"))["ok"]:
                raise Wrong("the thread's own socket")
            s.sign(good, "leaders")                     # and its leader's, of before
            control()
        finally:
            s.dismiss()
            s.a.sh("rmdir " + inner)


@test(178, name="cloned_machine_id_and_hostname")
def cloned(s):
    """b takes a's machine-id, host name and name service: b's key is b's. That b's policy file says it is a helps no
    more: b's key may not sign for a."""
    good, svc, control = scene(s)
    back, here = s.actor(s.b, "/good"), s.service(host=s.a)
    control()
    names = s.b.sh("hostname; cat /etc/machine-id 2>/dev/null || true")
    s.b.sh("hostname %s; echo %s >/run/machine-id; mount --bind /run/machine-id /etc/machine-id 2>/dev/null || "
           "cp /run/machine-id /etc/machine-id; echo '%s a b host-a host-b' >>/etc/hosts" % (
               s.a.sh("hostname").strip(), s.a.sh("cat /etc/machine-id 2>/dev/null || echo %032x" % 7).strip(), s.b.ip))
    try:
        with s.policy("ab"):
            name = s.connect(back, here, "b")
            v = s.verify(here, name, s.sign(back, "b"))
            if not v["ok"] or v["issuer"] != "spiffe://%s/host/b" % stage.TD:
                raise Accepted("what b signed is by %s" % v)
            control()
            # Now b's own configuration says that it is a.
            text = stage.POLICY.replace("host: {host}", "host: a", 1)
            s.b.config(policy=text)
            lines = s.b.reload()
            print("    " + "; ".join(lines))
            if any("generation=" in l for l in lines):
                t = s.sign(back, "b")
                wit = json.loads(base64.urlsafe_b64decode(t["wit"].split(".")[1] + "=="))
                s.refused(lambda: s.verify(here, name, t), ("wrong-issuer", "unknown-key"), s.a)
                print("    b signs as %s and is refused" % wit["iss"])
    finally:
        s.b.sh("hostname %s; umount /etc/machine-id 2>/dev/null; sed -i '/ a b host-a host-b$/d' /etc/hosts" %
               names.split("\n")[0])
    control()


@test(126, name="one_answer_for_all_that_is_not_yours")
def one_answer(s):
    """Handed over, inherited by somebody else, never tagged: three reasons in the audit, one answer, to the byte."""
    good, svc, control = scene(s)
    evil = s.actor(s.a, "/evil")
    control()
    s.connect(good, svc, "one")
    evil.must("mailbox box")
    good.must("sendfd one box")
    evil.must("recvfd one box")
    s.connect(good, svc, "two")
    kid = good.child("kid")
    s.a.sh("echo %d >/sys/fs/cgroup/evil/cgroup.procs" % kid.pid)
    room = s.a.sh("cat /proc/sys/net/core/optmem_max").strip()
    s.a.sh("echo 100 >/proc/sys/net/core/optmem_max")
    try:
        s.connect(evil, svc, "three")
    finally:
        s.a.sh("echo %s >/proc/sys/net/core/optmem_max" % room)
    audience = s.audience().encode()
    request = "01000000" + "01000000" + "0700000000000000" + "00000000" + "%02x000000" % len(audience) + "00" * 64 + \
        audience.hex().ljust(2 * 2048, "0")
    answers = {}
    for who, name in ((evil, "one"), (kid, "two"), (evil, "three")):
        who.must("api door sign")
        r = s.refused(lambda: who("ask door %s %s" % (request, name)), ("handed-over", "not-owner", "untagged"), s.a,
                      room="sign", public="not-yours")
        answers[r["audit"][0]["reason"]] = r["hex"]
    if set(answers) != {"handed-over", "not-owner", "untagged"}:
        raise Wrong("the reasons were %s" % sorted(answers))
    if len(set(answers.values())) != 1:
        raise Accepted("the answers tell them apart: %s" % answers)
    control()
