#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Channels with streams=: many clients at once through one channel, either way, over vchan-backend
# and vchan-frontend. What is refused, and what ends how; a worker and a service that are killed.
set -u
limit=600
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# client PATH NUMBER: sends file NUMBER, half-closes, and keeps what comes back in got NUMBER. PATH
# is a socket's, or TCP:HOST:PORT.
client() {
    local address=UNIX-CONNECT:$1
    [[ $1 != TCP:* ]] || address=$1
    socat -t 120 -T 120 - "$address" < "$work/file$2" > "$work/got$2"
}
# clients PATH COUNT: that many at once, and each gets back what is its own.
clients() {
    local i pids=()
    rm -f "$work"/got*
    for ((i = 1; i <= $2; i++)); do
        client "$1" "$i" &
        pids+=($!)
    done
    wait "${pids[@]}"
    for ((i = 1; i <= $2; i++)); do same "$work/file$i" "$work/got$i"; done
}
# serve PATH: a program ($server) that sends each of its clients back what it sends.
serve() {
    socat -t 120 "UNIX-LISTEN:$1,fork,backlog=64" EXEC:cat &
    server=$!
    within 30 test -S "$1"
}
# comes TEXT: the answer of the client of begin_client() to TEXT.
comes() {
    local answer=
    echo "$1" >&"$to"
    read -r -t 60 -u "$from" answer
    [ "$answer" = "$1" ] || fail "no answer to $1 but \"$answer\""
}
# begin_client PATH: a client ($held) that stays; see comes. end_client: it leaves.
begin_client() {
    mkfifo "$work/to" "$work/from"
    socat - "UNIX-CONNECT:$1" < "$work/to" > "$work/from" &
    held=$!
    exec {to}> "$work/to" {from}< "$work/from"
    rm "$work/to" "$work/from"
}
end_client() {
    kill "$held" 2> /dev/null
    client_is_gone
}
client_is_gone() {
    wait "$held"
    exec {to}>&- {from}<&-
}

for i in {1..32}; do head -c $((1048576 - i)) /dev/urandom > "$work/file$i"; done

part "what cannot be declared"
guest plain
for entry in "name=x, connection=echo, streams=1" "name=x, connection=echo, streams=4097" \
    "name=x, connection=echo, streams=some"; do
    run 1 xl-vchan attach plain "$entry"
    [[ $err == *'key "streams": "'*'" is not a number from 2 to 4096' ]] || fail "$entry: $err"
done
run 1 xl-vchan attach plain "name=x, connection=pty, streams=4"
[[ $err == *'key "streams": not valid with connection=pty (only with echo, socket, connect, tcp, tcp-listen, exec)' ]] || fail "pty: $err"
run 1 xl-vchan attach plain "name=x, connection=socket, path=/run/x, reconnect=1, streams=4"
[[ $err == *'key "reconnect": not valid with streams'* ]] || fail "reconnect: $err"
run 0 xl destroy plain

part "three clients one after the other, and 32 at once, through one channel"
manager_start 0 1000
domain guest "name=echo, connection=echo, streams=32" \
    "name=out, connection=connect, path=$work/server, streams=16" \
    "name=in, connection=socket, path=$work/in, streams=16" \
    "name=two, connection=echo, streams=2" "name=app, connection=echo, streams=8" \
    "name=end, connection=echo, streams=8"
agent_config "name=echo, connection=socket, path=$work/echo" \
    "name=out, connection=socket, path=$work/out" \
    "name=in, connection=connect, path=$work/inner" \
    "name=two, connection=socket, path=$work/two" \
    "name=end, connection=pty, path=$work/tty" "name=web, connection=connect, path=$work/inner" \
    "name=run, connection=socket, path=$work/run"
agent_start guest
hears "in: Connected"
within 30 test -S "$work/two"
for i in 1 2 3; do
    client "$work/echo" "$i"
    same "$work/file$i" "$work/got$i"
done
clients "$work/echo" 32

part "clients in the guest, a server in domain 0"
serve "$work/server"
clients "$work/out" 16
kill "$server"
wait "$server"

part "nobody serves: the client is closed at once, and both logs say why"
rm -f "$work/server"
run 0 timeout 60 socat -t 30 -u "UNIX-CONNECT:$work/out" -
says ""
hears "out: a stream ended with an error: nobody serves the other end"
logged "out: refused a stream: cannot connect to its path: "

part "both ends are sockets: the other worker refuses at once"
run 0 xl-vchan attach guest "name=run, connection=socket, path=$work/other, streams=4"
hears "run: Connected"
for i in 1 2 3 4 5 6; do
    run 0 timeout 60 socat -t 30 -u "UNIX-CONNECT:$work/run" -
    says ""
done
hears "run: a stream ended with an error: nobody serves the other end"
run 0 xl-vchan detach guest run

part "clients in domain 0, a server in the guest"
serve "$work/inner"
clients "$work/in" 16

part "clients of domain 0 over TCP, a server in the guest"
port=$((20000 + RANDOM % 10000)) # another simulated host may choose one now
while (: <> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do port=$((port + 1)); done
run 1 xl-vchan attach guest "name=web, connection=tcp-listen, address=localhost:$port, streams=8"
[[ $err == *"address= is not an IP address and a port (such as 127.0.0.1:8080 or [::]:8080)"* ]] || fail "attach: $err"
detach_name() { xl-vchan detach --force guest web 2> /dev/null || true; }
detach_name
run 0 xl-vchan attach guest "name=web, connection=tcp-listen, address=127.0.0.1:$port, streams=8"
hears "web: Connected"
clients "TCP:127.0.0.1:$port" 16
kill "$server"
wait "$server"

part "one client more than streams waits for its turn"
begin_client "$work/two"
comes first
exec {first_to}>&"$to" {first_from}<&"$from" {to}>&- {from}<&-
first=$held
begin_client "$work/two"
comes second
client "$work/two" 5 &
third=$!
comes "second again"
kill "$first"
wait "$first" "$third"
exec {first_to}>&- {first_from}<&-
same "$work/file5" "$work/got5"
end_client

part "a client that does not read holds up no other"
mkfifo "$work/stuck"
socat -u -t 60 "$work/file1,ignoreeof" "UNIX-CONNECT:$work/echo" &
writer=$!
exec {stuck}<> "$work/stuck"
socat -t 60 - "UNIX-CONNECT:$work/echo" < "$work/file2" > "$work/stuck" &
reader=$!
clients "$work/echo" 8
kill "$writer" "$reader"
wait "$writer" "$reader"
exec {stuck}>&-

part "what cannot carry streams says so"
run 3 xensim exec guest vchan cat app < /dev/null
complains 'vchan: cannot open "app": it is declared with streams, which one side cannot carry (see vchan list)'
run 0 xl-vchan list guest
[[ $out == *"end "*" the channel is declared with streams, which this side cannot carry"* ]] || fail "list: $out"

part "the service starts over: streams go on"
begin_client "$work/echo"
comes before
kill -HUP "$manager"
logged "reloading: continuing as a new process"
logged "0 echo: Connected" 2
comes "after SIGHUP"
kill -USR1 "$manager"
comes "after kill -9"
clients "$work/echo" 4
comes "and others too"
logged "0 echo: Connected" 3

part "a worker is killed: its streams end, and the next ones work"
# A worker's user is 0x70000000 and its peer's domid, so these are vchan-backend's.
pkill -9 -x vchan-worker -u $((0x70000000 + $(xl domid guest)))
logged "vchan-worker died; starting another"
client_is_gone
clients "$work/echo" 32

part "a command for each stream"
run 0 xl-vchan attach guest "name=run, connection=exec, user=nobody, streams=4," \
    "command=while read -r x; do echo \$x; echo said \$x >&2; done; exit 7"
hears "run: Connected"
begin_client "$work/run"
comes one
exec {first_to}>&"$to" {first_from}<&"$from" {to}>&- {from}<&-
first=$held
begin_client "$work/run"
comes two
pgrep -u nobody -xc sh > "$work/count"
same "$work/count" <(echo 2)
end_client
logged "run: command of a stream exited with status 7"
exec {to}>&"$first_to" {from}<&"$first_from" {first_to}>&- {first_from}<&-
held=$first
kill -USR1 "$manager"
logged "run: Connected" 2
comes "after kill -9"
logged "run: command: said after kill -9"
kill -HUP "$manager"
logged "run: Connected" 3
comes "after SIGHUP"
end_client
logged "run: command of a stream ended; exit status unknown"
run 0 xl-vchan detach guest run

part "commands that go on when their streams have ended: no more than streams"
run 0 xl-vchan attach guest "name=run, connection=exec, user=nobody, streams=2," \
    "command=exec sleep 1000 < /dev/null > /dev/null"
hears "run: Connected"
commands() { [ "$(pgrep -u nobody -xc sleep)" = "$1" ]; }
for i in 1 2 2; do
    run 0 timeout 60 socat -t 30 -u "UNIX-CONNECT:$work/run" -
    says ""
    within 30 commands $i
done
logged "run: refused a stream: cannot run its command: too many of this guest's earlier commands are still running"
hears "run: a stream ended with an error: too many streams"
run 0 xl-vchan detach guest run
within 60 commands 0

part "statistics"
S=/local/domain/0/data/vchan-backend/$(xl domid guest)/0
shows_none() { [[ $(xenstore-read "$S") == *" streams=0 opened="*" stored=0 "* ]]; }
within 30 shows_none
begin_client "$work/echo"
comes "for statistics"
shows_one() {
    [[ $(xl-vchan show guest echo) == *"streams         1 open, "*" opened so far, "*" refused, "*" reset"* ]] &&
        [[ $(xl-vchan list --long guest) == *" echo "*" 1 stream"* ]] &&
        [[ $(xl-vchan list --json guest) == *'"streams":1'* ]]
}
within 30 shows_one
end_client

part "detached with streams open"
begin_client "$work/echo"
comes "still here"
run 0 xl-vchan detach guest echo
client_is_gone
vanishes "$work/echo"
run 0 xl-vchan attach guest "name=echo, connection=echo, streams=4"
within 30 test -S "$work/echo"
clients "$work/echo" 8

part "nothing is left"
begin_client "$work/echo"
comes "until the end"
agent_stop
client_is_gone
detach_all guest
manager_end
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"
run 0 xl destroy guest
finish
