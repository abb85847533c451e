#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libpvchan and the real, unmodified libxenvchan, in both roles, through every pair of ring orders
# that libxenvchan offers (101), in both directions at once; more than 1 GiB in total.
limit=1200
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

bytes=${INTEROP_BYTES:-2800000}

guest web
base=/local/domain/$domid/data/i

# pair SERVER CLIENT: the server in the guest, the client in domain 0.
pair() {
    local server
    xensim exec web interop "$1" server 0 "$base" "$bytes" > "$work/server" &
    server=$!
    interop "$2" client "$domid" "$base" "$bytes" > "$work/client"
    wait "$server"
    cmp "$work/server" "$work/client"
    [ "$(wc -l < "$work/server")" = 101 ] || fail "not all order pairs were tried"
    echo "$1 server, $2 client: 101 order pairs, $((bytes * 2 * 101)) bytes, checksums equal"
}

pair real pvchan
pair pvchan real
xl destroy web
