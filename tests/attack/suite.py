#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs attack tests inside guest a: suite.py [--list] [NAME...]. One line per test, `N passed, N failed, N skipped`
at the end. A test is named attack_<number>_<what>; any part of the name selects it.
"""
import glob
import importlib.util
import inspect
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import stage  # noqa: E402

TESTS = []


def test(*numbers, name, twin=None, kernels=("6.1", "6.12"), hosts="ab"):
    """Registers a test function f(stage). @numbers: those of attacks.md; @twin: the kept() check(s) it must catch;
    @kernels: where it can run; @hosts: the guests it needs."""
    def mark(f):
        f.test = "attack_%s_%s" % ("_".join("%03d" % n for n in numbers), name)
        f.numbers, f.kernels, f.hosts = numbers, kernels, hosts
        f.twins = [twin] if isinstance(twin, str) else list(twin or [])
        TESTS.append(f)
        return f
    return mark


stage.test = test


def load():
    for path in sorted(glob.glob(HERE + "/t_*.py")):
        spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def run_one(f, s):
    """'ok', 'skip' or 'fail', and a line why."""
    try:
        f(s)
        return "ok", ""
    except stage.Skip as e:
        return "skip", str(e)
    except stage.Accepted as e:
        return "fail", "ACCEPTED: %s" % e
    except stage.Wrong as e:
        return "fail", str(e)
    except Exception:  # noqa: BLE001 - whatever it was, it is a failed test and the next one must run
        return "fail", traceback.format_exc()
    finally:
        s.dismiss()


def tail_of(h):
    try:
        return h.run("tail -n 8 /run/cleatd.log")[1], h.run("tail -n 4 " + stage.AUDIT)[1]
    except stage.Wrong as e:
        return str(e), "-"


def context(s):
    """What helps to read a failure: the ends of the daemons' logs and audits."""
    for h in s.hosts.values():
        print("    host %s: log:\n%s\n    audit:\n%s" % ((h.name,) + tail_of(h)))


def run_all(chosen, hosts):
    counts = {"ok": 0, "fail": 0, "skip": 0}
    began = time.monotonic()
    s = stage.Stage(hosts)
    s.start()
    print("  stage  set with %d hosts (%.1fs)" % (len(hosts), time.monotonic() - began), flush=True)
    for f in chosen:
        began = time.monotonic()
        verdict, why = run_one(f, s)
        counts[verdict] += 1
        print("  %-5s %s (%.1fs)%s" % (verdict, f.test, time.monotonic() - began, ": " + why if why else ""), flush=True)
        if verdict == "fail":
            context(s)
            s = fresh(s, hosts)
    counts[account(s)] += 1
    s.stop()
    return counts


def account(s):
    """After all tests: the books of every host balance (N2, N3)."""
    began, why = time.monotonic(), ""
    try:
        s.dismiss()
        s.each(stage.Host.balance)
    except stage.Wrong as e:
        why = str(e)
    print("  %-5s attack_balance_of_counters_and_audit (%.1fs)%s" % (
        "fail" if why else "ok", time.monotonic() - began, ": " + why if why else ""), flush=True)
    return "fail" if why else "ok"


def fresh(s, hosts):
    """After a failure the next test begins with new daemons and the standard policy."""
    end_daemons(s)
    s = stage.Stage(hosts)
    s.start()
    return s


def end_daemons(s):
    """Whatever state a test left them in, on all hosts at the same time: taking the hooks out takes a guest seconds."""
    s.each(lambda h: h.run("pkill -x cleatd; for i in $(seq 200); do pgrep -x cleatd >/dev/null || break; "
                           "read -t 0.05 <> <(:); done; pkill -9 -x cleatd; pkill -x actor", 300))


def run_twin(s, twin, tests):
    """Daemons of that build on every host: each of its tests must fail by an accept. Yields (test, verdict, why)."""
    build, up = stage.BUILD_MAIN + "/twin/" + twin, False
    for f in tests:
        verdict, why = "fail", "not built: " + build
        if os.path.exists(build + "/cleatd"):
            try:
                if not up:
                    s.again(build)
                    up = True
                verdict, why = run_one(f, s)
            except stage.Wrong as e:
                verdict, why = "fail", str(e)
        caught = verdict == "fail" and why.startswith("ACCEPTED")
        yield f, caught, verdict, why
        if not caught:              # what went otherwise may have left anything: the next begins anew
            context(s)
            end_daemons(s)
            up = False
    end_daemons(s)


def twins_of(tests, kernel, shared):
    """All of them; where the kernels share them out (@shared), every other one of those that both can run."""
    def runner(i, twin):
        able = sorted(set.intersection(*(set(f.kernels) for f in tests if twin in f.twins)))
        return able[i % len(able)] if shared else kernel
    twins = sorted({t for f in tests for t in f.twins})
    return [t for i, t in enumerate(twins) if runner(i, t) == kernel]


def run_twins(chosen, twins):
    counts = {"ok": 0, "fail": 0, "skip": 0}
    began = time.monotonic()
    stages = {}                     # by their hosts: most twins need two, and the third guest may rest

    def stage_of(tests):
        hosts = "abc" if any("c" in f.hosts for f in tests) else "ab"
        if hosts not in stages:
            stages[hosts] = stage.Stage(hosts)
            stages[hosts].keep()
        return stages[hosts]
    for twin in twins:
        tests = [f for f in chosen if twin in f.twins]
        for f, caught, verdict, why in run_twin(stage_of(tests), twin, tests):
            counts["ok" if caught else "fail"] += 1
            print("  %-5s twin %s: %s (%.1fs): %s" % (
                "ok" if caught else "fail", twin, f.test, time.monotonic() - began,
                "caught" if caught else "NOT CAUGHT: %s %s" % (verdict, why)), flush=True)
            began = time.monotonic()
    return counts


def table(tests):
    """The rows of README.md: number, test, kernels, twins, and the words its refusals may have."""
    words = stage.reason_words()
    for f in tests:
        source = inspect.getsource(f)
        verdicts = [w for w in words if w not in ("ok", "undecided") and '"%s"' % w in source]
        yield "| %s | `%s` | %s | %s | %s |" % (
            ", ".join(map(str, f.numbers)), f.test, ", ".join(f.kernels),
            ", ".join("`%s`" % t for t in f.twins) or "-", ", ".join(verdicts) or "see the test")


def main():
    load()
    if "--table" in sys.argv:
        print("\n".join(table(sorted(TESTS, key=lambda f: (f.numbers, f.test)))))
        return 0
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    words += [w for w in os.environ.get("TESTS", "").replace(",", " ").split() if w]
    kernel = os.environ.get("KERNEL", "6.12")
    hosts = "abc"[:int(os.environ.get("HOSTS", "2"))]
    named = [f for f in TESTS if not words or any(w in f.test for w in words)]
    chosen = [f for f in named if kernel in f.kernels and set(f.hosts) <= set(hosts)]
    chosen.sort(key=lambda f: f.numbers)
    if "--list" in sys.argv:
        for f in chosen:
            print(f.test, ",".join(f.kernels), f.hosts, ",".join(f.twins) or "-")
        return 0
    if "--list-twins" in sys.argv:
        print(" ".join(sorted({t for f in TESTS for t in f.twins})))
        return 0
    mode = os.environ.get("TWINS", "0")             # 1: all here, 2: shared with the other kernel's run
    twins = twins_of(named, kernel, mode == "2")
    counts = run_all(chosen, hosts) if mode == "0" else run_twins(chosen, twins)
    print("%d passed, %d failed, %d skipped" % (counts["ok"], counts["fail"], counts["skip"]))
    nothing = mode == "2" and not twins             # of a narrowed choice the other kernel has it all
    return 0 if (counts["ok"] or nothing) and not counts["fail"] else 1


sys.exit(main())
