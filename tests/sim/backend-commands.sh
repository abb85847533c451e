#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# connection=exec: a command whose vchan-backend is killed or reloads continues, ends when it
# should, and is reaped if it is still a child; if the service manager has no room, the whole
# command is ended.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# hold NAME: vchan cat in the guest ($guest), its input at $input, its output at $output; the
# command has answered.
hold() {
    rm -f "$work/in"
    mkfifo "$work/in"
    exec {output}< <(exec timeout 120 xensim exec guest vchan cat "$1" < "$work/in" 2> "$work/cat.err")
    guest=$!
    exec {input}> "$work/in"
    answers "are you there"
}
# ends CODE: its input ends, and it exits with that code.
ends() {
    local got
    exec {input}>&-
    wait "$guest"
    got=$?
    exec {output}<&-
    [ "$got" = "$1" ] || fail "vchan cat: exit code $got instead of $1: $(cat "$work/cat.err")"
}
# gone FILE: the process whose id is in the file is gone within 30 seconds.
gone() {
    local deadline=$((SECONDS + 30)) pid
    pid=$(cat "$1")
    while kill -0 "$pid" 2> /dev/null; do
        [ $SECONDS -lt $deadline ] || { fail "still there: $(ps -o pid,stat,args -p "$pid")"; return; }
        pause
    done
}
service() { pgrep -P "$manager"; }
# kill_service: kills it; the next one is Connected.
kill_service() {
    local count
    count=$(grep -c "$1: Connected" "$work/backend.log")
    kill -USR1 "$manager"
    logged "$1: Connected" $((count + 1))
}
# hold_three: opens go1 to go3 at once. go_on_three: each continues after a kill.
hold_three() {
    inputs=() outputs=() guests=()
    for i in 1 2 3; do
        hold go$i
        inputs+=("$input") outputs+=("$output") guests+=("$guest")
    done
}
go_on_three() {
    for i in 2 1 0; do # a later one also has the earlier ones' inputs open
        input=${inputs[i]} output=${outputs[i]} guest=${guests[i]}
        answers "gone on with"
        ends 0
    done
    ! grep -E "waiting: |connection lost|command started" "$work/backend.log" || fail "one was not gone on with"
}
# Half a line of its errors comes before each kill.
echo 'while read -r line; do echo "heard $line" >&2; printf "then " >&2; echo "$line"; done' > "$work/answer"

part "a kill: it goes on, and its errors are logged; nobody learns how it ended"
manager_start 0 0
domain guest "name=answer, connection=exec, user=root, reconnect=0, command=sh $work/answer; exit 3" \
    "name=deaf, connection=exec, user=root, command=echo \$\$ > $work/deaf; echo up; exec sleep 1000" \
    "name=stubborn, connection=exec, user=root, command=trap '' TERM; echo \$\$ > $work/stubborn; cat; sleep 1000" \
    "name=loud, connection=exec, user=root, reconnect=0, command=seq 50000 >&2; cat; echo last >&2"
hold answer
for i in 1 2 3; do
    kill_service answer
    answers "after kill $i"
    logged "answer: command: then heard after kill $i"
done
ends 0
logged "answer: command ended; exit status unknown (started by a previous process)"
[ "$(grep -c "answer: command started" "$work/backend.log")" = 1 ] || fail "another command was started"

part "SIGHUP: the same, but it is ours"
hold answer
kill -HUP "$manager"
answers "after SIGHUP"
ends 5
logged "answer: command exited with status 3 (exec"
[ -z "$(ps -o args= --ppid "$(service)")" ] || fail "left: $(ps -o pid,stat,args --ppid "$(service)")"

part "its channel goes while nobody is there"
mkfifo "$work/open"
exec {open}<> "$work/open" # a fifo that never ends
in_domain guest vchan cat deaf < "$work/open" > /dev/null 2>&1 &
logged "deaf: Connected"
appears "$work/deaf"
freeze "$(service)"
run 0 xl-vchan detach --force guest deaf
kill -USR1 "$manager"
gone "$work/deaf"
wait $!

part "SIGHUP while one is being ended that does not listen"
hold stubborn
in_domain guest sh -c 'kill -9 $(pidof vchan)'
ends 137
logged "stubborn: Closed"
kill -HUP "$manager"
gone "$work/stubborn"
[ -z "$(ps -o args= --ppid "$(service)")" ] || fail "left: $(ps -o pid,stat,args --ppid "$(service)")"

part "what it says on its standard error is in its guest's quota of lines"
hold loud
lines=$(grep -c "loud: command: " "$work/backend.log")
[ "$lines" -lt 20000 ] || fail "$lines lines were logged"
ends 0
for i in {1..100}; do # room for another line comes every 0.2 seconds
    run 5 xensim exec guest vchan cat answer <<< more
    grep -q "lines about this guest were not logged" "$work/backend.log" && break
done
[ "$i" -lt 100 ] || fail "nobody says that lines were not logged"
manager_end

part "no room for all that belongs to a connection: nothing of it is kept"
export FDSTORE=6 # it needs seven, beside those of the worker and the ring holder
: > "$work/backend.log"
manager_start 0 0
hold answer
kill_service answer
logged "answer: connection lost with the previous process; opening a new one"
answers "the new one"
! grep "no room" "$work/backend.log" || fail "the store is full"
ends 5
manager_end

part "the next process has a budget for fewer connections than there are: all go on, none being a new one"
unset FDSTORE
mkdir "$work/bin"
: > "$work/options"
printf '#!/bin/sh\nexec %s "$@" $(cat %s)\n' "$PWD/vchan-backend" "$work/options" > "$work/bin/vchan-backend"
chmod +x "$work/bin/vchan-backend"
PATH=$work/bin:$PATH manager_start 0 0
for i in 1 2 3; do
    run 0 xl-vchan attach guest "name=go$i, connection=exec, user=root, reconnect=0, command=cat"
done
hold_three
echo --max-connects=1 > "$work/options"
: > "$work/backend.log"
kill_service go3
go_on_three
manager_end

part "the service manager does not read while commands start: in the end it has all of them"
manager_start 0 0
within 30 service
freeze "$manager"
hold_three
kill -CONT "$manager"
# of three commands and their workers
within 60 eval '[ "$(ls -l "/proc/$manager/fd" | grep -c pidfd)" = 6 ]'
: > "$work/backend.log"
kill_service go3
go_on_three
manager_end
for i in 1 2 3; do run 0 xl-vchan detach guest go$i; done

part "reconnect=1: a command that cannot be started again is tried until it can"
: > "$work/backend.log"
manager_start 0 0
run 0 xl-vchan attach guest "name=again, connection=exec, user=root, reconnect=1, command=head -n 1"
hold again
logged "again: command started" 2
usual=$(prlimit --pid "$(service)" --nofile --noheadings --raw --output SOFT)
prlimit --pid "$(service)" --nofile=8: # fewer than it already has
answers "the last for now"
logged "again: cannot run its command: Too many open files (retrying)" 2
prlimit --pid "$(service)" --nofile="$usual":
answers "one more"
ends 0
run 0 xl-vchan detach guest again
manager_end

part "nothing is left"
detach_all guest
run 0 xl destroy guest
xenstore-rm data 2> /dev/null
finish
