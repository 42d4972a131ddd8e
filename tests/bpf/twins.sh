#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vmtest: timeout=900 hosts=2
# Each broken twin of the kernel side must be caught by the smoke's check named here, and by that one word: FAIL.
# The smoke runs the twin's object (make bpf-twins builds them). SHARED: both kernels are run, and each takes every other one.
set -uo pipefail
build=${CLEAT_BUILD:-build}
caught=0 missed=0 row=0
[ "${KERNEL:-}" = 6.1 ] && mine=0 || mine=1
while IFS='|' read -r twin level check; do
	[ -n "$twin" ] || continue
	row=$((row + 1))
	[ -z "${SHARED:-}" ] || [ $((row % 2)) = $mine ] || continue
	out=$(SMOKE_OBJECT=$build/twin/$twin/cleat.bpf.o "$build/tests-bpf/smoke" "$level" 2>&1)
	if grep -qF "FAIL $check" <<<"$out"; then
		caught=$((caught + 1))
		echo "ok   twin $twin: $check"
	else
		missed=$((missed + 1))
		echo "fail twin $twin is not caught by: $check"
		tail -n 5 <<<"$out"
	fi
done <<'END'
api_owner|full|  another label's message is refused (send)
cgroup_exact|full|  its last component is no path
cgroup_unified|full|a v1 hierarchy gives no place
clone_fresh|full|  the child is a server
forged_packet|reduced|  is forged
forged_repair|full|  is forged for good
forged_simultaneous|full|  is forged
generation|full|  another generation, the same socket
graft_owner|full|accepted by a prefork child
place_ruled|full|  a place that has no rules in this generation is nobody's
room_socket|full|  a room may not send
self_keeper|self|  no map of ours by id
self_mounts|self|  the file system is not unmounted lazily
self_moved|self|  nor is it by mount(2)
self_objects|self|  no map of ours by id
self_pins|self|  no descriptor by our pin
self_pivot|self|  the root stays
self_receive|self|  no map of ours is given away
self_rooms|self|  a room is not traced
self_spread|self|  nor by a copy of it from which that spreads
self_sysctl|self|  the hooks are not silenced
self_threaded|self|  is not the keeper's
task_inputs|full|moved: the label is the present cgroup's
trace|full|traced from another label: refused
untagged|full|  and none later, either
END
echo "$caught passed, $missed failed, 0 skipped"
[ $missed = 0 ] && [ $caught -gt 0 ]
