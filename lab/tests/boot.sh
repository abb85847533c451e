#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Domain 0 booted by systemd with what Debian starts Xen by, and nothing prepared by the lab: the services
# that were enabled start by themselves, and give nothing up because a device or xenstored comes later.
. "${VOCABULARY:-$srcdir/tests/on-sim.sh}"

property()
{
    systemctl show -P "$2" "$1"
}

runs()
{
    systemctl is-active --quiet "$1"
}

# started UNIT: by the boot, some time.
started()
{
    wait_for 120 "$1 does not run: $(systemctl status "$1" | head -n 20)" runs "$1"
}

# begin UNIT: when it had started, in microseconds since the boot.
begin()
{
    property "$1" ActiveEnterTimestampMonotonic
}

restarted()
{
    [ "$(property vchan-backend NRestarts)" -ge 2 ]
}

trap 'journalctl --quiet --boot >journal.log' EXIT # the lab keeps it if something fails

step "the boot"
started xen
started vchan-backend
started xl-vchan
[ "$(begin xen)" -le "$(begin vchan-backend)" ] || fail "vchan-backend was ready before Xen's daemons"
[ "$(begin vchan-backend)" -le "$(begin xl-vchan)" ] || fail "xl-vchan was ready before vchan-backend"
for service in vchan-backend xl-vchan; do
    same "$service was started again" "$(property $service NRestarts)" 0
done
pidof oxenstored >/dev/null || fail "this is not Debian's xenstored"
host_mark

step "a guest that plain xl creates has its channel"
guest_config g1 >/etc/xen/g1.cfg
echo 'vchan = [ "name=echo, connection=echo" ]' >>/etc/xen/g1.cfg
xl create /etc/xen/g1.cfg >/dev/null || fail "xl create"
guest_wait g1
same "the echo" "$(echo hello | guest-exec g1 vchan cat --timeout 90 echo)" hello

step "a device comes later"
systemctl stop vchan-backend || fail "systemctl stop"
mv /dev/xen/evtchn /dev/xen/later
systemctl start --no-block vchan-backend
wait_for 60 "it is not tried again" restarted
mv /dev/xen/later /dev/xen/evtchn
started vchan-backend
same "the echo" "$(echo again | guest-exec g1 vchan cat --timeout 90 echo)" again
guest_destroy g1
wait_for 60 "what it left is there" fails "list" xl-vchan list g1
