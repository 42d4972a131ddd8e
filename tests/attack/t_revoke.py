# SPDX-License-Identifier: Apache-2.0
"""What an administrator takes back: a workload, a host, a key; and who may say so (attacks.md I)."""
import base64
import json

import stage
from stage import Accepted, Wrong, ctl, test

TRUST = stage.CONF + "/trust/" + stage.TD + ".json"


def revoked_while(host, what, name, attack):
    """@attack between a revocation and its end. In force when cleatctl returns: nothing is waited for."""
    answer = ctl(host, "revoke %s %s" % (what, name))
    print("    revoke %s %s: in force after %d ms" % (what, name, answer["ms"]))
    try:
        attack()
    finally:
        ctl(host, "revoke %s --undo %s" % (what, name))


@test(175, 178, name="revoked_workload_and_host", twin="revoked")
def presenter(s):
    """The receiving host is told. The WIT is one that it has seen and remembers."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    one = s.connect(good, svc, "one")
    for what, name in (("workload", "/good"), ("host", "a")):
        t = s.sign(good, "one")
        revoked_while(s.b, what, name, lambda: s.refused(lambda: s.verify(svc, one, t), "revoked", s.b))
        if not s.verify(svc, one, t)["ok"]:
            raise Wrong("the presentation was spent while it was refused")
        control()


@test(175, name="revoked_here_gets_no_assertion", twin="sign_revoked", at="a")
def signer(s):
    """The host of the workload is told."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    s.connect(good, svc, "one")
    for what, name in (("workload", "/good"), ("host", "a")):
        revoked_while(s.a, what, name, lambda: s.refused(lambda: good("sign one " + s.audience()), "revoked", s.a,
                                                         room="sign"))
        control()


@test(175, 176, name="a_removed_key_is_forgotten_at_once", twin="cache_generation")
def key(s):
    """A bundle without the host's key, after a WIT of it was verified and remembered."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    whole = json.loads(s.b.read(TRUST))
    entry = next(k for k in whole["keys"] if k["cleat_issuer"].endswith("/host/a"))
    one = s.connect(good, svc, "one")
    t = s.sign(good, "one")
    s.b.write("/run/removed.json", json.dumps(entry))
    ctl(s.b, "trust remove --bundle %s -- %s" % (TRUST, entry["kid"]))
    try:
        ctl(s.b, "reload")
        s.refused(lambda: s.verify(svc, one, t), "unknown-key", s.b)
    finally:
        ctl(s.b, "trust add --bundle %s /run/removed.json" % TRUST)
        ctl(s.b, "reload")
    control()


@test(58, name="admin_socket_is_roots", twin="admin_root", at="a")
def admin(s):
    """Somebody widened the modes: the kernel room still asks who connects."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    private = stage.RUN + "/private"
    nobody = "setpriv --reuid 1001 --regid 1001 --clear-groups %s/cleatctl --json status" % stage.BUILD_MAIN
    if ctl(s.a, "status")["level"] != "full":
        raise Wrong("not at level full")
    s.a.audit()
    s.a.sh("chmod 0755 {p}; chmod 0666 {p}/admin.sock".format(p=private))
    try:
        rc, out = s.a.run(nobody)
        if rc == 0:
            raise Accepted(out)
        if "not-root" not in out:
            raise Wrong(out)
    finally:
        s.a.sh("chmod 0600 {p}/admin.sock; chmod 0700 {p}".format(p=private))
    if [(l["reason"], l["uid"]) for l in s.a.audit()] != [("not-root", 1001)]:
        raise Wrong("the audit log does not say so once")
    control()


@test(21, name="sockets_and_explain_name_the_owner")
def tools(s):
    """What root reads of the kernel side: every tagged socket, whose it is; and which workload a process is, and why."""
    good, svc = s.actor(s.a), s.service()
    s.connect(good, svc, "one")
    mine = ctl(s.a, "sockets /good")["sockets"]
    if len([x for x in mine if x["server"] == svc.at.replace(" ", ":") and x["role"] == "client" and
            x["state"] == "owned" and x["owner"] == s.audience("/good")]) != 1:
        raise Wrong("sockets of /good: %s" % mine)
    if any(x["owner"] != s.audience("/good") for x in mine):
        raise Wrong("sockets of others: %s" % mine)
    if not any(x["owner"] == s.audience("/svc") and x["role"] == "server" for x in ctl(s.b, "sockets")["sockets"]):
        raise Wrong("the other end is not there")
    x = ctl(s.a, "explain %d" % good.pid)
    if x["workload"] != s.audience("/good") or x["rule"] != "cleat.yaml:6" or "says the same" not in x["kernel"]:
        raise Wrong("explain: %s" % x)
    stranger = s.actor(s.a, "/good", 1002)
    x = ctl(s.a, "explain %d" % stranger.pid)
    if x["workload"] or "wants uid 1001, this process has 1002" not in x["why"]:
        raise Wrong("explain of another uid: %s" % x)
    s.accepted(good, svc)


def kid(t):
    """Of the key that signed the WIT."""
    head = t["wit"].split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


@test(176, 181, name="key_rotation_with_overlap", twin="next_trusted", at="a")
def rotation(s):
    """a's key is rotated while it signs: nothing refused in the overlap, nothing of the old key accepted after it."""
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    one = s.connect(good, svc, "one")
    old = kid(s.sign(good, "one"))
    entry = s.a.sh("%s/cleatctl keys rotate" % stage.BUILD_MAIN)
    new = json.loads(entry)["kid"]
    try:
        ctl(s.a, "reload")
        if kid(s.sign(good, "one")) != old:
            raise Accepted("signed by a key that no bundle names")
        control()
        for h in (s.b, s.a):                            # this host's own bundle last
            h.write("/run/next.json", entry)
            ctl(h, "trust add --bundle %s /run/next.json" % TRUST)
            before = s.sign(good, "one")                # made before this reload, shown after it
            ctl(h, "reload")
            if not s.verify(svc, one, before)["ok"]:
                raise Wrong("refused within the overlap")
            control()
        late = s.sign(good, "one")
        if kid(late) != new or kid(before) != old:
            raise Wrong("signed by %s, before that %s" % (kid(late), kid(before)))
        before = s.sign(good, "one")
        ctl(s.a, "keys rotate --finish")
        if not s.verify(svc, one, before)["ok"] or s.a.run("test -e %s/host.key.next" % stage.STATE)[0] == 0:
            raise Wrong("after --finish")
        control()
    finally:
        s.a.run("rm -f %s/host.key.next" % stage.STATE)
        for h in (s.b, s.a):
            out = new if s.a.run("%s/cleatctl --json keys list | grep -q '\"current\":\"%s\"'" % (
                stage.BUILD_MAIN, old))[0] == 0 else old
            if out in h.read(TRUST):
                ctl(h, "trust remove --bundle %s -- %s" % (TRUST, out))
            ctl(h, "reload")
    control()
