#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each folder includes only from itself and from those below it (doc/architecture.md). The graph
# is checked twice: on the tree, and on a tree with a seeded fault, which has to be found.
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

# check TREE: prints every include that the layout forbids.
check() {
    local folder file target
    for folder in "${!may[@]}"; do
        while IFS=: read -r file target; do
            case " ${may[$folder]} " in
                *" ${target%%/*} "* | *" $target "*) ;;
                *) echo "$file includes $target: $folder/ may include from: ${may[$folder]}" ;;
            esac
        done < <(cd "$1" && grep -roE '^ *# *include "[^"]+"' --include='*.[chS]' "$folder" |
                 sed -E 's/: *# *include "([^"]+)"/:\1/')
    done
}

# Product code does not know that it may be simulated, and programs are not sorted by where they run.
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
for folder in "${!may[@]}"; do mkdir "$seeded/$folder"; done
echo '#include "vchan/ring.h"' > "$seeded/state/seeded.c"
if [ "$(check "$seeded")" = "" ]; then
    echo "the check does not find a forbidden include"
    exit 1
fi
echo "include graph: $(grep -rlE '^ *# *include "' --include='*.[chS]' "${!may[@]}" | wc -l) files keep to the layout"
