#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian's libxenvchan at both ends, over real grants: checks the lab's foundation without pvchan.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

g1=$(xl domid g1)
sum=$(random_file bytes 256)

# one_way SERVER LEFT RIGHT: bytes from domain 0 to g1, with these ring sizes.
one_way()
{
    step "domain 0 to g1, $1 serves, rings $2 and $3"
    if [ "$1" = dom0 ]; then
        guest-exec g1 sh -c 'lvcat client 0 /local/domain/0/data/plain </dev/null | sha256sum' >got &
        timeout 300 lvcat server "$g1" /local/domain/0/data/plain "$2" "$3" -1 <bytes || fail "server"
    else
        guest-exec g1 sh -c "lvcat server 0 data/plain $2 $3 </dev/null | sha256sum" >got &
        timeout 300 lvcat client "$g1" "/local/domain/$g1/data/plain" -1 <bytes || fail "client"
    fi
    wait $!
    same "bytes" "$(cat got)" "$sum"
}

for sizes in "1024 2048" "4096 4096" "65536 1048576"; do
    one_way dom0 $sizes
    one_way guest $sizes
done
xenstore-rm /local/domain/0/data
