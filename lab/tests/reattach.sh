#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The backend is killed again and again while a guest has a channel open: the next process continues
# with the same rings, and what the guest wrote meanwhile comes back, once. Then the guest's program
# is killed, and then both.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

kills=${KILLS:-20}
backend_start
xl-vchan attach --wait 90 g1 name=echo connection=echo || fail "attach"

# writes LINE: into the channel, and into ./want.
writes()
{
    echo "$1" >>want
    echo "$1" >&9
}

# has_reattached COUNT: so often since the start.
has_reattached()
{
    [ "$(grep -c Reconfiguring backend.log)" = "$1" ]
}

step "$kills kills, a line before and after each"
hold_open g1 echo
: >want
for i in $(seq "$kills"); do
    writes "before $i"
    kill -9 "$backend"
    wait "$backend"
    writes "meanwhile $i"
    states_are g1 echo Connected/Connected || fail "kill $i: $(xl-vchan list g1)"
    backend_start
    wait_for 90 "kill $i: no process continues with the rings" has_reattached "$i"
    wait_for 90 "kill $i: what was written did not come back" cmp -s want holder.out
    # The worker does not wait for that.
    wait_for 90 "kill $i: not Connected again" states_are g1 echo Connected/Connected
done
hold_end
same "vchan cat's exit code" $? 0
same "what came back" "$(sha256sum <holder.out)" "$(sha256sum <want)"

step "the guest's process dies while no backend is there"
hold_open g1 echo
kill -9 "$backend"
wait "$backend"
hold_kill g1
wait $holder
backend_start
wait_for 90 "the backend did not close" states_are g1 echo Connected/Closed
same "afterwards" "$(echo again | guest-exec g1 vchan cat --timeout 90 echo)" again
xl-vchan detach --wait 90 g1 echo || fail "detach"
backend_stop

# What the guest's program wrote lies in its pages, which go when no process maps them.
each=$((kills / 2)) # these take longer: KILLS=40 for 20
step "$each kills of the guest's program, and $each of both, with 32 KiB in the ring"
manager 0 0 vchan-backend -v >manager.out 2>backend.log 9>&- &
manager=$!
: >want
: >got
xl-vchan attach --wait 90 g1 name=log connection=exec user=root command="cat >>$PWD/got; exit" || fail "attach"

# service: prints the process that the manager runs.
service()
{
    cut -d ' ' -f 1 /proc/$manager/task/$manager/children
}

# Stops the processes to be killed, and the manager with them, so that all that is written stays in the
# ring.
for i in $(seq $((2 * each))); do
    numbers="seq $((i * 10000 + 1)) $((i * 10000 + 5000))"
    hold_open g1 log "$numbers"
    processes="$(service) $(pidof vchan-worker)"
    # shellcheck disable=SC2086 # one word for each
    freeze $manager $processes
    $numbers >>want
    echo >&9
    exec 9>&-
    wait_for 90 "kill $i: it is not all written" states_are g1 log Closing/Connected
    # shellcheck disable=SC2086
    [ "$i" -le "$each" ] || kill -9 $processes
    hold_kill g1
    wait $holder && fail "kill $i: the program ended in order"
    # shellcheck disable=SC2086
    kill -CONT $processes $manager
    wait_for 90 "kill $i: bytes are lost" cmp -s want got
done
same "reattached" "$(grep -c Reconfiguring backend.log)" "$each"
xl-vchan detach --wait 90 g1 log || fail "detach"
kill $manager
wait $manager || fail "vchan-backend ended with $?: $(tail -n 3 backend.log)"
same "descriptors left" "$(cat manager.out)" "stored 0"
! pidof vchan-holder || fail "vchan-holder is left"
