#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The frontend's domain ends while its channel is open, by destroy, shutdown or reboot: the backend
# releases its pages (no zombie stays), its nodes can be removed, and the domain's next life gets
# its channel.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

# use: g3's channel works, and stays open.
use()
{
    guest_wait g3
    g3=$(xl domid g3)
    same "echo" "$(echo "in $g3" | guest-exec g3 vchan cat --timeout 90 echo)" "in $g3"
    hold_open g3 echo
}

gone()
{
    ! xl list "$g3" >/dev/null 2>&1
}

no_zombie()
{
    ! xl list | grep -q '^(null)'
}

new_domain()
{
    _new=$(xl domid g3 2>/dev/null) && [ "$_new" != "$g3" ]
}

# ended HOW: the earlier domain is gone completely, and its channel's nodes can be removed.
ended()
{
    wait_for 90 "$1: domain $g3 is still there" gone
    wait_for 90 "$1: a zombie stays: $(xl list)" no_zombie
    xl-vchan detach --wait 90 "$g3" echo || fail "detach after $1"
    hold_end
}

create()
{
    xl-vchan create --wait 90 g3.cfg || fail "create"
}

attach()
{
    xl-vchan attach --wait 90 g3 name=echo connection=echo || fail "attach"
}

backend_start
guest_config g3 >g3.cfg
echo 'vchan = [ "name=echo, connection=echo" ]' >>g3.cfg

step "destroy"
create
use
guest_destroy g3
ended destroy

step "shutdown"
create
use
xl shutdown g3 || fail "shutdown"
ended shutdown

step "reboot"
create
use
xl reboot g3 || fail "reboot"
wait_for 90 "reboot: no new domain" new_domain
ended reboot
attach
use

step "end"
guest_destroy g3
ended "destroy, again"
backend_stop
