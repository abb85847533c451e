#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A PVH guest with a channel. The emulator does not always boot it (its own fault; it happens
# without pvchan, too), so up to three tries.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

host_can pvh || skip "no PVH guests here"
backend_start
guest_config g3 >g3.cfg
cat >>g3.cfg <<'CFG'
type = "pvh"
tsc_mode = "native"
vchan = [ "name=echo, connection=echo" ]
CFG
for try in 1 2 3; do
    step "try $try"
    xl-vchan create --wait 90 g3.cfg || fail "create"
    g3=$(xl domid g3)
    guest-exec --wait 120 g3 true && break
    [ $try -lt 3 ] || fail "the guest did not boot"
    guest_destroy g3
    xl-vchan detach --wait 90 "$g3" echo || fail "detach"
done
same "echo" "$(echo hello | guest-exec g3 vchan cat --timeout 90 echo)" hello
guest_destroy g3
xl-vchan detach --wait 90 "$g3" echo || fail "detach"
backend_stop
