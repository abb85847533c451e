#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The echo domain as the frontend of channels that an xl config declares.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"
. "${VOCABULARY%/*}/echo-domain.sh"

random_file bytes 256 >/dev/null

# session CHANNEL: a client of a socket with reconnect=0. It half-closes, and exits at the end of
# the echo.
session()
{
    timeout 90 socat -t 90 - "UNIX-CONNECT:$1.sock,retry=200,interval=0.3" <bytes >back || fail "$1: socat: $?"
    cmp bytes back || fail "channel $1: not the same bytes"
}

# visit CHANNEL: a client of a socket whose channel stays up after the client.
visit()
{
    rm -f back
    socat -t 90 - "UNIX-CONNECT:$1.sock,retry=200,interval=0.3" <bytes >back &
    client=$!
    wait_for 90 "channel $1: no echo" cmp -s bytes back
    kill $client
    wait $client
}

step "channels of an xl config: a socket's clients get their bytes back, one after the other"
backend_start
echo_config "server=none" >echo.cfg
cat >>echo.cfg <<CFG
vchan = [ "name=a, connection=socket, path=$PWD/a.sock, reconnect=0",
          "name=b, connection=echo, ring=4K",
          "name=c, connection=socket, path=$PWD/c.sock, read-ring=1K, write-ring=1M" ]
CFG
echo_start xl-vchan
wait_for 90 "b is not Connected" states_are echo b Connected/Connected
session a
session a
visit c
visit c

step "plugged in and pulled out"
xl-vchan attach --wait 90 echo name=late connection=socket reconnect=0 path="$PWD/late.sock" || fail "attach"
session late
xl-vchan detach --wait 90 echo late || fail "detach"
fails "a channel that was unplugged" state_is echo late Connected/Connected

step "the backend's process is killed; the next one is served"
kill -9 $backend
wait $backend 2>/dev/null
backend_start
session a
said

step "destroyed with them"
guest_destroy echo
for name in a b c; do
    xl-vchan detach --wait 90 "$id" $name || fail "detach $name of a domain that is gone"
done
backend_stop
