#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Ring sizes 1K to 1M: random bytes in both directions at once, with checksums.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

backend_start
down=$(random_file down 512)
up=$(guest-exec g1 sh -c 'dd if=/dev/urandom of=/run/up bs=1024 count=512 2>/dev/null; sha256sum </run/up')
for ring in 1K 2K 4K 16K 64K 256K 1M; do
    step "ring=$ring"
    rm -f up.sum
    xl-vchan attach --wait 90 g1 name=rings ring=$ring connection=exec user=root \
        "command=cd $PWD; exec 3<&0; sha256sum <&3 >up.new && mv up.new up.sum & cat down; wait" ||
        fail "attach"
    same "to the guest" \
        "$(guest-exec g1 sh -c 'vchan cat --timeout 90 rings </run/up | sha256sum')" "$down"
    wait_for 90 "the command in domain 0 has not ended" test -e up.sum
    same "from the guest" "$(cat up.sum)" "$up"
    xl-vchan detach --wait 90 g1 rings || fail "detach"
done
backend_stop
