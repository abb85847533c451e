#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# doc/protocol.md, "Errors": a frontend that writes invalid keys gets Closed and a line in B/error
# and the log that names the node; nothing is mapped, nothing is lost, and a good frontend connects
# afterwards.
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

log=$work/log
vchan-backend -v 2> "$log" &
backend=$!
guest web
xl-vchan attach web name=echo,connection=echo
F=/local/domain/$domid/device/vchan/0
B=/local/domain/0/backend/vchan/$domid/0

# pose RING-REF EVENT-CHANNEL STATE: the guest writes these keys by hand.
pose() {
    xensim exec web xenstore-write -- device/vchan/0/ring-ref "$1" \
        device/vchan/0/event-channel "$2" device/vchan/0/state "$3"
}

b_is() { [ "$(xenstore-read "$B/state")" = "$1" ]; }

# start_over: starts over like a frontend; the backend offers again.
start_over() {
    xensim exec web xenstore-write -- device/vchan/0/state 1
    within 30 b_is 2
}

# refused TEXT: the backend reports this and is Closed.
refused() {
    within 30 b_is 6
    expect "$1" xenstore-read "$B/error"
    expect "$1" cat "$log"
    expect "$1" xl-vchan list web
    expect Closed xl-vchan list web
}

b_is 2
pose abc 1 3 && refused "$F/ring-ref: not a number" && start_over
pose 8 -1 3 && refused "$F/event-channel: not a number" && start_over
pose 8 99999999999999999999 3 && refused "$F/event-channel: not a number" && start_over
pose 8 77 3 && refused "event-channel 77: its event channel is not for this domain" && start_over
pose "" "" 3 && refused "$F/ring-ref: not a number" && start_over
xensim exec web xenstore-rm device/vchan/0/ring-ref
xensim exec web xenstore-write -- device/vchan/0/state 3
refused "$F/ring-ref: No such file or directory" && start_over

# States that are invalid, or come in the wrong order, change nothing while nothing is granted.
for state in 4 5 7 9 abc "" -1; do
    xensim exec web xenstore-write -- device/vchan/0/state "$state"
    [ "$(xenstore-read "$B/state")" = 2 ] || fail "the backend moved when the frontend wrote \"$state\""
done
start_over

# A ring-ref that is not granted, with a port that is offered: a plain server's port, with another
# page.
xensim exec web vchan echo --server 0 data/plain --once &
plain=$!
within 30 xenstore-read "/local/domain/$domid/data/plain/event-channel"
port=$(xenstore-read "/local/domain/$domid/data/plain/event-channel")
pose 4000 "$port" 3
refused "cannot map $F/ring-ref 4000"
start_over
printf hello | vchan cat --client "$domid" "/local/domain/$domid/data/plain" | grep -qx hello
wait $plain

# After all that, a good frontend.
printf 'good\n' | xensim exec web vchan cat echo | grep -qx good

# While a channel is up, its frontend flips its state: nothing is mapped twice, nothing is lost.
mkfifo "$log.in"
xensim exec web vchan cat echo < "$log.in" > "$log.out" &
cat=$!
exec 9> "$log.in"
printf 'one\n' >&9
within 30 grep -qx one "$log.out"
for state in 3 4 3 4; do
    xensim exec web xenstore-write -- device/vchan/0/state "$state"
done
printf 'two\n' >&9
within 30 grep -qx two "$log.out"
[ "$(grep -c 'Connected (echo)' "$log")" = 2 ] || fail "connected again for a state that flipped"
# A second program in the guest learns that the channel is taken, and disturbs nothing.
expect "another process has it open" xensim exec web vchan cat echo < /dev/null
printf 'three\n' >&9
within 30 grep -qx three "$log.out"
exec 9>&-
wait $cat

xl-vchan detach web echo
kill $backend
wait $backend
xl destroy web
