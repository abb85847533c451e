#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each folder includes only from itself and from those below it (doc/architecture.md), and knows no
# type of a folder above it, not even by a forward declaration. No files include each other in a
# circle. The checks run on the tree, and on small trees with and without seeded faults, which they
# must find.
set -euo pipefail
cd "${srcdir:-.}"

declare -A may=(
    [state]="state"
    [vchan]="vchan state/clock.h state/device.h state/descriptor.h state/rings.h"
    [libpvchan]="state vchan libpvchan"
    [cli]="state libpvchan/pvchan.h libpvchan/channels.h cli"
    [service]="state vchan service"
    [frontend]="state vchan service frontend"
    [backend]="state vchan service backend"
    [toolstack]="state toolstack"
    [unikernel]="unikernel state vchan/bytes.h vchan/ring.h vchan/barrier.h"
    [sim]="sim"
)

# includes TREE: prints "FILE TARGET" for each include in a file of the tree.
includes() {
    (cd "$1" && grep -roE '^ *# *include "[^"]+"' --include='*.[chS]' "${!may[@]}") |
        sed -E 's/: *# *include "([^"]+)"/ \1/'
}

# types TREE: prints "defines FILE TYPE", "declares FILE TYPE" (without its content) or "uses FILE
# TYPE" each time that a struct, union or enum is named.
types() {
    (cd "$1" && find "${!may[@]}" -name '*.[ch]' -exec awk '
        FNR == 1 { comment = 0 }
        {
            gsub(/"([^"\\]|\\.)*"/, "")
            code = ""
            while ($0 != "") {
                edge = index($0, comment ? "*/" : "/*")
                if (!comment)
                    code = code (edge ? substr($0, 1, edge - 1) " " : $0)
                $0 = edge ? substr($0, edge + 2) : ""
                comment = edge ? !comment : comment
            }
            sub(/\/\/.*/, "", code)
            while (match(code, /(^|[^A-Za-z_0-9])(struct|union|enum) +[A-Za-z_][A-Za-z_0-9]* *[{;]?/)) {
                found = substr(code, RSTART, RLENGTH)
                code = substr(code, RSTART + RLENGTH)
                verb = found ~ /[{]$/ ? "defines" : found ~ /;$/ ? "declares" : "uses"
                sub(/^.*(struct|union|enum) +/, "", found)
                sub(/[ {;]+$/, "", found)
                print verb, FILENAME, found
            }
        }' {} +)
}

# foreign: filters types() for types that a folder may not know. It may know those that are defined
# in what it may include, and those of which that gives only the name (struct pvchan).
foreign() {
    { for folder in "${!may[@]}"; do echo "may $folder ${may[$folder]}"; done && cat; } | awk '
        function folder_of(file) { return substr(file, 1, index(file, "/") - 1) }
        function known(folder, file) {
            return (folder, folder_of(file)) in allowed || (folder, file) in allowed
        }
        function find(folder, type,    home, i, files, count) {
            count = split(homes[type], files, " ")
            for (i = 1; i <= count; i++)
                if (known(folder, files[i]))
                    return 1
            count = split(offers[type], files, " ")
            for (i = 1; i <= count; i++)
                if (known(folder, files[i]) && (type, folder_of(files[i])) in defined)
                    return 1
            return 0
        }
        $1 == "may" { for (i = 3; i <= NF; i++) allowed[$2, $i] }
        $1 == "defines" { homes[$3] = homes[$3] " " $2; defined[$3, folder_of($2)] }
        $1 == "declares" && $2 ~ /\.h$/ { offers[$3] = offers[$3] " " $2 }
        $1 != "may" { named[$2 " " $3] }
        END {
            for (pair in named) {
                split(pair, part, " ")
                if (part[2] in homes && !find(folder_of(part[1]), part[2]))
                    print part[1] " names the type " part[2] " of" homes[part[2]]
            }
        }'
}

# forbidden: filters includes() for what a folder may not include.
forbidden() {
    local file target folder
    while read -r file target; do
        folder=${file%%/*}
        case " ${may[$folder]} " in
            *" ${target%%/*} "* | *" $target "*) ;;
            *) echo "$file includes $target: $folder/ may include from: ${may[$folder]}" ;;
        esac
    done
}

# check TREE: prints whatever the layout forbids.
check() {
    local included
    included=$(includes "$1")
    forbidden <<< "$included"
    types "$1" | foreign
    awk '$1 == $2 { print $1 " includes itself" }' <<< "$included"
    tsort <<< "$included" 2>&1 > /dev/null | sed 's/^tsort: -*:* */a circle: /' || true
}

# Product code does not know that it may be simulated, and programs are not sorted by where they
# run.
simulated() {
    grep -rniE 'xensim|simulat' --include='*.[ch]' state vchan libpvchan cli service frontend backend toolstack || true
}

found=$(check .; simulated)
if [ -n "$found" ]; then
    echo "$found"
    exit 1
fi

seeded=$(mktemp -d)
trap 'rm -rf "$seeded"' EXIT

# seed FILE TEXT
seed() { echo "$2" >> "$seeded/$1"; }

for folder in "${!may[@]}"; do mkdir "$seeded/$folder"; done
seed vchan/bytes.h '#include "state/device.h"'
seed vchan/ring.h '#include "vchan/bytes.h"'
seed vchan/ring.h 'struct ring {'
seed service/loop.h 'struct ring; struct event;'
seed libpvchan/handle.h 'struct pvchan {'
seed libpvchan/pvchan.h 'struct pvchan;'
seed cli/cat.c 'struct pvchan *c; /* struct ring */ // struct ring'
found=$(check "$seeded")
[ -z "$found" ] || { echo "the check finds a fault where there is none: $found"; exit 1; }

seed state/includes.c '#include "vchan/ring.h"'
seed state/declares.h 'struct ring;'
seed state/uses.h 'int seeded(int first, const struct ring *ring);'
seed state/between.h '/* why */ struct ring *ring; /* why */'
seed cli/uses.c 'struct ring *ring;'
seed vchan/uses.c 'static struct pvchan *channel;'
seed vchan/bytes.h '#include "vchan/ring.h"'
seed vchan/itself.h '#include "vchan/itself.h"'
found=$(check "$seeded")
for file in state/{includes.c,declares.h,uses.h,between.h} {cli,vchan}/uses.c vchan/{bytes,itself}.h; do
    [[ $found = *"$file"* ]] || { echo "the check does not find in $file: $(cat "$seeded/$file")"; exit 1; }
done

graph=$(doc/include-graph)
diff <(printf '    %s\n' "${!may[@]}" | sort) <(grep -x '    [a-z]*' <<< "$graph" | sort) ||
    { echo "left the folders of this test, right those of doc/include-graph"; exit 1; }
diff <(sed '1,/include-graph begins/d; /include-graph ends/,$d' doc/architecture.md) - <<< "$graph" ||
    { echo "doc/architecture.md: left its graph, right the code's (doc/include-graph --write)"; exit 1; }

echo "include graph: $(includes . | cut -d' ' -f1 | sort -u | wc -l) files keep to the layout"
