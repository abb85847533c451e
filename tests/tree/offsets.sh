#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each object of the product is compiled for 64-bit file offsets: state/lock.c locks bytes beyond
# 4 GiB. Such an object uses open64(), not open(). On 64-bit machines the two are the same, so that
# nothing else would fail there.
set -euo pipefail
cd "${builddir:?}"

# The functions of which the C library has one for each size.
pairs='f?open|freopen|openat|creat|fcntl|[fl]?stat|fstatat|f?statv?fs|lseek|f?truncate|mmap'
pairs+='|p(read|write)v?|sendfile|readdir|scandir|mko?s?temps?|tmpfile|fseeko|ftello|lockf'
pairs+='|posix_f(advise|allocate)|fallocate|glob|n?ftw|[gs]etrlimit|prlimit|copy_file_range'

# used FILE…: prints "OBJECT FUNCTION" for each of them that an object uses, with the size if it
# has one. _FORTIFY_SOURCE puts __ before the name and _2 or _chk behind.
used() { nm -uA "$@" | sed -nE "s/^([^:]*):.* U _*(($pairs)(64)?)(_2|_chk)?\$/\1 \2/p"; }

folders=(state vchan libpvchan cli service frontend backend toolstack)
mapfile -t objects < <(find "${folders[@]}" -name "*.o")
[ ${#objects[@]} -gt 100 ] || { echo "few objects: ${objects[*]}"; exit 1; }
found=$(used "${objects[@]}")
[ "$(grep -c '64$' <<< "$found")" -gt 30 ] || { echo "few use files: $found"; exit 1; }
narrow=$(grep -v '64$' <<< "$found") || true
[ -z "$narrow" ] || { printf 'compiled without 64-bit offsets:\n%s\n' "$narrow"; exit 1; }

seeded=$(mktemp -d)
trap 'rm -rf "$seeded"' EXIT
printf '#include <fcntl.h>\nint seeded(void) { return open(".", O_RDONLY); }\n' > "$seeded/seeded.c"
for bits in 64 32; do
    "${CC:-cc}" -D_FILE_OFFSET_BITS=$bits -c "$seeded/seeded.c" -o "$seeded/$bits.o"
done
[ "$(used "$seeded"/*.o)" = "$seeded/32.o open"$'\n'"$seeded/64.o open64" ] ||
    { echo "an object without 64-bit offsets is not found"; exit 1; }
echo "${#objects[@]} objects, $(wc -l <<< "$found") uses of files"
