#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: 50 channels of two domains at once, of every kind, each with 1 MiB in both
# directions.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

head -c 1M /dev/urandom > "$work/data"
backend_start -q
for guest in one two; do
    entries=()
    for i in {1..25}; do
        case $((i % 3)) in
        0) entries+=("name=c$i, ring=4K, connection=echo") ;;
        1) entries+=("name=c$i, ring=4K, connection=exec, user=root, command=cat") ;;
        2) entries+=("name=c$i, ring=4K, connection=connect, path=$work/cat") ;;
        esac
    done
    domain "$guest" "${entries[@]}"
done
exec {said}< <(exec socat -dd -t 60 "UNIX-LISTEN:$work/cat,fork,backlog=2" EXEC:cat 2>&1)
listener=$!
while read -r -t 30 -u "$said" text && [[ $text != *"listening on"* ]]; do :; done
cat <&"$said" > /dev/null &

pids=()
for guest in one two; do
    for i in {1..25}; do
        in_domain "$guest" vchan cat "c$i" < "$work/data" > "$work/out.$guest.$i" &
        pids+=($!)
    done
done
for pid in "${pids[@]}"; do
    wait "$pid" || fail "a vchan cat: exit code $?"
done
for out in "$work"/out.*; do
    same "$work/data" "$out"
done

kill "$listener"
for guest in one two; do
    detach_all "$guest"
    run 0 xl destroy "$guest"
done
# The simulated event channels keep eventfds of their own.
fds=$(find "/proc/$backend/fd" -type l -printf '%f %l\n' | grep -v eventfd)
[ "$(wc -l <<< "$fds")" -lt 20 ] || fail "fds left: $fds"
backend_stop
finish
