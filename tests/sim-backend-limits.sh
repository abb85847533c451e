#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: what is over a guest's limit says so, disturbs no other guest, and is served when there is
# room.
set -u
. "${srcdir:-.}/tests/sim-lib.bash" || exit 1

# works GUEST NAME
works() {
    run 0 xensim exec "$1" vchan cat "$2" <<< "there and back"
    says "there and back"
}
backend_start --max-channels=2 --max-connects=10 --max-rings=200K
domain one "name=a, ring=64K, connection=echo" "name=b, ring=64K, connection=echo"
domain two "name=a, ring=64K, connection=echo"

part "channels"
run 1 xl-vchan attach one name=c connection=echo
[[ $err == *": its domain has more than 2 channels here" ]] || fail "$err"
await "c: its domain has more than 2 channels here" 30
run 0 xl-vchan attach two name=b ring=1K connection=echo
run 0 xl-vchan detach one b
run 0 xl-vchan attach one name=c ring=64K connection=echo
works one c

part "rings"
mkfifo "$work/in"
in_domain one vchan cat a < "$work/in" > "$work/out" &
guest=$!
exec {in}> "$work/in"
await "a: Connected" 30
run 3 xensim exec one vchan cat c < /dev/null
await "c: its domain has more than 200K of rings mapped" 30
works two a
exec {in}>&-
wait "$guest" || fail "vchan cat: exit code $?"
works one c

part "connections in a minute"
for i in {1..20}; do
    works one a
done
await "a: waits: its domain connects more than 10 times a minute" 30
works two a # whose turn it is at once
run 0 xensim exec one vchan list
[[ $out != *waits* ]] || fail "the error stays: $out"

part "a frontend that is not the guest's own"
two=$(xl domid two) one=$(xl domid one)
B=/local/domain/0/backend/vchan/$one/70
xenstore-write "$B/connection" echo "$B/online" 1 "$B/name" x "$B/frontend-id" "$one" \
    "$B/frontend" "/local/domain/$two/device/vchan/0" "$B/state" 1
await "$one/70 x: cannot be served: its nodes name, frontend, frontend-id do not make sense" 30
state "$B" 6
xenstore-rm "$B"

part "options"
for option in --max-channels=0 --max-connects=x --max-rings=5T --max-rings= --max-rings; do
    run 2 vchan-backend "$option"
    [[ $err == "vchan-backend: "*"(see vchan-backend --help)" ]] || fail "$option: $err"
done
complains 'vchan-backend: "--max-rings": needs a value (see vchan-backend --help)'

for name in a c; do run 0 xl-vchan detach one $name; done
for name in a b; do run 0 xl-vchan detach two $name; done
run 0 xl destroy one
run 0 xl destroy two
backend_stop
finish
