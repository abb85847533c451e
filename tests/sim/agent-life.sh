#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-frontend: channels that come and go, a changing configuration, ends and losses on either
# side, its own death, another life of the domain. It starts over, and leaves nothing behind.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# opens PATH: starts a client ($client) that gets back what it sends (see echoes), until it leaves.
opens() {
    mkfifo "$work/to" "$work/from"
    socat - "UNIX-CONNECT:$1" < "$work/to" > "$work/from" &
    client=$!
    exec {input}> "$work/to" {output}< "$work/from"
    rm "$work/to" "$work/from"
    echoes opened
}
echoes() {
    local text=
    echo "$1" >&"$input"
    read -r -t 60 text <&"$output"
    [ "$text" = "$1" ] || fail "answered: $text"
}
leaves() {
    kill "$client" 2> /dev/null
    gone
}
gone() {
    wait "$client"
    exec {input}>&- {output}<&-
}
talks() {
    local client input output
    opens "$1"
    leaves
}

backend_start
domain guest "name=one, connection=echo" "name=two, connection=echo" "name=three, connection=echo"

part "what is no configuration"
run 3 vchan-frontend --foreground -c "$work/none.conf"
complains "vchan-frontend: $work/none.conf: No such file or directory"
agent_config "name=one, connection=echo" "name=one, connection=app"
run 3 vchan-frontend --check -c "$work/frontend.conf"
complains "vchan-frontend: $work/frontend.conf:1: vchan entry 2: key \"name\": \"one\" is the name of an earlier entry"
agent_config "name=one, connection=socket, path=$work/one"
run 0 vchan-frontend --check -c "$work/frontend.conf"
says "$work/frontend.conf: 1 channel"
run 0 vchan-frontend -t -c "${srcdir:?}/examples/frontend.conf"
says "$srcdir/examples/frontend.conf: 3 channels"
for word in --loud -zv --verbose=1; do
    run 2 vchan-frontend -q "$word"
    [[ $err == 'vchan-frontend: "-'*'": unknown option, or it takes no value (see vchan-frontend --help)' ]] ||
        fail "complained: $err"
done
run 2 vchan-frontend --command-tasks-max=0
complains 'vchan-frontend: --command-tasks-max: "0" is not a positive number (see vchan-frontend --help)'
run 2 vchan-frontend more
complains 'vchan-frontend: "more": unexpected argument (see vchan-frontend --help)'
run 2 vchan-frontend -c
complains 'vchan-frontend: "-c": needs a value (see vchan-frontend --help)'

part "what it tells systemd"
datagrams "$work/notify" "$work/notified"
cd "$work" || exit 1 # the file's path is relative, and must still be right at SIGHUP
NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=200000 agent_start guest -c frontend.conf
cd "$OLDPWD" || exit 1
hears "0 one: Connected"
run 0 xensim exec guest sh -c 'readlink "/proc/$(pidof vchan-frontend)/cwd"'
says /
told "$work/notified" READY=1
told "$work/notified" WATCHDOG=1
told "$work/notified" "STATUS=1 channel, 1 connected"
kill "$receiver"
wait "$receiver"

part "one in a domain"
talks "$work/one"
out=$(in_domain guest vchan-frontend -c "$work/frontend.conf" 2>&1)
[ $? = 1 ] || fail "a second one ended otherwise"
says "vchan-frontend: cannot lock /run/pvchan: another vchan-frontend runs in this domain"

part "channels that come later, and go"
agent_config "name=one, connection=socket, path=$work/one" \
    "name=late, connection=socket, path=$work/late"
kill -HUP "$agent"
hears "reread $work/frontend.conf"
opens "$work/one"
run 0 xl-vchan attach guest "name=late,connection=echo"
hears "late: Connected"
talks "$work/late"
run 0 xl-vchan detach guest late
vanishes "$work/late"
run 0 xl-vchan attach guest "name=late,connection=echo"
hears "late: Connected"
talks "$work/late"

part "a channel that is removed before its bytes are delivered"
run 0 xl-vchan detach guest late
vanishes "$work/late"
run 0 xl-vchan attach guest \
    "name=late, connection=exec, user=root, command=head -c 1000000 /dev/zero"
hears "late: Connected"
exec {late}< <(exec socat -u "UNIX-CONNECT:$work/late" -)
reader=$!
head -c 100 <&"$late" > /dev/null
run 0 xl-vchan detach --force guest late
hears "late: "
cat <&"$late" > /dev/null
exec {late}<&-
wait "$reader"
vanishes "$work/late"
run 0 xl-vchan attach guest "name=late,connection=echo"
hears "late: Connected"
talks "$work/late"

part "SIGHUP: what changed is plugged anew, the rest is not touched"
agent_config "name=one, connection=socket, path=$work/one" \
    "name=late, connection=socket, path=$work/two" \
    "name=two, connection=socket, path=$work/late"
kill -HUP "$agent"
hears "two: Connected (socket $work/late)"
talks "$work/late"
talks "$work/two"
echo 'vchan = [ "name=two" ' > "$work/frontend.conf"
kill -HUP "$agent"
hears 'key "connection": missing'
[[ $line == *"(keeping the old configuration)" ]] || fail "said: $line"
talks "$work/late"
agent_config "name=one, connection=socket, path=$work/one"
kill -HUP "$agent"
hears "reread $work/frontend.conf"
vanishes "$work/late"
vanishes "$work/two"
out=$(in_domain guest vchan cat two <<< free) || fail "vchan cat: exit code $?"
says free
echoes "still there"
leaves

part "what cannot be plugged in is tried again"
touch "$work/file"
agent_config "name=one, connection=socket, path=$work/file"
kill -HUP "$agent"
hears "one: cannot listen on its path: a file that is not a socket is there (retrying) (socket $work/file)"
[[ $(vchan list) == *"cannot listen on its path"* ]] || fail "vchan list: $(vchan list)"
agent_config "name=one, connection=socket, path=$work/file" \
    "name=two, connection=connect, path=$work/server"
kill -HUP "$agent"
hears "two: Initialised: cannot connect to its path: No such file or directory"
rm "$work/file"
hears "one: Connected"
listen "$work/server" /dev/null /dev/null
hears "two: Connected"
wait "$listener"
hears "two: Closed"
echo 'vchan = []' > "$work/frontend.conf"
kill -HUP "$agent"
hears "reread $work/frontend.conf"

part "a program that has the channel first"
mkfifo "$work/say"
in_domain guest vchan cat three < "$work/say" > "$work/said" &
cat=$!
exec {say}> "$work/say"
echo hello >&"$say"
appears "$work/said"
agent_config "name=three, connection=socket, path=$work/three"
state /local/domain/0/backend/vchan/"$(xl domid guest)"/2 4
kill -HUP "$agent"
hears "three: cannot serve: another process serves it"
exec {say}>&-
wait "$cat" || fail "vchan cat: exit code $?"
hears "three: Connected"
talks "$work/three"

part "kill -9 of the backend"
opens "$work/three"
kill -9 "$backend"
backend_end 137
backend_start
await "three: Connected" 30
leaves
talks "$work/three"

part "kill -9 of the agent"
opens "$work/three"
in_domain guest pkill -KILL -x vchan-frontend
agent_end 137
gone
agent_start guest
hears "three: Connected"
talks "$work/three"

part "another life of the domain"
opens "$work/three"
in_domain guest xenstore-rm data/vchan-frontend
hears "the domain was restored or migrated: starting over"
gone
hears "three: Connected"
talks "$work/three"
in_domain guest pgrep -x vchan-stale > "$work/out" || fail "nobody keeps what is stale"
[ "$(wc -l < "$work/out")" = 1 ] || fail "vchan-stale: $(cat "$work/out")"

part "nothing is left"
detach_all guest
vanishes "$work/three"
agent_stop
out=$(in_domain guest sh -c 'ls -I devices /run/pvchan; xenstore-ls data') || fail "ls: exit code $?"
says ""
in_domain guest pkill -KILL -x vchan-stale
backend_stop
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"
run 0 xl destroy guest
finish
