#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The toolstack's daemon beside plain xl: channels come with xl create, follow a reboot and a rename, go
# with destroy, and the states of both sides can be watched on the way.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

PVCHAN_STATE_DIR=$PWD/state
export PVCHAN_STATE_DIR

daemon_start()
{
    xl-vchan daemon -c "$PWD/configs" 2>>daemon.log &
    daemon=$!
}

daemon_stop()
{
    kill $daemon
    wait $daemon || fail "the daemon ends with $?: $(cat daemon.log)"
}

up()
{
    xl-vchan wait --timeout 90 "$1" "$2" InitWait || fail "$1 $2 is not there: $(cat daemon.log)"
}

gone()
{
    xl-vchan wait --timeout 90 "$1" "$2" gone || fail "$1 $2 is still there: $(cat daemon.log)"
}

works()
{
    guest_wait "$1"
    same "$2" "$(echo "in $2" | guest-exec "$1" vchan cat --timeout 90 "$2")" "in $2"
}

backend_start
mkdir configs
guest_config g3 >configs/g3.cfg
echo 'vchan = [ "name=echo, connection=echo" ]' >>configs/g3.cfg
daemon_start

step "plain xl create"
xl-vchan watch g3 echo >watch.log &
watch=$!
xl create configs/g3.cfg >/dev/null || fail "xl create"
up g3 echo
works g3 echo

step "hotplug, then reboot"
xl-vchan attach --wait 90 g3 name=hot connection=echo || fail "attach"
g3=$(xl domid g3)
xl reboot g3 || fail "reboot"
gone "$g3" echo
up g3 echo
up g3 hot
works g3 hot

step "apply"
sed -i 's/connection=echo/connection=echo, ring=4K/' configs/g3.cfg
xl-vchan apply --wait 90 configs/g3.cfg || fail "apply"
works g3 echo
xl-vchan diff configs/g3.cfg || fail "it still differs"
xl-vchan show g3 hot 2>/dev/null && fail "hot is still there"

step "destroyed while connected"
guest-exec g3 sh -c 'sleep 100 | vchan cat echo' >/dev/null 2>&1 &
xl-vchan wait --timeout 90 g3 echo || fail "not connected"
g3=$(xl domid g3)
guest_destroy g3
gone "$g3" echo
contains "the daemon's log" "$(cat daemon.log)" 'channel "echo": removed: its domain is gone'

step "destroyed while the daemon is down"
xl create configs/g3.cfg >/dev/null || fail "xl create"
up g3 echo
g3=$(xl domid g3)
daemon_stop
guest_destroy g3
daemon_start
gone "$g3" echo

step "end"
daemon_stop
kill $watch
wait $watch
contains "the watch" "$(cat watch.log)" "backend: InitWait -> Connected"
contains "the watch" "$(cat watch.log)" "frontend: Initialised -> Connected"
backend_stop
