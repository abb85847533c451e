#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest with a channel is saved and restored, by hand and beside the daemon: its old nodes go, and
# under its new id it gets the channel again. The channel is not open meanwhile: Linux kills a
# process that closes an event channel from before the restore (BUG_ON in drivers/xen/evtchn.c), and
# never releases what the process had.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

host_can save || skip "guests cannot be saved here"
PVCHAN_STATE_DIR=$PWD/state
export PVCHAN_STATE_DIR

use()
{
    guest_wait g3
    same "echo" "$(echo "$1" | guest-exec g3 vchan cat --timeout 90 echo)" "$1"
}

save()
{
    xl save g3 /tmp/g3.saved >/dev/null 2>save.log || fail "save: $(tail -n 3 save.log)"
}

restore()
{
    xl restore /tmp/g3.saved >/dev/null 2>restore.log || fail "restore: $(tail -n 3 restore.log)"
    rm /tmp/g3.saved
}

# followed HOW: the channel of domain $g3 is gone, and g3, whatever its id is now, has it.
followed()
{
    xl-vchan wait --timeout 90 "$g3" echo gone || fail "$1: the old one is there: $(cat daemon.log)"
    xl-vchan wait --timeout 90 g3 echo InitWait || fail "$1: there is no new one: $(cat daemon.log)"
    g3=$(xl domid g3)
    use "after $1"
}

backend_start
mkdir configs
guest_config g3 >configs/g3.cfg
echo 'vchan = [ "name=echo, connection=echo" ]' >>configs/g3.cfg
xl-vchan create --wait 90 configs/g3.cfg || fail "create"
g3=$(xl domid g3)
use before

step "save and restore by hand"
save
xl-vchan detach --wait 90 "$g3" echo || fail "detach"
restore
g3=$(xl domid g3)
xl-vchan attach --wait 90 g3 name=echo connection=echo || fail "attach"
use after

step "the daemon: hot-plugged, save and restore"
xl-vchan daemon -c "$PWD/configs" 2>daemon.log &
daemon=$!
xl-vchan attach --wait 90 g3 name=hot connection=echo || fail "attach hot"
save
restore
followed restore
xl-vchan wait --timeout 90 g3 hot InitWait || fail "hot did not follow: $(cat daemon.log)"

step "end"
guest_destroy g3
xl-vchan wait --timeout 90 "$g3" echo gone || fail "destroy: $(cat daemon.log)"
kill $daemon
wait $daemon || fail "the daemon ends with $?: $(cat daemon.log)"
backend_stop
