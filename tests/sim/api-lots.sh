#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Many channels in one process at each end (tests/programs/lots.c, and vchan echo or
# examples/echo.c): 1024 plain ones; and as many named ones in a guest as its quotas of nodes (1000)
# and watches (128) allow.
limit=1200
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

lots=$builddir/tests/programs/lots

# ends SECONDS PID: its exit code is 0, in time.
ends() {
    within "$1" eval "! kill -0 $2"
    wait "$2" || fail "exit code $? of process $2: $(cat "$work"/*.log)"
}

# with_descriptors LOG MAX: it printed "well", and had at most MAX descriptors.
with_descriptors() {
    local had
    grep -q ^well: "$1" || fail "$(cat "$1")"
    had=$(sed -n 's/.* \([0-9]*\) descriptors/\1/p' "$1")
    [ "$had" -le "$2" ] || fail "$had descriptors: $(cat "$1")"
}

guest web
web=$domid

echo "1024 plain ones, the guest being client of all"
xensim limit 0 2048
"$lots" 1024 20000 server "$web" data/lots/ > "$work/lots.log" 2>&1 &
server=$!
within 60 grep -q begun "$work/lots.log"
paths=(/local/domain/0/data/lots/{0..1023})
xensim exec web vchan echo --timeout 60 --client 0 "${paths[@]}" > "$work/echo.log" 2>&1 &
client=$!
ends 100 $server
ends 100 $client
with_descriptors "$work/lots.log" 20
xenstore-rm data

echo "96 named ones in a guest"
for i in {0..95}; do
    specs+=("\"name=c$i,ring=1K\",")
done
printf 'name = "%s"\nmemory = 64\nkernel = "/boot/vmlinuz"\nvchan = [ %s ]\n' many "${specs[*]}" > "$work/many.cfg"
xl-vchan create -q "$work/many.cfg"
xensim exec many "$lots" 96 20000 named c > "$work/lots.log" 2>&1 &
frontend=$!
"$builddir/examples/echo" c{0..95} > "$work/echo.log" 2>&1 &
backend=$!
ends 100 $frontend
ends 100 $backend
with_descriptors "$work/lots.log" 20
detach_all many
xl destroy many
xl destroy web
