#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# No circle of files: none calls, through however many others, one that calls it. By the symbols of the objects, since a
# declaration in somebody's header hides what is called. (xensim's broker is one process cut into files that do.)
set -euo pipefail
folders=(state vchan libpvchan cli service frontend backend toolstack)

# edges DIR: "A B" for each object that uses what another defines.
edges() {
    cd "$1"
    find "${folders[@]}" -name '*.o' -exec nm -A {} + |
        sed -E 's|/\.libs/|/|; s/^([^:]*):.* ([A-Za-z]) ([^ ]*)$/\1 \2 \3/' | sort -u | awk '
        $2 ~ /[TDBRVWC]/ { home[$3] = home[$3] ? home[$3] : $1 }
        $2 == "U" { uses[$1 " " $3] }
        END {
            for (use in uses) {
                split(use, part, " ")
                if (part[2] in home && home[part[2]] != part[1])
                    print part[1], home[part[2]]
            }
        }' | sort -u
}

# circle: what tsort finds of one; nothing: there is none.
circle() { tsort 2>&1 > /dev/null | sed 's/^tsort: -*:* *//' || true; }

pairs=$(edges "${builddir:-.}")
[ "$(wc -l <<< "$pairs")" -gt 100 ] || { echo "few objects use each other: $pairs"; exit 1; }
found=$(circle <<< "$pairs")
[ -z "$found" ] || { printf 'a circle:\n%s\n' "$found"; exit 1; }

first=${pairs%%$'\n'*}
[ -n "$(circle <<< "$pairs"$'\n'"${first#* } ${first% *}")" ] || { echo "a seeded circle is not found"; exit 1; }
echo "$(wc -l <<< "$pairs") pairs of files, no circle"
