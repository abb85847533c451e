#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest declared with channels, made by xl-vchan create; a channel plugged and unplugged while it
# runs; each used from the guest by name; the list; and nothing left after its end.
. "${VOCABULARY:-$srcdir/tests/on-sim.sh}"

step "create"
guest_config g3 >g3.cfg
cat >>g3.cfg <<CFG
vchan = [ "name=org.example.echo, connection=echo",
          "name=org.example.upper, connection=exec, command=tr a-z A-Z, ring=4K",
          "name=org.example.sock, connection=socket, path=$PWD/sock, ring=1K" ]
CFG
backend_start
xl-vchan create --wait 30 g3.cfg || fail "create"
g3=$(xl domid g3)
guest_wait g3
state_is g3 org.example.echo Initialising/InitWait || fail "list: $(xl-vchan list g3)"

step "the guest uses them by name, without privcmd"
fails "privcmd in the guest" guest_exec g3 test -e /dev/xen/privcmd
same "echo" "$(echo hello | guest_exec g3 vchan cat --timeout 20 org.example.echo)" hello
same "upper" "$(echo hello | guest_exec g3 vchan cat --timeout 20 org.example.upper)" HELLO
contains "vchan list" "$(guest_exec g3 vchan list)" org.example.sock

step "socket: a client in domain 0 meets the guest"
echo from-guest | guest_exec g3 vchan cat --timeout 20 org.example.sock >to-guest &
echo from-dom0 | timeout 30 socat -t 20 - "UNIX-CONNECT:$PWD/sock" >to-dom0 || fail "socat"
wait $! || fail "vchan cat: $?"
same "from the guest" "$(cat to-dom0)" from-guest
same "from domain 0" "$(cat to-guest)" from-dom0

step "attach and detach"
xl-vchan attach --wait 20 g3 name=late connection=echo || fail "attach"
same "late" "$(echo again | guest_exec g3 vchan cat --timeout 20 late)" again
xl-vchan detach --wait 20 g3 late || fail "detach"
fails "a channel that was unplugged" guest_exec g3 vchan cat --timeout 1 late

step "unplugged while it is open: the guest reads to the end"
xl-vchan attach --wait 20 g3 name=open connection=echo || fail "attach"
guest_exec g3 sh -c 'sleep 1000 | vchan cat open' &
wait_for 20 "open is not Connected" state_is g3 open Connected/Connected
xl-vchan detach --wait 20 g3 open || fail "detach while open"
guest_exec g3 sh -c 'kill $(pidof sleep)'
wait $!

step "end"
guest_destroy g3
for name in org.example.echo org.example.upper org.example.sock; do
    xl-vchan detach --wait 20 "$g3" $name || fail "detach $name of a domain that is gone"
done
backend_stop
