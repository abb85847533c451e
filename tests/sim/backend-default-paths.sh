#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sockets and terminals without path=: /run/pvchan/DOMID/NAME, and a link by the guest's name, which is only for
# people: no name makes two domains meet, leads out of /run/pvchan or takes the place of what is in it.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

run=/run/pvchan
# through PATH DOMAIN CHANNEL: a line passes from a client at the path to the domain's program.
through() {
    local got
    exec {client}< <(exec socat -u -T 60 "UNIX-CONNECT:$1" STDOUT 2>&1)
    in_domain "$2" vchan cat "$3" <<< "from $2"
    read -r -t 30 -u "$client" got
    exec {client}<&-
    [ "$got" = "from $2" ] || fail "through $1 came \"$got\" instead of \"from $2\""
}
# leads NAME TARGET: the link does ("": there is none).
leads() {
    local got
    got=$(readlink "$run/$1")
    [ "$got" = "$2" ] || fail "$run/$1 leads to \"$got\", not \"$2\": $(ls -l "$run")"
}
# follows NAME TARGET: it does so within 10 seconds.
is_link() { [ "$(readlink "$run/$1")" = "$2" ]; }
follows() { within 10 is_link "$1" "$2"; }
# call DOMID NAME: the domain is renamed.
call() { xenstore-write "/local/domain/$1/name" "$2"; }
# entries: what is in the directory, but for locks and records.
entries() { find "$run" -mindepth 1 -maxdepth 1 -printf '%P\n' | grep -vxE 'devices|vchan-backend|state' | sort | paste -sd ' '; }

backend_start -v
domain web "name=log, connection=socket, owner=games, group=daemon, mode=0660"
web=$(xl domid web)

part "a socket: its owner and mode, both ways to it, and where show says that it is"
[ "$(stat -c '%U %G %a %F' "$run/$web/log")" = "games daemon 660 socket" ] || fail "$(ls -l "$run/$web")"
[ "$(stat -c '%U %G %a %F' "$run/$web")" = "root root 755 directory" ] || fail "$(ls -ld "$run/$web")"
leads web "$web"
through "$run/$web/log" web log
through "$run/web/log" web log
run 0 xl-vchan show web log
[[ $out == *"path            $run/$web/log"* ]] || fail "show: $out"
run 0 xl-vchan show --json web log
[[ $out == *"\"path\":\"$run/$web/log\""* ]] || fail "show --json: $out"
await "log: Connected (socket owner=games group=daemon $run/$web/log)" 30

part "a terminal; the directory goes with the last one in it"
run 0 xl-vchan attach web name=tty connection=pty
[ -c "$run/web/tty" ] || fail "no terminal: $(ls -l "$run/$web")"
run 0 xl-vchan detach web log
vanishes "$run/$web/log"
[ -c "$run/web/tty" ] || fail "the terminal has gone: $(ls -l "$run/$web")"
run 0 xl-vchan detach web tty
vanishes "$run/$web"
leads web ""

part "two domains with one name"
domain other "name=log, connection=socket"
other=$(xl domid other)
run 0 xl-vchan attach web name=log connection=socket
leads web "$web"
call "$other" web
run 0 xl-vchan attach "$other" name=second connection=socket
await "second: domain $web is called web too: $run/web does not lead to this one" 30
leads web "$web"
leads other "$other"
through "$run/web/log" "$web" log
through "$run/$other/log" "$other" log

part "a domain that is renamed, and another that gets its name"
call "$web" web-old
run 0 xl-vchan attach "$other" name=third connection=socket
follows web "$other"
leads other ""
through "$run/web/log" "$other" log
through "$run/$web/log" "$web" log # it opens its channel: so its link follows
leads web-old "$web"
run 0 xl-vchan detach "$web" log
vanishes "$run/$web"
leads web-old ""
leads web "$other"

part "names that are no link's"
before=$(entries)
for name in .. . .x 7 "$other" a/b vchan-frontend vchan-backend devices xl-vchan 'a b' \
    "$(printf '%065d' 0)x" "$(printf 'a\tb')"; do
    call "$web" "$name"
    run 0 xl-vchan attach "$web" name=log connection=socket
    [ -S "$run/$web/log" ] || fail "a domain called \"$name\" has no socket"
    [ "$(entries)" = "$(tr ' ' '\n' <<< "$before $web" | sort | paste -sd ' ')" ] ||
        fail "a domain called \"$name\": $(entries)"
    run 0 xl-vchan detach "$web" log
    vanishes "$run/$web"
done
[ "$(entries)" = "$before" ] || fail "left: $(entries)"
call "$web" web-old
run 1 xl-vchan attach "$web" name=.. connection=socket
complains "xl-vchan: attach $web: key \"path\": missing (a name that begins with a dot has no default)"
run 0 xl-vchan attach "$web" name=.. connection=socket path="$work/dots"
[ -S "$work/dots" ] || fail "a channel called .. has no socket at its path"
run 0 xl-vchan detach "$web" ..

part "killed: what is declared has its place again, and what is not has gone"
run 0 xl-vchan attach "$web" name=stays connection=socket
run 0 xl-vchan attach "$web" name=goes connection=socket
run 0 xl-vchan attach "$web" name=tty connection=pty
kill -KILL "$backend"
wait "$backend"
exec {log}<&-
run 0 xl-vchan detach --force "$web" goes
run 0 xl-vchan detach --force "$web" tty
for name in second third log; do run 0 xl-vchan detach --force "$other" $name; done
[ -S "$run/$web/goes" ] && [ -L "$run/$web/tty" ] && [ -L "$run/web" ] || fail "nothing is left of a killed process"
ln -s 4242 "$run/dangling"
backend_start -v
await "stays: InitWait" 30
[ "$(entries)" = "$web web-old" ] || fail "left: $(entries)"
[ "$(ls -A "$run/$web")" = stays ] || fail "left: $(ls -A "$run/$web")"
through "$run/web-old/stays" "$web" stays
run 0 xl-vchan detach "$web" stays
vanishes "$run/$web"
[ -z "$(entries)" ] || fail "left: $(entries)"

part "in a guest, by the service of its own end: the id is the backend's"
run 0 xl-vchan attach "$web" name=echo connection=echo
agent_config "name=echo, connection=socket"
agent_start "$web" -v
hears "echo: Connected (socket $run/0/echo)"
out=$(echo there and back | in_domain "$web" socat -t 30 - "UNIX-CONNECT:$run/0/echo")
[ "$out" = "there and back" ] || fail "through the guest's own socket came \"$out\""
agent_stop
out=$(xensim exec "$web" ls -A "$run/0" 2>&1) && fail "the guest's directory is left: $out"
run 0 xl-vchan detach "$web" echo

for domid in "$web" "$other"; do run 0 xl destroy "$domid"; done
backend_stop
finish
