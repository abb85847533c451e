#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend as a service: what it reports to systemd and its journal, and how it stops.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# guest_start NAME: vchan cat in the guest ($guest), its input $in, its output in $work/back.
guest_start() {
    rm -f "$work/in"
    mkfifo "$work/in"
    in_domain guest vchan cat "$1" < "$work/in" > "$work/back" 2> "$work/said" &
    guest=$!
    exec {in}> "$work/in"
}

# received DEVID BYTES: that many came from the guest, by the statistics, which are late enough that
# the rest is in the ring by then.
received() {
    local deadline=$((SECONDS + 30)) node
    node=/local/domain/0/data/vchan-backend/$(xl domid guest)/$1
    until [[ $(xenstore-read "$node" 2> /dev/null) == "received=$2 "*" since="[1-9]* ]]; do
        [ $SECONDS -lt $deadline ] || { fail "not received=$2: $(xenstore-read "$node")"; return; }
        pause
    done
}

datagrams "$work/notify" "$work/notified"
manager=$receiver

part "STATUS and WATCHDOG"
NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=200000 backend_start -v
told "$work/notified" READY=1
told "$work/notified" "STATUS=0 channels, 0 connected"
told "$work/notified" WATCHDOG=1
domain guest "name=echo, connection=echo" "name=socket, ring=64K, connection=socket, path=$work/socket" \
    "name=exec, connection=exec, user=root, ring=64K, command=read -r x < $work/go; cat > $work/out" \
    "name=nobody, connection=connect, reconnect=1, path=$work/nobody" \
    "name=env, connection=exec, user=root, command=env"
told "$work/notified" "STATUS=5 channels, 0 connected"

part "STATUS: who waits for a server is not connected; commands do not hear of the manager"
in_domain guest vchan cat nobody < /dev/null &
waiting=$!
await "nobody: cannot connect to its path: No such file or directory (retrying)" 30
in_domain guest vchan cat env < /dev/null > "$work/env"
grep -E "^(NOTIFY|WATCHDOG|FDSTORE|LISTEN|PVCHAN_KEPT)" "$work/env" && fail "a command has this"
guest_start echo
told "$work/notified" "STATUS=5 channels, [1-9] connected"
grep -qa "STATUS=5 channels, 1 connected" "$work/notified" || fail "not 1 connected: $(cat "$work/notified")"

part "SIGTERM: at once if there is nothing to be delivered"
backend_stop
told "$work/notified" STOPPING=1
wait "$guest" || fail "vchan cat: exit code $?: $(cat "$work/said")"
exec {in}>&-
state "/local/domain/0/backend/vchan/$(xl domid guest)/0" 6
wait "$waiting" && fail "vchan cat without a server: exit code 0"

part "started without standard descriptors"
(exec vchan-backend --foreground <&- >&- 2>&-) &
backend=$!
guest_start echo
state "/local/domain/0/backend/vchan/$(xl domid guest)/0" 4
for i in 0 1 2; do
    file=$(readlink "/proc/$backend/fd/$i")
    [ "$file" = /dev/null ] || fail "descriptor $i is $file"
done
exec {in}>&-
wait "$guest"
kill "$backend"
wait "$backend" || fail "vchan-backend: exit code $?"

part "SIGTERM: what is in the ring is delivered first"
mkfifo "$work/go"
# As much as the ring and the command's pipe hold; the command does not read before it is told to.
head -c 131072 /dev/urandom > "$work/data"
backend_start -v
guest_start exec
await "exec: Connected" 30
cat "$work/data" >&"$in"
received 2 65536
kill "$backend"
await "stopping: delivering what is left in the rings" 30
echo > "$work/go"
backend_end 0
exec {in}>&-
wait "$guest"
same "$work/data" "$work/out"

part "SIGTERM twice: at once"
backend_start -v
guest_start socket
await "socket: Connected" 30
echo "nobody will take this" >&"$in"
received 1 0
kill "$backend"
await "stopping: delivering what is left in the rings" 30
backend_stop
exec {in}>&-
wait "$guest"

part "SIGHUP does not undo SIGTERM, whichever comes first"
# stops: the process exits instead of reloading.
stops() {
    rest=$(timeout 30 cat <&"$log")
    [[ $rest != *"reloading: continuing as a new process"* ]] || fail "SIGTERM was forgotten: $rest"
    kill -KILL "$backend" 2> /dev/null
    backend_end 0
}
backend_start -v
guest_start socket
await "socket: Connected" 30
freeze "$backend" # so that it finds both
kill -HUP "$backend"
kill -TERM "$backend"
kill -CONT "$backend"
stops
exec {in}>&-
wait "$guest"
backend_start -v
guest_start socket
await "socket: Connected" 30
echo "nor will this be taken" >&"$in"
received 1 0
kill "$backend"
await "stopping: delivering what is left in the rings" 30
kill -HUP "$backend"
stops
exec {in}>&-
wait "$guest"

part "SIGTERM: in the end without delivery"
backend_start -v
guest_start socket
await "socket: Connected" 30
echo "nor this" >&"$in"
received 1 0
kill "$backend"
await "timed out after 10 s: undelivered bytes are lost" 40
backend_end 0
exec {in}>&-
wait "$guest"

part "-vv: what each side decides"
backend_start -vv
guest_start echo
await "echo: InitWait, frontend Initialised: map, then InitWait" 30
await "echo: InitWait, frontend Initialised: move, then Connected" 30
exec {in}>&-
await ": release, then Closed" 30
wait "$guest"
backend_stop
domain plugged "name=local"
plugged=$(xl domid plugged)
agent_config "name=local, connection=echo"
agent_start plugged -vv
vchan cat --timeout 30 "$plugged/local" <<< hi > "$work/back" || fail "vchan cat: exit code $?"
hears ": grant, then Initialised"
hears "local: Initialised, backend Connected: move, then Connected"
agent_stop
run 0 xl-vchan detach --force plugged local
run 0 xl destroy plugged

part "the journal"
mkdir -p /run/systemd/journal
datagrams /run/systemd/journal/socket "$work/journal"
journal=$receiver
: > "$work/stderr"
exec {stderr}>> "$work/stderr"
JOURNAL_STREAM=$(stat -Lc %d:%i "/proc/$$/fd/$stderr") vchan-backend 2>&"$stderr" &
backend=$!
guest_start echo
told "$work/journal" "MESSAGE=$(xl domid guest)/0 echo: Connected (echo)"
for text in PRIORITY=6 SYSLOG_IDENTIFIER=vchan-backend "VCHAN_DEVICE=$(xl domid guest)/0" \
    "VCHAN_DOMAIN=$(xl domid guest)" VCHAN_NAME=echo VCHAN_STATE=Connected; do
    told "$work/journal" "^$text$"
done
[ ! -s "$work/stderr" ] || fail "on standard error too: $(cat "$work/stderr")"
exec {in}>&-
wait "$guest"
kill "$backend"
wait "$backend" || fail "vchan-backend: exit code $?"

kill "$manager" "$journal"
wait "$manager" "$journal" 2> /dev/null
rm -rf /run/systemd/journal
detach_all guest --force
run 0 xl destroy guest
finish
