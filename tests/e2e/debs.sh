#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages, unpacked below build/ and looked at: what is in which, what they depend on, what a client gets from
# libcleat-dev, and what sysusers.d and tmpfiles.d make of an empty root. Installing them is package.py's, in guests.
#   tests/e2e/debs.sh DIRECTORY-OF-DEBS
set -uo pipefail
debs=$(realpath "$1")
root=$debs/root
passed=0 failed=0

must() { # sentence, command...
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "  FAIL    $what"
		sed 's/^/        | /' <<<"$said"
	fi
}
deb() { set -- "$debs/$1"_[0-9]*.deb; [ $# -eq 1 ] || { echo "not one package: $*" >&2; exit 1; }; echo "$1"; }
depends() { dpkg-deb -f "$(deb "$1")" Depends; }
files() { dpkg-deb -c "$(deb "$1")" | awk '!/^d/ { print $6 }' | sort; }

rm -rf "$root"
for package in cleatd libcleat0 libcleat-dev; do
	must "unpack $package" dpkg-deb -x "$(deb $package)" "$root"
done
arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
lib=$root/usr/lib/$arch

must "no file is in two packages" sh -c "[ -z \"\$(printf '%s\n' \"\$@\" | sort | uniq -d)\" ]" - \
	$(files cleatd) $(files libcleat0) $(files libcleat-dev)
must "the library needs libc and nothing else" grep -qxE 'libc6 \([^,]*\)' <<<"$(depends libcleat0)"
must "the development files are of this very library" grep -qF 'libcleat0 (= ' <<<"$(depends libcleat-dev)"
for need in libbpf1 libjansson4 libssl3 libyaml-0-2; do
	must "the daemon depends on $need" grep -qF "$need" <<<"$(depends cleatd)"
done
dpkg-deb -e "$(deb libcleat0)" "$root/DEBIAN"
exported=$(nm -D --defined-only "$lib/libcleat.so.0" | awk '{ print $3 }' | sort)
must "the symbols file names what the library exports" \
	[ "$exported" = "$(sed -n 's/^ \(cleat_[a-z_]*\)@.*/\1/p' "$root/DEBIAN/symbols" | sort)" ]

flags() { PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@" cleat; }
must "pkg-config knows the version" [ "$(flags --modversion)" = "$(dpkg-deb -f "$(deb libcleat-dev)" Version)" ]
must "a client compiles with pkg-config" gcc -o "$root/client" tests/e2e/clients/ledger.c $(flags --cflags --libs)
must "and runs with libcleat0's library" sh -c \
	"LD_LIBRARY_PATH='$lib' ldd '$root/client' | grep -q 'libcleat.so.0 => $lib'"
must "a client links the archive" gcc -static -o "$root/client" tests/e2e/clients/ledger.c $(flags --cflags) "$lib/libcleat.a"
must "and says how it is used" sh -c "'$root/client' 2>&1 | grep -q '^usage: '"
must "protocol and man page for client authors" test -s "$root/usr/share/doc/libcleat-dev/PROTOCOL.md.gz" -a \
	-s "$root/usr/share/man/man3/libcleat.3.gz"

must "sysusers.d makes the rooms' users" systemd-sysusers --root="$root"
for user in cleat-sign cleat-check cleat-read; do
	must "user $user" grep -qE "^$user:x?:[0-9]+:[0-9]+:.*nologin" "$root/etc/passwd"
done
echo 'adm:x:4:' >>"$root/etc/group"
must "tmpfiles.d makes the directories" systemd-tmpfiles --root="$root" --create --prefix=/etc/cleat --prefix=/var/lib/cleat \
	--prefix=/var/log/cleat
must "they are what the daemon wants" [ "$(cd "$root" && stat -c '%n %a' etc/cleat var/lib/cleat var/log/cleat | xargs)" = \
	"etc/cleat 755 var/lib/cleat 700 var/log/cleat 750" ]
must "systemd knows every word of the units" systemd-analyze verify --man=no --recursive-errors=no --root="$root" \
	cleatd.service cleat-metrics.service cleat-metrics.timer
must "the units name what is in the package" sh -c "grep -ohE '^Exec[A-Za-z]*=[^ ]+' '$root'/lib/systemd/system/cleat*.service |
	cut -d= -f2 | while read -r f; do test -x '$root'\$f || { echo \$f; exit 1; }; done"

# What maintainer scripts do, before programs that only say how they were called. They find no other rm.
fake=$root/fake
mkdir "$fake"
for program in cleatd userdel getent rm; do
	printf '#!/bin/sh\necho "%s $*" >>"%s/called"\n[ "%s" != "$FAILS" ]\n' $program "$fake" $program >"$fake/$program"
done
cat >"$fake/systemctl" <<-'END'
	#!/bin/sh
	case $2 in
	*=ExecStart) printf '{ path=/usr/sbin/cleatd ; argv[]=/usr/sbin/cleatd run%s ; ignore_errors=no ; pid=0 }\n' "$OPTIONS" ;;
	*=Environment) echo "$ENVIRONMENT" ;;
	esac
END
chmod +x "$fake"/*
script() { # what must have been called, script, argument, variables...
	local want=$1 script=$2 argument=$3
	shift 3
	: >"$fake/called"
	env PATH="$fake:$PATH" "$@" sh "userspace/debian/cleatd.$script" "$argument" || return
	[ "$(grep -v '^getent' "$fake/called")" = "$want" ] || { cat "$fake/called"; return 1; }
}
must "a removal takes the hooks out" script 'cleatd disarm' prerm remove
must "from where systemd has the daemon pin them" script 'cleatd disarm --pins /sys/fs/bpf/x --runtime-dir /run/x' prerm remove \
	OPTIONS=' --level full --pins /sys/fs/bpf/x --runtime-dir=/run/x'
must "or its environment says" script 'cleatd disarm --runtime-dir /run/y' prerm remove ENVIRONMENT='A=b CLEAT_RUNTIME_DIR=/run/y'
must "an upgrade leaves them" script '' prerm upgrade
must "what does not disarm is not removed" sh -c "! PATH='$fake:$PATH' FAILS=cleatd sh userspace/debian/cleatd.prerm remove"
users="userdel cleat-sign
userdel cleat-check
userdel cleat-read"
purged='rm -rf /etc/cleat /var/lib/cleat /var/log/cleat /run/cleat'
must "a purge takes it all" script "$purged"$'\n'"$users" postrm purge
must "and is not kept by a user that stays" script "$purged"$'\n'"$users" postrm purge FAILS=userdel

rm -rf "$root"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
