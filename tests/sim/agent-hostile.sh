#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A hostile backend domain (tests/programs/hostile.c) can make vchan-frontend do only a bounded
# amount of work, however much it does itself: this counts work, not time. Another backend's channel
# is served meanwhile.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
PATH=${builddir:-$PWD}/tests/programs:$PATH

backend_start
guest driver
domain guest "name=bad, backend=driver" "name=good, connection=socket, path=$work/socket"
id=$(xl domid guest)
agent_config "name=bad, connection=echo" "name=good, connection=echo"
: > "$work/log"
xensim exec guest vchan-frontend -v -c "$work/frontend.conf" 2> "$work/log" &
agent=$!
within 30 grep -q "good: Connected" "$work/log"

# vchan-frontend's CPU time; $agent is xensim's process, which waits for it.
ticks() { in_domain guest sh -c 'cat "/proc/$(pidof vchan-frontend)/stat"' | awk '{print $14 + $15}'; }

part "a flood of states and errors"
before=$(ticks)
started=${EPOCHREALTIME/./}
xensim exec driver hostile 0 1 1 offers "backend/vchan/$id" "${acts:-6000}" > "$work/did" &
hostile=$!
for i in 1 2 3; do
    asks "$work/socket" "served"
done
wait "$hostile" || fail "hostile: exit code $?"
seconds=$(((${EPOCHREALTIME/./} - started) / 1000000 + 1))
echo "$(cat "$work/did") in $seconds s: $(wc -l < "$work/log") lines, $(($(ticks) - before)) ticks"
[ "$(wc -l < "$work/log")" -lt $((150 + 10 * seconds)) ] || fail "$(wc -l < "$work/log") lines"
grep -q "domain $(xl domid driver) writes xenstore too often: ignoring its changes for up to 5 s" "$work/log" ||
    fail "no word in the log"

part "when it behaves the channel is served"
# Connections until now do not count.
connected() { grep -c "bad: Connected (echo)" "$work/log"; }
before=$(connected)
connects() { [ "$(connected)" -gt "$before" ]; }
xensim exec driver vchan echo bad 2> "$work/echo" &
echo=$!
within 30 connects
kill "$echo"
wait "$echo"
kill "$agent"
wait "$agent" || fail "vchan-frontend: exit code $?"

part "what it cost"
cost=$(grep "domain $(xl domid driver) has no channels left" "$work/log")
echo "${cost#*: }"
[[ $cost =~ caused\ ([0-9]+)\ events,\ ([0-9]+)\ exchanges ]] || fail "no cost in the log"
# The number allowed at once, and at the start of each pause, out of 6000.
[ "${BASH_REMATCH[1]}" -lt $((3000 + 100 * seconds)) ] || fail "${BASH_REMATCH[1]} events"
[ "${BASH_REMATCH[2]}" -lt $((8000 + 300 * seconds)) ] || fail "${BASH_REMATCH[2]} exchanges"

run 0 xl-vchan detach --force guest bad
run 0 xl-vchan detach --force guest good
run 0 xl destroy guest
run 0 xl destroy driver
backend_stop
finish
