#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each installed program and library is built so that its faults are hard to exploit: it is loaded
# at a random address, what the linker fills in is read-only afterwards, stacks and buffers have
# guards, and on x86 jumps and returns are checked.
set -euo pipefail
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

cd "${builddir:?}"
if grep -q '^  \$.*--disable-hardening' config.log; then
    echo "built with --disable-hardening"
    exit 77
fi

# has FILE OPTION REGEX WHAT: readelf's output with that option has a matching line.
has() { readelf -W "$2" "$1" 2> /dev/null | grep -E "$3" > /dev/null || fail "$1: no $4"; }

# landings FILE: prints how many places an indirect jump may go to. Some are in Debian's start
# files.
landings() { objdump -d "$1" | grep -cw endbr64; }

# program FILE and object FILE: checks a program; checks what is also true of a library.
program() {
    has "$1" --file-header 'Type: +DYN' "position-independent code"
    has "$1" --dynamic 'FLAGS_1.* PIE' "PIE"
    object "$1"
}
object() {
    has "$1" --program-headers GNU_RELRO "RELRO"
    has "$1" --dynamic 'FLAGS.*(BIND_)?NOW' "BIND_NOW"
    has "$1" --dyn-syms '__stack_chk_fail' "stack protector"
    has "$1" --dyn-syms '__[a-z]+_chk(@|$)' "fortified function"
    # Not the note IBT, SHSTK: Debian 12's start files lack it, and so does everything linked with
    # them.
    [ "$(uname -m)" != x86_64 ] || [ "$(landings "$1")" -gt 5 ] || fail "$1: jumps are not checked"
}

for file in vchan-backend vchan-frontend xl-vchan cli/.libs/vchan; do
    program "$file"
done
object .libs/libpvchan.so
[ "$failures" = 0 ]
