#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The processes that have the rings (service/worker/) are killed at random moments, KILLS times (50), under
# load in both directions, with a service manager; then together with vchan-backend: no byte is lost, none comes
# twice. Without a manager the channel ends with an error, and can be opened again.
set -u
[ -z "${SANITIZED:-}" ] || : "${KILLS:=10}" # each kill waits until another worker has begun
kills=${KILLS:-50}
limit=$((900 + kills / 2))
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
. "${srcdir:-.}/tests/lib/traffic.bash" || exit 1
PATH=$PWD/tests/programs:$PATH

service() { pgrep -P "$manager" -x vchan-backend; }
# kill_workers: all of them, be it that one has just ended.
kill_workers() { pkill -9 -x vchan-worker; }
# no_worker: none is left.
no_worker() { ! pgrep -x vchan-worker; }
# kill_one: one of those that there are.
kill_one() {
    local pids
    mapfile -t pids < <(pgrep -x vchan-worker)
    [ ${#pids[@]} -eq 0 ] || kill -9 "${pids[RANDOM % ${#pids[@]}]}" 2> /dev/null
}
# rest: a moment of up to 100 ms, so that a kill comes anywhere.
rest() { sleep "0.0$(printf %02d $((RANDOM % 100)))"; }

part "a worker has the rings, and vchan-backend nothing of a guest's"
manager_start 0 1000
traffic_domain
all_traffic
[ "$(pgrep -cx vchan-worker)" -ge 5 ] || fail "five channels are open with $(pgrep -cx vchan-worker) workers"

part "$kills kills of workers"
for ((i = 0; i < kills; i++)); do
    kill_one
    rest
done
all_traffic_ends
[ "$(grep -c "exec: command started" "$work/backend.log")" = 1 ] || fail "another command was started"
echo "replaced=$(grep -c "vchan-worker died; starting another" "$work/backend.log") kills=$kills"
grep -q "vchan-worker died; starting another" "$work/backend.log" || fail "no channel's worker was killed"

part "$kills kills of all workers and vchan-backend together"
all_traffic
for ((i = 0; i < kills; i++)); do
    before=$(grep -c "Reconfiguring" "$work/backend.log")
    kill_workers
    kill -USR1 "$manager"
    await_more "Reconfiguring" "$before"
    rest
done
all_connected
all_traffic_ends

part "nothing is left"
manager_end
within 10 no_worker
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"

part "without a manager: vchan-backend is killed, and its worker exits only after the next one has begun"
backend_start -v
mkfifo "$work/to" "$work/from"
in_domain guest vchan cat echo < "$work/to" > "$work/from" &
program=$!
exec {input}> "$work/to" {output}< "$work/from"
answers before
old=$(pgrep -x vchan-worker -u $((0x70000000 + $(xl domid guest))))
kill -STOP "$old"
kill -9 "$backend"
backend_end 137
echo after >&"$input"
backend_start -v
await "echo: Reconfiguring"
! read -r -t 1 -u "$output" line || fail "came back from two workers: $line"
kill -CONT "$old"
read -r -t 30 -u "$output" line
[ "$line" = after ] || fail "came back: $line"
backend_stop # it has inherited the program's input
exec {input}>&- {output}<&-
wait "$program"

part "without a manager a channel whose worker dies ends, and can be opened again"
backend_start
mkfifo "$work/in"
in_domain guest vchan cat exec < "$work/in" > "$work/out" 2> "$work/cat.err" &
program=$!
exec {in}> "$work/in"
run 0 vchan wait --timeout 30 "$(xl domid guest)/exec"
kill_workers
await "exec: vchan-worker died" 30
exits 5 wait "$program"
exec {in}>&-
run 0 vchan list
[[ $out == *"exec "*"its vchan-worker process died"* ]] || fail "not listed: $out"
run 0 xensim exec guest vchan cat echo <<< "there and back"
says "there and back"
backend_stop
for name in socket connect echo exec pty; do run 0 xl-vchan detach guest $name; done
run 0 xl destroy guest
xenstore-rm data 2> /dev/null
finish
