#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The echo domain (unikernel/): a plain vchan for our clients and for Debian's, one after another,
# and its end.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"
. "${VOCABULARY%/*}/echo-domain.sh"

step "from xl create examples/echo.cfg to the first byte back"
cp "${VOCABULARY%/*}/echo.cfg" . || fail "examples/echo.cfg"
begin=$(milliseconds)
echo_start
clients 1 6
echo "   the echo domain: $(($(milliseconds) - begin)) ms"
guest_config g3 >g3.cfg
begin=$(milliseconds)
xl create -q g3.cfg || fail "create g3"
guest_wait g3
guest-exec g3 vchan echo --once --server 0 data/vchan &
linux=$!
g3=$(xl domid g3)
/share/echo-client 1 6 "$g3" "/local/domain/$g3/data/vchan" || fail "no echo from g3"
echo "   a Linux guest of $(sed -n 's/^memory = //p' g3.cfg) MiB, without disk and services: $(($(milliseconds) - begin)) ms"
wait $linux || fail "vchan echo in the guest: $?"
guest_destroy g3

step "what is typed comes back"
echo hello >hello
vchan cat --timeout 60 --linger 60 --client "$id" "$path" <hello >back &
client=$!
wait_for 90 "no echo" cmp -s hello back
kill $client
wait $client

step "100 clients, one after the other"
clients 100 1000

step "Debian's libxenvchan"
random_file mebibyte 1024 >/dev/null
lvcat client "$id" "$path" <mebibyte >back &
client=$!
wait_for 90 "libxenvchan: no echo" cmp -s mebibyte back
kill $client
wait $client

step "a client is killed in mid-stream; the next one is served"
head -c 200000000 /dev/zero | vchan cat --timeout 60 --client "$id" "$path" >back &
client=$!
wait_for 90 "no stream" test -s back
kill -9 $client
wait $client
clients 1 1000000

step "idle, it takes no CPU" # for two seconds, twenty times what xl can tell
cpu()
{
    xl list echo | awk '$1 == "echo" { print $6 }'
}
before=$(cpu)
sleep 2
same "CPU seconds" "$(cpu)" "$before"

step "suspend is refused, and said so"
xenstore-write "/local/domain/$id/control/shutdown" suspend
says "'suspend' is not supported"
clients 1 1000

step "shutdown"
xl shutdown -w echo >/dev/null || fail "xl shutdown"
says poweroff
