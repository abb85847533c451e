#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: every kind of connection carries 64 MiB in both directions at once, unchanged, and
# passes the ends on.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

head -c 64M /dev/urandom > "$work/up"
head -c 67108865 /dev/urandom > "$work/down"

# guest_cat NAME IN OUT: vchan cat in the guest, to its end.
guest_cat() { in_domain guest vchan cat "$1" < "$2" > "$3" || fail "vchan cat $1: exit code $?"; }

backend_start
domain guest "name=echo, connection=echo" \
    "name=socket, connection=socket, path=$work/socket" \
    "name=once, connection=socket, path=$work/once, reconnect=0, ring=4K" \
    "name=connect, connection=connect, path=$work/connect, read-ring=1K, write-ring=1M" \
    "name=exec, ring=1M, connection=exec, user=root, command=cat $work/down & cat > $work/out; wait" \
    "name=app"

part echo
guest_cat echo "$work/up" "$work/out"
same "$work/up" "$work/out"
await "echo: Closed"

part exec
guest_cat exec "$work/up" "$work/back"
await "exec: Closed"
same "$work/up" "$work/out"
same "$work/down" "$work/back"

part connect
listen "$work/connect" "$work/down" "$work/out"
guest_cat connect "$work/up" "$work/back"
wait "$listener" || fail "socat: exit code $?"
same "$work/up" "$work/out"
same "$work/down" "$work/back"

part "socket: the end is passed on"
socat -t 60 - "UNIX-CONNECT:$work/once" < "$work/down" > "$work/out" &
guest_cat once "$work/up" "$work/back"
wait $! || fail "socat: exit code $?"
same "$work/up" "$work/out"
same "$work/down" "$work/back"

part "socket: one client after the other"
# What the guest sends first waits for the first client. Each client's bytes arrive; its end does
# not.
mkfifo "$work/say"
in_domain guest vchan cat socket < "$work/say" > "$work/back" &
guest=$!
exec {say}> "$work/say"
echo first >&"$say"
await "socket: Connected"
meets "$work/socket" one first
for i in two three; do
    run 0 socat -t 0.2 - "UNIX-CONNECT:$work/socket" <<< "$i"
done
within 30 grep -qx three "$work/back" # a client that is still to be served would be none after the guest's end
exec {say}>&-
wait "$guest" || fail "vchan cat socket: exit code $?"
echo "one two three" | tr ' ' '\n' > "$work/want"
same "$work/want" "$work/back"

part app
timeout 200 vchan cat app < "$work/down" > "$work/out" &
guest_cat app "$work/up" "$work/back"
wait $! || fail "vchan cat in domain 0: exit code $?"
same "$work/up" "$work/out"
same "$work/down" "$work/back"

detach_all guest
run 0 xl destroy guest
backend_stop
vanishes "$work/socket"
finish
