#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: tcp and pty; a channel that outlives its connections (reconnect=1); the owners of
# sockets, terminals and commands.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

head -c 16M /dev/urandom > "$work/up"
head -c 16777217 /dev/urandom > "$work/down"

# guest_start NAME: vchan cat in the guest ($guest), its input $in, its output in $work/back.
guest_start() {
    rm -f "$work/in"
    mkfifo "$work/in"
    in_domain guest vchan cat "$1" < "$work/in" > "$work/back" &
    guest=$!
    exec {in}> "$work/in"
}
# guest_ends CODE: its input ends, and it exits.
guest_ends() {
    local got
    exec {in}>&-
    in=
    wait "$guest"
    got=$?
    [ "$got" = "$1" ] || fail "vchan cat: exit code $got instead of $1"
}
# holds FILE TEXT: the file contains that text within 30 seconds.
holds() {
    local deadline=$((SECONDS + 30))
    until [ "$(cat "$1" 2> /dev/null)" = "$2" ]; do
        [ $SECONDS -lt $deadline ] || { fail "$1 has: $(cat "$1")"$'\n'"    not: $2"; return; }
        pause
    done
}
# serve ADDRESS IN OUT: like listen, with an ADDRESS for socat.
serve() {
    local said text
    exec {said}< <([ -z "${in:-}" ] || exec {in}>&-; exec socat -dd -t "${linger:-60}" - "$1" 2>&1 < "$2" > "$3")
    listener=$!
    while read -r -t 30 -u "$said" text; do
        [[ $text != *"listening on"* ]] || { port=${text##*:}; return; }
    done
    fail "socat does not listen on $1"
}

backend_start -v
domain guest

part "tcp"
serve TCP4-LISTEN:0,bind=127.0.0.1 "$work/down" "$work/out"
run 0 xl-vchan attach guest name=tcp connection=tcp address=127.0.0.1:$port
in_domain guest vchan cat tcp < "$work/up" > "$work/back" || fail "vchan cat tcp: exit code $?"
await "tcp: server connected: 127.0.0.1:$port" 30
await "tcp: Closed" 30
wait "$listener" || fail "socat: exit code $?"
same "$work/up" "$work/out"
same "$work/down" "$work/back"
run 3 xensim exec guest vchan cat tcp
await "tcp: Closed: cannot connect to its address: Connection refused (tcp 127.0.0.1:$port)" 30
run 0 xl-vchan detach guest tcp

part "tcp: a name, and IPv6"
serve TCP4-LISTEN:0,bind=127.0.0.1 /dev/null "$work/out"
run 0 xl-vchan attach guest name=named connection=tcp address=localhost:$port
run 0 xensim exec guest vchan cat named <<< "by name"
wait "$listener"
holds "$work/out" "by name"
run 0 xl-vchan detach guest named
if [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6; then
    serve TCP6-LISTEN:0,bind=[::1] /dev/null "$work/out"
    run 0 xl-vchan attach guest name=six connection=tcp "address=[::1]:$port"
    run 0 xensim exec guest vchan cat six <<< "by six"
    wait "$listener"
    holds "$work/out" "by six"
    await "six: server connected: [::1]:$port" 30
    run 0 xl-vchan detach guest six
fi
run 0 xl-vchan attach guest name=nowhere connection=tcp address=no-such-host.invalid:1
run 3 xensim exec guest vchan cat nowhere
await "nowhere: Closed: cannot resolve its address: " 30
run 0 xl-vchan detach guest nowhere

part "connect: the guest waits for the server, and goes on with the next"
run 0 xl-vchan attach guest name=again connection=connect path="$work/again" reconnect=1
guest_start again
echo one >&"$in"
await "again: cannot connect to its path: No such file or directory (retrying)" 30
run 0 xensim exec guest vchan list
[[ $out == *"(retrying)"* ]] || fail "list: $out"
serve "UNIX-LISTEN:$work/again" /dev/null "$work/out.1"
await "again: Connected" 30
holds "$work/out.1" one
kill "$listener"
await "again: server disconnected" 30
echo two >&"$in"
serve "UNIX-LISTEN:$work/again" /dev/null "$work/out.2"
await "again: server connected" 30
run 0 xensim exec guest vchan list
[[ $out != *"(retrying)"* ]] || fail "list: $out"
holds "$work/out.2" two
guest_ends 0
wait "$listener"
await "again: Closed" 30
run 0 xl-vchan detach guest again

part "tcp: the guest goes on with the next server"
mkfifo "$work/quiet"
exec {quiet}<> "$work/quiet" # a server that ended its sending would count as gone
serve TCP4-LISTEN:0,bind=127.0.0.1,reuseaddr "$work/quiet" "$work/out.1"
run 0 xl-vchan attach guest name=tcp connection=tcp address=127.0.0.1:$port reconnect=1
guest_start tcp
echo one >&"$in"
holds "$work/out.1" one
kill "$listener"
await "tcp: server disconnected" 30
echo two >&"$in"
linger=0.2 # it ends its sending soon after the guest did
serve "TCP4-LISTEN:$port,bind=127.0.0.1,reuseaddr" "$work/quiet" "$work/out.2"
holds "$work/out.2" two
guest_ends 0
wait "$listener"
run 0 xl-vchan detach guest tcp

part "exec: the command is started again"
run 0 xl-vchan attach guest name=exec connection=exec user=root reconnect=1 "command=read -r x; echo got \$x; exit 3"
guest_start exec
for i in one two three; do
    echo "$i" >&"$in"
    await "exec: command exited with status 3; restarting it" 30
done
await "exec: command started" 30
holds "$work/back" $'got one\ngot two\ngot three'
guest_ends 5 # the last one reads no line, and still fails
await "exec: command exited with status 3 (exec" 30
run 0 xl-vchan detach guest exec

part "exec: as another user"
run 0 xl-vchan attach guest name=who connection=exec user=nobody \
    "command=id -un; id -G; echo \$HOME \$USER \$LOGNAME"
run 0 xensim exec guest vchan cat who < /dev/null
says "nobody"$'\n'"$(id -G nobody)"$'\n'"$(getent passwd nobody | cut -d: -f6) nobody nobody"
run 0 xl-vchan detach guest who
run 1 xl-vchan attach guest name=none connection=exec user=no-such-user command=id
[[ $err == *": user=: no such user in this domain (retrying)" ]] || fail "none: $err"
await "none: user=: no such user in this domain (retrying) (exec user=no-such-user id)"

part "exec: a device of an older toolstack, which left user= out"
id=$(xl domid guest)
F=/local/domain/$id/device/vchan/900 B=/local/domain/0/backend/vchan/$id/900
xenstore-write $F/state 1
xenstore-chmod -r $F "n$id"
xenstore-write "$B/connection" exec "$B/private/command" id "$B/name" old "$B/online" 1 "$B/frontend-id" "$id" \
    "$B/frontend" $F "$B/state" 1
await "$id/900 old: connection=exec needs user= (node private/user; for root, write user=root) (exec id)"
[[ $(xenstore-read "$B/error") == "connection=exec needs user= "* ]] || fail "B/error: $(xenstore-read "$B/error")"
xenstore-rm "$B" $F

part "sockets: owner, group and mode"
run 0 xl-vchan attach guest name=mine connection=socket path="$work/mine" owner=nobody group=3 mode=0620
[ "$(stat -c '%U %g %a' "$work/mine")" = "nobody 3 620" ] || fail "$(stat -c '%U %g %a' "$work/mine")"
run 0 xl-vchan detach guest mine
vanishes "$work/mine"
run 0 xl-vchan attach guest name=mine connection=socket path="$work/mine"
[ "$(stat -c '%u %a' "$work/mine")" = "$(id -u) 600" ] || fail "$(stat -c '%u %a' "$work/mine")"
run 0 xl-vchan detach guest mine
vanishes "$work/mine"
run 1 xl-vchan attach guest name=none connection=socket path="$work/none" group=no-such-group
[[ $err == *": group=: no such group in this domain (retrying)" ]] || fail "none: $err"
await "none: group=: no such group in this domain (retrying) (socket group=no-such-group $work/none)"
[ ! -e "$work/none" ] || fail "half-created"

part "pty"
run 0 xl-vchan attach guest name=pty connection=pty path="$work/tty" owner=nobody mode=0666
[ "$(stat -Lc '%U %a %F' "$work/tty")" = "nobody 666 character special file" ] ||
    fail "$(stat -Lc '%U %a %F' "$work/tty")"
guest_start pty
await "pty: Connected" 30
echo "before anybody came" >&"$in"
# In a background shell, to which bash gives no terminal: a client opens, talks and closes.
for i in one two; do
    exec {tty}<> "$work/tty"
    await "pty: client connected: /dev/pts/" 30
    if [ "$i" = one ]; then
        read -r -t 30 -u "$tty" answer
        [ "$answer" = "before anybody came" ] || fail "pty: $answer"
    fi
    echo "client $i" >&"$tty"
    echo "guest $i" >&"$in"
    read -r -t 30 -u "$tty" answer
    [ "$answer" = "guest $i" ] || fail "pty: $answer"
    exec {tty}>&-
    await "pty: client disconnected" 30
done
holds "$work/back" $'client one\nclient two'
echo "in passing" > "$work/tty"
holds "$work/back" $'client one\nclient two\nin passing'
guest_ends 0

part "pty: bytes as they are, and back-pressure"
exec {tty}<> "$work/tty"
cat <&"$tty" > "$work/out" &
reader=$!
in_domain guest vchan cat pty < "$work/up" > "$work/back" || fail "vchan cat pty: exit code $?"
deadline=$((SECONDS + 60))
until [ "$(stat -c %s "$work/out")" = 16777216 ] || [ $SECONDS -ge $deadline ]; do
    pause 0.1
done
same "$work/up" "$work/out"
kill "$reader"
wait "$reader" 2> /dev/null
guest_start pty
cat "$work/down" >&"$tty"
exec {tty}>&-
deadline=$((SECONDS + 60))
until [ "$(stat -c %s "$work/back")" = 16777217 ] || [ $SECONDS -ge $deadline ]; do
    pause 0.1
done
same "$work/down" "$work/back"
guest_ends 0

part "pty: the link is replaced if it leads nowhere, and not otherwise"
run 1 xl-vchan attach guest name=second connection=pty path="$work/tty"
[[ $err == *": cannot make a link at its path: a link to something else is there (retrying)" ]] || fail "$err"
terminal=$(readlink "$work/tty")
ln -s "$terminal" "$work/old" # left by a killed process; the terminal's number was reused
until [[ $(stat -c %z "$terminal") > $(stat -c %z "$work/old") ]]; do chmod 666 "$terminal"; done
run 0 xl-vchan attach guest name=second connection=pty path="$work/old"
[ "$(readlink "$work/old")" != "$terminal" ] || fail "$work/old is as it was"
run 0 xl-vchan detach guest second
run 0 xl-vchan detach guest pty
vanishes "$work/tty"
[ ! -L "$work/tty" ] || fail "the link is left"
run 1 xl-vchan attach guest name=file connection=pty path="$work/up"
[[ $err == *": cannot make a link at its path: a file that is not a link is there (retrying)" ]] || fail "$err"
ln -s /dev/pts/99999 "$work/tty"
run 0 xl-vchan attach guest name=once connection=pty path="$work/tty" reconnect=0
guest_start once
exec {tty}<> "$work/tty"
echo bye >&"$tty"
await "once: client connected" 30
exec {tty}>&-
await "once: Closing" 30
holds "$work/back" bye
guest_ends 0
await "once: Closed" 30
run 0 xl-vchan detach guest once

part "SIGHUP: the sockets of many channels are listened at all the time"
entries=()
for i in {1..20}; do entries+=("\"name=s$i, connection=socket, path=$work/s$i\","); done
entries+=("\"name=mode, devid=500, connection=socket, path=$work/mode, mode=0666\"")
run 0 xl-vchan apply --quiet --wait 60 /dev/stdin guest <<< "vchan = [ ${entries[*]} ]"
xenstore-write "/local/domain/0/backend/vchan/$(xl domid guest)/500/private/mode" 0600
before=$(stat -c "%n %i %z" "$work"/s?*)
kill -HUP "$backend"
await "reloading: continuing as a new process" 30
for i in {1..21}; do await "InitWait" 30; done
[ "$(stat -c "%n %i %z" "$work"/s?*)" = "$before" ] || fail "they were made anew"
[ "$(stat -c %a "$work/mode")" = 600 ] || fail "mode: $(stat -c %a "$work/mode")"
detach_all guest

run 0 xl destroy guest
backend_stop
finish
