#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon on this very machine at level reduced: cgroups and a loopback connection of the test's own, the two clients
# that were written from PROTOCOL.md, in both combinations; then who must not get what. Needs root; changes nothing
# outside its own cgroup and directory.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
b=${BUILD:-$src/build}
mount=$(awk '$0 ~ / - cgroup2 / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
cg=/cleat-native-$$ unit=cleat-native-$$.service
w=$(mktemp -d)
passed=0 failed=0 daemon=

cleanup() {
	[ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
	for d in payments ledger other; do rmdir "$mount$cg/$d" 2>/dev/null; done
	rmdir "$mount$cg" "$mount/$unit"/* "$mount/$unit" 2>/dev/null
	rm -rf "$w"
}
trap cleanup EXIT

ok() { passed=$((passed + 1)); echo "  ok      $1"; }
bad() { failed=$((failed + 1)); echo "  FAIL    $1${2:+: $2}"; }
check() { # what, expected extended regex, actual
	if grep -qE -- "$2" <<<"$3"; then ok "$1"; else bad "$1" "$3"; fi
}
# Runs a command as a member of a cgroup.
within() { local d=$mount$cg/$1; shift; (echo $BASHPID >"$d/cgroup.procs" && exec "$@"); }
# Waits for a line in a file, ten seconds at most.
# shellcheck source=tests/e2e/await.sh
. "$src/tests/e2e/await.sh"

[ -n "$mount" ] || { echo "no cgroup2 mount: 0 passed, 0 failed, 1 skipped"; exit 0; }
mkdir -p "$mount$cg/payments" "$mount$cg/ledger" "$mount$cg/other" "$w/etc/policies.d" "$w/etc/trust" "$w/run"
cat >"$w/etc/cleat.yaml" <<-END
	version: 1
	trust_domain: prod.example
	host: a
	clock: unsynchronised-ok
	workloads:
	  - id: /payments
	    match: { cgroup: $cg/payments }
	  - id: /ledger
	    match: { cgroup: $cg/ledger }
	call:
	  - { from: /payments, to: [ /ledger ] }
	accept:
	  - { to: /ledger, from: [ /payments ], level: reduced }
END
echo "workloads: [ { id: /unit, match: { systemd: $unit } } ]" >"$w/etc/policies.d/unit.yaml"
"$b/cleatctl" host init --dir "$w/lib" --name a --trust-domain prod.example --scope / >"$w/entry.json" &&
	"$b/cleatctl" trust add --bundle "$w/etc/trust/prod.example.json" "$w/entry.json" || exit 1
export CLEAT_RUNTIME_DIR=$w/run/cleat
options=(--config-dir "$w/etc" --state-dir "$w/lib" --audit "$w/audit.jsonl" --level reduced --cgroup "$mount$cg")

refuses() { # what, what is said, command...
	local what=$1 said=$2
	shift 2
	timeout 30 "$@" >"$w/said" 2>&1 && bad "$what" "it is taken" || check "$what" "$said" "$(cat "$w/said")"
}
# attacks.md 168: a key that others could read or exchange
key=$w/lib/host.key
for mode in 0644 0640; do
	chmod $mode "$key"
	refuses "a key of mode $mode" "host-key .*0600" "$b/cleatd" check "${options[@]}"
	refuses "a start with a key of mode $mode" "host-key .*0600" "$b/cleatd" run "${options[@]}" --runtime-dir "$w/run/refused"
done
chmod 0600 "$key"
ln "$key" "$w/second"
refuses "a key of two names" "host-key .*one link" "$b/cleatd" check "${options[@]}"
mv "$w/second" "$w/key.real" && rm "$key" && ln -s "$w/key.real" "$key"
refuses "a symbolic link for a key" "host-key .*no symlink" "$b/cleatd" check "${options[@]}"
rm "$key" && mv "$w/key.real" "$key"
# no user for a room: none runs as root instead
sed '/^cleat-check:/d' /etc/passwd >"$w/passwd"
sed 's/^\(cleat-check:x:\)[0-9]*:/\10:/' /etc/passwd >"$w/passwd0"
sed 's/^\(cleat-check:x:\)[0-9]*:/\1'"$(id -u cleat-sign)"':/' /etc/passwd >"$w/passwd1"
for p in passwd passwd0 passwd1; do
	refuses "a room's user is missing, root or another room's: $p" 'users .*cleat-check' unshare --mount -- sh -c \
		'mount --bind "$1" /etc/passwd && shift && exec "$@"' - "$w/$p" "$b/cleatd" run "${options[@]}" --runtime-dir "$w/run/refused"
done

"$b/cleatd" check "${options[@]}" 2>"$w/check" || { cat "$w/check"; bad "cleatd check" "$(cat "$w/check")"; }
"$b/cleatd" run "${options[@]}" 2>"$w/log" &
daemon=$!
if ! await 'cleatd: ready' "$w/log"; then
	cat "$w/log"
	bad "the daemon is ready"
	echo "$passed passed, $failed failed, 0 skipped"
	exit 1
fi
ok "the daemon is ready"

c=$src/build/e2e/protocol_client py=$src/tests/e2e/clients/protocol_client.py
said=$(python3 -B "$src/tests/attack/jail_look.py" "$daemon" reduced "$w/audit.jsonl") && ok "each room is in its jail" ||
	bad "each room is in its jail" "$said"
check "whoami: a workload" 'spiffe://prod.example/payments .*level=1' "$(within payments "$c" whoami)"
check "whoami: nobody" '^nobody label=0' "$(within other "$c" whoami)"
check "whoami in Python" 'spiffe://prod.example/ledger .*level=1' "$(within ledger "$py" whoami)"

present() { # what, server program, client program, client's cgroup, expected of the client, of the server
	: >"$w/server" # or the port of the one before would be read
	within ledger "$2" serve 0 >"$w/server" 2>&1 &
	local server=$!
	await '^listening' "$w/server"
	local port got
	port=$(sed -n 's/^listening //p' "$w/server")
	got=$(within "$4" "$3" call 127.0.0.1 "$port" spiffe://prod.example/ledger 2>&1)
	check "$1: the client" "$5" "$got"
	kill -0 "$server" 2>/dev/null && [ -z "$6" ] && kill "$server"
	wait "$server" 2>/dev/null
	[ -z "$6" ] || check "$1: the service" "$6" "$(cat "$w/server")"
}
accepted='accepted spiffe://prod.example/payments by spiffe://prod.example/host/a level=reduced seq=1 for spiffe://prod.example/ledger'
present "C to Python" "$py" "$c" payments 'accepted spiffe://prod.example/payments' "$accepted"
present "Python to C" "$c" "$py" payments 'accepted spiffe://prod.example/payments' "$accepted"
present "C to C" "$c" "$c" payments 'accepted' "$accepted"
present "no workload" "$c" "$c" other 'refused no-workload' ''
present "no rule for the ledger to call itself" "$c" "$c" ledger 'refused policy' ''

lines=$(wc -l <"$w/audit.jsonl")
python3 - "$w/audit.jsonl" <<'END' && ok "the audit log is JSON, line by line" || bad "the audit log is JSON, line by line"
import collections, json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
got = collections.Counter((r["ask"], r["reason"]) for r in rows if "ask" in r)
want = {("whoami", "ok"): 3, ("sign", "ok"): 3, ("verify", "ok"): 3, ("whois", "ok"): 3, ("sign", "no-workload"): 1,
        ("sign", "policy"): 1}
assert got == want, (got, want)
s = next(r for r in rows if r.get("ask") == "sign" and r["reason"] == "ok")
assert s["rule"].endswith("cleat.yaml:11") and s["workload"].endswith("/payments") and s["level"] == "reduced", s
END

# a unit's cgroup is found, and what is delegated below it is not walked through, however much it is
mkdir "$mount/$unit" && mkdir "$mount/$unit"/{1..3000}
unit_found() { grep -q '^spiffe://prod.example/unit ' <<<"$(within "../$unit" "$c" whoami 2>&1)"; }
for ((i = 0; i < 50; i++)); do unit_found && break; read -rt 0.1 <> <(:); done
unit_found && ok "a unit's cgroup has its label" || bad "a unit's cgroup has its label" "$(within "../$unit" "$c" whoami 2>&1)"
timeout 2 strace -f -e trace=openat,name_to_handle_at -o "$w/strace" -p "$daemon" 2>/dev/null
entered=$(grep -c '^[0-9]* *openat(.*O_DIRECTORY' "$w/strace") asked=$(grep -c "name_to_handle_at(.*\"$unit\"" "$w/strace")
[ "$asked" -gt 2 ] && [ "$entered" -lt $((20 * asked)) ] && ok "of 3000 cgroups in it none is entered" ||
	bad "of 3000 cgroups in it none is entered" "$asked walks opened $entered directories"

# reload: a broken file keeps the last good one and names the place; a good one is the next generation
sed -i 's/^accept:/acept:/' "$w/etc/cleat.yaml"
kill -HUP "$daemon"
await 'error reload kept=1' "$w/log"
check "a broken policy keeps the last good one" 'cleat.yaml:12:1' "$(grep 'error reload' "$w/log")"
sed -i -e 's/^acept:/accept:/' -e 's/from: \/payments, to: \[ \/ledger \]/from: \/ledger, to: [ \/ledger ]/' "$w/etc/cleat.yaml"
kill -HUP "$daemon"
await 'reload generation=2' "$w/log" && ok "a good one is the next generation" || bad "reload" "$(cat "$w/log")"
present "what is no longer allowed" "$c" "$c" payments 'refused policy' ''

# end and start again: the labels go on, the generation too
kill -TERM "$daemon"
wait "$daemon" && ok "ends when told" || bad "ends when told" "$(cat "$w/log")"
[ ! -e "$CLEAT_RUNTIME_DIR/sign.sock" ] && ok "its sockets are gone" || bad "its sockets are gone"
check "no daemon is an error at once" 'No such file|ENOENT' "$("$c" whoami 2>&1)"
"$b/cleatd" run "${options[@]}" 2>"$w/log2" &
daemon=$!
await 'cleatd: ready.*generation=3' "$w/log2" && ok "generations go on after a restart" ||
	bad "generations go on after a restart" "$(cat "$w/log2")"
"$b/cleatd" run "${options[@]}" 2>"$w/log3" && bad "a second daemon" || check "a second daemon does not start" 'another cleatd' "$(cat "$w/log3")"

# a room dies: the daemon ends, and says which
room=$(pgrep -P "$daemon" -f -- --room=check)
kill -KILL "$room"
wait "$daemon" && bad "a room's death ends the daemon" || check "a room's death ends the daemon" 'room-died room=check .*signal=9' "$(cat "$w/log2")"
daemon=

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
