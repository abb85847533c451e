#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian's libxenvchan at both ends, over real grants: what the lab rests on, without pvchan.
. "$VOCABULARY"

dd if=/dev/urandom of=bytes bs=4096 count=64 2>/dev/null
sum=$(sha256sum <bytes)

# Bytes from domain 0 to guest $1 (number $2): $3 serves, with rings of $4 and $5 bytes.
one_way()
{
    step "domain 0 to $1, $3 serves, rings $4 and $5"
    case $3 in
    dom0)
        guest_exec "$1" lvcat client 0 "/local/domain/0/data/plain" </dev/null >got &
        timeout 60 lvcat server "$2" /local/domain/0/data/plain "$4" "$5" -1 <bytes || fail "server"
        ;;
    guest)
        guest_exec "$1" lvcat server 0 data/plain "$4" "$5" </dev/null >got &
        timeout 60 lvcat client "$2" "/local/domain/$2/data/plain" -1 <bytes || fail "client"
        ;;
    esac
    wait $! || fail "the receiver failed: $?"
    same "bytes" "$(sha256sum <got)" "$sum"
}

g1=$(xl domid g1)
for sizes in "1024 2048" "4096 4096" "65536 1048576"; do
    one_way g1 "$g1" dom0 $sizes
    one_way g1 "$g1" guest $sizes
done
