# SPDX-License-Identifier: Apache-2.0
"""Identity on the host (attacks.md C): who a process is comes from the kernel, whatever it does or says."""
from stage import Accepted, Wrong, test


def scene(s):
    good, svc = s.actor(s.a), s.service()
    return good, svc, lambda: s.accepted(good, svc)


@test(53, name="connect_in_one_cgroup_send_from_another", twin="api_owner", at="a")
def other_sender(s):
    """good connects to the API and forks; the child moves to evil's cgroup and sends on the inherited connection."""
    good, svc, control = scene(s)
    s.connect(good, svc, "one")
    good.must("api door sign")
    kid = good.child("kid")
    control()
    s.a.sh("echo %d > /sys/fs/cgroup/evil/cgroup.procs" % kid.pid)
    r = kid("sign one %s via door" % s.audience())
    if r["ok"]:
        raise Accepted(str(r))
    if r.get("errno") != 1:
        raise Wrong("the kernel must refuse the message itself: %s" % r)
    # The owner of the connection is unharmed.
    good.must("sign one %s via door" % s.audience())
    # And with a connection of its own the child is who it is: evil, and not the owner of the socket.
    s.a.audit()
    r = kid("sign one " + s.audience())
    if r["ok"] or r["reason"] != "not-yours":
        raise Accepted(str(r))
    line = [l for l in s.a.audit() if l["room"] == "sign"][-1]  # an event of before may be told after it
    if line["reason"] not in ("not-owner", "handed-over"):
        raise Wrong(str(line))
    control()


@test(53, name="the_sender_changes_its_uid", twin="api_owner", at="a")
def other_uid(s):
    svc, control = scene(s)[1:]
    root = s.actor(s.a, "/good", 0)
    root.must("api door sign")
    root.must("setuid 1001")
    r = root("whoami via door")
    if r["ok"]:
        raise Accepted("a message of another uid than the connection's: %s" % r)
    control()


@test(65, name="every_way_to_hand_over_a_socket", twin="owner", at="a")
def hand_over(s):
    """SCM_RIGHTS, pidfd_getfd and fork: evil holds good's connected socket and asks for an assertion of its own."""
    good, svc, control = scene(s)
    one = s.connect(good, svc, "one")
    evil = s.actor(s.a, "/evil")
    evil.must("mailbox box")
    good.must("sendfd one box")
    evil.must("recvfd x box")
    r = s.refused(lambda: evil("sign x " + s.audience()), ("handed-over", "not-owner"), s.a, room="sign",
                  control=control, public="not-yours")
    if r["audit"][0]["reason"] != "handed-over":
        raise Wrong("the audit must name the hand-over: %s" % r["audit"])
    n = good.must("fdnum one")
    r = evil("getfd y %d %d" % (n["pid"], n["fd"]))
    if r["ok"]:
        raise Accepted("pidfd_getfd from another label: %s" % r)
    kid = good.child("kid")
    s.a.sh("echo %d > /sys/fs/cgroup/evil/cgroup.procs" % kid.pid)
    s.refused(lambda: kid("sign one " + s.audience()), ("handed-over", "not-owner"), s.a, room="sign",
              public="not-yours")
    # Its owner keeps it.
    if not s.verify(svc, one, s.sign(good, "one"))["ok"]:
        raise Wrong("the owner lost its socket")
    control()


@test(65, name="verify_by_somebody_who_was_handed_the_socket", twin="owner")
def hand_over_verify(s):
    good, svc, control = scene(s)
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    other = s.actor(s.b, "/other")
    other.must("mailbox box")
    svc.must("sendfd %s box" % one)
    other.must("recvfd x box")
    t2 = s.sign(good, "one", "/other")
    s.refused(lambda: other("verify x client %s %s" % (t2["wit"], t2["wpt"])), ("handed-over", "not-owner"), s.b,
              public="not-yours", control=control)
    if not s.verify(svc, one, t)["ok"]:
        raise Wrong("the owner's own verify must still hold")


@test(65, name="tracing_a_labelled_task", twin="trace", at="a")
def tracing(s):
    """Same uid, another cgroup: neither PTRACE_ATTACH nor pidfd_getfd reaches into a labelled task."""
    good, svc, control = scene(s)
    s.connect(good, svc, "one")
    evil = s.actor(s.a, "/evil", 1001)
    friend = s.actor(s.a, "/good", 1001)
    if not friend("attach %d" % good.pid)["ok"]:
        raise Wrong("a task of the same label may trace")
    n = good.must("fdnum one")
    for attack in ("attach %d" % good.pid, "getfd y %d %d" % (n["pid"], n["fd"])):
        r = evil(attack)
        if r["ok"]:
            raise Accepted("%s: %s" % (attack, r))
        if r["errno"] != 1:
            raise Wrong(str(r))
    control()


@test(56, name="client_supplied_identity", twin="request_exact", at="a")
def supplied(s):
    """There is no field for an identity; more bytes, unknown types and non-zero reserved bytes are malformed."""
    good, svc, control = scene(s)
    s.connect(good, svc, "one")
    good.must("api door sign")
    control()
    head = "01000000" + "01000000" + "0700000000000000"
    body = "00000000" + "%02x000000" % len(s.audience()) + "00" * 64 + \
        (s.audience().encode() + b"\0" * (2048 - len(s.audience()))).hex()
    r = good("ask door %s one" % (head + body))
    if not r["ok"]:
        raise Wrong("the exact request must pass: %s" % r)
    extra = b"uid=1001;sub=spiffe://test.example/good".hex()
    attacks = {
        "identity appended": head + body + extra,
        "identity behind the audience": head + body[:-len(extra)] + extra,
        "one byte less": (head + body)[:-2],
        "unknown flag": head + "80000000" + body[8:],
        "unknown type": "01000000" + "63000000" + head[16:] + body,
        "unknown protocol": "02000000" + head[8:] + body,
    }
    for what, hexed in attacks.items():
        r = s.refused(lambda: good("ask door %s one" % hexed), "malformed", s.a, room="sign")
        if r["ok"]:
            raise Accepted(what)
    control()


@test(59, name="crafted_cgroup_names", twin="cgroup_exact", at="a", kernels=("6.1", "6.12"))
def crafted(s):
    """Names that end like, start like or contain the good one; a v1-like text; deep ones. None of them is /good."""
    good, svc, control = scene(s)
    control()
    base = "/sys/fs/cgroup/nobody"
    names = ["good", "good (deleted)", "0::", "0::_good", "a b", "gr\u00fcn", "x" * 255, "..good", "good.service"]
    deep = "/".join("d%d" % i for i in range(30))
    for name in names + [deep, "good/good"]:
        path = base + "/" + name
        s.a.sh("mkdir -p '%s'" % path)
        evil = s.actor(s.a, None, 0)
        evil.must("pid")
        s.a.sh("echo %d > '%s/cgroup.procs'" % (evil.pid, path))
        evil.must("setuid 1001")
        w = evil("whoami")
        if w.get("label"):
            raise Accepted("%s is %s" % (path, w))
        evil.must("connect e " + svc.at)
        svc.must("accept se l")
        r = evil("sign e " + s.audience())
        if r["ok"]:
            raise Accepted("%s: %s" % (path, r))
        evil.close()
    s.a.sh("find %s -mindepth 1 -depth -type d -exec rmdir {} +" % base)
    for sibling in ("/goodx", "/goo", "/good.service", "/GOOD"):
        s.a.sh("mkdir -p /sys/fs/cgroup%s" % sibling)
        evil = s.actor(s.a, sibling, 1001)
        w = evil("whoami")
        evil.close()
        s.a.sh("rmdir /sys/fs/cgroup%s" % sibling)
        if w.get("label"):
            raise Accepted("%s is %s" % (sibling, w))
    # A child of the named cgroup is the workload: its name grants nothing and takes nothing.
    s.a.sh("mkdir -p /sys/fs/cgroup/good/evil")
    child = s.actor(s.a, "/good/evil", 1001)
    if child("whoami")["id"] != s.audience("/good"):
        raise Wrong("a child cgroup keeps the identity of the delegated unit")
    child.close()
    s.a.sh("rmdir /sys/fs/cgroup/good/evil")
    control()


@test(59, name="named_cgroup_of_another_uid", twin="rule_uid", at="a")
def other_uid_of_cgroup(s):
    good, svc, control = scene(s)
    evil = s.actor(s.a, "/good", 1009)
    s.connect(evil, svc, "e")
    s.refused(lambda: evil("sign e " + s.audience()), ("no-workload", "not-owner"), s.a, room="sign", control=control,
              public="no-workload")


@test(59, name="after_the_cgroup_died_and_was_made_again", twin="api_owner", at="a")
def cgroup_again(s):
    """Token.md 8: the workload's cgroup dies and is made again; a standing process of the old one has nothing."""
    svc = s.service()
    s.a.sh("mkdir -p /sys/fs/cgroup/good")
    first = s.actor(s.a)
    s.connect(first, svc, "one")
    first.must("api door sign")
    first.must("sign one %s via door" % s.audience())
    s.a.sh("for p in $(cat /sys/fs/cgroup/good/cgroup.procs); do echo $p > /sys/fs/cgroup/nobody/cgroup.procs; done; "
           "rmdir /sys/fs/cgroup/good && mkdir /sys/fs/cgroup/good")
    for attack in ("sign one %s via door" % s.audience(), "sign one " + s.audience()):
        r = first(attack)
        if r["ok"]:
            raise Accepted("%s: %s" % (attack, r))
    second = s.actor(s.a)
    s.accepted(second, svc)


@test(50, name="pid_reuse_after_connect")
def pid_reuse(s):
    """evil connects to the API; its leader's pid goes to a process of good; evil's heir sends on the connection."""
    good, svc, control = scene(s)
    control()
    evil = s.actor(s.a, "/evil", 1001)
    evil.must("connect e " + svc.at)
    svc.must("accept se l")
    evil.must("api door sign")
    evil.must("mailbox box")
    heir = s.actor(s.a, "/evil", 1001)
    heir.must("mailbox heirbox")
    evil.must("sendfd door heirbox")
    heir.must("recvfd door heirbox")
    evil.must("sendfd e heirbox")
    heir.must("recvfd e heirbox")
    pid = evil.pid
    s.actors.remove(evil)
    evil.close()
    # The next process of good gets evil's pid.
    s.a.sh("for i in $(seq 50); do kill -0 %d 2>/dev/null || break; read -t 0.05 <> <(:); done" % pid)
    taken = None
    for _ in range(20):
        s.a.sh("echo %d > /proc/sys/kernel/ns_last_pid" % (pid - 1))
        taken = s.actor(s.a, "/good", 1001)
        if taken.pid == pid:
            break
        taken.close()
        s.actors.remove(taken)
    if taken.pid != pid:
        raise Wrong("the pid could not be taken again")
    w = heir("whoami via door")
    if w["ok"] and w["id"] == s.audience("/good"):
        raise Accepted("the heir of a dead evil is good: %s" % w)
    r = heir("sign e %s via door" % s.audience("/other"))
    if r["ok"]:
        raise Accepted(str(r))
    control()


