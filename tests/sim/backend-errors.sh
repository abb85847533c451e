#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: a channel that cannot be served gives the reason in the log and in B/error,
# disturbs nothing else, and is served once the cause is gone.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# refused NAME KEYS… -- WHY: the channel is not attached, for that reason.
refused() {
    local name=$1 keys=()
    shift
    while [ "$1" != -- ]; do
        keys+=("$1")
        shift
    done
    run 1 xl-vchan attach guest name="$name" "${keys[@]}"
    [[ $err == *": $2" ]] || fail "$name: $err"
}

works() {
    run 0 xensim exec guest vchan cat good <<< "still here"
    says "still here"
}

backend_start
domain guest "name=good, connection=echo"
domid=$(xl domid guest)

part "sockets"
echo precious > "$work/file"
refused file connection=socket path="$work/file" -- \
    "cannot listen on its path: a file that is not a socket is there (retrying)"
await "file: cannot listen on its path: a file that is not a socket is there (retrying) (socket $work/file)"
[ "$(cat "$work/file")" = precious ] || fail "the file was changed"
refused nowhere connection=socket path="$work/no/socket" -- \
    "cannot listen on its path: No such file or directory (retrying)"
listen "$work/busy,fork" /dev/null /dev/null
refused busy connection=socket path="$work/busy" -- \
    "cannot listen on its path: another program listens there (retrying)"
kill -9 "$listener"
wait "$listener"
[ -S "$work/busy" ] || fail "no stale socket to try with"
run 0 xl-vchan attach guest name=stale connection=socket path="$work/busy"
refused twice connection=socket path="$work/busy" -- \
    "cannot listen on its path: another program listens there (retrying)"
run 0 xl-vchan detach guest stale
run 0 xl-vchan attach guest name=again connection=socket path="$work/busy"
run 0 xl-vchan detach guest again

part "a connection that fails"
run 0 xl-vchan attach guest name=connect connection=connect path="$work/later"
run 3 xensim exec guest vchan cat connect
complains 'vchan: cannot open "connect": the backend refused: cannot connect to its path: No such file or directory'
await "connect: cannot connect to its path: No such file or directory (connect $work/later)"
await "connect: Closed"
[[ $line == *"connect: Closed" ]] || fail "the cause comes twice: $line"
run 3 xensim exec guest vchan cat connect
await "connect: Closed: cannot connect to its path: No such file or directory (connect $work/later)"
run 0 xensim exec guest vchan list
[[ $out == *"cannot connect to its path: No such file or directory"* && $out != *"$work"* ]] ||
    fail "list: $out"
listen "$work/later" /dev/null "$work/out"
run 0 xensim exec guest vchan cat connect <<< again
wait "$listener" || fail "socat: exit code $?"
[ "$(cat "$work/out")" = again ] || fail "got: $(cat "$work/out")"
run 0 xl-vchan attach guest name=wrong connection=connect path="$work/file"
run 3 xensim exec guest vchan cat wrong
await "wrong: cannot connect to its path: it is not a socket (connect $work/file)"
run 3 xl-vchan wait --timeout 0 guest wrong
complains 'xl-vchan: wait guest: channel "wrong": not Connected in time (it is Closed/Closed; backend: cannot connect to its path: it is not a socket): closed, until a program in guest opens it again'
run 0 xl-vchan detach guest wrong

part "commands"
run 0 xl-vchan attach guest name=fails connection=exec user=root "command=echo oops >&2; echo out; exit 3"
run 5 xensim exec guest vchan cat fails < /dev/null
says out
complains "vchan: the peer failed or died (see its error in vchan list)"
await "fails: command: oops"
await "fails: command exited with status 3 (exec user=root echo oops >&2; echo out; exit 3)"
await "fails: Closed"
run 0 xensim exec guest vchan list
[[ $out == *"command exited with status 3"* && $out != *"the frontend reported"* ]] || fail "list: $out"
# All output comes first, and an earlier failure is forgotten.
run 0 xl-vchan attach guest name=long connection=exec user=root \
    "command=head -c 5M /dev/zero; rm $work/once || kill -9 \$\$"
touch "$work/once"
for code in 0 5 5; do
    in_domain guest vchan cat long < /dev/null > "$work/out" 2> /dev/null
    got=$?
    [ "$got" = "$code" ] || fail "long: exit code $got instead of $code"
    same "$work/out" <(head -c 5M /dev/zero)
done
await "long: command was killed by signal 9 (exec"
run 0 xl-vchan attach guest name=none connection=exec user=root command=no-such-program
run 5 xensim exec guest vchan cat none < /dev/null
await "none: command exited with status 127 (exec"
# A command that closes its output and continues: the end is still passed on.
run 0 xl-vchan attach guest name=half connection=exec user=root "command=exec >&-; cat > $work/half"
mkfifo "$work/until"
in_domain guest vchan cat half < "$work/until" | wc -c > "$work/out" &
half=$!
exec {until}> "$work/until"
await "half: Closing"
echo late >&"$until"
exec {until}>&-
await "half: Closed"
wait "$half"
[ "$(cat "$work/half")" = late ] || fail "half: $(cat "$work/half")"
run 0 xl-vchan attach guest name=deaf connection=exec user=root "command=exec <&-; sleep 0.1; echo done"
run 0 xensim exec guest vchan cat deaf < <(head -c 4M /dev/zero)
says "done"

part "a command that does not read, and a guest that goes"
run 0 xl-vchan attach guest name=stuck ring=1M connection=exec user=root "command=exec sleep 60"
# All of it fits into the ring. When head ends, at most 64K each are in the fifo, in vchan and in
# the command's pipe; the rest is in the ring.
mkfifo "$work/fifo"
in_domain guest vchan cat stuck < "$work/fifo" 2> /dev/null &
exec {feed}> "$work/fifo"
head -c 500K /dev/zero >&"$feed"
in_domain guest sh -c 'kill -9 $(pidof vchan)'
await "stuck: the frontend's process died (exec user=root exec sleep 60)"
await "stuck: Closed: cannot deliver the frontend's last bytes: the connection did not take them in 10 s" 60
exec {feed}>&-
run 0 xl-vchan detach guest stuck

part "nodes that make no sense"
B=/local/domain/0/backend/vchan/$domid/90
xenstore-write "$B/state" 1 "$B/connection" echo "$B/online" 1
await "$domid/90: cannot serve: invalid name, frontend, frontend-id, read-ring, write-ring or streams node"
state "$B" 6
xenstore-rm "$B"
xenstore-write "/local/domain/0/backend/vchan/what/0/state" 1 \
    "/local/domain/0/backend/vchan/99999/0/state" 1 "$B/x" 1
xenstore-rm /local/domain/0/backend/vchan/what
xenstore-rm /local/domain/0/backend/vchan/99999
xenstore-rm "$B"
works

part "a frontend that writes nonsense"
F=/local/domain/$domid/device/vchan/0
for value in abc 9 4294967297 -1 3 4 5 7 8 2 3 1; do
    in_domain guest xenstore-write -- device/vchan/0/state "$value"
done
state "/local/domain/0/backend/vchan/$domid/0" 2
in_domain guest xenstore-write device/vchan/0/ring-ref "8; rm" device/vchan/0/event-channel x \
    device/vchan/0/state 3
await "good: $F/ring-ref: not a number (echo)"
state "/local/domain/0/backend/vchan/$domid/0" 6 # otherwise it would stay at 2
in_domain guest xenstore-write device/vchan/0/state 1
await "good: InitWait"
in_domain guest xenstore-write device/vchan/0/ring-ref 4000 device/vchan/0/event-channel 4000 \
    device/vchan/0/state 3
await "good: cannot map $F/ring-ref 4000 with event-channel 4000"
works

part "no descriptor for a client: it waits, and is served when there is one"
run 0 xl-vchan attach guest name=few connection=socket path="$work/few"
mkfifo "$work/open"
exec {open}<> "$work/open"
xensim exec guest vchan cat few < "$work/open" > "$work/heard" 2> /dev/null &
guest=$!
await "few: Connected" 30
for ((fd = 3; ; fd++)); do [ -e "/proc/$backend/fd/$fd" ] || break; done
prlimit --pid "$backend" --nofile="$fd:"
socat -u - "UNIX-CONNECT:$work/few" <<< "at last" &
client=$!
await "few: cannot accept a client: Too many open files (retrying)" 30
prlimit --pid "$backend" --nofile=1024:
wait "$client"
within 30 grep -qx "at last" "$work/heard"
exec {open}>&-
kill "$guest"
wait "$guest"
run 0 xl-vchan detach guest few

detach_all guest
run 0 xl destroy guest
backend_stop
vanishes "$work/busy"

part "a channel that is refused is tried again until it can be"
backend_start
guest late
mkdir "$work/dir"
run 0 xl-vchan attach late name=late connection=socket path="$work/dir/socket"
backend_stop
rm -rf "$work/dir"
backend_start
await "late: cannot listen on its path: No such file or directory (retrying)" 30
exec {open}<> "$work/open"
xensim exec late vchan cat late < "$work/open" > "$work/heard" &
guest=$!
state "/local/domain/$domid/device/vchan/0" 1
[[ $(xensim exec late vchan list) == *"cannot listen on its path: No such file or directory (retrying)"* ]] ||
    fail "vchan list: $(xensim exec late vchan list)"
mkdir "$work/dir"
await "late: InitWait" 30
await "late: Connected" 30
run 0 socat -u - "UNIX-CONNECT:$work/dir/socket" <<< "at last"
within 30 grep -qx "at last" "$work/heard"
exec {open}>&-
kill "$guest"
wait "$guest"
run 0 xl-vchan detach late late
run 0 xl destroy late
backend_stop
finish
