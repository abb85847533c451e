#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: a user (games) through whose directory a declared path goes attacks the host, alone
# or with the guest (H1, H2, H3 of the security review). tests/unit/races does it thousands of
# times.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

chmod 755 "$work"
mkdir "$work/alice" "$work/alice/mine" "$work/root"
chown -R games: "$work/alice"
as_alice() { setpriv --reuid games --regid games --clear-groups "$@"; }
# attacks ENTRY…: attaches a channel "x"; its exit code is in $code, its errors in $err.
attacks() {
    out=$(timeout 60 xl-vchan attach guest "name=x,$1" 2> "$work/err")
    code=$?
    complaint_read
    xl-vchan detach --force guest x > "$work/detached" 2>&1
}
untouched() { [ "$(ls -A "$work/root")" = "$1" ] || fail "root's directory has: $(ls -A "$work/root")"; }
# XS_READ of "name", as xenstored's clients send it; an answer has 16 bytes or more.
printf '\2\0\0\0\1\0\0\0\0\0\0\0\5\0\0\0name\0' > "$work/request"
# speaks_xenstore WHAT: the guest gets no answer from xenstored through "x".
speaks_xenstore() {
    in_domain guest vchan cat x < "$work/request" > "$work/answer" 2> /dev/null
    [ ! -s "$work/answer" ] || fail "$1: the guest speaks xenstore: $(tr -d '\0' < "$work/answer")"
}
# refused ENTRY TEXT LOG: the guest cannot open "x": TEXT is the error that it reads, LOG the one in
# the log.
refused() {
    run 0 xl-vchan attach guest name=x connection=connect $1
    speaks_xenstore "$1"
    await "x: cannot connect to its path: $2"
    [[ $line == *"$3"* ]] || fail "the log says: $line"
    run 0 xl-vchan detach guest x
}
others="users other than root can change it, and the channel names none of them (see the service's log)"
xen="it leads to xenstored or to Xen's devices, which no channel may use"

backend_start -v
domain guest "name=app"

part "H1: a link to xenstored's socket"
as_alice ln -s /run/xenstored/socket "$work/alice/app.sock"
ln -s /run/xenstored/socket "$work/root.sock"
refused "path=$work/alice/app.sock" "$others" \
    "(connect $work/alice/app.sock: $work/alice belongs to user games: add user=games)"
refused "path=$work/alice/app.sock user=games" "" "(connect user=games $work/alice/app.sock)"
refused "path=$work/alice/app.sock user=root" "$others" "add user=games"
refused "path=$work/root.sock" "$xen" "root.sock"
refused "path=/run/xenstored/socket user=root" "$xen" "socket"
if ln /run/xenstored/socket /run/hard.sock 2> /dev/null; then
    refused "path=/run/hard.sock" "$xen" "hard.sock"
    rm /run/hard.sock
fi
refused "path=/proc/self/root/run/x" "Too many levels of symbolic links" "/proc"

part "connect: as the user, with all of that user's groups and no others"
run 0 xl-vchan attach guest name=server connection=socket path="$work/served" owner=nobody group=games mode=0660
run 0 xl-vchan attach guest name=x connection=connect path="$work/served" user=games
mkfifo "$work/open"
exec {open}<> "$work/open"
xensim exec guest vchan cat server < "$work/open" > /dev/null 2>&1 &
server=$!
await "server: Connected" 30
xensim exec guest vchan cat x < "$work/open" > /dev/null 2>&1 &
client=$!
await "server: client connected: pid" 30
[[ $line == *" uid 5"* ]] || fail "the server sees: $line"
kill "$client"
wait "$client"
run 0 xl-vchan detach --force guest x
run 0 xl-vchan attach guest name=x connection=connect path="$work/served" user=daemon
run 3 xensim exec guest vchan cat x
await "x: cannot connect to its path: Permission denied (connect user=daemon $work/served)" 30
run 0 xl-vchan detach guest x
kill "$server"
wait "$server"
run 0 xl-vchan detach --force guest server
vanishes "$work/served"

part "connect: only to a server of the user that server-user= names"
exec {said}< <(exec setpriv --reuid games --regid games --clear-groups \
    socat -dd "UNIX-LISTEN:$work/alice/server,fork" EXEC:cat 2>&1)
server=$!
while read -rt 30 -u "$said" text; do [[ $text != *"listening on"* ]] || break; done
[[ ${text-} == *"listening on"* ]] || fail "socat does not listen: ${text-}"
for user in games 5; do
    run 0 xl-vchan attach guest name=x connection=connect path="$work/alice/server" user=games server-user=$user
    out=$(in_domain guest vchan cat x <<< "for $user")
    [ "$out" = "for $user" ] || fail "through a server of server-user=$user came: \"$out\""
    run 0 xl-vchan detach guest x
done
wrong="the server runs as another user than server-user= (see the service's log)"
refused "path=$work/alice/server user=games server-user=daemon" "$wrong" \
    "(connect user=games server-user=daemon $work/alice/server)"
[[ $seen == *"x: refused the server: it is pid $server uid 5 socat, not user daemon (uid 1)"* ]] ||
    fail "the log does not say which server was refused: $seen"
run 0 xl-vchan attach guest name=x connection=connect path="$work/alice/server" user=games server-user=0 reconnect=1
xensim exec guest vchan cat x < /dev/null > "$work/answer" 2> /dev/null &
client=$!
await "x: cannot connect to its path: $wrong (retrying)" 30
kill "$client"
wait "$client"
run 0 xl-vchan detach --force guest x
run 1 xl-vchan attach guest name=x connection=connect path="$work/alice/server" server-user=nobody-of-that-name
[[ $err == *"server-user=: no such user in this domain"* ]] || fail "attach: $err"
kill "$server"
wait "$server"

part "H2: no socket in a directory of root's, without any race"
as_alice ln -s "$work/root" "$work/alice/link"
attacks "connection=socket,path=$work/alice/link/app.sock,owner=games"
[[ $err == *"cannot listen on its path: Permission denied"* ]] || fail "attach: $err"
untouched ""
attacks "connection=socket,path=$work/alice/link/app.sock"
[[ $err == *"cannot listen on its path: $others"* ]] || fail "attach: $err"
await "$work/alice belongs to user games: add owner=games" 30
untouched ""
mkdir "$work/nobodys" "$work/shared"
chown 4242:4343 "$work/nobodys"
chmod 777 "$work/shared"
getent passwd 4242 > /dev/null && fail "user 4242 has an account"
attacks "connection=socket,path=$work/nobodys/s,owner=4242"
await "$work/nobodys belongs to user 4242, who has no account here: add owner=4242 and group=GROUP" 30
attacks "connection=socket,path=$work/nobodys/s"
await "$work/nobodys belongs to user 4242, who has no account here: add owner=4242 and group=GROUP" 30
attacks "connection=socket,path=$work/shared/s,owner=4242"
await "every user can write to $work/shared, and owner= has no account: add group=GROUP" 30
run 0 xl-vchan attach guest name=x connection=socket path="$work/nobodys/s" owner=4242 group=4343
[ "$(stat -c '%u %g' "$work/nobodys/s")" = "4242 4343" ] || fail "it belongs to $(stat -c '%u %g' "$work/nobodys/s")"
run 0 xl-vchan detach guest x
vanishes "$work/nobodys/s"
attacks "connection=socket,path=/run/xenstored/socket,owner=games"
[[ $err == *"cannot listen on its path: $xen"* ]] || fail "attach: $err"
attacks "connection=pty,path=/run/xenstored/socket"
[[ $err == *"cannot make a link at its path: $xen"* ]] || fail "attach: $err"
attacks "connection=socket,path=$work/root/"
[[ $err == *"cannot listen on its path: it is a directory"* ]] || fail "attach: $err"

part "owner= makes it, with the group, and removes it"
run 0 xl-vchan attach guest name=x connection=socket path="$work/alice/mine/s" owner=games group=daemon mode=0660
await "x: InitWait (socket owner=games group=daemon $work/alice/mine/s)" # and reports no error
[ "$(stat -c '%U %G %a' "$work/alice/mine/s")" = "games daemon 660" ] || fail "$(stat -c '%U %G %a' "$work/alice/mine/s")"
run 0 xl-vchan detach guest x
vanishes "$work/alice/mine/s"
run 0 xl-vchan attach guest name=x connection=pty path="$work/alice/mine/t" owner=games
[ "$(stat -c '%U' "$work/alice/mine/t")" = games ] || fail "the link belongs to $(stat -c '%U' "$work/alice/mine/t")"
[ "$(stat -Lc '%U' "$work/alice/mine/t")" = games ] || fail "the terminal is not games'"
run 0 xl-vchan detach guest x
vanishes "$work/alice/mine/t"

part "H2, H3: races"
echo precious > "$work/root/app"
inode=$(stat -c %i "$work/root/app")
as_alice rm "$work/alice/link"
tests/unit/races flip "$work/alice/link" "$work/alice/mine" "$work/root" &
racer=$!
made=0
for i in {1..20}; do
    attacks "connection=pty,path=$work/alice/link/app,owner=games"
    [ "$code" != 0 ] || made=$((made + 1))
    attacks "connection=socket,path=$work/alice/link/sock,owner=games"
    [ "$code" != 0 ] || made=$((made + 1))
    untouched app
    [ "$(stat -c '%i %u' "$work/root/app")" = "$inode 0" ] || { fail "after $i attaches: $(ls -l "$work/root")"; break; }
done
kill -0 "$racer" 2> /dev/null || fail "the attacker ended early"
[ "$made" -gt 0 ] || fail "not one attach succeeded"
kill "$racer"
wait "$racer" 2> /dev/null

run 0 xl-vchan detach --force guest app
run 0 xl destroy guest
backend_stop
finish
