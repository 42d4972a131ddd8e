#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# A peer that is not ours, on Debian's python3-jwcrypto.
#   peer.py verify FILE   checks what token-mint wrote
#   peer.py sign COUNT    writes presentations in the form of token_cases.json: good ones, and each with one change
import base64
import hashlib
import json
import os
import sys

from jwcrypto import jwk, jws

NOW = 1790000000


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha(text):
    return b64(hashlib.sha256(text.encode()).digest())


def checked(token, key, typ):
    """Header and claims of a token whose signature holds under key."""
    j = jws.JWS()
    j.allowed_algs = ["ES256"]
    j.deserialize(token, key)
    header = json.loads(j.objects["protected"])
    assert header["typ"] == typ and header["alg"] == "ES256", header
    return header, json.loads(j.payload)


def check_pair(given, pair):
    host = jwk.JWK(**given["host_jwk"])
    header, wit = checked(pair["wit"], host, "wit+jwt")
    assert header["kid"] == host.thumbprint() == given["host_thumbprint"], "kid"
    assert set(wit["cnf"]["jwk"]) == {"kty", "crv", "x", "y", "alg"}, "cnf"
    assert wit["exp"] > given["now"] and "aud" not in wit, "claims"
    _, wpt = checked(pair["wpt"], jwk.JWK(**wit["cnf"]["jwk"]), "wpt+jwt")
    assert wpt["wth"] == sha(pair["wit"]), "wth"
    assert 0 < wpt["exp"] - wpt["iat"] <= 60, "life"
    assert isinstance(wpt["cleat/conn"]["seq"], int), "seq"
    try:
        checked(pair["wit"][:-6] + ("B" if pair["wit"][-6] == "A" else "A") + pair["wit"][-5:], host, "wit+jwt")
    except jws.InvalidJWSSignature:
        return
    raise AssertionError("a changed one holds")


def verify(path):
    with open(path, encoding="utf-8") as f:
        given = json.load(f)
    right = wrong = 0
    for i, pair in enumerate(given["pairs"]):
        try:
            check_pair(given, pair)
            right += 1
        except Exception as e:  # every way to fail is one verdict
            wrong += 1
            print(f"wrong: pair {i}: {e!r}")
    print(f"{right} right, {wrong} wrong")
    return 1 if wrong or not right else 0


def sign_one(header, claims, key):
    j = jws.JWS(json.dumps(claims))
    j.add_signature(key, None, json.dumps(header), None)
    return j.serialize(compact=True)


def present(host, change):
    workload = jwk.JWK.generate(kty="EC", crv="P-256")
    public = workload.export_public(as_dict=True)
    cb = b64(os.urandom(32))
    o = {
        "wh": {"alg": "ES256", "typ": "wit+jwt", "kid": host.thumbprint()},
        "w": {
            "iss": "spiffe://example.org/host/peer", "sub": "spiffe://example.org/ns/prod/web", "iat": NOW - 60,
            "nbf": NOW - 60, "exp": NOW + 3000, "jti": b64(os.urandom(16)),
            "cnf": {"jwk": {**{k: public[k] for k in ("kty", "crv", "x", "y")}, "alg": "ES256"}},
            "ueid": b64(b"\1" + os.urandom(16)), "bootseed": b64(os.urandom(16)),
        },
        "ph": {"alg": "ES256", "typ": "wpt+jwt"},
        "p": {
            "aud": ["spiffe://example.org/ns/prod/api"], "iat": NOW - 2, "exp": NOW + 28, "jti": b64(os.urandom(16)),
            "cleat/conn": {"v": 1, "role": "client", "cb": cb, "est": (NOW - 5) * 1000, "seq": 1},
            "cleat/level": "reduced", "cleat/proc": {"inst": sha(cb)},
        },
        "host": host, "proof": workload,
    }
    change(o)
    wit = sign_one(o["wh"], o["w"], o["host"])
    o["p"].setdefault("wth", sha(wit))
    return wit, sign_one(o["ph"], o["p"], o["proof"]), cb


def sign(count):
    host = jwk.JWK.generate(kty="EC", crv="P-256")
    rogue = jwk.JWK.generate(kty="EC", crv="P-256")
    changes = {
        "ok": lambda o: None,
        "ok, unknown claims": lambda o: (o["w"].update(x=[1, {}]), o["p"].update(y=None)),
        "host key not the bundle's": lambda o: o.update(host=rogue),
        "proof key not cnf's": lambda o: o.update(proof=rogue),
        "no cb": lambda o: o["p"]["cleat/conn"].pop("cb"),
        "no cnf": lambda o: o["w"].pop("cnf"),
        "seq 0": lambda o: o["p"]["cleat/conn"].update(seq=0),
        "out of scope": lambda o: o["w"].update(sub="spiffe://example.org/ns/production/web"),
        "no bootseed": lambda o: o["w"].pop("bootseed"),
        "two audiences": lambda o: o["p"]["aud"].append("spiffe://example.org/ns/prod/db"),
    }
    cases = []
    for i in range(count):
        for name, change in changes.items():
            wit, wpt, cb = present(host, change)
            cases.append({
                "id": f"{name} ({i})", "expect": "accept" if name.startswith("ok") else "reject", "wit": wit, "wpt": wpt,
                "ctx": {
                    "now": NOW, "aud": "spiffe://example.org/ns/prod/api", "conn_binding": cb,
                    "conn_established_ms": (NOW - 5) * 1000 - 100, "est_tolerance_ms": 2000, "expect_role": "client",
                    "cb_on_other_socket": False, "require_level": "reduced", "leeway": 30, "max_wpt_lifetime": 60,
                    "seq_seen": [],
                },
            })
    entry = {
        **host.export_public(as_dict=True), "kid": host.thumbprint(), "use": "wit-svid",
        "cleat_issuer": "spiffe://example.org/host/peer", "cleat_scope": ["spiffe://example.org/ns/prod"],
    }
    json.dump({"trust_domain": "example.org", "bundle": {"keys": [entry]}, "cases": cases}, sys.stdout)
    return 0


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "verify":
        return verify(sys.argv[2])
    if len(sys.argv) == 3 and sys.argv[1] == "sign":
        return sign(int(sys.argv[2]))
    print("usage: peer.py verify FILE | sign COUNT", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
