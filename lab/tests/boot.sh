#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Domain 0 boots with systemd and what Debian starts Xen with, nothing prepared by the lab: the
# enabled services start by themselves, and do not fail if a device or xenstored comes later.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"
. "${VOCABULARY%/*}/echo-domain.sh"

property()
{
    systemctl show -P "$2" "$1"
}

runs()
{
    systemctl is-active --quiet "$1"
}

# started UNIT: the boot starts it at some time.
started()
{
    (wait_for 120 "$1 does not run" runs "$1") || fail "$(systemctl status "$1" | head -n 20)"
}

# begin UNIT: prints when it started, in microseconds since the boot.
begin()
{
    property "$1" ActiveEnterTimestampMonotonic
}

# The command started for each connection gets its own line back.
echoed()
{
    grep -qx hello got 2>/dev/null
}

restarted()
{
    [ "$(property vchan-backend NRestarts)" -ge 2 ]
}

trap 'journalctl --quiet --boot >journal.log' EXIT # the lab keeps it after a failure

step "the boot"
started xen
started vchan-backend
started xl-vchan
started vchan-frontend
[ "$(begin xen)" -le "$(begin vchan-backend)" ] || fail "vchan-backend was ready before Xen's daemons"
[ "$(begin vchan-backend)" -le "$(begin xl-vchan)" ] || fail "xl-vchan was ready before vchan-backend"
[ "$(begin xen)" -le "$(begin vchan-frontend)" ] || fail "vchan-frontend was ready before Xen's daemons"
for service in vchan-backend xl-vchan vchan-frontend; do
    same "$service was started again" "$(property $service NRestarts)" 0
done
[ -c /dev/xen/gntalloc ] || fail "xen-gntalloc was not loaded"
pidof oxenstored >/dev/null || fail "this is not Debian's xenstored"
host_mark

step "xl create: the channel that the config declares is there, and served"
echo_config server=none >/etc/xen/echo.cfg
cat >>/etc/xen/echo.cfg <<CFG
vchan = [ "name=b, connection=exec, user=root, command=echo hello; exec cat >>$PWD/got" ]
CFG
xl create /etc/xen/echo.cfg >create.log 2>&1 || fail "xl create: $(cat create.log)"
wait_for 90 "nothing came back" echoed

step "a device comes later"
systemctl stop vchan-backend || fail "systemctl stop"
rm got
mv /dev/xen/evtchn /dev/xen/later
systemctl start --no-block vchan-backend
wait_for 90 "it is not tried again" restarted
mv /dev/xen/later /dev/xen/evtchn
started vchan-backend
wait_for 90 "nothing came back" echoed
id=$(xl domid echo)
guest_destroy echo
wait_for 90 "what it left is there" is_cleared "$id"
