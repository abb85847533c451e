#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Xenstore does not answer a program for a while (tests/programs/no-answer.c): what could not be
# listed or read does not count as gone.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

export NO_ANSWER=$work/path NO_ANSWER_SAW=$work/saw
preload=$LD_PRELOAD:${NO_ANSWER_SO:-$PWD/tests/programs/.libs/no-answer.so}
# silent PATH COMMAND…: from now on xenstore does not answer for that path; COMMAND ($command) makes
# the program ask.
silent() {
    : > "$work/saw"
    echo "$1" > "$work/new" && mv "$work/new" "$work/path"
    "${@:2}" &
    command=$!
    within 60 grep -qxF "$1" "$work/saw"
}
# answered: xenstore answers again, and the command succeeds.
answered() {
    rm "$work/path"
    wait "$command" || fail "the command: exit code $?"
}

exec {log}< <(LD_PRELOAD=$preload exec vchan-backend -v 2>&1)
backend=$!
domain one "name=a, connection=echo"
domid=$(xl domid one)

part "vchan-backend: a list of domains, or of devices, that fails"
mkfifo "$work/in" "$work/out"
in_domain one vchan cat a < "$work/in" > "$work/out" &
guest=$!
exec {input}> "$work/in" {output}< "$work/out"
answers "before"
for path in backend/vchan "backend/vchan/$domid"; do
    silent "$path" xl-vchan attach one "name=b${path##*/}" connection=echo
    await "cannot list all devices in xenstore: Cannot allocate memory (retrying)" 30
    answers "with no answer for $path"
    answered
    run 0 xl-vchan detach one "b${path##*/}"
done
exec {input}>&-
wait "$guest" || fail "vchan cat: exit code $?"
exec {output}<&-

part "vchan-backend: a device whose state cannot be read"
silent "backend/vchan/$domid/7/state" xl-vchan attach --wait 60 one name=unread,devid=7,connection=echo
answered
run 0 xl-vchan wait --timeout 60 one unread InitWait
run 0 xl-vchan detach one unread

part "xl-vchan daemon: a device whose nodes cannot be read"
LD_PRELOAD=$preload xl-vchan daemon 2> "$work/daemon.log" &
daemon=$!
run 0 xl-vchan attach one name=first connection=echo
silent "/libxl/$domid/device/vchan/0/backend-id" guest probe # a new domain makes the daemon look
answered
run 0 xl destroy probe
[[ $(xl-vchan list one) == *" a "* ]] || fail "a has gone: $(xl-vchan list one)"
! grep -q '"a": removed' "$work/daemon.log" || fail "$(cat "$work/daemon.log")"
exits 1 wait "$daemon" # systemd would restart it
grep -q "cannot list the domains: Cannot allocate memory" "$work/daemon.log" || fail "$(cat "$work/daemon.log")"
run 0 xl-vchan detach one first

part "xl-vchan: what cannot be read is not taken for what is not there"
run 0 xl-vchan attach one name=apart "path=$work/apart" connection=socket
# blind PATH COMMAND…: xenstore does not answer xl-vchan for that path, and xl-vchan reports just
# that.
blind() {
    : > "$work/saw"
    echo "$1" > "$work/path"
    run 1 env LD_PRELOAD="$preload" xl-vchan "${@:2}"
    rm "$work/path"
    grep -qxF "$1" "$work/saw" || fail "${*:2}: it does not ask for $1"
    [[ $err == *": Cannot allocate memory" ]] || fail "${*:2}, blind for $1: $err"
}
domain two "name=c, backend=one, connection=app"
other=$(xl domid two)
devid=$(xenstore-list "/libxl/$domid/device/vchan" | tail -n 1)
T=/libxl/$domid/device/vchan/$devid B=/local/domain/0/backend/vchan/$domid/$devid
before=$(xenstore-ls -f /libxl | sort)
printf 'name = "one"\nmemory = 64\nkernel = "/none"\nvchan = [ "name=a, connection=echo", "name=apart, %s" ]\n' \
    "path=$work/apart, connection=socket" > "$work/both.cfg"
for node in backend-id name; do # of the same channel from its other side
    blind "/libxl/$other/device/vchan/0/$node" attach one "name=c, backend=two, connection=app"
done
blind "/local/domain/$domid" attach one "name=new, connection=echo"
blind "$T" attach one "name=new, connection=echo, devid=$devid"
for node in "$T" "$T/private/path"; do blind "$node" diff "$work/both.cfg"; done
blind "$T/name" detach one apart
blind "$B/state" detach one apart
blind "$B/state" wait --timeout 60 one apart gone
[ "$(xenstore-ls -f /libxl | sort)" = "$before" ] || fail "the channels are not as they were: $(xl-vchan list)"
state "$B" 2
run 0 xl-vchan detach two c
run 0 xl destroy two
run 0 xl-vchan detach one apart

part "xl-vchan: a domain that Xen does not answer for is not taken for one that has gone"
guest bare
: > "$work/saw"
echo "domain $domid" > "$work/path"
run 0 env LD_PRELOAD="$preload" xl-vchan list bare
rm "$work/path"
grep -qxF "domain $domid" "$work/saw" || fail "xl-vchan list does not ask for it"
run 0 xl destroy bare
domid=$(xl domid one)

part "vchan-frontend: the first list fails"
agent_config "name=a, connection=echo"
run 0 xl-vchan detach one a
run 0 xl-vchan attach one name=a connection=socket "path=$work/socket"
echo device/vchan > "$work/path"
LD_PRELOAD=$preload xensim exec one vchan-frontend -v -c "$work/frontend.conf" 2> "$work/agent.log" &
agent=$!
within 30 grep -q "cannot list the devices in xenstore: Cannot allocate memory (retrying)" "$work/agent.log"
rm "$work/path"
within 30 grep -q "a: Connected" "$work/agent.log"
kill "$agent"
wait "$agent" || fail "vchan-frontend: exit code $?"

run 0 xl-vchan detach one a
part "vchan-frontend: a watch that fails is tried again"
agent_config "name=late, connection=echo"
run 0 xl-vchan attach one name=late connection=socket "path=$work/late"
backend_stop
late=$(xenstore-list "/local/domain/$domid/device/vchan" | tail -n 1)
echo "watch /local/domain/0/backend/vchan/$domid/$late" > "$work/path"
LD_PRELOAD=$preload xensim exec one vchan-frontend -v -c "$work/frontend.conf" 2> "$work/agent.log" &
agent=$!
within 30 grep -q "cannot watch domain 0's nodes: Cannot allocate memory (polling every 5 s)" "$work/agent.log"
rm "$work/path"
backend_start -v # the guest learns of it only by a watch
within 60 grep -q "late: Connected" "$work/agent.log"

part "vchan-frontend: a channel whose name cannot be read"
device=/local/domain/$domid/device/vchan/$late
silent "device/vchan/$late/name" xenstore-write "$device/note" "look at it"
answered
asks "$work/late" echo
[ "$(grep -c "late: Connected" "$work/agent.log")" = 1 ] || fail "it went and came: $(cat "$work/agent.log")"
kill "$agent"
wait "$agent" || fail "vchan-frontend: exit code $?"

run 0 xl-vchan detach one late
run 0 xl destroy one
backend_stop
finish
