#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What xl-vchan reports about a channel that is not up: what has to be done, and where. It depends
# on the two states, on whether the domains run, and on whether vchan-backend is stopped, hangs or
# does not run.
limit=1500
. "$(dirname "$0")/../lib/sim-lib.bash"

export PVCHAN_STATE_DIR=$work/state

# hint DOMAIN NAME TEXT: show prints that; list and top treat it as trouble if TEXT begins with "!".
hint() {
    local want=${3#!} state
    run 0 xl-vchan show "$1" "$2"
    got=$(sed -n 's/^hint  *//p' <<< "$out")
    state=$(sed -n 's/^.* state  *//p' <<< "$out" | tr '\n' ' ')
    [ "$got" = "$want" ] || fail "$1 $2, $state: the hint is $got"$'\n'"    not $want"
    run 0 xl-vchan list "$1"
    case $3 in
    !*) [[ $out == *$'\n'"    $want"* ]] || fail "$1 $2, $state: list does not say so: $out" ;;
    *) [[ $out != *$'\n'"    "* ]] || fail "$1 $2, $state: list says: $out" ;;
    esac
}

backend_start
domain web "name=db, connection=echo" "name=app"
web=$(xl domid web)
F=/local/domain/$web/device/vchan/0 B=/local/domain/0/backend/vchan/$web/0
hint web db "waiting for a program in web to open it"
hint web app "waiting for a program in Domain-0 to open it"

part "a backend that is stopped"
freeze "$backend"
hint web db "!no process serves it now: vchan-backend in Domain-0 is stopped (kill -CONT $backend)"
run 1 xl-vchan attach --wait 1 web name=x,connection=echo
stopped="vchan-backend in Domain-0 is stopped (kill -CONT $backend)"
complains "xl-vchan: attach web: channel \"x\": waiting up to 1 s: $stopped
xl-vchan: attach web: channel \"x\": no backend took it within 1 s: $stopped"
kill -CONT "$backend"
backend_stop
hint web db "!no process serves it now: no vchan-backend runs in Domain-0 (systemctl start vchan-backend)"

# plays DOMID DEVID…: starts a process ($player) that has the locks of these backends' sides, and
# does nothing else, until $work/hold is written to. With a service's lock it counts as the service.
plays() {
    exec {playing}< <(exec python3 - "$work/hold" "${service:-}" "$@" << 'PYTHON'
import fcntl, sys
hold, service, domid, *devids = sys.argv[1:]
if service:
    lock = open(service, "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
sides = open("/run/pvchan/devices", "r+")
for devid in devids:
    fcntl.lockf(sides, fcntl.LOCK_EX, 1, int(domid) * 65536 + int(devid))
print("plays", flush=True)
open(hold).read()
PYTHON
    )
    player=$!
    read -r -t 30 -u "$playing" || fail "no player"
}
plays_no_more() {
    echo > "$work/hold"
    wait "$player"
    exec {playing}<&-
}

part "a backend that hangs, in each state"
mkfifo "$work/hold"
service=/run/pvchan/vchan-backend plays "$web" 0 1
while read -r frontend backend_state text; do
    xenstore-write $F/state "$frontend" $B/state "$backend_state"
    hint web db "${text/HANGS/waiting for vchan-backend in Domain-0 (if this persists, see its log)}"
done << 'TABLE'
1 1 !no backend took it: HANGS
3 1 !no backend took it: HANGS
1 2 waiting for a program in web to open it
3 2 !opened, but not connected: HANGS
4 2 the backend is starting over: waiting for the program in web to follow
1 4 !the frontend is starting over: HANGS
1 5 !the frontend is starting over: HANGS
1 6 !the frontend is starting over: HANGS
5 4 web has finished sending: the backend in Domain-0 is delivering the rest
4 5 the backend has finished sending: waiting for the program in web to close it, too
3 5 the backend is closing it: waiting for the program in web to close it, too
5 5 being closed: waiting for the program in web to read what is left
5 6 the backend has closed it: waiting for the program in web to read what is left
4 6 the backend has closed it: waiting for the program in web to close it, too
3 6 the backend has closed it: waiting for the program in web to close it, too
6 4 !the frontend has closed it: HANGS
6 5 !the frontend has closed it: HANGS
6 6 closed, until a program in web opens it again
6 2 closed, until a program in web opens it again
4 7 the backend in Domain-0 is taking it over again
TABLE

part "a backend that says why"
T=/local/domain/0/data/vchan-backend/$web/0
xenstore-write $B/error "no such path"
while read -r frontend backend_state text; do
    xenstore-write $F/state "$frontend" $B/state "$backend_state"
    run 0 xl-vchan show web db
    [[ $out == *$'\n'"hint            $text"$'\n'* ]] || fail "$frontend/$backend_state: $out"
    run 0 xl-vchan list web
    [[ $out == *$'\n    backend: no such path\n'* && $out != *"waiting for vchan-backend"* ]] || fail "$frontend/$backend_state: $out"
done << 'TABLE'
1 6 the backend in Domain-0 refuses it (fix the error, then detach and attach it)
3 2 opened, but not connected: the backend in Domain-0 reports why
TABLE
xenstore-write "$T" "received=7 since=1 peer=somebody" $F/state 1 $B/state 6
run 0 xl-vchan show web db
[[ $out == *$'\nhint            the frontend is starting over: waiting for vchan-backend in Domain-0'* ]] || fail "$out"
run 0 xl-vchan list --long web
[[ $out == *" 7 "*" 0 "*" - "*"-"* && $out != *1970* && $out != *somebody* ]] || fail "not connected, but: $out"
xenstore-rm /local/domain/0/data $B/error

xenstore-write $F/state 4 $B/state 5 $B/online 0
hint web db '!being unplugged, but not closed: waiting for vchan-backend in Domain-0 (if this persists, see its log)'
xenstore-write $B/state 6
hint web db "!unplugging was not completed (xl-vchan detach $web 0 completes it)"
run 0 xl-vchan detach web db

part "a program that hangs"
F=/local/domain/$web/device/vchan/1 B=/local/domain/0/backend/vchan/$web/1
while read -r frontend backend_state text; do
    xenstore-write $F/state "$frontend" $B/state "$backend_state"
    hint web app "$text"
done << 'TABLE'
3 2 opened, but not connected: waiting for the program in Domain-0 to connect it
6 5 the frontend has closed it: waiting for the program in Domain-0 to close it, too
TABLE
xenstore-write $B/online 0
hint web app "being unplugged: waiting for the program in Domain-0 to close it"
xenstore-write $B/online 1
plays_no_more

part "a program that is gone: nobody waits for it"
# json KEY: prints that key of the channel "app".
json() { xl-vchan show --json web app | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
while read -r frontend backend_state; do
    xenstore-write $F/state "$frontend" $B/state "$backend_state"
    hint web app "!no process serves it now: the program in Domain-0 that opened it is gone"
    [ "$(json served) $(json trouble)" = "False no process serves it now: the program in Domain-0 that opened it is gone" ] ||
        fail "$frontend/$backend_state: served $(json served), trouble $(json trouble)"
done <<< $'1 2\n3 2\n6 4\n6 5\n4 4'
run 3 xl-vchan wait --timeout 0 web app
complains 'xl-vchan: wait web: channel "app": not Connected in time (it is Connected/Connected): no process serves it now: the program in Domain-0 that opened it is gone'
run 3 xl-vchan watch --until Connected --timeout 0 web app
plays "$web" 1
[ "$(json served) $(json trouble)" = "True None" ] || fail "served $(json served), trouble $(json trouble)"
run 0 xl-vchan wait --timeout 0 web app
run 1 xl-vchan detach --wait 0 web app
complains 'xl-vchan: detach web: channel "app": the backend did not close it within 0 s: the program in Domain-0 that has it open has not reacted yet; --force removes it anyway'
plays_no_more
xenstore-write $F/state 6 $B/state 4 $B/online 1
run 0 xl-vchan detach --wait 300 web app # it would be ended after 60 s

part "a domain is gone, and its backend still delivers"
backend_start
mkfifo "$work/go"
run 0 xl-vchan attach web "name=slow, connection=exec, user=root, command=read line < $work/go; cat > $work/taken"
in_domain web vchan cat slow < <(exec yes) > /dev/null 2>&1 &
cat=$!
run 0 xl-vchan wait --timeout 60 web slow
full() { [ "$(xl-vchan show --json web slow | python3 -c 'import json, sys
statistics = json.load(sys.stdin)["statistics"]; print(statistics["received"] if statistics else 0)')" -gt 60000 ]; }
within 30 full # the pipe is full, and the ring will be
run 0 xl destroy web
wait "$cat"
delivering() {
    run 0 xl-vchan show "$web" slow
    [[ $out == *$'\n'"hint            its domain is gone: the backend in Domain-0 is delivering what it sent last"$'\n'* ]]
}
within 60 delivering
run 0 xl-vchan list "$web"
[[ $out != *"xl-vchan detach"* ]] || fail "list advises: $out"
echo go > "$work/go"
run 0 xl-vchan detach --wait 60 "$web" slow
[ "$(stat -c %s "$work/taken")" -gt 60000 ] || fail "only $(stat -c %s "$work/taken") bytes came"
backend_stop
domain web
web=$(xl domid web)

part "domains that do not run, and that are gone"
printf 'name = "log ger"\nmemory = 64\nkernel = "/none"\non_poweroff = "preserve"\n' > "$work/logger.cfg"
run 0 xl create -q "$work/logger.cfg"
logger=$(xl domid "log ger")
run 1 xl-vchan attach --wait 0 web "name=log, backend=log ger, connection=echo"
complains 'xl-vchan: attach web: channel "log": no backend took it within 0 s: no vchan-backend seems to run in log ger (systemctl start vchan-backend there)'
run 0 xl pause "log ger"
run 1 xl-vchan attach --wait 0 web "name=log, backend=log ger, connection=echo"
complains "xl-vchan: attach web: channel \"log\": no backend took it within 0 s: log ger is paused (xl unpause $logger)"
run 0 xl-vchan attach web "name=log, backend=log ger"
run 0 xl-vchan attach "log ger" "name=gol, backend=web"
hint web log "waiting for a program in log ger to open it"
xenstore-write "/local/domain/$web/backend/vchan/$logger/0/state" 2
hint "log ger" gol "its domain is paused (xl unpause $logger)"
run 0 xl unpause "log ger"
hint "log ger" gol "waiting for a program in log ger to open it"
run 0 xl shutdown -w "log ger"
hint "log ger" gol "!its domain has shut down (xl destroy $logger)"
run 0 xl destroy "log ger"
hint web log "!its backend's domain is gone (xl-vchan detach $web 0 removes what is left)"
run 0 xl-vchan list "$logger"
[[ $out == *$'\n'"    its domain is gone (xl-vchan detach $logger 0 removes what is left)" ]] || fail "said: $out"
run 1 xl-vchan detach --wait 0 "$logger" 0
complains "xl-vchan: detach $logger: channel \"0\": the backend did not close it within 0 s: the program in web that has it open has not reacted yet; --force removes it anyway"
run 0 xl-vchan detach --force "$logger" 0
run 0 xl-vchan detach web log
run 0 xl destroy web
finish
