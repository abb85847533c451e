#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# From the command to Connected on both sides: a channel that a guest's vchan-frontend serves,
# beside a network interface whose script does nothing. The CPU is emulated, so only the ratio means
# anything.
. "$VOCABULARY"

plugs=11
printf '#!/bin/sh\nxenstore-write "$XENBUS_PATH/hotplug-status" connected\n' >vif
chmod +x vif

# both_connected KIND: device 5 of that kind is Connected on both sides. The guest may still make
# its nodes.
both_connected()
{
    [ "$(xenstore-read "/local/domain/$g1/device/$1/5/state" "/local/domain/0/backend/$1/$g1/5/state" 2>/dev/null)" = $'4\n4' ]
}

# plug KIND CMD…: appends KIND and the time in milliseconds to ./samples.
plug()
{
    local kind=$1 begin=${EPOCHREALTIME/./} end=$((SECONDS + 90))
    shift
    "$@" || fail "$*"
    until both_connected "$kind"; do
        ((SECONDS < end)) || fail "$kind: not connected after 90 s"
    done
    echo "$kind $(((${EPOCHREALTIME/./} - begin) / 1000))" >>samples
}

table()
{
    sort -k1,1 -k2,2n samples | awk '
        { value[$1, ++count[$1]] = $2 }
        function median(kind) { return value[kind, int((count[kind] + 1) / 2)] }
        function line(name, kind) { printf "| %s | %d ms | %.2f |\n", name, median(kind), median(kind) / median("vif") }
        END {
            print "| command to Connected on both sides | median | to the first |\n|---|---|---|"
            line("xl network-attach", "vif")
            line("xl-vchan attach", "vchan")
        }'
}

g1=$(xl domid g1)
backend_start
echo 'vchan = [ "name=plug, connection=exec, user=root, command=cat" ]' | guest-exec g1 sh -c 'cat >/run/frontend.conf'
guest-exec g1 sh -c 'vchan-frontend -c /run/frontend.conf </dev/null >/run/frontend.log 2>&1 & echo $! >/run/frontend.pid'
for ((round = 0; round < plugs; round++)); do
    step "$((round + 1)) of $plugs" >&2
    plug vif xl network-attach g1 devid=5 script="$PWD/vif"
    xl network-detach g1 5 || fail "network-detach"
    plug vchan xl-vchan attach --wait 90 g1 name=plug connection=echo devid=5
    xl-vchan detach --wait 90 g1 plug || fail "detach"
done
table
guest-exec g1 sh -c 'kill $(cat /run/frontend.pid)'
backend_stop
cp samples /share/results/plugs.samples
