#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make install, as an administrator and a packager would: below a staging root with other directories, where everything
# works from where it lies; then uninstall, which must leave not one file or directory of ours.
#   tests/e2e/install.sh DIRECTORY
set -uo pipefail
root=$(realpath -m "$1")
passed=0 failed=0
: "${MAKE:=make}" "${CC:=gcc}"

must() { # sentence, command...
	local what=$1
	shift
	if "$@" >"$root.log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "  FAIL    $what"
		sed 's/^/        | /' "$root.log"
	fi
}
files() { find "$root" -mindepth 1 ! -type d -printf '%P\n' | sort; }
make_in() { "$MAKE" --no-print-directory DESTDIR="$root" "$@"; }

rm -rf "$root"
mkdir -p "$root"
must "install below a DESTDIR" make_in install PREFIX=/opt/cleat libdir=/opt/cleat/lib/some-arch
lib=$root/opt/cleat/lib/some-arch

must "the commands run" "$root/opt/cleat/bin/cleatctl" --help
must "the daemon runs" "$root/opt/cleat/sbin/cleatd" --version
must "the library's SONAME is its file" sh -c "objdump -p '$lib/libcleat.so.0' | grep -q 'SONAME  *libcleat.so.0$'"
must "the library shows only cleat_*" sh -c "! nm -D --defined-only '$lib/libcleat.so.0' | grep -v ' T cleat_'"

flags() { PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@" cleat; }
must "a client compiles with pkg-config" "$CC" -o "$root.client" tests/e2e/clients/ledger.c $(flags --cflags --libs)
must "and runs with the shared library" sh -c \
	"LD_LIBRARY_PATH='$lib' ldd '$root.client' | grep -q 'libcleat.so.0 => $lib'"
must "a client links the archive" "$CC" -o "$root.client" tests/e2e/clients/ledger.c $(flags --cflags) "$lib/libcleat.a"

unit=$root/opt/cleat/lib/systemd/system/cleatd.service
must "the unit names the daemon where it is" grep -q '^ExecStart=/opt/cleat/sbin/cleatd run' "$unit"
must "nothing is left to fill in" sh -c "! grep -rnE '@[a-z]+@' '$root/opt/cleat/lib' --include=*.service --include=*.pc"
for page in cleatd.8 cleatctl.1 cleat.policy.5 cleat.7 libcleat.3; do
	must "man page $page" test -s "$root/opt/cleat/share/man/man${page##*.}/$page"
done
for example in policies/*.yaml; do
	must "example $example" cmp "$example" "$root/opt/cleat/share/doc/cleat/examples/${example##*/}"
done
for program in cleatd cleatctl; do
	must "completion of $program" test -s "$root/opt/cleat/share/bash-completion/completions/$program"
done
must "users of the rooms" systemd-sysusers --dry-run "$root/opt/cleat/lib/sysusers.d/cleat.conf"
must "nothing outside PREFIX" sh -c "[ \"\$(ls -A '$root')\" = opt ]"

# What others have there must stay.
: >"$root/opt/cleat/bin/other"
must "uninstall" make_in uninstall PREFIX=/opt/cleat libdir=/opt/cleat/lib/some-arch
said=$(cat "$root.log")
must "it says what stays" grep -q /var/lib/cleat <<<"$said"
must "it left nothing, and another's file alone" [ "$(files)" = opt/cleat/bin/other ]
must "nor a directory of ours" [ -z "$(find "$root" -path '*doc/cleat*')" ]

rm -rf "$root" "$root.client" "$root.log"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
