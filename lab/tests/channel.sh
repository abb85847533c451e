#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest with channels, created by xl-vchan create; a channel plugged and unplugged while it runs;
# each used from the guest by name; the list; nothing is left after the guest's end.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

step "create"
guest_config g3 >g3.cfg
cat >>g3.cfg <<CFG
vchan = [ "name=org.example.echo, connection=echo",
          "name=org.example.upper, connection=exec, user=root, ring=4K, command=tr a-z A-Z",
          "name=org.example.sock, connection=socket, path=$PWD/sock, ring=1K" ]
CFG
backend_start
xl-vchan create --wait 90 g3.cfg || fail "create"
g3=$(xl domid g3)
guest_wait g3
state_is g3 org.example.echo Initialising/InitWait || fail "list: $(xl-vchan list g3)"

step "the guest uses them by name, without privcmd"
fails "privcmd in the guest" guest-exec g3 test -e /dev/xen/privcmd
same "echo" "$(echo hello | guest-exec g3 vchan cat --timeout 90 org.example.echo)" hello
same "upper" "$(echo hello | guest-exec g3 vchan cat --timeout 90 org.example.upper)" HELLO
contains "vchan list" "$(guest-exec g3 vchan list)" org.example.sock

step "socket: a client in domain 0 meets the guest"
echo from-guest | guest-exec g3 vchan cat --timeout 90 org.example.sock >to-guest &
echo from-dom0 | timeout 300 socat -t 250 - "UNIX-CONNECT:$PWD/sock" >to-dom0 || fail "socat"
wait $! || fail "vchan cat: $?"
same "from the guest" "$(cat to-dom0)" from-guest
same "from domain 0" "$(cat to-guest)" from-dom0

step "attach and detach"
xl-vchan attach --wait 90 g3 name=late connection=echo || fail "attach"
same "late" "$(echo again | guest-exec g3 vchan cat --timeout 90 late)" again
xl-vchan detach --wait 90 g3 late || fail "detach"
fails "a channel that was unplugged" guest-exec g3 vchan cat --timeout 1 late

step "unplugged while it is open: the guest reads to the end"
xl-vchan attach --wait 90 g3 name=open connection=echo || fail "attach"
hold_open g3 open
xl-vchan detach --wait 90 g3 open || fail "detach while open"
hold_end

step "end"
guest_destroy g3
for name in org.example.echo org.example.upper org.example.sock; do
    xl-vchan detach --wait 90 "$g3" $name || fail "detach $name of a domain that is gone"
done
backend_stop
