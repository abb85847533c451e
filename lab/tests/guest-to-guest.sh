#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A channel between two guests: vchan-backend in g2, used by g1; bytes with a checksum; both ends as
# applications (connection=app).
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

step "g2 serves g1"
guest-exec g2 vchan-backend -v 2>backend.log &
backend=$!
xl-vchan attach --wait 90 g1 name=to-g2 backend=g2 connection=exec user=root command='sha256sum' || fail "attach"
sum=$(guest-exec g1 sh -c 'dd if=/dev/urandom of=/run/up bs=1024 count=512 2>/dev/null; sha256sum </run/up')
same "what g2 got" "$(guest-exec g1 sh -c 'vchan cat --timeout 90 to-g2 </run/up')" "$sum"
xl-vchan detach --wait 90 g1 to-g2 || fail "detach"
backend_stop

step "an application at each end"
xl-vchan attach g1 name=app backend=g2 || fail "attach"
guest-exec g2 sh -c 'vchan cat --timeout 90 app </dev/null | sha256sum' >got &
guest-exec g1 sh -c 'vchan cat --timeout 90 app </run/up' || fail "g1: $?"
wait $!
same "what g2 got" "$(cat got)" "$sum"
xl-vchan detach --wait 90 g1 app || fail "detach"
