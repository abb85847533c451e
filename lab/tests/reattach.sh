#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The backend is killed again and again while a guest has a channel open: the next process goes on with the
# same rings, and what the guest wrote meanwhile comes back, once.
. "${VOCABULARY:-$srcdir/tests/on-sim.sh}"

kills=${KILLS:-20}
backend_start
xl-vchan attach --wait 90 g1 name=echo connection=echo || fail "attach"

step "$kills kills, a line before and after each"
hold_open g1 echo
: >want
for i in $(seq "$kills"); do
    echo "before $i" | tee -a want >&9
    kill -9 "$backend"
    wait "$backend"
    echo "meanwhile $i" | tee -a want >&9
    state_is g1 echo Connected/Connected || fail "kill $i: $(xl-vchan list g1)"
    backend_start
    wait_for 90 "kill $i: what was written did not come back" cmp -s want holder.out
done
hold_end
same "vchan cat's exit code" $? 0
same "what came back" "$(sha256sum <holder.out)" "$(sha256sum <want)"
same "reattached" "$(grep -c Reconfiguring backend.log)" "$kills"

step "the guest's process dies while no backend is there"
hold_open g1 echo
kill -9 "$backend"
wait "$backend"
hold_kill g1
wait $holder
backend_start
wait_for 90 "the backend did not close" state_is g1 echo Connected/Closed
same "afterwards" "$(echo again | guest-exec g1 vchan cat --timeout 90 echo)" again
xl-vchan detach --wait 90 g1 echo || fail "detach"
backend_stop
