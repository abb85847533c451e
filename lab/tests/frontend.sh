#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A channel with a service at each end, from a client in a guest to a server in domain 0, through
# two kernels. If guests can be saved, one is saved and restored with its channel open: its
# vchan-frontend starts over by itself.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

# arrived SUM: all bytes with that checksum have arrived.
arrived()
{
    [ "$(sha256sum <got)" = "$1" ]
}

# plug DOM COMMAND: what the guest's vchan-frontend connects the channel to, once it reads its
# config.
plug()
{
    echo "vchan = [ \"name=up, connection=exec, user=root, command=$2\" ]" |
        guest-exec "$1" sh -c 'cat >/run/frontend.conf'
}

# agent_signal DOM SIGNAL. Not by pidof, which takes its workers for it; and those come and go.
agent_signal()
{
    guest-exec "$1" sh -c "kill -$2 \$(cat /run/frontend.pid)" || fail "vchan-frontend is gone"
}

# agent_reads DOM: makes it read its config now.
agent_reads()
{
    agent_signal "$1" HUP
}

# Sends everything and keeps what comes back; only once.
once='test -e /run/back || { cat /run/bytes & exec cat >/run/back; }'

agent_says()
{
    guest-exec "$1" grep -q "$2" /run/frontend.log
}

# carried DOM: the guest's bytes arrived here, and came back to it.
carried()
{
    _sum=$(guest-exec "$1" sh -c 'sha256sum </run/bytes')
    wait_for 90 "the bytes did not arrive" arrived "$_sum"
    wait_for 90 "the bytes did not come back" \
        guest-exec "$1" sh -c 'cmp -s /run/bytes /run/back'
}

backend_start
guest_config g3 >g3.cfg
echo "vchan = [ \"name=up, connection=exec, user=root, command=tee -a $PWD/got\" ]" >>g3.cfg
xl-vchan create --wait 90 g3.cfg || fail "create"
g3=$(xl domid g3)
guest_wait g3

step "bytes"
guest-exec g3 dd if=/dev/urandom of=/run/bytes bs=1024 count=2048 2>/dev/null || fail "dd"
plug g3 "$once"
guest-exec g3 sh -c 'vchan-frontend -v -c /run/frontend.conf </dev/null >/run/frontend.log 2>&1 &
    echo $! >/run/frontend.pid'
wait_for 90 "vchan-frontend is not connected" agent_says g3 'up: Connected'
carried g3

if host_can save; then
    step "save, with the channel open"
    guest-exec g3 sh -c 'mkfifo /run/hold; sleep 3600 >/run/hold &'
    plug g3 'exec cat /run/hold'
    agent_reads g3
    wait_for 90 "the channel is not open" states_are g3 up Connected/Connected
    xl save g3 /tmp/g3.saved >/dev/null 2>save.log || fail "save: $(tail -n 3 save.log)"
    xl-vchan detach --wait 90 "$g3" up || fail "detach"

    step "restore"
    xl restore /tmp/g3.saved >/dev/null 2>restore.log || fail "restore: $(tail -n 3 restore.log)"
    rm /tmp/g3.saved
    guest_wait g3
    wait_for 90 "the agent did not notice" agent_says g3 'restored or migrated: starting over'
    guest-exec g3 rm /run/back
    plug g3 "$once"
    agent_reads g3
    rm got
    xl-vchan attach --wait 90 g3 name=up connection=exec user=root command="tee -a $PWD/got" || fail "attach"
    carried g3
    guest-exec g3 pidof vchan-stale >/dev/null || fail "nobody keeps what is stale"
    fails "a fault in the kernel" guest-exec g3 sh -c 'dmesg | grep -E "BUG|Oops|WARNING"'
fi

step "end"
agent_signal g3 TERM
wait_for 90 "vchan-frontend does not end" guest-exec g3 sh -c '! grep -qx vchan-frontend /proc/[0-9]*/comm'
xl-vchan detach --wait 90 g3 up || fail "detach"
guest_destroy g3
backend_stop
