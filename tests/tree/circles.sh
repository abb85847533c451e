#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# No circle of files: no file calls, through any number of others, one that calls it. Uses the
# objects' symbols, since a declaration in some other header would hide what is called.
set -euo pipefail

# edges DIR FOLDER…: prints "A B" for each source file that uses what another defines. The objects
# show their source file, since several programs may be built from it.
edges() {
    local folder
    cd "$1"
    for folder in "${@:2}"; do
        find "$folder" -name '*.o' -exec nm -apA {} +
    done | sed -E 's|^([^:]*/)[^/:]*:.* ([A-Za-z]) ([^ ]+)$|\1 \2 \3|; s|/\.libs/|/|' | awk '
        $2 == "a" && $3 ~ /\.c$/ { sub(/.*\//, "", $3); file = $1 $3 }
        $2 ~ /[TDBRVWC]/ { home[$3] = home[$3] ? home[$3] : file }
        $2 == "U" { uses[file " " $3] }
        END {
            for (use in uses) {
                split(use, part, " ")
                if (part[2] in home && home[part[2]] != part[1])
                    print part[1], home[part[2]]
            }
        }' | sort -u
}

# circle: prints what tsort finds of a circle, or nothing.
circle() { tsort 2>&1 > /dev/null | sed 's/^tsort: -*:* *//' || true; }

# check LEAST FOLDER…: checks folders whose files use each other in at least LEAST pairs.
check() {
    local pairs found first turned
    pairs=$(edges "${builddir:-.}" "${@:2}")
    [ "$(wc -l <<< "$pairs")" -gt "$1" ] || { echo "few files use each other: $pairs"; exit 1; }
    found=$(circle <<< "$pairs")
    [ -z "$found" ] || { printf 'a circle:\n%s\n' "$found"; exit 1; }
    first=${pairs%%$'\n'*}
    turned="${first#* } ${first% *}"
    [ -n "$(circle <<< "$pairs"$'\n'"$turned")" ] || { echo "a seeded circle is not found"; exit 1; }
    echo "${*:2}: $(wc -l <<< "$pairs") pairs of files, no circle"
}

check 100 state vchan libpvchan cli service frontend backend toolstack
# Separately, since it defines functions of the Xen libraries that the others use.
check 30 sim
