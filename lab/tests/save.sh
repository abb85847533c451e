#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest with a channel is saved and restored: its old nodes can be removed, and under its new number it
# gets the channel again. Nobody has the channel open meanwhile: Linux kills a process that closes an event
# channel of before (BUG_ON in drivers/xen/evtchn.c), and what that process held stays held.
. "${VOCABULARY:-$srcdir/tests/on-sim.sh}"

host_can save || skip "guests cannot be saved here"

use()
{
    guest_wait g3
    same "echo" "$(echo "$1" | guest-exec g3 vchan cat --timeout 90 echo)" "$1"
}

backend_start
guest_config g3 >g3.cfg
echo 'vchan = [ "name=echo, connection=echo" ]' >>g3.cfg
xl-vchan create --wait 90 g3.cfg || fail "create"
g3=$(xl domid g3)
use before

step "save"
xl save g3 /tmp/g3.saved >/dev/null 2>save.log || fail "save: $(tail -n 3 save.log)"
xl-vchan detach --wait 90 "$g3" echo || fail "detach"

step "restore"
xl restore /tmp/g3.saved >/dev/null 2>restore.log || fail "restore: $(tail -n 3 restore.log)"
rm /tmp/g3.saved
g3=$(xl domid g3)
xl-vchan attach --wait 90 g3 name=echo connection=echo || fail "attach"
use after

step "end"
guest_destroy g3
xl-vchan detach --wait 90 "$g3" echo || fail "detach"
backend_stop
