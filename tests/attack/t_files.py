# SPDX-License-Identifier: Apache-2.0
"""Policy files and bundles that are half, old, foreign or not what they were (attacks.md F and I)."""
import json

import stage
from stage import Accepted, Wrong, test

TRUST = stage.CONF + "/trust/" + stage.TD + ".json"
MAIN = stage.CONF + "/cleat.yaml"


def put(host, path, data):
    """Bytes as they are, by another file renamed over the old one."""
    if isinstance(data, str):
        data = data.encode()
    host.ask("put", path, data.decode("latin-1"))


def refused_reload(s, host, what, place, tell=""):
    """The reload is refused by a line that names file, line and column; the generation before still answers."""
    lines = host.reload()
    if any("generation=" in l for l in lines):
        raise Accepted("%s: %s" % (what, lines))
    if not any(place in l and tell in l for l in lines):
        raise Wrong("%s: no line with %s and \"%s\": %s" % (what, place, tell, lines))


def generation(actor):
    return actor.must("whoami")["generation"]


@test(135, name="half_written_policy", twin=("policy_empty", "policy_cut"), at="a")
def half_written(s):
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    before, whole = generation(good), s.a.read(MAIN)
    cut = whole.index("to: [ /svc, /other") + 10
    variants = {
        "empty": (b"", ":1:1:"),
        "one newline": (b"\n", ":1:1:"),
        "a comment only": (b"# later\n", ":1:1:"),
        "cut in a list": (whole[:cut], ":"),
        "cut in a word": (whole[:whole.index("workloads:") + 5], ":"),
        "cut behind the first line": (whole[:whole.index("\n") + 1], ":"),
        "BOM": (b"\xef\xbb\xbf" + whole.encode(), ":1:1:"),
        "CRLF": (whole.replace("\n", "\r\n"), ":1:"),
        "UTF-16": (whole.encode("utf-16"), ":1:1:"),
        "UTF-16 without a mark": (whole.encode("utf-16-le"), ":1:"),
        "UTF-32": (whole.encode("utf-32"), ":1:1:"),
        "NUL in it": (whole.replace("workloads", "work\0loads"), ":"),
        "NULs behind it": (whole + "\0" * 512, ":"),
        "not UTF-8": (whole.encode().replace(b"/good", b"/g\xff\xfed"), ":"),
        "twice": (whole + whole, ":"),
        "binary": (bytes(range(256)), ":1:"),
    }
    try:
        for what, (text, place) in variants.items():
            put(s.a, MAIN, text)
            refused_reload(s, s.a, what, "cleat.yaml" + place)
        # A writer that holds it open at that moment.
        put(s.a, MAIN, whole)
        s.a.sh("setsid bash -c 'exec 9>>%s; touch /run/open; read -u 8 8<><(:)' >/dev/null 2>&1 </dev/null & "
               "echo $! >/run/writer.pid" % MAIN)
        stage.until(lambda: s.a.run("test -e /run/open")[0] == 0, "the writer")
        refused_reload(s, s.a, "open for writing", "cleat.yaml:1:1:", "being written")
        s.a.sh("kill $(cat /run/writer.pid); rm -f /run/open")
        # Drop-ins: nothing at all, and one that ends within its last word.
        for what, text in (("empty drop-in", ""),
                           ("drop-in cut in its last word", "version: 1\ncall:\n  - from: /svc\n    to:\n      - /othe")):
            put(s.a, stage.CONF + "/policies.d/half.yaml", text)
            refused_reload(s, s.a, what, "half.yaml:")
            s.a.sh("rm %s/policies.d/half.yaml" % stage.CONF)
        if generation(good) != before:
            raise Accepted("generation %d, was %d" % (generation(good), before))
        control()
    finally:
        s.a.sh("rm -f %s/policies.d/half.yaml" % stage.CONF)
        s.a.config()
        s.a.reloaded()
    control()


@test(175, name="trust_bundle_tampering", twin=("bundle_sequence", "policy_owner"))
def bundle(s):
    good, svc = s.actor(s.a), s.service()
    control = lambda: s.accepted(good, svc)  # noqa: E731
    control()
    before, text = generation(svc), s.b.read(TRUST)
    whole = json.loads(text)

    def of(name, b):
        return next(k for k in b["keys"] if k["cleat_issuer"].endswith("/host/" + name))

    def made(change):
        b = json.loads(text)
        change(b)
        return json.dumps(b)
    second = json.loads(s.b.sh("rm -rf /run/k2; %s/cleatctl host init --dir /run/k2 --name a --trust-domain %s --scope /"
                               % (stage.BUILD_MAIN, stage.TD)))
    variants = {
        "the key of another host under this kid": made(lambda b: of("a", b).update(x=of("b", b)["x"], y=of("b", b)["y"])),
        "another key under this kid": made(lambda b: of("a", b).update(x=second["x"], y=second["y"])),
        "kids swapped": made(lambda b: (of("a", b).update(kid=of("b", whole)["kid"]),
                                        of("b", b).update(kid=of("a", whole)["kid"]))),
        "cut": text[:len(text) // 2],
        "cut before the last brace": text.rstrip()[:-1],
        "empty": "",
        "an extra host without a scope": made(lambda b: b["keys"].append(
            {k: v for k, v in second.items() if k != "cleat_scope"})),
        "an extra host without an issuer": made(lambda b: b["keys"].append(
            {k: v for k, v in second.items() if k != "cleat_issuer"})),
        "an extra host of another domain": made(lambda b: b["keys"].append(
            dict(second, cleat_issuer="spiffe://evil.example/host/a"))),
        "an extra host that may issue hosts": made(lambda b: b["keys"].append(dict(second, cleat_scope=["/host"]))),
        "the same key twice": made(lambda b: b["keys"].append(of("a", b))),
        "a private key": made(lambda b: of("a", b).update(d="A" * 43)),
        "a member twice": text.replace('"keys"', '"keys": [], "keys"', 1),
        "an older sequence": made(lambda b: b.update(spiffe_sequence=b["spiffe_sequence"] - 1)),
        "no sequence": made(lambda b: b.pop("spiffe_sequence")),
    }
    try:
        for what, changed in variants.items():
            put(s.b, TRUST, changed)
            refused_reload(s, s.b, what, "%s.json:" % stage.TD)
        put(s.b, TRUST, text)
        for what, command, undo in (
                ("of another owner", "chown 1001 {f}", "chown 0 {f}"),
                ("writable by others", "chmod 0666 {f}", "chmod 0600 {f}"),
                ("in a directory of others", "chmod 0777 $(dirname {f})", "chmod 0755 $(dirname {f})"),
                ("a link", "mv {f} /run/b.json; ln -s /run/b.json {f}", "rm {f}; mv /run/b.json {f}"),
                ("gone", "mv {f} /run/b.json", "mv /run/b.json {f}")):
            s.b.sh(command.format(f=TRUST))
            try:
                if what == "gone":                      # no trust domain without its bundle
                    refused_reload(s, s.b, what, "")
                else:
                    refused_reload(s, s.b, what, ":1:1:")
            finally:
                s.b.sh(undo.format(f=TRUST))
        if generation(svc) != before:
            raise Accepted("generation %d, was %d" % (generation(svc), before))
        control()
        # Allowed: keys in another order, and a second key of the same host, for rotation.
        put(s.b, TRUST, made(lambda b: b["keys"].reverse()))
        s.b.reloaded()
        control()
        put(s.b, TRUST, made(lambda b: b["keys"].append(second)))
        s.b.reloaded()
        control()
        # A newer sequence; after it the bundle of before is an old one.
        put(s.b, TRUST, made(lambda b: b.update(spiffe_sequence=b["spiffe_sequence"] + 5)))
        s.b.reloaded()
        put(s.b, TRUST, text)
        refused_reload(s, s.b, "the bundle of before", "%s.json:" % stage.TD, "went back")
        # Without a's key nothing of a holds.
        put(s.b, TRUST, made(lambda b: (b.update(spiffe_sequence=b["spiffe_sequence"] + 6),
                                        b["keys"].remove(of("a", b)))))
        s.b.reloaded()
        one = s.connect(good, svc, "one")
        t = s.sign(good, "one")
        s.refused(lambda: s.verify(svc, one, t), "unknown-key", s.b)
        put(s.b, TRUST, made(lambda b: b.update(spiffe_sequence=b["spiffe_sequence"] + 7)))
        s.b.reloaded()
    finally:
        put(s.b, TRUST, made(lambda b: b.update(spiffe_sequence=b["spiffe_sequence"] + 8)))
        s.b.reloaded()
    control()
