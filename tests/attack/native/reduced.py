# SPDX-License-Identifier: Apache-2.0
"""Runs the attacks of native/t_*.py on one daemon at level reduced. Started by tests/attack/native/run."""
import glob
import importlib
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from native_stage import NativeStage  # noqa: E402
from stage import Accepted, Wrong  # noqa: E402


def load():
    names = sorted(os.path.basename(p)[:-3] for p in glob.glob(HERE + "/t_*.py"))
    tests = [t for n in names for t in importlib.import_module(n).TESTS]
    return sorted(tests, key=lambda t: (getattr(t[1], "last", False), t[0]))


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    chosen = [(n, f) for n, f in load() if any(w in n for w in words) or not (words or getattr(f, "named_only", False))]
    if "--list" in sys.argv:
        print("\n".join(n for n, _ in chosen))
        return 0
    counts = {"ok": 0, "fail": 0}
    s = NativeStage()
    s.a.start()
    for name, f in chosen:
        began = time.monotonic()
        try:
            verdict, why = "ok", f(s)
            s.a.balance()               # N2 and N3, of what the daemon answered since it began
        except Accepted as e:
            verdict, why = "fail", "ACCEPTED: %s" % e
        except Wrong as e:
            verdict, why = "fail", str(e)
        except Exception:  # noqa: BLE001 - the next test must run
            verdict, why = "fail", traceback.format_exc()
        finally:
            s.dismiss()
        counts[verdict] += 1
        print("  %-5s %s (%.1fs): %s" % (verdict, name, time.monotonic() - began, why), flush=True)
    s.a.stop()
    print("%d passed, %d failed, 0 skipped" % (counts["ok"], counts["fail"]))
    return 0 if counts["ok"] and not counts["fail"] else 1


sys.exit(main())
