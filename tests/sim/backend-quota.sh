#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A hostile guest (tests/programs/hostile.c) can make vchan-backend do only a bounded amount of
# work, however much it does itself: this counts work, not time.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
PATH=${builddir:-$PWD}/tests/programs:$PATH

# hostile_does KIND ACTS: does that much harm, while the good guest is served.
hostile_does() {
    timeout 200 xensim exec bad hostile 0 2 1 "$1" device/vchan "$2" > "$work/did" &
    hostile=$!
    run 0 xensim exec good vchan cat --timeout 60 echo <<< "served"
    says "served"
    wait "$hostile" || fail "hostile $1: exit code $?"
    echo "$1: $(cat "$work/did")"
}
# heard: sets $sleeps, the signals that the service counted, once the channel's last connection has
# ended.
heard() {
    local deadline=$((SECONDS + 60)) statistics
    until statistics=$(xenstore-read "/local/domain/0/data/vchan-backend/$bad/0" 2>&1) &&
        [[ $statistics == *"since=0 connections="[1-9]* && ${statistics%% peer=*} != "${counted:-}" ]]; do
        [ $SECONDS -lt $deadline ] || { fail "the statistics: $statistics"; break; }
        pause 0.1
    done
    counted=${statistics%% peer=*}
    sleeps=${statistics#*sleeps=} sleeps=${sleeps%% *}
}
# refused_at: a listener ($listener) on a path, so that no channel can have it; each try makes a
# line in $work/tries.
refused_at() {
    : > "$work/tries"
    socat -d -d -d "UNIX-LISTEN:$1,fork" OPEN:/dev/null 2> "$work/tries" &
    listener=$!
    appears "$1"
}

: > "$work/log"
vchan-backend -v --max-connects=100 2> "$work/log" &
backend=$!
started=$SECONDS
domain good "name=echo, connection=echo"
domain bad "name=a, ring=1K, connection=echo"
bad=$(xl domid bad)
refused_at "$work/taken"
F=/local/domain/$bad/device/vchan/1 B=/local/domain/0/backend/vchan/$bad/1
xenstore-write $F/state 1 # by hand: xl-vchan would take it back
xenstore-chmod -r $F "n$bad"
xenstore-write $B/connection socket $B/private/path "$work/taken" $B/online 1 $B/name refused \
    $B/frontend-id "$bad" $B/frontend $F $B/state 1
state $B 6

part "a storm of signals"
hostile_does signals 200000000
heard
echo "of them it saw $sleeps"
[ "$sleeps" -lt 20000 ] || fail "it saw $sleeps signals"

part "bytes, one at a time"
before=$sleeps begin=${EPOCHREALTIME/./}
hostile_does bytes 100000000
took=$((${EPOCHREALTIME/./} - begin))
heard
echo "of their signals it saw $((sleeps - before)) in $((took / 1000)) ms"
# On a busy machine it has its turn some 30 times a second.
[ $((sleeps - before)) -gt 100 ] || fail "that is none"
# 1000 in 10 ms, that is 0.1 in a microsecond
[ $((sleeps - before)) -lt $((2000 + took / 9)) ] || fail "that is too much"

part "a flood of states, also for a channel that cannot be served"
hostile_does states 30000
tries=$(grep -c "accepting connection" "$work/tries")
echo "of them came $tries tries to serve it"
[ "$tries" -ge 1 ] || fail "the listener saw nothing"
[ "$tries" -lt 60 ] || fail "$tries tries"
grep -q "domain $bad writes xenstore too often: ignoring its changes for up to 5 s" "$work/log" || fail "no word in the log"

part "when it behaves it is served"
run 0 xensim exec bad vchan cat --timeout 60 a <<< "behaves now"
says "behaves now"

kill "$listener"
xenstore-rm $B
xenstore-rm $F
run 0 xl-vchan detach --wait 60 bad a
run 0 xl-vchan detach --wait 60 good echo
kill "$backend"
wait "$backend" || fail "vchan-backend: exit code $?: $(tail -5 "$work/log")"

part "what it cost"
cost=$(grep "domain $bad has no channels left" "$work/log")
echo "${cost#*: }"
[[ $cost =~ caused\ ([0-9]+)\ events,\ ([0-9]+)\ exchanges ]] || fail "no cost in the log"
# The number allowed at once, and 100 connections a minute.
[ $((8 * BASH_REMATCH[1] + BASH_REMATCH[2])) -lt $((20000 + 300 * (SECONDS - started))) ] || fail "that is too much"

run 0 xl destroy good
run 0 xl destroy bad
finish
