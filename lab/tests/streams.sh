#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Many connections at once through channels with streams, through two kernels: from a guest to a
# server in domain 0, and the other way. A worker of vchan-backend is killed, and they go on.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

# come_back COUNT PATH: that many clients here send bytes at once, and get them back.
come_back()
{
    _clients=
    for _i in $(seq "$1"); do
        socat -t 90 - "UNIX-CONNECT:$2" <bytes >"back.$_i" &
        _clients="$_clients $!"
    done
    # shellcheck disable=SC2086
    wait $_clients
    for _i in $(seq "$1"); do
        cmp bytes "back.$_i" || fail "client $_i of $2"
    done
}

# guest_come_back COUNT PATH: the same in the guest.
guest_come_back()
{
    guest-exec g3 sh -c "for i in \$(seq $1); do
        socat -t 90 - UNIX-CONNECT:$2 </run/bytes >/run/back.\$i & done; wait
        for i in \$(seq $1); do cmp /run/bytes /run/back.\$i || exit 1; done" || fail "clients of $2 in the guest"
}

one_comes_back()
{
    [ "$(echo text | socat -t 10 - "UNIX-CONNECT:$1")" = text ]
}

backend_start
guest_config g3 >g3.cfg
echo "vchan = [ \"name=out, connection=connect, path=$PWD/server, streams=16\"," \
    "\"name=in, connection=socket, path=$PWD/in, streams=16\" ]" >>g3.cfg
xl-vchan create --wait 90 g3.cfg || fail "create"
guest_wait g3
dd if=/dev/urandom of=bytes bs=1024 count=300 2>/dev/null
guest-exec g3 sh -c 'cat >/run/bytes' <bytes || fail "cat in the guest"
echo 'vchan = [ "name=out, connection=socket, path=/run/out",
    "name=in, connection=connect, path=/run/server" ]' | guest-exec g3 sh -c 'cat >/run/frontend.conf'
guest-exec g3 sh -c 'socat -t 90 UNIX-LISTEN:/run/server,fork,backlog=64 EXEC:cat </dev/null >/dev/null 2>&1 &
    echo $! >/run/pids
    vchan-frontend -c /run/frontend.conf </dev/null >/run/frontend.log 2>&1 &
    echo $! >>/run/pids'
socat -t 90 "UNIX-LISTEN:$PWD/server,fork,backlog=64" EXEC:cat 2>/dev/null &
server=$!
wait_for 90 "the channels are not open" states_are g3 in Connected/Connected
wait_for 90 "the channels are not open" states_are g3 out Connected/Connected

step "12 clients at once in the guest"
guest_come_back 12 /run/out

step "12 clients at once in domain 0"
come_back 12 "$PWD/in"

step "workers are killed"
user=$((0x70000000 + $(xl domid g3)))
for process in /proc/[0-9]*; do
    [ "$(stat -c %u "$process" 2>/dev/null)" != $user ] || kill -9 "${process#/proc/}"
done
wait_for 90 "no stream opens after that" one_comes_back "$PWD/in"
come_back 12 "$PWD/in"
guest_come_back 12 /run/out

step "end"
# shellcheck disable=SC2016
guest-exec g3 sh -c 'kill $(cat /run/pids)' || fail "vchan-frontend is gone"
kill $server
xl-vchan detach --wait 90 g3 in || fail "detach in"
xl-vchan detach --wait 90 g3 out || fail "detach out"
guest_destroy g3
backend_stop
