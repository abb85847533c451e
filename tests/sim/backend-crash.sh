#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend and the guest's program: when one is killed, the other notices and reports it, and a
# restart connects again. SIGTERM leaves nothing behind.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# hold NAME: vchan cat in the guest, its end in $guest, its input held open by $input, its output
# readable at $output; a line has gone there and back.
hold() {
    local answer
    rm -f "$work/in"
    mkfifo "$work/in"
    exec {output}< <(exec timeout 200 xensim exec guest vchan cat "$1" < "$work/in" 2> "$work/err")
    guest=$!
    exec {input}> "$work/in"
    echo "are you there" >&"$input"
    read -r -t 30 -u "$output" answer
    [ "$answer" = "are you there" ] || fail "$1: no answer but \"$answer\""
}
# ends CODE: it exits with that code.
ends() {
    local got
    wait "$guest"
    got=$?
    exec {input}>&- {output}<&-
    complaint_read
    [ "$got" = "$1" ] || fail "vchan cat: exit code $got instead of $1: $err"
}

backend_start
domain guest "name=echo, connection=echo" "name=exec, connection=exec, user=root, command=cat"
F=/local/domain/$(xl domid guest)/device/vchan/0
B=/local/domain/0/backend/vchan/$(xl domid guest)/0

# start_again: starts the next process, which must not inherit the end of the guest's input.
start_again() {
    exec {log}< <(exec {input}>&-; exec vchan-backend -v 2>&1)
    backend=$!
}

part "kill -9 of the backend: the guest's program waits, and goes on with the next one"
hold echo
for i in 1 2 3; do
    kill -9 "$backend"
    backend_end 137
    echo "nobody is there" >&"$input"
    [ "$(xenstore-read "$F/state" "$B/state" | tr '\n' ' ')" = "4 4 " ] || fail "the states changed"
    start_again
    await "echo: Reconfiguring"
    await "echo: Connected"
    read -r -t 30 -u "$output" line
    [ "$line" = "nobody is there" ] || fail "what was written meanwhile came back as \"$line\""
    answers "again $i"
done
kill -9 "$backend"
backend_end 137
exec {input}>&- # it half-closes, and waits for the backend's end
state "$F" 5
backend_start -v
ends 0
await "echo: Closed"

part "kill -9 of the backend, and then of the guest's program"
hold exec
kill -9 "$backend"
backend_end 137
in_domain guest sh -c 'kill -9 $(pidof vchan)'
wait "$guest"
exec {input}>&- {output}<&-
start_again
await "exec: cannot map"
state "$B" 6
hold exec
exec {input}>&-
ends 0

part "kill -9 of the backend, and its directory goes"
hold exec
kill -9 "$backend"
backend_end 137
xenstore-rm "/local/domain/0/backend/vchan/$(xl domid guest)/1"
ends 5
complains "vchan: the peer failed or died (see its error in vchan list)"
[[ $(xl-vchan list guest) == *"the backend's directory is gone"* ]] || fail "list: $(xl-vchan list guest)"
run 0 xl-vchan detach --force guest exec
backend_start -v
run 0 xl-vchan attach guest "name=exec, devid=1, connection=exec, user=root, command=cat"

part "kill -9 of the guest's program"
hold exec
in_domain guest sh -c 'kill -9 $(pidof vchan)'
await "exec: the frontend's process died (exec user=root cat)"
for word in Closing Closed; do
    await "exec: $word"
    [[ $line == *"exec: $word" ]] || fail "the cause comes twice: $line"
done
wait "$guest"
exec {input}>&- {output}<&-
[[ $(xl-vchan list guest) == *"the frontend's process died"* ]] || fail "list: $(xl-vchan list guest)"
[[ $(vchan list) == *"the frontend's process died"* ]] || fail "vchan list: $(vchan list)"
hold exec
await "exec: Connected"
exec {input}>&-
ends 0

part "a signal closes in order"
hold echo
in_domain guest sh -c 'kill -INT $(pidof vchan)'
await "echo: Closed (echo)"
ends 130
hold echo
backend_stop
ends 0
state "$B" 6
state "$F" 6

part "kill -9, and a next one that is told to stop before it has looked at all of its 40 channels: nobody waits"
entries=()
for i in {0..39}; do entries+=("name=c$i, ring=4K, connection=echo"); done
backend_start -v
mkfifo "$work/hold"
exec {hold}<> "$work/hold"
domain many "${entries[@]}"
dir=/local/domain/0/backend/vchan/$(xl domid many)
guests=()
for i in {0..39}; do
    in_domain many vchan cat c$i <&"$hold" > /dev/null 2> "$work/said$i" &
    guests+=($!)
done
for i in {0..39}; do state "$dir/$i" 4; done
kill -9 "$backend"
backend_end 137
exec {log}< <(exec perl -MPOSIX -e 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM)); kill "TERM", $$; exec @ARGV' \
    vchan-backend -v 2>&1)
backend=$!
await "stopping: delivering what is left in the rings" 30
backend_end 0
for i in {0..39}; do
    [ "$(xenstore-read "$dir/$i/state")" = 6 ] || fail "channel $i is at $(xenstore-read "$dir/$i/state"), not 6"
done
for guest in "${guests[@]}"; do
    wait "$guest" || fail "a guest's program: exit code $?: $(cat "$work"/said*)"
done
exec {hold}>&-
backend_start -q
detach_all many
run 0 xl destroy many
backend_stop

part "a domain that ends: its successor finds the path free"
backend_start -v
# brief_ends: the domain goes, and then what it left in xenstore, which the toolstack must remove.
brief_ends() {
    local dir
    dir=/local/domain/0/backend/vchan/$(xl domid brief)
    run 0 xl destroy brief
    await "listen: Closed"
    state "$dir/0" 6
    vanishes "$work/socket"
    [ "$(xenstore-read "$dir/0/name")" = listen ] || fail "the toolstack's nodes are gone"
    gone+=("$dir")
}
gone=()
domain brief "name=listen, connection=socket, path=$work/socket"
[ -S "$work/socket" ] || fail "no socket"
brief_ends
domain brief "name=listen, connection=socket, path=$work/socket"
in_domain brief vchan cat listen <<< "nobody is there to take it" 2> /dev/null &
await "listen: Connected"
brief_ends
wait $!
domain brief "name=listen, connection=socket, path=$work/socket"
run 0 xl-vchan detach brief listen
vanishes "$work/socket"
run 0 xl destroy brief
xenstore-rm "${gone[@]}"

part "a frontend that comes back is taken up again"
F=/local/domain/$(xl domid guest)/device/vchan/0
xenstore-rm "$F/state"
await "echo: frontend Unknown"
state "$B" 6
xenstore-write "$F/state" 1
await "echo: InitWait"
backend_stop

part "one service in a domain"
backend_start
run 0 xl-vchan attach guest name=more connection=echo
run 1 vchan-backend
complains "vchan-backend: cannot lock /run/pvchan: another vchan-backend runs in this domain"
for word in --loud -zv --verbose=1; do
    run 2 vchan-backend -q "$word"
    [[ $err == 'vchan-backend: "-'*'": unknown option, or it takes no value (see vchan-backend --help)' ]] ||
        fail "complained: $err"
done
[[ $err == *'"-v"'* ]] || fail "complained: $err"
run 2 vchan-backend more
complains 'vchan-backend: "more": unexpected argument (see vchan-backend --help)'

part "the next service, while the last command of the one before has not ended: neither disturbs the other"
run 0 xl-vchan attach guest "name=slow, connection=exec, user=root, command=trap '' TERM; echo up; until [ -e $work/go ]; do sleep 0.05; done"
mkfifo "$work/open"
exec {open}<> "$work/open"
in_domain guest vchan cat slow < "$work/open" > "$work/slow" 2>&1 &
guest=$!
within 30 grep up "$work/slow"
first=$backend first_log=$log
kill "$first"
vanishes /run/pvchan/vchan-backend # it is done, except for the command
freeze "$first"
kill -0 "$first" || fail "the first did not wait for its command"
backend_start -v
backend_ready
touch "$work/go"
kill -CONT "$first"
wait "$first" || fail "the first: exit code $?"
exec {first_log}<&- {open}>&-
wait "$guest"
xenstore-exists /local/domain/0/data/vchan-backend || fail "the first has removed the second's statistics"
run 1 vchan-backend
complains "vchan-backend: cannot lock /run/pvchan: another vchan-backend runs in this domain"
hold echo
exec {input}>&-
ends 0

part "nothing is left"
detach_all guest
backend_stop
left=$(find /run/pvchan -maxdepth 1 -type f ! -name devices)
[ -z "$left" ] || fail "left: $left"
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"
run 0 xl destroy guest
finish
