#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend in a driver domain, which may read only its own devices among a guest's nodes.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

driver_start() {
    exec {log}< <(exec xensim exec driver vchan-backend -v 2>&1)
    backend=$!
}

domain driver
driver_start
domain guest "name=socket, backend=driver, connection=socket, path=$work/socket" \
    "name=echo, backend=driver, connection=echo"
id=$(xl domid guest)
back=/local/domain/$(xl domid driver)/backend/vchan/$id
state "$back/0" 2
state "$back/1" 2

part "it is killed: the next one goes on"
mkfifo "$work/in"
in_domain guest vchan cat echo < "$work/in" > "$work/out" &
guest=$!
exec {in}> "$work/in"
state "$back/1" 4
kill -9 "$backend"
backend_end 137
echo "while nobody was there" >&$in
exec {in}>&-
driver_start
await "echo: Connected" 30
wait "$guest" || fail "vchan cat echo: exit code $?"
same "$work/out" <(echo "while nobody was there")

part "the guest's domain dies: what its channels were plugged into is given up"
appears "$work/socket"
run 0 xl destroy guest
vanishes "$work/socket"

part "nothing is left"
for name in socket echo; do run 0 xl-vchan detach "$id" $name; done
backend_stop
run 0 xl destroy driver
finish
