#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workers, vchan-backend, and both together are killed at random moments, KILLS times each (20),
# under 50 streams of load from the guest and 10 from domain 0: no stream sees a byte that is wrong,
# lost or out of order; those of a killed worker end, the others go on. A service that is killed
# alone, or starts over, ends none.
set -u
[ -z "${SANITIZED:-}" ] || : "${KILLS:=5}"
kills=${KILLS:-20}
limit=$((600 + kills * 3))
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
. "${srcdir:-.}/tests/lib/traffic.bash" || exit 1

# load NAME COUNT: starts clients of that channel's socket; their process is in $clients_NAME.
load() {
    tests/programs/streamers "$2" 4000000 "$work/$1" > "$work/$1.sum" 2> "$work/$1.err" &
    eval "clients_$1=$!"
}
# loads_end NAME…: the clients finish, and none saw a wrong byte. Their sums are in $sums.
loads_end() {
    local name pid
    sums=
    for name; do
        eval "pid=\$clients_$name"
        kill "$pid"
        wait "$pid" || fail "$name: $(cat "$work/$name.err")"
        sums+=" $name: $(cat "$work/$name.sum")"
    done
}
# rest: a moment of up to 100 ms, so that a kill comes anywhere.
rest() { sleep "0.0$(printf %02d $((RANDOM % 100)))"; }
# A worker's user is 0x70000000 and its peer's domid, so these are vchan-backend's.
kill_workers() { pkill -9 -x vchan-worker -u "$workers"; }
# served: both channels carry a new stream to its end.
served() {
    [ "$(socat -t 10 - "UNIX-CONNECT:$work/out" <<< out)" = out ] &&
        [ "$(socat -t 10 - "UNIX-CONNECT:$work/in" <<< in)" = in ]
}

manager_start 0 1000
socat -t 60 "UNIX-LISTEN:$work/server,fork,backlog=64" EXEC:cat 2> /dev/null &
server=$!
domain guest "name=out, connection=connect, path=$work/server, streams=64" \
    "name=in, connection=socket, path=$work/in, streams=16"
workers=$((0x70000000 + $(xl domid guest)))
agent_config "name=out, connection=socket, path=$work/out" "name=in, connection=connect, path=$work/server"
agent_start guest
hears "Connected"
hears "Connected"
within 30 served

part "$kills kills of vchan-backend, and SIGHUP: no stream ends"
load out 50
load in 10
for ((i = 0; i < kills; i++)); do
    before=$(grep -c ": Reconfiguring" "$work/backend.log")
    kill -$((i % 2 ? 1 : 10)) "$manager" # SIGHUP, or SIGUSR1: kill -9
    await_more ": Reconfiguring" "$before"
    rest
done
loads_end out in
[[ $sums != *reset=[1-9]* ]] || fail "streams ended: $sums"
echo "$sums"

part "$kills kills of workers"
load out 50
load in 10
for ((i = 0; i < kills; i++)); do
    kill_workers
    rest
done
within 60 served
loads_end out in
echo "$sums"
grep -q "streams were reset" "$work/backend.log" || fail "no worker was killed that had streams"

part "$kills kills of workers and vchan-backend together"
load out 50
load in 10
for ((i = 0; i < kills; i++)); do
    before=$(grep -c ": Reconfiguring" "$work/backend.log")
    kill_workers
    kill -USR1 "$manager"
    await_more ": Reconfiguring" "$before"
    rest
done
within 60 served
loads_end out in
echo "$sums"

part "nothing is left"
agent_stop
detach_all guest
manager_end
kill "$server"
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"
run 0 xl destroy guest
finish
