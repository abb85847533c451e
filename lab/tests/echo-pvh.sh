#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The echo domain as a PVH guest in 2 MiB. The emulator does not always boot it (lab/tests/pvh.sh),
# so up to three tries.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"
. "${VOCABULARY%/*}/echo-domain.sh"

host_can pvh || skip "no PVH guests here"
echo_config "" | sed "s/^memory.*/memory = 2/" >echo.cfg
cat >>echo.cfg <<'CFG'
type = "pvh"
vcpus = 1
on_reboot = "destroy"
CFG
# Whether it has booted, or is gone.
decided()
{
    booted || is_gone
}

booted()
{
    grep -q "PVH" $console
}

for try in 1 2 3; do
    step "try $try"
    echo_start
    (wait_for 90 "" decided) 2>/dev/null
    booted && break
    [ $try -lt 3 ] || fail "it did not boot: $(xl dmesg | tail -n 20)"
    xl destroy echo 2>/dev/null # it may be gone: after a crash Xen reboots it
done
clients 3 1000000
step "many short sleeps"
clients 50 1000
xl shutdown -w echo >/dev/null || fail "xl shutdown"
says poweroff
said
