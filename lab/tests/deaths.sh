#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A process at one end is killed: the other end learns of it, and the channel can be opened again.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

backend_start
xl-vchan attach --wait 90 g1 name=echo connection=echo || fail "attach"
works()
{
    same "echo $1" "$(echo "$1" | guest-exec g1 vchan cat --timeout 90 echo)" "$1"
}

step "the guest's process is killed"
hold_open g1 echo
hold_kill g1
wait_for 90 "the backend did not let go" states_are g1 echo Connected/Closed
hold_end
same "the killed process's exit code" $? 137
contains "backend's log" "$(cat backend.log)" "died"
works "after the frontend's death"

step "the backend's process is killed: the guest's waits for the next one"
hold_open g1 echo
kill -9 $backend
wait $backend
same "vchan cat, meanwhile" "$(kill -0 $holder && echo waits)" waits
backend_start
# Until it has said so, the states are those of before.
wait_for 90 "the backend did not take it over" grep -q "echo: Reconfiguring" backend.log
wait_for 90 "the backend did not go on" states_are g1 echo Connected/Connected
hold_end
same "vchan cat's exit code" $? 0
works "after the backend's death"

step "the backend ends in order while a channel is open"
hold_open g1 echo
backend_stop
wait $holder
same "vchan cat's exit code" $? 0
backend_start
works "after the backend's end"
xl-vchan detach --wait 90 g1 echo || fail "detach"
backend_stop
