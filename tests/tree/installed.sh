#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libpvchan/pvchan.h alone, in each dialect that a program may use; and a program built against an
# installed copy with pkg-config's flags.
set -euo pipefail

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

CC=${CC:-cc} CXX=${CXX:-c++}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cd "$root"

printf '#include "libpvchan/pvchan.h"\n' > alone.c
cp alone.c alone.cc
strict=(-fsyntax-only -pedantic-errors -Wall -Wextra -Werror -Wshadow -Wundef -I"${srcdir:?}")
for dialect in c99 c11 gnu11 c2x; do
    "$CC" "${strict[@]}" -std=$dialect -Wstrict-prototypes alone.c || fail "the header, as $dialect"
done
if command -v "$CXX" > /dev/null; then
    for dialect in c++98 c++11 c++20; do
        "$CXX" "${strict[@]}" -Wno-long-long -std=$dialect alone.cc || fail "the header, as $dialect"
    done
fi

(cd "${builddir:?}" && ${MAKE:-make} -s install-libLTLIBRARIES install-includeHEADERS \
    install-pkgconfigDATA DESTDIR="$root/copy") > log 2>&1 || fail "install: $(cat log)"
pc=$(find copy -name pvchan.pc)
export PKG_CONFIG_PATH="$PWD/${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$PWD/copy"

cat > program.c << 'END'
#include <pvchan.h>
#include <errno.h>
#include <stdio.h>

int main(void)
{
    struct pvchan *channel;

    pvchan_close(NULL);
    puts(pvchan_version());
    return pvchan_open_server(1, "data/x", PVCHAN_RING_MAX, 1, 1u << 31, &channel) == -EINVAL ? 0 : 1;
}
END
read -ra flags < <(pkg-config --cflags --libs pvchan)
"$CC" -Wall -Werror program.c -o program "${flags[@]}" || fail "a program with ${flags[*]}"
libdir=$PKG_CONFIG_SYSROOT_DIR$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --variable=libdir pvchan)
# A library built with AddressSanitizer loads its runtime, which would insist on coming first.
ASAN_OPTIONS=verify_asan_link_order=0 LD_LIBRARY_PATH=$libdir ./program > version ||
    fail "the program does not run"
[ "$(cat version)" = "$(pkg-config --modversion pvchan)" ] || fail "version: $(cat version)"
"$CC" -std=c99 -pedantic-errors -Wall -Wextra -Werror "$srcdir/examples/echo.c" -o echo "${flags[@]}" ||
    fail "examples/echo.c with ${flags[*]}"

# The header's functions are the library's symbols; none needs more than -lpvchan.
grep -o '\bpvchan_[a-z_]*(' "$srcdir/libpvchan/pvchan.h" | tr -d '(' | sort -u > declared
nm -D --defined-only "$libdir/libpvchan.so" | sed -n 's/.* T \([a-z_]*\)@.*/\1/p' | sort -u > exported
diff declared exported || fail "declared (<) and exported (>) differ"

# Each function has a page, which is the common one, and is in its synopsis.
if command -v scdoc > /dev/null; then
    (cd "$builddir" && ${MAKE:-make} -s install-man DESTDIR="$root/copy") > log 2>&1 || fail "install: $(cat log)"
    pages=$(dirname "$(find copy -name pvchan.3)")
    find "$pages" -name 'pvchan_*' -printf '%f\n' | sed 's/\.3$//' | sort > described
    diff declared described || fail "declared (<) and with a page (>) differ"
    for page in "$pages"/pvchan_*; do
        [ "$(cat "$page")" = ".so man3/pvchan.3" ] || fail "$page: $(cat "$page")"
    done
    sed -n '/^# SYNOPSIS/,/^# DESCRIPTION/s/.*\b\(pvchan_[a-z_]*\)(.*/\1/p' "$srcdir/man/pvchan.3.scd" | sort > synopsis
    diff declared synopsis || fail "declared (<) and in the synopsis of pvchan(3) (>) differ"
fi

# The modules that systemd loads at boot, and units that it accepts.
(cd "$builddir" && ${MAKE:-make} -s install-systemdunitDATA install-dist_modulesloadDATA \
    DESTDIR="$root/copy") > log 2>&1 || fail "install: $(cat log)"
modules=$(find copy -path '*/lib/modules-load.d/pvchan.conf')
[ "$(grep -v '^#' "$modules" | paste -sd ' ')" = "xen-evtchn xen-gntdev xen-gntalloc" ] ||
    fail "modules-load.d: $(cat "$modules")"

# Permissions: the group of the udev rule exists, and gets the locks; systemd makes both.
(cd "$builddir" && ${MAKE:-make} -s install-udevrulesDATA install-sysusersDATA install-tmpfilesDATA \
    DESTDIR="$root/copy") > log 2>&1 || fail "install: $(cat log)"
rule=$(find copy -path '*/udev/rules.d/60-pvchan.rules')
for device in evtchn gntalloc gntdev xenbus; do
    grep -q "^SUBSYSTEM==\"misc\", KERNEL==\"[^\"]*\bxen/$device\b[^\"]*\", GROUP=\"xenchan\", MODE=\"0660\"$" "$rule" ||
        fail "no rule for /dev/xen/$device: $(cat "$rule")"
done
if command -v systemd-sysusers > /dev/null && command -v systemd-tmpfiles > /dev/null && [ "$(id -u)" = 0 ]; then
    mkdir -p machine/etc
    systemd-sysusers --root="$PWD/machine" "$PWD/$(find copy -path '*/sysusers.d/pvchan.conf')" > log 2>&1 ||
        fail "systemd-sysusers: $(cat log)"
    gid=$(sed -n 's/^xenchan:[^:]*:\([0-9]*\):.*/\1/p' machine/etc/group)
    systemd-tmpfiles --root="$PWD/machine" --create "$PWD/$(find copy -path '*/tmpfiles.d/pvchan.conf')" > log 2>&1 ||
        fail "systemd-tmpfiles: $(cat log)"
    [ "$(stat -c '%a %u %g' machine/run/pvchan/devices)" = "660 0 $gid" ] || fail "$(ls -ln machine/run/pvchan)"
fi

# complaints UNIT...: prints what systemd reports about our units, without other units of this
# machine.
complaints() {
    { systemd-analyze verify --man=no "$@" 2>&1 || true; } | grep vchan
}

if command -v systemd-analyze > /dev/null; then
    mkdir units broken
    find copy -name '*.service' -exec cp -t units {} +
    sed -i "s|=[^ ]*/\(vchan-[a-z]*\)|=$builddir/\1|; s|=[^ ]*/xl-vchan |=$builddir/xl-vchan |" units/*
    [ "$(find units -type f | wc -l)" = 3 ] || fail "units: $(ls units)"
    ! complaints units/* || fail "systemd-analyze verify complains"
    sed 's/^ExecStart=.*/ExecStart=none/' units/vchan-backend.service > broken/vchan-backend.service
    complaints broken/vchan-backend.service > /dev/null || fail "systemd-analyze verify takes anything"

    # exposure MOST UNIT: systemd-analyze's measure (0 to 100) is no higher.
    exposure() { systemd-analyze security --offline=true --no-pager --threshold="$1" "$2" > log 2>&1; }
    # What is left, and why, is in vchan-backend.service. A little more may be counted by a newer systemd.
    for unit in "36 vchan-backend" "36 vchan-frontend" "25 xl-vchan"; do
        exposure "${unit% *}" "units/${unit#* }.service" || fail "systemd-analyze security: $(grep -E '✗|→' log)"
    done
    sed -i '/^\(Protect\|Restrict\|SystemCallFilter\)/d' broken/vchan-backend.service
    ! exposure 36 broken/vchan-backend.service || fail "systemd-analyze security takes anything"
fi

# The echo domain's kernel is a minute's test, not a download.
if [ -e "$builddir/unikernel/vchan-echo.elf" ]; then
    strip -o image "$builddir/unikernel/vchan-echo.elf"
    [ "$(stat -c %s image)" -le 65536 ] || fail "the echo domain's image has $(stat -c %s image) bytes"
fi
