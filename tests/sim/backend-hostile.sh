#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest does all the harm it can to its own nodes and pages while another works: all bytes of the
# other arrive, and the service survives.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
PATH=${builddir:-$PWD}/tests/programs:$PATH

head -c 8M /dev/urandom > "$work/data"
: > "$work/log"
vchan-backend -v 2> "$work/log" &
backend=$!
entries=()
for i in {1..8}; do
    entries+=("name=c$i, ring=1K, connection=$([ $((i % 2)) = 0 ] && echo echo || echo "exec, user=root, command=cat")")
done
domain bad "${entries[@]}"
domain good "name=echo, connection=echo" "name=exec, connection=exec, user=root, command=cat"

part "beside it, all bytes arrive"
for seed in 1 2 3; do
    xensim exec bad hostile 0 8 "$seed" > "$work/did.$seed" &
    hostile=$!
    within 30 in_domain bad pidof hostile
    for name in echo exec; do
        in_domain good vchan cat "$name" < "$work/data" > "$work/out" ||
            fail "vchan cat $name: exit code $?"
        same "$work/data" "$work/out"
    done
    kill "$hostile"
    wait "$hostile" || fail "hostile: exit code $?"
    echo "seed $seed: $(cat "$work/did.$seed")"
done
kill -0 "$backend" || fail "vchan-backend is gone"

part "its log is bounded, and says that it is"
[ "$(wc -l < "$work/log")" -lt 40000 ] || fail "$(wc -l < "$work/log") lines"

part "it can still be served when it behaves"
[ "$(grep -c AddressSanitizer "$work/log")" = 0 ] || fail "$(cat "$work/log")"
for i in {1..8}; do
    run 0 xl-vchan detach --force bad "c$i"
done
run 0 xl-vchan attach bad name=new connection=echo
run 0 xensim exec bad vchan cat new <<< "behaves now"
says "behaves now"
run 0 xl-vchan detach bad new

kill "$backend"
wait "$backend" || fail "vchan-backend: exit code $?: $(tail -5 "$work/log")"
for name in echo exec; do run 0 xl-vchan detach --force good $name; done
run 0 xl destroy good
run 0 xl destroy bad
finish
