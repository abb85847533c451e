#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# 64 channels of one guest, all connected at once.
. "${VOCABULARY:-$srcdir/tests/on-sim.sh}"

count=64
backend_start
guest_config g3 >g3.cfg
{
    echo 'vchan = ['
    for i in $(seq $count); do
        echo "  \"name=c$i, connection=echo, ring=1K\","
    done
    echo ']'
} >>g3.cfg
xl-vchan create --wait 60 g3.cfg || fail "create"
g3=$(xl domid g3)
guest_wait g3

step "each opens its channel, waits until all are connected, sends"
cat >all <<'GUEST'
mkfifo /run/go
for i in $(seq "$1"); do
    (read -r _ </run/go; echo "hello $i") | vchan cat --timeout 60 c$i >/run/out.$i 2>&1 &
done
wait
cat /run/out.* | sort
GUEST
guest-exec g3 sh -s $count <all >out &
all_connected()
{
    [ "$(xl-vchan list g3 | grep -c ' Connected/Connected ')" = $count ]
}
wait_for 60 "not all are Connected" all_connected
guest-exec g3 sh -c "for i in \$(seq $count); do echo; done >/run/go"
wait $! || fail "in the guest: $?"
for i in $(seq $count); do
    echo "hello $i"
done | sort >expected
cmp out expected || fail "echoes: $(diff out expected)"
guest_destroy g3
for i in $(seq $count); do
    xl-vchan detach "$g3" c$i || fail "detach c$i"
done
backend_stop
