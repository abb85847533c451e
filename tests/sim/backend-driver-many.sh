#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A driver domain that is the backend of more frontends than xenstored lets it watch (two watches for
# each that has several channels): the others are polled every 5 seconds, and served.
set -u
export XENSIM_WATCHES=24 # 128 on Xen; fewer here, so that less has to be started
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
many=${many:-15}

guest driver
xensim exec driver vchan-backend -v 2> "$work/log" &
backend=$!
within 30 xenstore-exists "/local/domain/$domid/data/vchan-backend"
for ((i = 1; i <= many; i++)); do
    guest "g$i"
    for name in a b; do
        run 0 xl-vchan attach "g$i" "name=$name" backend=driver connection=echo ring=1K
    done
done

part "$many frontends are served"
for ((i = 1; i <= many; i++)); do
    run 0 xensim exec "g$i" vchan cat --timeout 60 a <<< "served"
    says "served"
done
grep "cannot watch domain [0-9]*'s nodes: .* (polling every 5 s)" "$work/log" ||
    fail "all are watched: this tests nothing"

for ((i = 1; i <= many; i++)); do
    for name in a b; do run 0 xl-vchan detach --force "g$i" $name; done
    run 0 xl destroy "g$i"
done
kill "$backend"
wait "$backend" || fail "vchan-backend: exit code $?: $(tail -5 "$work/log")"
run 0 xl destroy driver
finish
