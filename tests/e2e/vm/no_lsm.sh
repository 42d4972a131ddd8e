#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vmtest: timeout=300 hosts=1 cmdline=lsm=lockdown,capability,yama,apparmor
# attacks.md 95: a kernel that has BPF LSM built in and was booted without it. Its programs load and attach, and no hook is
# ever called. Level full must be refused, and said why; what is there instead depends on the kernel.
set -uo pipefail
b=${CLEAT_BUILD:-build}
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "  ok      $1"; }
bad() { failed=$((failed + 1)); echo "  FAIL    $1: $2"; }
has() { # what, expected extended regex, text
	if grep -qE -- "$2" <<<"$3"; then ok "$1"; else bad "$1" "$3"; fi
}
await() { timeout 120 bash -c 'until grep -qE -- "$1" "$2" 2>/dev/null; do read -rt 0.1 <> <(:) || :; done' - "$1" "$2"; }

has "the guest has no active BPF LSM" '^lockdown,capability,yama' "$(cat /sys/kernel/security/lsm)"
mkdir -p /etc/cleat/trust /var/log/cleat /run/cleat
printf 'version: 1\ntrust_domain: test.example\nhost: a\nclock: unsynchronised-ok\n' >/etc/cleat/cleat.yaml
"$b/cleatctl" host init --dir /var/lib/cleat --name a --trust-domain test.example --scope / >/run/entry.json &&
	"$b/cleatctl" trust add --bundle /etc/cleat/trust/test.example.json /run/entry.json >/dev/null || exit 1

doctor=$("$b/cleatctl" doctor)
has "doctor: no level full" 'levels +level full: no' "$doctor"
has "doctor: what to do about it" 'boot with lsm=\.\.\.,bpf' "$doctor"
check=$("$b/cleatd" check 2>&1)
has "check: full is refused, with the way out" 'level=full result=refused .*boot with lsm=' "$check"
out=$("$b/cleatd" run --level full 2>&1) && bad "--level full" "it ran" || ok "--level full does not start"
has "and says so" 'reason=not-armed .*/sys/kernel/security/lsm does not name bpf' "$out"

"$b/cleatd" run 2>/run/log &
daemon=$!
case $KERNEL in
6.1)
	wait "$daemon" && bad "Linux 6.1 has no level reduced" "it ran" || ok "Linux 6.1 has no level reduced either: refused"
	has "both levels are explained" 'reason=not-armed .*does not name bpf.*; and level reduced needs Linux 6\.5' "$(cat /run/log)"
	has "doctor: would refuse" 'level reduced: no: cleatd would refuse to arm' "$doctor"
	;;
*)
	await 'cleatd: ready level=reduced' /run/log && ok "auto is level reduced" || bad "auto is level reduced" "$(cat /run/log)"
	has "the line says why" 'level=reduced instead=full why=.*does not name bpf' "$(cat /run/log)"
	has "status: the level" '"level":"reduced"' "$("$b/cleatctl" --json status)"
	has "status: why" 'not full +level full needs BPF LSM' "$("$b/cleatctl" status)"
	has "metrics" 'cleat_level_info\{level="reduced"\} 1' "$("$b/cleatctl" metrics)"
	kill "$daemon"
	wait "$daemon" && ok "ends when told" || bad "ends when told" "$(cat /run/log)"
	;;
esac
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
