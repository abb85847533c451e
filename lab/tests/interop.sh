#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The vchan command against Debian's libxenvchan and vchan-socket-proxy, over real grants, in both
# roles.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

g1=$(xl domid g1)
home=/local/domain/$g1/data
sum=$(random_file bytes 256)

step "vchan --client in domain 0, libxenvchan's server in g1"
guest-exec g1 sh -c 'lvcat server 0 data/one 4096 65536 </dev/null | sha256sum' >got &
vchan cat --timeout 90 --linger 1 --client "$g1" "$home/one" <bytes || fail "vchan: $?"
wait $!
same "bytes" "$(cat got)" "$sum"

step "vchan --server in g1, libxenvchan's client in domain 0"
guest-exec g1 sh -c 'vchan cat --timeout 90 --server 0 data/two </dev/null | sha256sum' >got &
timeout 300 lvcat client "$g1" "$home/two" -1 <bytes || fail "lvcat"
wait $!
same "bytes" "$(cat got)" "$sum"

step "vchan --server in domain 0, libxenvchan's client in g1"
vchan cat --timeout 90 --linger 1 --server "$g1" /local/domain/0/data/three <bytes &
same "bytes" "$(guest-exec g1 sh -c 'lvcat client 0 /local/domain/0/data/three </dev/null | sha256sum')" "$sum"
wait $! || fail "vchan: $?"
xenstore-rm /local/domain/0/data

step "vchan-socket-proxy's server in g1, vchan --client in domain 0"
guest-exec g1 socat UNIX-LISTEN:/run/cat,fork EXEC:cat &
listener=$!
wait_for 90 "socat does not listen in g1" guest-exec g1 test -S /run/cat
# proxied SECONDS: a line sent that long after the connection comes back.
proxied()
{
    guest-exec g1 vchan-socket-proxy -m server 0 data/four /run/cat &
    proxy=$!
    : >got
    { sleep "$1"; echo hello; wait_for 20 "no answer" test -s got; } 2>/dev/null |
        vchan cat --timeout 90 --client "$g1" "$home/four" >got
    kill $proxy
    wait $proxy
    guest-exec g1 xenstore-rm data/four
    test -s got
}
# The proxy sleeps for ever if bytes come together with the connection (it takes our two signals for
# one, and checks the ring for neither). Nothing shows when it is past that point, so try later and
# later.
proxied 1 || proxied 5 || proxied 25
same "echo" "$(head -n 1 got)" hello
kill $listener
wait $listener

step "vchan echo --server in g1, vchan-socket-proxy's client in domain 0"
guest-exec g1 vchan echo --once --server 0 data/five &
timeout 300 vchan-socket-proxy -m client "$g1" "$home/five" "$PWD/proxy.sock" &
proxy=$!
wait_for 90 "the proxy does not listen" test -S proxy.sock
# The proxy drops what is still to come once its client has no more to send.
: >got
{ echo hello; wait_for 90 "no answer" test -s got; } |
    timeout 300 socat - UNIX-CONNECT:proxy.sock >got
same "echo" "$(cat got)" hello
kill $proxy
wait
# Unlike libxenvchan's, our server removes its keys and leaves the directory, which may belong to
# others.
same "keys of our servers" "$(guest-exec g1 xenstore-ls data | grep -c 'ring-ref\|event-channel')" 0
guest-exec g1 xenstore-rm data/two
guest-exec g1 xenstore-rm data/five
