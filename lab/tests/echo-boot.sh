#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The echo domain, started in other ways: ring sizes, servers for other domains, invalid options.
# ECHO_MB (from the caller of lab/run): how much goes through rings of each size.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"
. "${VOCABULARY%/*}/echo-domain.sh"

for ring in 4K 64K 1M; do
    step "$ECHO_MB MB through rings of $ring"
    echo_config "ring=$ring" >echo.cfg
    echo_start
    clients 1 ${ECHO_MB}000000
    guest_destroy echo
done

step "in the least memory that there is for a PV domain"
echo_config "" | sed "s/^memory.*/memory = 4/" >echo.cfg
echo_start
clients 1 100000
guest_destroy echo

step "three servers with rings of 1M, in 8 MiB"
echo_config "server=0:data/a server=0:data/b server=0:data/c ring=1M" >echo.cfg
echo_start
for server in a b c; do
    clients 1 100000 "/local/domain/$id/data/$server"
done
guest_destroy echo

step "a server for another domain, at a path of its own; rings that differ"
g1=$(xl domid g1)
echo_config "server=$g1:data/vchan/$g1/a server=0:data/other read-ring=1K write-ring=128K" >echo.cfg
echo_start
says "data/vchan/$g1/a: offered to domain $g1, rings of .* and 131072 bytes"
clients 1 100000 "/local/domain/$id/data/other"
same "g1" "$(guest-exec g1 sh -c "echo hi | vchan cat --timeout 60 --client $id $path/$g1/a")" hi

step "destroyed while a client is there"
vchan cat --timeout 60 --linger 60 --client "$id" "/local/domain/$id/data/other" </dev/zero >back &
client=$!
wait_for 90 "no stream" test -s back
guest_destroy echo
kill $client
wait $client

step "a command line that makes no sense"
for wrong in ring=64X "ring=4K colour=red"; do
    echo_config "$wrong" >echo.cfg
    echo_start
    says "command line: '"
    wait_for 90 "it goes on" is_gone
    said
done

step "a node that is missing: of the domain, of a channel"
echo_config "" >echo.cfg
: >$console
xl create -qp echo.cfg || fail "create"
xenstore-rm "/local/domain/$(xl domid echo)/domid"
xl unpause echo
says "xenstore: domid: "
wait_for 90 "it goes on" is_gone
said
echo_start
xenstore-write "/local/domain/$id/device/vchan/9/state" 1
says "device/vchan/9/backend: "
clients 1 1000
said
guest_destroy echo
