#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# 56 channels of one guest, each held by a process of its own, all connected at once. xenstored lets a guest
# have 128 watches; each process takes two, and the guest's kernel and the lab's agent have some.
. "${VOCABULARY:-$srcdir/tests/on-sim.sh}"

count=56
backend_start
guest_config g3 >g3.cfg
{
    echo 'vchan = ['
    for i in $(seq $count); do
        echo "  \"name=c$i, connection=echo, ring=1K\","
    done
    echo ']'
} >>g3.cfg
xl-vchan create --wait 90 g3.cfg || fail "create"
g3=$(xl domid g3)
guest_wait g3

step "each is opened, sends and gets it back, and stays open"
cat >all <<'GUEST'
rm -f /run/go
mkfifo /run/go
for i in $(seq "$1"); do
    { echo "hello $i"; read -r _ </run/go; } | vchan cat --timeout 90 "c$i" >"/run/out.$i" &
done
until [ "$(cat /run/out.* | wc -l)" = "$1" ]; do
    sleep 0.5
done
echo all
wait
cat /run/out.* | sort
GUEST
guest-exec g3 sh -s $count <all >out &
wait_for 100 "not every channel answered" grep -q all out
same "channels that are up" "$(xl-vchan list g3 | grep -c ' Connected/Connected ')" $count
guest-exec g3 sh -c 'echo >/run/go'
wait $! || fail "in the guest: $?"
for i in $(seq $count); do
    echo "hello $i"
done | sort >hellos
{ echo all; cat hellos; } >expected
cmp out expected || fail "echoes: $(diff out expected)"
guest_destroy g3
for i in $(seq $count); do
    xl-vchan detach "$g3" c$i || fail "detach c$i"
done
backend_stop
