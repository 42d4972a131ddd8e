#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cleatctl as a person uses it: exit codes, what is said, that --json is one JSON document a line; a host enrolled from
# nothing; and its questions to a daemon at level reduced, on a connection that a shell opened. The last part needs root
# and a cgroup2 mount.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
b=${BUILD:-$src/build}
ctl=$b/cleatctl
mount=$(awk '$0 ~ / - cgroup2 / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
cg=/cleat-ctl-$$
w=$(mktemp -d)
passed=0 failed=0 skipped=0 daemon='' server=''

cleanup() {
	for p in $server $daemon; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null; done
	for d in caller service; do rmdir "$mount$cg/$d" 2>/dev/null; done
	rmdir "$mount$cg" 2>/dev/null
	rm -rf "$w"
}
trap cleanup EXIT

ok() { passed=$((passed + 1)); echo "  ok      $1"; }
bad() { failed=$((failed + 1)); echo "  FAIL    $1${2:+: $2}"; }
is() { # exit code, extended regex of what is said, arguments...
	local want=$1 said=$2 out rc
	shift 2
	out=$("$ctl" "$@" 2>&1 </dev/null)
	rc=$?
	if [ "$rc" -ne "$want" ]; then
		bad "cleatctl $*" "exit $rc, not $want: $out"
	elif ! grep -qE -- "$said" <<<"$out"; then
		bad "cleatctl $*" "$out"
	else
		ok "cleatctl $*"
	fi
}
json() { # exit code, Python condition on o, arguments...
	local want=$1 holds=$2 out rc
	shift 2
	out=$("$ctl" --json "$@" 2>"$w/stderr" </dev/null)
	rc=$?
	if [ "$rc" -eq "$want" ] && [ ! -s "$w/stderr" ] &&
		python3 -c 'import json, sys; o = json.loads(sys.argv[1]); assert eval(sys.argv[2]), o' "$out" "$holds" 2>"$w/why"; then
		ok "cleatctl --json $*"
	else
		bad "cleatctl --json $*" "exit $rc: $out $(cat "$w/stderr" "$w/why" 2>/dev/null)"
	fi
}
within() { local d=$mount$cg/$1; shift; (echo $BASHPID >"$d/cgroup.procs" && exec "$@"); }
# The same with & behind it: $! is the program itself, so that it can be ended.
aside() { echo $BASHPID >"$mount$cg/$1/cgroup.procs" && shift && exec "$@"; }
# shellcheck source=tests/e2e/await.sh
. "$src/tests/e2e/await.sh"

# ---- usage ----
is 2 'usage: cleatctl'
is 2 'usage: cleatctl' nonsense
is 2 'usage: cleatctl' policy
is 0 'usage: cleatctl' --help
for verb in sign verify whoami whois 'policy check' 'policy print' 'host init' 'host entry' 'trust add' 'trust remove' \
	'trust list' 'trust check' status metrics reload sockets explain events \
	'revoke host' 'revoke workload' 'revoke list' 'keys rotate' 'keys list' doctor version; do
	# shellcheck disable=SC2086
	is 0 "^usage: cleatctl $verb" $verb --help
done
is 0 '^cleatctl [0-9]' version
json 0 '"version" in o' version
is 2 'no option --nonsense' policy check --nonsense
is 2 'needs a value' policy check --dir
is 2 'given twice' policy check --dir a --dir b
is 2 'one word too many' policy check a
is 2 'number of an open descriptor' sign --audience spiffe://prod.example/x
is 2 'is not open' sign --fd 99 --audience spiffe://prod.example/x
is 2 'number of an open descriptor' whois --fd 010
is 2 'needs --audience' sign --fd 0
is 2 'signer.s end' verify --fd 0 --assertion a~b --expect both
is 2 'needs --wit and --wpt, or --assertion' verify --fd 0
is 2 'needs --wit and --wpt, or --assertion' verify --fd 0 --wit a --assertion b
is 2 '64 hex digits' sign --fd 0 --audience x --ath abc
is 1 'no-daemon' --runtime-dir "$w/none" whoami
json 1 'o["ok"] is False and o["reason"] == "no-daemon"' --runtime-dir "$w/none" whoami

# ---- completion: what it offers is what there is ----
completes() { # extended regex, words up to the cursor, the first of which is the program
	local want=$1 got
	shift
	# shellcheck disable=SC2016
	got=$(PATH=$b:$PATH bash -c 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_$1"; echo "${COMPREPLY[*]}"' \
		"$src/userspace/completion/$1" "$@")
	grep -qE -- "$want" <<<"$got" && ok "completes $*" || bad "completes $*" "$got"
}
complete_as() { completes "$1" cleatctl "${@:2}"; }
complete_as '^status$' stat
complete_as '^add remove list check$|^add check list remove$' trust ''
complete_as '^rotate$' keys r
complete_as '--finish' keys rotate --
complete_as '^--undo$' revoke host --u
complete_as '^client server$' verify --expect ''
complete_as ' --any-owner --bundle --dir$' trust list --
complete_as '^[0-9 ]+$' explain ''
complete_as '^$' explain --reason ''
complete_as '^$' status ''
complete_as '^doctor$' --json --runtime-dir /x doc
completes '^run check disarm$' cleatd ''
completes '^check$' cleatd --level reduced ch
completes '^$' cleatd run ''
completes '^--config-dir --state-dir --runtime-dir --audit --level --pins --cgroup --log-format --help --version$' cleatd run --
completes '^reduced$' cleatd run --level r
completes '^/etc$' cleatd check --config-dir /etc

# ---- doctor, before there is anything ----
is 1 'fail  host-key  no host key in' --runtime-dir "$w/none" doctor --dir "$w/none" --state-dir "$w/none"
is 1 'cleatctl host init --name' --runtime-dir "$w/none" doctor --dir "$w/none" --state-dir "$w/none"
json 1 'o["ok"] is False and {c["name"]: c["state"] for c in o["checks"]}["policy"] == "fail" and all(c["remedy"] for c in o["checks"] if c["state"] != "ok")' --runtime-dir "$w/none" doctor --dir "$w/none" --state-dir "$w/none"

# ---- a host from nothing ----
is 2 'needs --name' host init --dir "$w/lib" --name a
[ ! -e "$w/lib" ] && ok 'a mistake leaves no key' || bad 'a mistake leaves no key'
is 2 'one component' host init --dir "$w/lib" --name a/b --trust-domain prod.example --scope /
is 2 'not below /host' host init --dir "$w/lib" --name a --trust-domain prod.example --scope /host/b
is 2 'not below /host' host init --dir "$w/lib" --name a --trust-domain prod.example --scope spiffe://other.example/
is 2 'no trust domain' host init --dir "$w/lib" --name a --trust-domain Prod --scope /
"$ctl" host init --dir "$w/lib" --name a --trust-domain prod.example --scope / >"$w/a.json" && ok 'host init' || bad 'host init'
"$ctl" host init --dir "$w/lib-b" --name b --trust-domain prod.example --scope /ledger /shop >"$w/b.json"
[ "$(stat -c %a "$w/lib/host.key")" = 600 ] && ok 'the key is 0600' || bad 'the key is 0600'
before=$(sha256sum "$w/lib/host.key")
is 1 'holds a key already' host init --dir "$w/lib" --name a --trust-domain prod.example --scope /
[ "$before" = "$(sha256sum "$w/lib/host.key")" ] && ok 'a key is never replaced' || bad 'a key is never replaced'
cmp -s "$w/a.json" <("$ctl" host entry --dir "$w/lib" --name a --trust-domain prod.example --scope /) &&
	ok 'host entry says what host init said' || bad 'host entry says what host init said'
chmod 644 "$w/lib-b/host.key"
is 1 "root's alone" host entry --dir "$w/lib-b" --name b --trust-domain prod.example --scope /

t=$w/etc/trust/prod.example.json
mkdir -p "$w/etc/trust"
is 0 'spiffe_sequence 1' trust add --bundle "$t" "$w/a.json"
is 1 'holds this key already' trust add --bundle "$t" "$w/a.json"
"$ctl" trust add --bundle "$t" - <"$w/b.json" >/dev/null && ok 'trust add from standard input' || bad 'trust add -'
echo '{"kty":"EC"}' >"$w/broken.json"
is 1 'is no entry of prod.example' trust add --bundle "$t" "$w/broken.json"
is 1 'an entry is one key' trust add --bundle "$t" /dev/null
is 2 'named <trust domain>.json' trust add --bundle "$w/bundle" "$w/a.json"
is 1 'is no entry of other.example' trust add --bundle "$w/etc/trust/other.example.json" "$w/a.json"
[ ! -e "$w/etc/trust/other.example.json" ] && ok 'a refused entry makes no bundle' || bad 'a refused entry makes no bundle'
is 0 '2 keys' trust list --dir "$w/etc"
is 2 'no option --state-dir here' trust list --dir "$w/etc" --state-dir "$w/state"
json 0 'len(o["bundle"]["keys"]) == 2 and o["bundle"]["spiffe_sequence"] == 2' trust list --dir "$w/etc"
is 0 '^ok: ' trust check --bundle "$t"
for i in 2 3; do
	"$ctl" host init --dir "$w/lib-$i" --name a --trust-domain prod.example --scope / >"$w/a$i.json"
done
is 0 '3 keys' trust add --bundle "$t" "$w/a2.json"
is 1 'has 2 keys already' trust add --bundle "$t" "$w/a3.json"
kid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["kid"])' "$w/a2.json")
is 0 '2 keys, spiffe_sequence 4' trust remove --bundle "$t" -- "$kid"
# A sequence at its end: what would come after it could not be read again.
last=$w/last/prod.example.json
mkdir "$w/last" && sed 's/"spiffe_sequence":4/"spiffe_sequence":9223372036854775807/' "$t" >"$last" && cp "$last" "$w/last/was"
is 0 'spiffe_sequence 9223372036854775807' trust check --bundle "$last"
is 1 'no spiffe_sequence is above 9223372036854775807' trust add --bundle "$last" "$w/a2.json"
cmp -s "$last" "$w/last/was" && ok 'and it is as it was' || bad 'it is as it was' "$(cat "$last")"
sed 's/"spiffe_sequence":4/"spiffe_sequence":-4/' "$t" >"$last"
is 1 'json:1:1: spiffe_sequence must be an integer, 0 to 9223372036854775807' trust check --bundle "$last"
sed 's/"spiffe_sequence":4/"spiffe_sequence":9223372036854775808/' "$t" >"$last"
is 1 'json:1:[0-9]+: too big integer' trust check --bundle "$last"
is 1 'holds no key' trust remove --bundle "$t" -- "$kid"
mkdir -p "$w/state/trust" && echo 9 >"$w/state/trust/prod.example.sequence"
is 1 'went back' trust check --bundle "$t" --state-dir "$w/state"
# A partner's bundle with a name that is there twice, of bytes that a terminal obeys, and options of such bytes.
mkdir "$w/partner"
printf '{"\302\2332J":1,"\302\2332J":1}' >"$w/partner/other.example.json"
obeys() { grep -qP '[^\x0a\x20-\x7e]' <<<"$("$ctl" "$@" 2>&1)" && bad "a terminal obeys ${*@Q}" || ok "a terminal does not obey ${*@Q}"; }
is 1 'other.example.json:1:' trust check --bundle "$w/partner/other.example.json" --any-owner
obeys trust check --bundle "$w/partner/other.example.json" --any-owner
obeys policy check $'\e[2J'
obeys --runtime-dir "$w/none" doctor --dir $'/\e[2J' --state-dir "$w/none"
chmod 666 "$t"
is 1 'chmod go-w' trust check --bundle "$t"
is 0 '^ok: ' trust check --bundle "$t" --any-owner
# What others could write is not made root's own by a change of it.
if [ "$(id -u)" -eq 0 ]; then
	before=$(sha256sum "$t")
	is 1 'chmod go-w' trust add --bundle "$t" "$w/a3.json"
	is 1 'chmod go-w' trust remove --bundle "$t" -- "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["kid"])' "$w/b.json")"
	chmod 644 "$t" && chown 65534 "$t"
	is 1 'chown root it' trust add --bundle "$t" "$w/a2.json"
	[ "$before" = "$(sha256sum "$t")" ] && [ "$(stat -c %u "$t")" = 65534 ] && ok 'and it is as it was' || bad 'it is as it was'
	chown 0 "$t"
fi
chmod 644 "$t"

# Two who change a bundle at once: a key that goes must not come back with the other's.
two=$w/two/prod.example.json
mkdir "$w/two" && cp "$t" "$two"
exec 9>"$w/two/.lock" && flock 9
watch "$w/two" || bad 'the directory is watched'
"$ctl" trust remove --bundle "$two" -- "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["kid"])' "$w/b.json")" >"$w/removed" 2>&1 9>&- &
remover=$!
happened .lock || bad 'somebody comes to the lock' # whoever reads before it has read by then
mkdir "$w/three" && cp "$t" "$w/three/" && "$ctl" trust add --bundle "$w/three/prod.example.json" "$w/a2.json" >/dev/null &&
	mv "$w/three/prod.example.json" "$two"
exec 9>&-
wait "$remover"
json 0 'sorted(k["cleat_issuer"][-1] for k in o["bundle"]["keys"]) == ["a", "a"] and o["bundle"]["spiffe_sequence"] == 6' trust list --bundle "$two"
[ "$(ls -A "$w/two")" = prod.example.json ] && ok 'and the lock is gone' || bad 'the lock is gone' "$(ls -A "$w/two")"

# ---- policy ----
is 1 'cleat.yaml:1:1: not there' policy check --dir "$w/etc"
cp "$src/policies/two-tier.yaml" "$w/etc/cleat.yaml"
is 0 '^ok: 2 workloads' policy check --dir "$w/etc"
json 0 'o["ok"] and o["workloads"] == 2 and o["keys"] == 2' policy check --dir "$w/etc"
json 0 'o["accept"][0]["hosts"] == ["a", "b"]' policy print --dir "$w/etc"
is 1 'went back' policy check --dir "$w/etc" --state-dir "$w/state"
"$ctl" policy print --dir "$w/etc" >"$w/printed"
cp "$w/printed" "$w/etc/cleat.yaml"
"$ctl" policy print --dir "$w/etc" | cmp -s - "$w/printed" && ok 'what is printed prints the same' || bad 'what is printed prints the same'
sed -i 's/^accept:/acept:/' "$w/etc/cleat.yaml"
is 1 'cleat.yaml:[0-9]+:1: "acept" is no key here: did you mean "accept"' policy check --dir "$w/etc"
json 1 'o["ok"] is False and "cleat.yaml:" in o["error"]' policy check --dir "$w/etc"

# ---- questions to a daemon ----
finish() { echo "$passed passed, $failed failed, $skipped skipped"; [ "$failed" -eq 0 ]; exit; }
if [ -z "$mount" ] || [ "$(id -u)" -ne 0 ]; then
	skipped=1
	finish
fi
mkdir -p "$mount$cg/caller" "$mount$cg/service" "$w/run"
cat >"$w/etc/cleat.yaml" <<-END
	version: 1
	trust_domain: prod.example
	host: a
	clock: unsynchronised-ok
	workloads:
	  - { id: /caller, match: { cgroup: $cg/caller } }
	  - { id: /service, match: { cgroup: $cg/service } }
	call:
	  - { from: /caller, to: [ /service ] }
	accept:
	  - { to: /service, from: [ /caller ], level: reduced }
END
export CLEAT_RUNTIME_DIR=$w/run/cleat
"$b/cleatd" run --config-dir "$w/etc" --state-dir "$w/lib" --audit "$w/audit.jsonl" --level reduced \
	--cgroup "$mount$cg" 2>"$w/log" &
daemon=$!
if ! await 'cleatd: ready' "$w/log"; then
	bad 'the daemon is ready' "$(cat "$w/log")"
	finish
fi
[ "$(cat "$w/lib/trust/prod.example.sequence")" = 4 ] && ok 'the daemon keeps the sequence it saw' || bad 'the sequence is kept'

# The service: accepts one connection as descriptor 3, reads a line, asks cleatctl about both.
cat >"$w/service.py" <<-'END'
	import os, socket, subprocess, sys
	s = socket.create_server(("127.0.0.1", 0))
	print("listening", s.getsockname()[1], flush=True)
	c, _ = s.accept()
	line = c.makefile().readline()
	os.dup2(c.fileno(), 3, inheritable=True)
	for args in (["verify", "--fd", "3", "--assertion", "-"], ["verify", "--fd", "3", "--assertion", "-"], ["whois", "--fd", "3"]):
	    p = subprocess.run([sys.argv[1], "--json"] + args, input=line, text=True, capture_output=True, pass_fds=[3])
	    print(p.returncode, p.stdout.strip(), p.stderr.strip(), flush=True)
END
aside service python3 "$w/service.py" "$ctl" >"$w/service" 2>&1 &
server=$!
await '^listening' "$w/service"
port=$(sed -n 's/^listening //p' "$w/service")
# shellcheck disable=SC2016
within caller bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1 && $0 sign --fd 3 --audience spiffe://prod.example/service >&3; $0 whoami; $0 --json whois --fd 3' \
	"$ctl" "$port" >"$w/caller" 2>&1
wait "$server"
server=''
said() { # what, extended regex, file
	grep -qE -- "$2" "$3" && ok "$1" || bad "$1" "$(cat "$3")"
}
said 'whoami names the workload' '^spiffe://prod.example/caller' "$w/caller"
said 'whois names the caller and its end' '"owner":"spiffe://prod.example/caller".*"end":"client".*"peer":null' "$w/caller"
said 'verify accepts' '^0 \{"ok":true,"subject":"spiffe://prod.example/caller","issuer":"spiffe://prod.example/host/a","level":"reduced"' "$w/service"
said 'verify refuses it a second time' '^1 \{"ok":false,"reason":"replayed"' "$w/service"
# ---- root's questions ----
json 0 'o["ok"] and {c["name"]: c["state"] for c in o["checks"]}["host-key"] == "ok" and {c["name"]: c["what"] for c in o["checks"]}["daemon"] == "cleatd runs at level reduced, generation 1"' doctor --dir "$w/etc" --state-dir "$w/lib"
is 0 'level reduced' status
json 0 'o["level"] == "reduced" and o["generation"] == 1 and o["rooms"]["check"]["ok"] == 3 and o["rooms"]["check"]["replayed"] == 1' status
metrics() { # what, Python condition on m: (name, label values...) -> value
	"$ctl" metrics --file "$w/metrics.prom" && /usr/bin/python3 - "$w/metrics.prom" "$2" 2>"$w/why" <<'EOF' && ok "$1" || bad "$1" "$(cat "$w/why")"
import sys
from prometheus_client.parser import text_string_to_metric_families as parsed
m = {(s.name, *s.labels.values()): s.value for f in parsed(open(sys.argv[1]).read()) for s in f.samples}
assert eval(sys.argv[2]), m
EOF
}
metrics 'metrics are what status says, as Prometheus reads it' 'm["cleat_up",] == 1 and m["cleat_armed",] == 1 and m["cleat_level_info", "reduced"] == 1 and m["cleat_policy_generation",] == 1 and m["cleat_answers_total", "check", "ok"] == 3 and m["cleat_answers_total", "check", "replayed"] == 1 and m["cleat_answers_total", "sign", "policy"] >= 0 and m["cleat_asked_total", "check"] == 4 and m["cleat_connections_refused_total", "check", "uid"] == 0 and m["cleat_connections_displaced_total", "sign"] == 0 and m["cleat_connections_idle_total", "sign"] == 0 and m["cleat_closes_forced_total", "check"] == 0 and m["cleat_audit_suppressed_total", "check"] == 0 and 0 <= m["cleat_host_key_age_seconds",] < 3600'
CLEAT_RUNTIME_DIR=$w/nowhere metrics 'a daemon that does not answer is a number' 'm == {("cleat_up",): 0}'
is 1 'nowhere/x.prom: No such file' metrics --file "$w/nowhere/x.prom"
complete_as '^replayed$' explain --reason repl
is 0 'generation 2 is in force' reload
json 0 'o["generation"] == 3' reload
sed -i 's/^accept:/acept:/' "$w/etc/cleat.yaml"
is 1 'not-reloaded: .*cleat.yaml:[0-9]+:1' reload
json 1 'o["ok"] is False and "cleat.yaml:" in o["error"]' reload
json 0 'o["generation"] == 3 and o["reloads"] == 4 and o["reloads_failed"] == 2 and "cleat.yaml:" in o["reload_error"]' status
sed -i 's/^acept:/accept:/' "$w/etc/cleat.yaml"
is 0 'generation [4-6] is in force' reload
is 1 'needs level full' sockets
# shellcheck disable=SC2016
aside caller bash -c 'echo $$ >$0 && exec tail -f /dev/null' "$w/pid" &
await . "$w/pid"
asleep=$(cat "$w/pid")
is 0 'is spiffe://prod.example/caller' explain "$asleep"
json 0 'o["workload"].endswith("/caller") and o["rule"] == "cleat.yaml:6"' explain "$asleep"
kill "$asleep"
json 0 'o["workload"] == "" and "no workload" in o["why"]' explain $$
is 1 'no process' explain 2147483646
is 2 'no process.s number' explain 0
is 0 'way out  +ask for a fresh assertion' explain --reason replayed
json 0 'o["reason"] == "replayed" and o["line"]["ask"] == "verify"' explain --reason replayed --workload /service
is 1 'hold no such refusal' explain --reason forged
is 2 'no reason' explain --reason nonsense
is 0 ' check verify replayed why=' events

# ---- revoking: on this host, at once, and back ----
cat >"$w/listen.py" <<-'END'
	import socket
	s = socket.create_server(("127.0.0.1", 0))
	print("listening", s.getsockname()[1], flush=True)
	kept = []
	while True:
	    kept.append(s.accept()[0])
END
aside service python3 "$w/listen.py" >"$w/listen" 2>&1 &
server=$!
await '^listening' "$w/listen"
port=$(sed -n 's/^listening //p' "$w/listen")
sign() { # what, extended regex
	# shellcheck disable=SC2016
	within caller bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1 && $0 sign --fd 3 --audience spiffe://prod.example/service' \
		"$ctl" "$port" >"$w/signed" 2>&1
	said "$1" "$2" "$w/signed"
}
sign 'before a revocation' '^ey.*~ey'
json 0 'o["changed"] and o["in_force"] and o["id"] == "spiffe://prod.example/caller"' revoke workload /caller
sign 'a revoked workload gets no assertion' 'refused: revoked'
is 0 '^spiffe://prod.example/caller$' revoke list
is 0 'believed again' revoke workload --undo caller
sign 'until that is taken back' '^ey.*~ey'
json 0 'o["changed"] and o["in_force"]' revoke host a
sign 'nor does a workload of a revoked host' 'refused: revoked'
json 0 'o["changed"] is False and o["in_force"]' revoke host spiffe://prod.example/host/a
json 0 'o["revoked"] == ["spiffe://prod.example/host/a"]' revoke list
is 0 'believed again' revoke host --undo a
sign 'until that is taken back, too' '^ey.*~ey'
is 2 'no id of a workload' revoke workload spiffe://prod.example/host/a
is 2 'no id of a host' revoke host spiffe://prod.example/caller
is 2 'no id of a host' revoke host a/b
is 0 'holds from its next start' --runtime-dir "$w/none" revoke host --state-dir "$w/lib-b" spiffe://prod.example/host/b
is 2 'give the whole id' --runtime-dir "$w/none" revoke host --state-dir "$w/lib-b" b
is 1 "has its list in $w/lib, not in $w/lib-b" revoke workload --state-dir "$w/lib-b" /caller
json 1 'o["ok"] is False and "not in" in o["error"]' revoke host --state-dir "$w/none" a
[ "$(cat "$w/lib-b/revoked")" = spiffe://prod.example/host/b ] && ! grep -q . "$w/lib/revoked" && [ ! -e "$w/none" ] &&
	ok 'and no list is changed' || bad 'no list is changed' "$(cat "$w/lib-b/revoked" "$w/lib/revoked")"
ln -s lib "$w/lib-too"
is 0 'in force as generation' revoke host --state-dir "$w/lib-too/" z
is 0 'believed again' revoke host --undo z
is 0 'in force' revoke workload /service
echo nonsense >>"$w/lib/revoked"
is 1 'revoked:2:1: no id of a workload or host' reload
is 1 'NOT IN FORCE' revoke workload /caller
sed -i /nonsense/d "$w/lib/revoked"
is 0 'in force as generation' revoke workload --undo /caller
is 0 'in force as generation' revoke workload --undo /service

# ---- what does not answer, is no key, or is no text ----
kill -STOP "$daemon"
is 1 'gave no answer' revoke workload /caller
kill -CONT "$daemon"
! grep -q caller "$w/lib/revoked" && ok 'and nothing is revoked' || bad 'nothing is revoked' "$(cat "$w/lib/revoked")"
(umask 077 && echo nonsense >"$w/lib/host.key.next")
is 1 'holds no P-256 private key' reload
sign 'the key before signs on' '^ey'
rm "$w/lib/host.key.next"
is 0 'in force' reload
# shellcheck disable=SC2016
within caller bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; $0 sign --fd 3 --audience "$2"' "$ctl" "$port" $'spiffe://prod.example/\e[31m\nred' >/dev/null 2>&1
"$ctl" events >"$w/events" && "$ctl" explain >>"$w/events"
said 'a stranger names an audience' 'u001b.31m.u000ared' "$w/events"
! grep -qP '[^\x0a\x20-\x7e]' "$w/events" && ! grep -q '^red' "$w/events" && ok "and root's terminal does not obey it" || bad "root's terminal" "$(cat -v "$w/events")"

# ---- rotation: the old key signs until the next one is trusted here, and no signature fails meanwhile ----
# shellcheck disable=SC2016
within caller bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; until [ -e "$2.stop" ]; do
	$0 sign --fd 3 --audience spiffe://prod.example/service >>"$2" 2>&1 || echo "FAILED" >>"$2"; done' "$ctl" "$port" "$w/load" &
load=$!
await '^ey' "$w/load"
kid() { python3 -c 'import base64, json, sys; h = sys.argv[1].split(".")[0]; print(json.loads(base64.urlsafe_b64decode(h + "=" * (-len(h) % 4)))["kid"])' "$(grep '^ey' "$1" | tail -n 1)"; }
sign 'the old key' '^ey'
old=$(kid "$w/signed")
json 0 'o["next"] == "" and o["signs"] == o["current"]' keys list --dir "$w/lib"
"$ctl" keys rotate --dir "$w/lib" >"$w/next.json" 2>"$w/why" && ok 'keys rotate' || bad 'keys rotate' "$(cat "$w/why")"
new=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["kid"])' "$w/next.json")
[ "$(stat -c %a "$w/lib/host.key.next")" = 600 ] && ok 'the next key is 0600' || bad 'the next key is 0600'
cmp -s <(python3 -c 'import json, sys; k = json.load(open(sys.argv[1])); print(k["cleat_issuer"], k["cleat_scope"])' "$w/next.json") \
	<(python3 -c 'import json, sys; k = json.load(open(sys.argv[1])); print(k["cleat_issuer"], k["cleat_scope"])' "$w/a.json") &&
	ok 'the entry is as the one before' || bad 'the entry' "$(cat "$w/next.json")"
is 1 'a rotation is under way' keys rotate --dir "$w/lib"
is 0 'in force' reload
sign 'a key that nobody trusts yet' '^ey'
[ "$(kid "$w/signed")" = "$old" ] && ok 'does not sign' || bad 'does not sign'
is 1 'the old one still signs' keys rotate --dir "$w/lib" --finish
is 0 '3 keys' trust add --bundle "$t" "$w/next.json"
is 0 'in force' reload
sign 'one that this host trusts' '^ey'
[ "$(kid "$w/signed")" = "$new" ] && ok 'signs' || bad 'signs'
json 0 'o["signs"] == o["next"]' keys list --dir "$w/lib"
# Refused meanwhile: the key is where it belongs, and that is said with the way out.
sed -i 's/^accept:/acept:/' "$w/etc/cleat.yaml"
cp -a "$w/lib/host.key" "$w/lib/old.key" && cp -a "$w/lib/host.key.next" "$w/lib/next.key"
is 1 "$new is in place as $w/lib/host.key, .*then \"cleatctl reload\"" keys rotate --finish --dir "$w/lib"
sed -i 's/^acept:/accept:/' "$w/etc/cleat.yaml"
[ ! -e "$w/lib/host.key.next" ] && is 0 'in force' reload
sign 'the way out' '^ey'
[ "$(kid "$w/signed")" = "$new" ] && ok 'is one' || bad 'the way out'
mv "$w/lib/old.key" "$w/lib/host.key" && mv "$w/lib/next.key" "$w/lib/host.key.next"
is 0 'in force' reload
is 0 'signs alone' keys rotate --finish --dir "$w/lib"
[ ! -e "$w/lib/host.key.next" ] && ok 'the old key is gone' || bad 'the old key is gone'
sign 'afterwards' '^ey'
[ "$(kid "$w/signed")" = "$new" ] && ok 'the new one signs on' || bad 'the new one signs on'
is 0 '2 keys' trust remove --bundle "$t" -- "$old"
is 0 'in force' reload
chmod 644 "$w/lib/host.key"
is 1 'host.key: must be root.s alone' reload
chmod 600 "$w/lib/host.key"
touch "$w/load.stop"
wait "$load"
! grep -qvE '^ey.*~ey' "$w/load" && ok "no signature failed, of $(wc -l <"$w/load")" || bad 'a signature failed' "$(grep -vE '^ey' "$w/load" | head -n 3)"
kill "$server"
server=

chmod 0755 "$w/run/cleat/private" && chmod 0666 "$w/run/cleat/private/admin.sock" && chmod 0755 "$w" "$w/run"
setpriv --reuid 65534 --regid 65534 --clear-groups "$ctl" status >"$w/nobody" 2>&1
said 'nobody but root may ask, whatever the mode of the socket' 'not-root|root.s' "$w/nobody"
said 'and it stands in the audit log' '"room":"kernel","ask":"admin","reason":"not-root".*"uid":65534' "$w/audit.jsonl"
chmod 0600 "$w/run/cleat/private/admin.sock" && chmod 0700 "$w/run/cleat/private"
timeout 10 "$ctl" events --follow >"$w/followed" 2>&1 &
following=$!
await not-root "$w/followed"
mv "$w/audit.jsonl" "$w/audit.old" && printf '{"time":"x","room":"kernel","event":"rotated"}\n' >"$w/audit.jsonl"
await 'kernel rotated' "$w/followed" && ok 'events --follow goes on through rotation' || bad 'events --follow' "$(cat "$w/followed")"
kill "$following" 2>/dev/null
mv "$w/audit.old" "$w/audit.jsonl"
mv "$w/audit.jsonl" "$w/audit.1"
is 0 'is in force' reload
was=$(wc -l <"$w/audit.1")
for _ in 1 2 3; do "$ctl" whoami >/dev/null 2>&1; done
if [ "$(grep -c '"ask":"whoami"' "$w/audit.jsonl")" = 3 ] && [ "$(wc -l <"$w/audit.1")" = "$was" ] &&
	[ "$(stat -c %a "$w/audit.jsonl")" = 600 ]; then
	ok 'after a reload a renamed audit log gets no line, and the new one all'
else
	bad 'the audit log rotates' "$(tail -n 3 "$w/audit.jsonl")"
fi
# A reader that hangs: its own reload waits, and nothing else does.
mkdir -p "$w/etc/policies.d"
{ echo 'workloads:'; for n in $(seq 8000); do echo "  - { id: /many/$n, match: { cgroup: /many/$n } }"; done; } >"$w/etc/policies.d/many.yaml"
for _ in $(seq 20); do
	"$ctl" reload >"$w/slow" 2>&1 &
	slow=$!
	until pkill -STOP -P "$daemon" -x cleatd-reader; do kill -0 $slow 2>/dev/null || break; done
	pgrep -r T -P "$daemon" -x cleatd-reader >/dev/null && break
done
if timeout 5 "$ctl" status >"$w/said" 2>&1 && kill -0 $slow 2>/dev/null; then
	ok 'a reader that hangs keeps nobody waiting but its reload'
else
	bad 'a reader that hangs' "$(cat "$w/said" "$w/slow")"
fi
pkill -CONT -P "$daemon" -x cleatd-reader
wait $slow && ok 'and the reload succeeds in the end' || bad 'the reload of the hanging reader' "$(cat "$w/slow")"
rm "$w/etc/policies.d/many.yaml"
is 0 'is in force' reload
# A uid that wants more places than a quarter is told so, and the numbers say whose part was full. The last question of all:
# its connections end after it.
python3 - "$w/run/cleat/sign.sock" >"$w/crowd" 2>&1 <<-'END'
	import resource, select, socket, sys
	hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
	resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
	crowd, told = [], select.poll()
	for _ in range(1024 + 8):
	    crowd.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
	    crowd[-1].connect(sys.argv[1])
	    told.register(crowd[-1], select.POLLIN)
	print("refused" if told.poll(10000) else "nobody was refused")
END
said 'a crowd of one uid is told busy' '^refused$' "$w/crowd"
json 0 'o["doors"]["sign"]["refused"]["uid"] >= 1 and o["doors"]["sign"]["refused"]["all"] == 0 and o["doors"]["check"]["refused"] == {"uid": 0, "workload": 0, "all": 0} and set(o["doors"]["sign"]) == {"refused", "displaced", "idle", "forced", "suppressed"}' status
is 0 '^sign  door   refused [1-9][0-9]* uid, ' status
metrics 'and Prometheus' 'm["cleat_connections_refused_total", "sign", "uid"] >= 1 and m["cleat_answers_total", "sign", "busy"] >= 1'
said 'whois names the peer' '^0 .*"owner":"spiffe://prod.example/service".*"peer":.*"subject":"spiffe://prod.example/caller"' "$w/service"

# ---- a daemon that is starting has read the list, and does not answer yet ----
kill "$daemon" && wait "$daemon"
daemon=''
hold() { exec 9<>"$1" && flock 9; } # until exec 9>&-
revoke_aside() { # arguments...: and waits until it waits
	: >"$w/revoked" # or what the one before said would be read
	"$ctl" revoke "$@" >"$w/revoked" 2>&1 9>&- &
	revoking=$!
	await 'a cleatd is starting' "$w/revoked" || bad 'revoke says that it waits' "$(cat "$w/revoked")"
}
# It holds its place, and waits for the counters that the room of the daemon before may still write.
hold "$w/run/cleat/private/counters.sign"
watch "$w/run/cleat" || bad 'the directory is watched'
"$b/cleatd" run --config-dir "$w/etc" --state-dir "$w/lib" --audit "$w/audit.jsonl" --level reduced \
	--cgroup "$mount$cg" 2>"$w/log" 9>&- &
daemon=$!
happened sign.sock || bad 'the daemon comes to its sockets' # the list is read by then
revoke_aside host --state-dir "$w/lib" spiffe://prod.example/host/y
exec 9>&-
wait "$revoking" && grep -q 'host/y: revoked, in force as generation' "$w/revoked" &&
	ok 'a revocation waits for a daemon that is starting' || bad 'a revocation while a daemon starts' "$(cat "$w/revoked" "$w/log")"
json 0 'o["revoked"] == 1' status
kill "$daemon" && wait "$daemon"
daemon=''
exec 9<"$w/run/cleat/private" && flock 9
revoke_aside host --undo --state-dir "$w/lib" spiffe://prod.example/host/y
exec 9>&-
wait "$revoking" && grep -q 'holds from its next start' "$w/revoked" &&
	ok 'or for its end' || bad 'a revocation while a daemon goes' "$(cat "$w/revoked")"
finish
