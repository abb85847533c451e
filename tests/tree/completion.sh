#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for xl-vchan: every command and option in its help, domains and channels.
set -u
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }

program=${builddir:-.}/xl-vchan
help_attach=$("$program" help attach) # which is asked for each key

# Answers what the completion asks, as on a host with two domains.
xl() {
    printf '%s\n' 'Name                                        ID   Mem VCPUs	State	Time(s)' \
        'Domain-0                                     0   512     1     r-----       1.0' \
        'guest one                                    1    64     1     -b----       0.0' \
        '$(touch evil)*                               2    64     1     -b----       0.0'
}
xl-vchan() {
    [ "$*" != "help attach" ] || { echo "$help_attach"; return; }
    [ "$1" != help ] || { "$program" "$@"; return; }
    [ "$3" = "guest one" ] || return 1
    printf '  "name":"%s",\n' org.example.db org.example.log
}
compopt() { :; }
. "${srcdir:-.}/toolstack/completion/xl-vchan"

# offers EXPECTED WORD…: the last word completes to (at least) EXPECTED.
offers() {
    local expected=$1 one
    shift
    COMP_WORDS=(xl-vchan "$@") COMP_CWORD=$# COMPREPLY=()
    _xl_vchan
    for one in "${COMPREPLY[@]}"; do
        [ "$one" != "$expected" ] || return
    done
    fail "xl-vchan $*: no \"$expected\" but: ${COMPREPLY[*]-}"
}

for command in $("$program" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    offers "$command" "${command:0:1}"
    offers "$command" help "${command:0:1}"
    for option in $("$program" help "$command" | grep -oE -- '--[a-z-]+' | sort -u); do
        offers "$option" "$command" "${option:0:3}"
    done
done
for command in attach detach list show watch wait; do
    offers 'guest\ one' "$command" g
    offers 'guest\ one' "$command" 'guest\ '
done
for command in detach show watch wait; do
    offers org.example.log "$command" 'guest\ one' org
done
offers Connected watch --until C
offers Connected wait 'guest\ one' org.example.db C
keys=$("$program" help attach | sed -n 's/^  \([a-z-]*\)=.*/\1/p')
for key in $keys; do
    offers "$key=" attach 'guest\ one' "${key:0:3}"
done
[ "$(wc -w <<< "$keys")" -ge 16 ] || fail "help attach has few keys: $keys"
for attach in "attach --wait 5 1" "attach 1 name = x"; do
    offers connection= $attach con
    offers echo $attach connection =
    offers exec $attach connection = ex
    offers 'guest\ one' $attach backend = g
done
offers pty attach 1 name = x,connection = p
offers 'guest\ one' attach --wait 5 g
offers '\$\(touch\ evil\)\*' list '\$'
[ ! -e evil ] || fail "it ran a domain's name"
[ "$failures" = 0 ]
