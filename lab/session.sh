#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What domain 0 does for lab/run, which asks for one of these:
#   session.sh deliver            unpacks the product, starts two guests that have it, looks at what is in use
#   session.sh test NAME SCRIPT   runs a scenario, and looks at what is in use then
#   session.sh shell              a shell for a person
share=/share
export VOCABULARY=$share/lab/on-xen.sh
. "$VOCABULARY"

# Exit code 125: the machine does not work.
deliver()
{
    tar xzf $share/dom0.tgz -C / || return 1
    cat $share/guest.cpio >>/lab/guest.cpio || return 1
    for guest in g1 g2; do
        guest_config $guest >/lab/$guest.cfg
        timeout 200 xl create /lab/$guest.cfg >/dev/null || return 125
    done
    for guest in g1 g2; do
        guest-exec --wait 200 $guest true && continue
        tail -n 30 /var/log/xen/console/guest-$guest.log
        return 125
    done
    host_mark # every scenario begins in this state
}

# Collects what may explain a failure: what was in use at the end, the scenario's files, core files,
# and the logs of Xen, of domain 0's services and of every guest.
collect()
{
    out=$1
    mkdir -p "$out"
    xl dmesg >>/lab/xen.log
    ps -o pid,ppid,stat,args >"$out/processes"
    xl list >"$out/domains"
    dmesg >"$out/dom0.dmesg"
    timeout 20 xenstore-ls -fp >"$out/xenstore"
    cp -r /lab/xen.log /var/log/xen/* /lab/cores "$out/"
    tar cf - -C /tmp scenario | tar xf - -C "$out"
    for guest in g1 g2; do
        xl domid $guest >/dev/null || continue
        guest-exec --wait 5 $guest dmesg >"$out/$guest.dmesg"
        guest-exec --wait 5 $guest sh -c 'cd /cores && [ "$(ls)" ] && tar cf - .' \
            </dev/null 2>/dev/null | tar xf - -C "$out/cores" 2>/dev/null
    done
    rmdir "$out/cores" 2>/dev/null
}

# Prints the output of the scenario and the leak check as it comes.
run_scenario()
{
    LD_PRELOAD=${LAB_BREAK:+$share/break-handshake.so} \
        timeout -k 5 "$LAB_SCENARIO_SECONDS" "$share/lab/$1"
    code=$?
    case $code in
    124 | 143) echo "FAIL: the scenario did not end in $LAB_SCENARIO_SECONDS s" ;;
    esac
    [ $code -eq 0 ] || return $code
    step "is nothing left?"
    host_leaks || return 1
    step "nothing"
}

test_one()
{
    mkdir -p /tmp/scenario
    cd /tmp/scenario || return 1
    run_scenario "$2" </dev/null >$share/results/"$1.log" 2>&1
    code=$?
    cd /
    [ $code -eq 0 ] && [ ! "$LAB_KEEP" ] || collect $share/results/"$1" 2>$share/results/"$1.collect"
    return $code
}

shell()
{
    echo "Domain 0 on real Xen $(xl info xen_version). Guests g1 and g2; guest-exec g1 CMD runs CMD in one."
    echo "Files come and go through $share. exit ends the lab."
    stty sane rows "${LAB_SIZE% *}" cols "${LAB_SIZE#* }"
    cd /root && setsid cttyhack sh -i
}

# Runs a command, and prints meanwhile that domain 0 is alive (lab/machine).
with_pulse()
{
    (while sleep 20; do echo >$share/pulse; done) &
    pulse=$!
    "$@"
    code=$?
    kill $pulse
    return $code
}

case $1 in
deliver) with_pulse deliver ;;
test) with_pulse test_one "$2" "$3" ;;
shell) shell ;;
esac
