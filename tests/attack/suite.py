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


def test(*numbers, name, twin=None, at="b", kernels=("6.1", "6.12"), hosts="ab"):
    """Registers a test function f(stage). @numbers: those of attacks.md; @twin: the kept() check(s) it must catch, @at the
    hosts whose check that is; @kernels: where it can run; @hosts: the guests it needs."""
    def mark(f):
        f.test = "attack_%s_%s" % ("_".join("%03d" % n for n in numbers), name)
        f.numbers, f.kernels, f.hosts, f.at = numbers, kernels, hosts, at
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
    others = []
    for i, f in enumerate(chosen):
        rest(s, chosen[i:], lambda h: others.append(imbalance(h)))
        began = time.monotonic()
        verdict, why = run_one(f, s)
        counts[verdict] += 1
        print("  %-5s %s (%.1fs)%s" % (verdict, f.test, time.monotonic() - began, ": " + why if why else ""), flush=True)
        if verdict == "fail":
            context(s)
            s = fresh(s, s.hosts)
    counts[account(s, others)] += 1
    s.stop()
    return counts


def rest(s, to_come, before=lambda h: None):
    """A daemon proves its level twice a second, in the time of the other guests: where no further test needs it, it ends."""
    for name in set(s.hosts) - set("ab").union(*(f.hosts for f in to_come)):
        h = s.hosts.pop(name)
        before(h)
        h.end()


def imbalance(h):
    """The books of a host (N2, N3): nothing, or what is wrong."""
    try:
        return h.balance() or ""
    except stage.Wrong as e:
        return str(e)


def account(s, others):
    """After all tests: the books of every host balance. @others: of those that rest."""
    began = time.monotonic()
    s.dismiss()
    why = "; ".join(filter(None, others + s.each(imbalance)))
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
    s.each(stage.Host.end)


def run_twin(s, twin, tests):
    """A daemon of that build on the hosts whose check it is, the shipped one on the others: each of its tests must fail by
    an accept. Yields (test, verdict, why)."""
    build, up = stage.BUILD_MAIN + "/twin/" + twin, False
    for f in tests:
        verdict, why = "fail", "not built: " + build
        if os.path.exists(build + "/cleatd"):
            try:
                if not up:
                    s.again(build, set().union(*(f.at for f in tests)))
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


def in_kernel(twin):
    """Is its check on the kernel side? Daemons that have the same kernel side take it over from each other, in a fraction
    of the time that another one takes to be loaded: these are together, and the others."""
    return any("kept(%s)" % twin in open(path).read() for path in glob.glob(stage.SRC + "/bpf/*.[ch]"))


def twins_of(tests, kernel, shared):
    """All of them; where the kernels share them out (@shared), every other one of those that both can run."""
    def runner(i, twin):
        able = sorted(set.intersection(*(set(f.kernels) for f in tests if twin in f.twins)))
        return able[i % len(able)] if shared else kernel
    def place(twin):
        mine = [f for f in tests if twin in f.twins]
        return in_kernel(twin), max(max(f.hosts) for f in mine) == "b", sorted(set().union(*(f.at for f in mine))), twin
    twins = sorted({t for f in tests for t in f.twins}, key=place)
    return [t for i, t in enumerate(twins) if runner(i, t) == kernel]


def run_twins(chosen, twins):
    counts = {"ok": 0, "fail": 0, "skip": 0}
    began = time.monotonic()
    wanted = [(twin, [f for f in chosen if twin in f.twins]) for twin in twins]
    s = stage.Stage("abc" if any("c" in f.hosts for _, tests in wanted for f in tests) else "ab")
    s.start()
    s.keep()
    for i, (twin, tests) in enumerate(wanted):
        rest(s, [f for _, tests in wanted[i:] for f in tests])
        for f, caught, verdict, why in run_twin(s, twin, tests):
            counts["ok" if caught else "fail"] += 1
            print("  %-5s twin %s: %s (%.1fs): %s" % (
                "ok" if caught else "fail", twin, f.test, time.monotonic() - began,
                "caught" if caught else "NOT CAUGHT: %s %s" % (verdict, why)), flush=True)
            began = time.monotonic()
    end_daemons(s)
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
    chosen.sort(key=lambda f: (max(f.hosts) == "b", f.numbers))     # what needs the third host comes first: rest()
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
