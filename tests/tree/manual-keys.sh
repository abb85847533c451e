#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The keys and kinds of connection that xl-vchan.cfg(5) explains are those that xl-vchan knows
# (state/spec.h), with the same words for their values.
set -euo pipefail
failures=0
page=${srcdir:-.}/man/xl-vchan.cfg.5.scd
help=$("${builddir:-.}/xl-vchan" help attach)

# alike WHAT KNOWN EXPLAINED: fails with the words that are in only one of the two.
alike() {
    diff <(sort <<< "$2") <(sort <<< "$3") && [ "$2" ] && return
    echo "FAIL: $1: left what xl-vchan knows, right what the page explains"
    failures=$((failures + 1))
}

# section NAME: prints the lines that begin an entry in that section.
section() { awk -v name="# $1" '/^# / { in_it = $0 == name } in_it && /^\*/' "$page"; }

# "*key=*_WORD_" as "key=WORD", and the alternatives of a flag.
entries() { section KEYS | sed 's/, \*/\n*/g' | sed 's/[*_]//g'; }

alike keys "$(sed -n 's/^  \([a-z-]*=.*\)/\1/p' <<< "$help")" "$(entries)"
alike kinds "$(sed -n 's/^Kinds of connection: //p' <<< "$help" | tr ' ' '\n')" \
    "$(section CONNECTIONS | sed 's/^\*\([a-z-]*\)\*.*/\1/')"
[ $failures = 0 ]
