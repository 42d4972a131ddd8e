# SPDX-License-Identifier: Apache-2.0
# Waiting for what is told, with a limit, in the tests that are shell scripts; sourced, with $src set.

# A line (pattern, file) that is there or comes within ten seconds; the file may come, too. tail hears of both.
await() {
	local lines told teller
	exec {lines}< <(exec timeout 10 tail -n +1 -F -- "$2" 2>/dev/null)
	teller=$!
	grep -qEm1 -- "$1" <&"$lines"
	told=$?
	kill "$teller" 2>/dev/null
	exec {lines}<&-
	return $told
}

# watch DIR, then begin what makes or opens NAME in it, then happened NAME: within ten seconds.
watch() {
	exec {watched}< <(exec timeout 60 python3 -B "$src/tests/e2e/watch.py" "$1")
	watcher=$!
	read -rt 10 _ <&"$watched"
}
happened() {
	local name=
	while [ "$name" != "$1" ] && read -rt 10 name <&"$watched"; do :; done
	kill "$watcher" 2>/dev/null
	exec {watched}<&-
	[ "$name" = "$1" ]
}
