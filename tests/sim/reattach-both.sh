#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A frontend program is killed at random moments, KILLS times (100), under load in both directions;
# then it and vchan-backend, independently. What a program wrote before its death arrives once; what
# the connection sent is read in order; nothing is left behind.
set -u
[ -z "${SANITIZED:-}" ] || : "${KILLS:=20}" # a worker takes ten times as long to begin
kills=${KILLS:-100}
limit=$((900 + kills))
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
PATH=$PWD/tests/programs:$PATH
most=${KILL_MS:-150} # the longest life

# live NAME KILLS MILLISECONDS: runs that many lives of the program, and one more. The result is in
# $report, its values by name.
live() {
    local file=$work/$1.lives pair
    rm -f "$work/path" "$file"
    timeout "$limit" lives server "$work/path" "$file" 2> "$work/server.err" &
    local server=$!
    appears "$work/path"
    timeout "$limit" xensim exec guest lives frontend name "$file" "$2" "$3" ||
        fail "$1: the last life: exit code $?"
    wait "$server" || fail "$1: the server: exit code $? $(cat "$work/server.err")"
    report=$(lives report "$file" 2> "$work/$1.lost")
    echo "$1: $report"
    for pair in $report; do declare -g "${pair%=*}=${pair#*=}"; done
}
# unharmed: nothing came twice or in the wrong order; no program ended except by a kill, or was
# refused.
unharmed() {
    [ "$wrong $invented $again $refused $failed $torn" = "0 0 0 0 0 0" ] ||
        fail "$report"$'\n'"$(tail -n 5 "$work"/*.lost)"$'\n'"$(tail -n 40 "$work/backend.log")"
    [ "$lives_with_bytes" -gt 1 ] || fail "no life came to write"
}
# belongings: prints the names of all nodes of the device, and the service's descriptors. (Simulated
# event channels keep an eventfd for each peer that ever existed.)
belongings() {
    local pid
    state "$back" 6
    pid=$(pgrep -P "$manager")
    xenstore-ls -f | grep /vchan/ | sed 's/ = .*//' | sort
    find "/proc/$pid/fd" -type l -printf '%l\n' |
        sed '/eventfd/d; s/:\[[0-9]*\]//' | sort
}
are_as_before() {
    belongings > "$work/after"
    cmp -s "$work/before" "$work/after"
}
# as_before: these are unchanged within 30 seconds, since workers exit by themselves, and nothing of
# Xen's is left from the dead.
as_before() {
    within 30 are_as_before
    diff "$work/before" "$work/after"
    run 0 xensim leaks
    [ -z "$err" ] || fail "leaks: $err"
}
# ended: the service has ended, and so has what keeps the rings.
ended() {
    manager_end
    ! pgrep -x vchan-holder > "$work/holders" || fail "vchan-holder is left: $(cat "$work/holders")"
}

part "$kills kills of the frontend program"
manager_start 0 "$most" --max-connects=1000000
domain guest "name=name, connection=connect, path=$work/path"
back=/local/domain/0/backend/vchan/$(xl domid guest)/0
live first 1 1
belongings > "$work/before"
# On a busy machine it takes longer until a program writes (the last life always does).
live probe 5 "$most"
while [ "$lives_with_bytes" -le 2 ] && [ "$most" -lt 5000 ]; do
    most=$((2 * most))
    live probe 5 "$most"
done
live program "$kills" "$most"
unharmed
[ "$lost" = 0 ] || fail "bytes are lost: $(cat "$work/program.lost")"
as_before
ended

# What is in the rings outlives both: vchan-holder also maps it, and the next backend delivers it.
part "$kills kills of both"
manager_start "$kills" "$most" --max-connects=1000000
live again 1 1
belongings > "$work/before"
: > "$work/backend.log"
kill -USR2 "$manager"
live both "$kills" $((most * 2))
manager_says "kills done" $((120 + kills))
unharmed
echo "reattached=$(grep -c "Reconfiguring" "$work/backend.log")"
[ "$lost" = 0 ] || fail "bytes are lost: $(cat "$work/both.lost")"$'\n'"$(tail -n 40 "$work/backend.log")"
live last 1 1
as_before
ended

part "nothing is left"
run 0 xl-vchan detach guest name
run 0 xl destroy guest
xenstore-rm data 2> /dev/null
finish
