#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# debian/ keeps up with the tree: each file that is installed is in exactly one package, what the
# packages name exists, the library's symbols and what the build needs are listed, and the version
# is that of configure.ac.
set -euo pipefail
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cd "${srcdir:?}"

# What is installed, at the places that debian/rules gives it.
(cd "${builddir:?}" && ${MAKE:-make} -s install-exec-am install-data-am DESTDIR="$root/copy") > "$root/log" 2>&1 ||
    { cat "$root/log"; exit 1; }
prefix=$(sed -n 's,^prefix = /*,,p' "$builddir/Makefile")
(cd "$root/copy" && find . -not -type d -printf '%P\n') |
    sed -E "s,^$prefix/,usr/,
        s,^usr/lib/(libpvchan|pkgconfig/|pvchan/libxensim),usr/lib/multiarch/\1,
        s,^usr/sbin/xl-vchan$,usr/lib/xen-version/bin/xl-vchan," > "$root/installed"
grep -qx usr/include/pvchan.h "$root/installed" || fail "not installed as expected: $(cat "$root/installed")"

# covers PATTERN FILE: dh_install takes the file for it, or one of the folders above.
covers() {
    # shellcheck disable=SC2053 # a pattern
    [[ $2 == $1 || $2 == $1/* ]]
}

mapfile -t files < "$root/installed"
mapfile -t patterns < <(cat debian/*.install debian/not-installed |
    sed 's/ .*//; s,^${env:UNITS},usr/lib/systemd/system,')
for file in "${files[@]}"; do
    count=0
    for pattern in "${patterns[@]}"; do
        ! covers "$pattern" "$file" || count=$((count + 1))
    done
    [ $count = 1 ] || fail "$file is in $count packages: add it to one debian/*.install"
done

exists() {
    local file
    compgen -G "$1" > /dev/null && return
    for file in "${files[@]}"; do
        ! covers "$1" "$file" || return 0
    done
    fail "debian/ names $1, which does not exist"
}
for pattern in "${patterns[@]}" $(cat debian/*.examples debian/*.docs); do
    exists "$pattern"
done

diff <(sed -n 's/^ *\(pvchan_[a-z_]*\);/\1/p' libpvchan/libpvchan.map | sort) \
    <(sed -n 's/^ \(pvchan_[a-z_]*\)@.*/\1/p' debian/libpvchan0.symbols | sort) ||
    fail "libpvchan.map (<) and debian/libpvchan0.symbols (>) differ"

# What quickstart installs to build with.
for package in $(grep -o 'lib[a-z-]*-dev' quickstart); do
    grep -qE "^ +$package\b|^Build-Depends: $package\b" debian/control || fail "debian/control: no Build-Depends $package"
done

version=$(sed -n 's/^AC_INIT(\[pvchan\], \[\(.*\)\])/\1/p' configure.ac)
[[ $(head -n 1 debian/changelog) == "pvchan ($version-"* ]] ||
    fail "configure.ac has $version, debian/changelog $(head -n 1 debian/changelog)"
[ $failures = 0 ]
