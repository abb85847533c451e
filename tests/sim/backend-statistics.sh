#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: what a channel has moved can be read in xenstore, but only by the domains
# concerned.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# line DEVID: prints the statistics of a channel.
line() { xenstore-read "$S/$1" 2> /dev/null; }

# shows DEVID PATTERN: its line matches within 30 seconds.
shows() {
    local deadline=$((SECONDS + 30)) seen
    until seen=$(line "$1") && [[ $seen =~ ^$2$ ]]; do
        [ $SECONDS -lt $deadline ] || { fail "device $1: $seen"$'\n'"    not: $2"; return; }
        pause
    done
}

# has_none DEVID: it has no line any more, within 30 seconds. (The service removes it slightly after
# the toolstack is done.)
has_none() {
    local deadline=$((SECONDS + 30))
    while line "$1" > /dev/null; do
        [ $SECONDS -lt $deadline ] || { fail "device $1: $(line "$1")"; return; }
        pause
    done
}

S=/local/domain/0/data/vchan-backend
xenstore-write "$S/77/0" "left by a process that was killed"
backend_start
domain guest "name=echo, connection=echo" "name=socket, connection=socket, path=$work/socket" \
    "name=exec, connection=exec, user=root, command=cat" "name=connect, connection=connect, path=$work/connect"
S+=/$(xl domid guest)

part "a channel that was never used has none; what was left is gone"
run 1 xenstore-read "$S/0"
run 1 xenstore-read "${S%/*}/77/0"

part "counts are sums over all connections"
before=$(date +%s)
for i in 1 2; do
    run 0 xensim exec guest vchan cat echo < <(yes | head -c 100000)
done
shows 0 'received=200000 sent=200000 wakes=[0-9]+ sleeps=[1-9][0-9]* since=0 connections=2 peer='

part "who is at the other end"
mkfifo "$work/in"
in_domain guest vchan cat socket < "$work/in" > "$work/out" &
guest=$!
exec {in}> "$work/in"
echo hello >&"$in"
shows 1 'received=0 sent=0 wakes=0 sleeps=[0-9]+ since=[0-9]+ connections=1 peer='
since=$(line 1)
since=${since#*since=}
[ "${since%% *}" -ge "$before" ] && [ "${since%% *}" -le "$(date +%s)" ] || fail "since: $since"
mkfifo "$work/client"
socat - "UNIX-CONNECT:$work/socket" < "$work/client" > "$work/got" &
client=$!
exec {to_client}> "$work/client"
echo answer >&"$to_client"
shows 1 "received=6 sent=7 wakes=[0-9]+ sleeps=[0-9]+ since=[0-9]+ connections=1 peer=pid $client uid $(id -u) socat"
exec {to_client}>&-
wait "$client"
shows 1 "received=6 .* peer="
exec {in}>&-
wait "$guest"
shows 1 "received=6 sent=7 .* since=0 connections=1 peer="

part "another client waits"
run 0 xl-vchan attach guest "name=pool, connection=socket, path=$work/pool, reconnect=1, devid=9"
mkfifo "$work/pool.in" "$work/first" "$work/second"
in_domain guest vchan cat pool < "$work/pool.in" > "$work/out" &
guest=$!
exec {in}> "$work/pool.in"
run 0 xl-vchan wait --timeout 30 guest pool
socat - "UNIX-CONNECT:$work/pool" < "$work/first" > "$work/got" &
first=$!
exec {to_first}> "$work/first"
shows 9 ".* since=[1-9][0-9]* connections=1 peer=pid $first .*"
socat - "UNIX-CONNECT:$work/pool" < "$work/second" > "$work/got" {to_first}>&- &
second=$!
exec {to_second}> "$work/second"
shows 9 ".* connections=1 waiting=1 peer=pid $first .*"
await "pool: another client is waiting (one client at a time)"
run 0 xl-vchan list --long guest
[[ $out == *"pid $first "*" (another client is waiting)"* ]] || fail "list: $out"
run 0 xl-vchan show guest pool
[[ $out == *"another client is waiting at its socket"*"waiting client  yes"* ]] || fail "show: $out"
run 0 xl-vchan list --json guest
[[ $out == *'"waiting":1'* ]] || fail "JSON: $out"
exec {to_first}>&-
wait "$first"
shows 9 ".* connections=1 peer=pid $second .*"
exec {to_second}>&-
wait "$second"
shows 9 ".* connections=1 peer="
exec {in}>&-
wait "$guest"
run 0 xl-vchan detach guest pool

in_domain guest vchan cat exec < "$work/in" > "$work/out" &
guest=$!
exec {in}> "$work/in"
shows 2 "received=0 .* peer=pid [0-9]+"
pid=$(line 2)
[ "$(ps -o ppid= -p "${pid##* }")" -eq "$backend" ] || fail "no child of $backend: $pid"
exec {in}>&-
wait "$guest"

listen "$work/connect" /dev/null "$work/out"
in_domain guest vchan cat connect < "$work/in" > "$work/back" &
guest=$!
exec {in}> "$work/in"
shows 3 "received=0 .* peer=pid $listener uid $(id -u) socat"
exec {in}>&-
wait "$guest" "$listener"

part "permissions"
perms=$(xenstore-ls -p "${S%/*}")
[[ $perms == *"(n0)"* && $perms != *"(n0,"* && $perms != *"(r"* ]] || fail "permissions: $perms"
run 1 xensim exec guest xenstore-read "$S/0"

part "they go with the device, and with the service"
run 0 xl-vchan detach guest echo
has_none 0
line 1 > /dev/null || fail "too much is gone"
backend_stop
run 1 xenstore-read "${S%/*}"
detach_all guest --force
run 0 xl destroy guest
finish
