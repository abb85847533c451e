#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tree cites exists: each document that is named, and each of its sections, cited as
# doc/protocol.md, "Nodes" and "Ring sizes", or as pvchan(7), LIMITS. A section is a heading, or a
# paragraph that begins with its name in bold.
set -euo pipefail
cd "${srcdir:-.}"

# texts: prints the name of each file that may cite. This one has faults in it.
texts() {
    find . \( -name .git -o -name 'build*' -o -name autom4te.cache -o -name m4 \) -prune -o \
        -type f ! -path ./tests/tree/citations.sh ! -name Makefile.in -printf '%P\n' |
        grep -E '\.([chS]|sh|bash|mk|md|scd|in|ac|am)$' | sort
}

# citations FILE…: prints "FILE|DOCUMENT|SECTION" for each. The section is empty where only the
# document is named. Each file is read as one line, without what begins the lines of a comment.
citations() {
    awk '
        function cite(section) { print file "|" document "|" section }
        function documents(text) {
            while (match(text, /[A-Za-z0-9_.\/-]+\.(md|scd)/)) {
                document = substr(text, RSTART, RLENGTH)
                text = substr(text, RSTART + RLENGTH)
                sub(/^(_|srcdir\/|\/)+/, "", document) # underlined, or below a variable
                cite("")
                sub(/^[`_]+/, "", text)
                while (match(text, /^(,|,? and) "[^"]+"/)) {
                    section = substr(text, 1, RLENGTH - 1)
                    text = substr(text, RLENGTH + 1)
                    sub(/^[^"]*"/, "", section)
                    cite(section)
                }
            }
        }
        function pages(text) {
            while (match(text, /[a-z][a-z.-]*[*]?\([1-8]\), [A-Z][A-Za-z]+( [A-Z][A-Za-z]+)*/)) {
                section = document = substr(text, RSTART, RLENGTH)
                text = substr(text, RSTART + RLENGTH)
                sub(/^[^)]*\), /, "", section)
                sub(/\), .*/, ".scd", document)
                sub(/[*]?\(/, ".", document)
                document = "man/" document
                cite(section)
            }
        }
        function end() { documents(all); pages(all) }
        FNR == 1 { end(); all = ""; file = FILENAME }
        { sub(/^[ \t]*(\/?\*+|#+|\/\/)?[ \t]*/, ""); all = all " " $0 }
        END { end() }' "$@" | sort -u
}

# sections DOCUMENT: prints their names.
sections() { sed -nE 's/^#+ +(.*)/\1/p; s/^\*\*([^*]*)[.:]\*\*.*/\1/p' "$1"; }

# missing: filters citations() for what is not there. A page that is not in man/ is not ours.
missing() {
    local file document section found
    while IFS='|' read -r file document section; do
        found=$document
        [ -e "$found" ] || found=$(dirname "$file")/$document
        if [ ! -e "$found" ]; then
            [ -n "$section" ] && [[ $document == man/* ]] || echo "$file names $document"
        elif [ -n "$section" ] && ! sections "$found" | grep -xF -- "$section" > /dev/null; then
            echo "$file cites $document, \"$section\""
        fi
    done
}

mapfile -t files < <(texts)
cited=$(citations "${files[@]}")
[ "$(grep -c '|.*|.' <<< "$cited")" -gt 30 ] || { echo "few sections are cited: $cited"; exit 1; }
found=$(missing <<< "$cited")
[ -z "$found" ] || { printf 'not there:\n%s\n' "$found"; exit 1; }

seeded=$(mktemp -d)
trap 'rm -rf "$seeded"' EXIT
cd "$seeded"
mkdir doc man state
printf '%s\n' '# Title' '## Ring sizes' '**Hostile peers.** A side' > doc/protocol.md
printf '%s\n' '# LIMITS' > man/pvchan.7.scd
cat > state/right.h << 'END'
/*
 * See doc/protocol.md,
 * "Ring sizes" and "Hostile
 * peers"; printf(3), RETURN; _man/pvchan.7.scd_; pvchan(7), LIMITS
 */
END
[ -z "$(citations state/right.h | missing)" ] || { echo "what is there is not found"; exit 1; }
cat > state/wrong.h << 'END'
// doc/protocol.md, "Ring sizes", "Nodes";
// `doc/wrong.md`, pvchan(7), FILES
END
diff <(citations state/wrong.h | missing) - << 'END' || { echo "faults are not found"; exit 1; }
state/wrong.h cites doc/protocol.md, "Nodes"
state/wrong.h names doc/wrong.md
state/wrong.h cites man/pvchan.7.scd, "FILES"
END
echo "$(wc -l <<< "$cited") citations"
