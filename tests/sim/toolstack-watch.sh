#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan watch, wait and show: the life of a channel as a script sees it.
. "$(dirname "$0")/../lib/sim-lib.bash"

# life FILE SIDE: prints the states that the watch saw. Closing may be too short to be seen.
life() { sed -n "s/^[-0-9]* [0-9:.]* web echo $2: .* -> //p" "$1" | grep -v Closing | tr '\n' ' '; }

part "before there is anything"
backend_start
xl-vchan watch --until gone --timeout 1 nobody none
[ $? = 0 ] || fail "what is not there is gone"
run 3 xl-vchan watch --until Connected --timeout 0 web
complains 'xl-vchan: watch web: not Connected within 0 s'
run 3 xl-vchan wait --timeout 0 web echo
complains 'xl-vchan: wait web: channel "echo": not Connected in time (there is no such domain)'
run 0 xl-vchan watch --timeout 0
says ""

part "a whole life"
xl-vchan watch > "$work/text" &
watcher=$!
xl-vchan watch --json --until Connected --timeout 60 web echo > "$work/json" &
json=$!
xl-vchan wait --timeout 60 web echo initwait &
waiter=$!
freeze "$backend" # so that both watches see Initialising, which would be short
domain web "name=echo, connection=echo" "name=app, ring=1K" &
creator=$!
told "$work/text" 'echo backend: - -> Initialising'
told "$work/json" '"backend","from":null,"to":"Initialising"'
kill -CONT "$backend"
wait "$creator"
wait "$waiter" || fail "wait InitWait: $?"
mkfifo "$work/in"
freeze "$backend" # and Initialised
in_domain web vchan cat echo < "$work/in" > "$work/out" &
cat=$!
exec {in}> "$work/in"
told "$work/text" 'echo frontend: Initialising -> Initialised'
told "$work/json" '"from":"Initialising","to":"Initialised"'
kill -CONT "$backend"
wait "$json" || fail "watch --until Connected: $?"
run 0 xl-vchan wait --timeout 0 web echo
run 0 xl-vchan wait --timeout 0 "$(xl domid web)" 0 Connected
run 3 xl-vchan wait --timeout 0 web echo Closed
complains 'xl-vchan: wait web: channel "echo": not Closed in time (it is Connected/Connected)'

part "show"
run 0 xl-vchan show web echo
for text in 'name            echo' 'backend         Domain-0 (domid 0)' 'backend state   Connected' \
    'online          yes' ', bound to port ' ' of Domain-0' ', 33 pages granted'; do
    [[ $out == *"$text"* ]] || fail "show without \"$text\": $out"
done
run 0 xl-vchan show --json web 0
for text in '"name":"echo"' '"granted_pages":33' '"frontend_state":"Connected"' '"reconnect":null' \
    '"path":null' '"event_channel_status":"bound to port '; do
    [[ $out == *"$text"* ]] || fail "JSON without $text: $out"
done
run 0 xl-vchan show web app
for text in 'event channel   -' 'ring ref        -' 'read ring       1K' 'write ring      2K'; do
    [[ $out == *"$text"* ]] || fail "show without \"$text\": $out"
done
run 1 xl-vchan show web nope
complains 'xl-vchan: show web: there is no channel "nope" (see xl-vchan list)'
run 2 xl-vchan show web
run 2 xl-vchan wait web echo Half
complains 'xl-vchan: wait: "Half" is not a state (usage: xl-vchan wait [--timeout SECS] DOMAIN NAME [STATE])'
run 2 xl-vchan watch --until Half
for command in "wait --timeout 0.05 web app" "watch --timeout 0.05 --until gone web app"; do
    run 3 xl-vchan $command
done
run 2 xl-vchan wait --timeout 1s web app
complains 'xl-vchan: wait: --timeout "1s": expected a number of seconds, such as 10 or 0.5, or inf (usage: xl-vchan wait [--timeout SECS] DOMAIN NAME [STATE])'

part "all JSON is JSON, and what cannot be written is an error"
xenstore-write "/local/domain/0/backend/vchan/$(xl domid web)/1/error" $'a "b" \\ c/d \303\244\t'
run 0 xl-vchan attach web "name=json, connection=exec, user=root, command=echo \"\\\"\""
{
    echo 'vchan = [ "name=json, connection=exec, user=root, command=echo \\", "name=new",'
    printf '"name=latin, connection=exec, user=root, command=caf\351 \303\251 \355\240\200" ]\n'
} > "$work/new.cfg"
for command in "list" "list web" "show web app" "show web json" "watch --timeout 0" "diff $work/new.cfg web"; do
    verb=${command%% *}
    out=$(xl-vchan "$verb" --json ${command#"$verb"} | python3 -c '
import json, sys
lines = sys.stdin.buffer if sys.argv[1] == "watch" else [sys.stdin.buffer.read()]
print(sum(len(json.loads(line)) for line in lines))' "$verb") || fail "$command: no JSON"
    [ "$out" -gt 1 ] || fail "$command: JSON of $out"
    run 1 sh -c "xl-vchan $command > /dev/full"
    complains "xl-vchan: $verb: cannot write: No space left on device"
done
run 3 xl-vchan diff --json "$work/new.cfg" web
replaced=$'\357\277\275' # U+FFFD for each byte that is not UTF-8
[[ $out == *"command=caf$replaced "$'\303\251'" $replaced$replaced$replaced\""* ]] || fail "diff: $out"
run 1 sh -c "xl-vchan help > /dev/full"
complains "xl-vchan: help: cannot write: No space left on device"
for i in {1..8}; do run 0 xl-vchan attach web "name=full$i"; done # more than stdio buffers
run 1 sh -c "xl-vchan list --json > /dev/full"
complains "xl-vchan: list: cannot write: No space left on device"
for i in {1..8}; do run 0 xl-vchan detach web "full$i"; done
run 1 sh -c "xl-vchan watch > /dev/full" # it would not end otherwise
run 1 sh -c "xl-vchan graph > /dev/full"
complains "xl-vchan: graph: cannot write: No space left on device"
run 0 xl-vchan detach web json

part "the first line of JSON knows both states"
run 0 head -n 1 "$work/json"
[[ $out == *'"to":"Initialising","frontend_state":"Initialising","backend_state":"Initialising"'* ]] || fail "$out"

part "its end"
exec {in}>&-
wait "$cat" || fail "vchan cat: $?"
run 0 xl-vchan wait --timeout 60 web echo Closed
xl-vchan wait --timeout 60 web echo gone &
waiter=$!
run 0 xl-vchan detach web echo
wait "$waiter" || fail "wait gone: $?"
run 0 xl-vchan detach web app
run 0 xl-vchan watch --until gone --timeout 60 web
kill "$watcher"
wait "$watcher" || fail "a watch that is stopped: $?"
[ "$(life "$work/text" frontend)" = "Initialising Initialised Connected Closed - " ] ||
    fail "the frontend's life: $(cat "$work/text")"
[ "$(life "$work/text" backend)" = "Initialising InitWait Connected Closed - " ] ||
    fail "the backend's life: $(cat "$work/text")"
[ "$(sed -n 's/.*"side":"\([a-z]*\)","from":"\?\([A-Za-z]*\)"\?,"to":"\([A-Za-z]*\)".*/\1 \2 \3/p' "$work/json")" = \
    "frontend null Initialising
backend null Initialising
backend Initialising InitWait
frontend Initialising Initialised
backend InitWait Connected
frontend Initialised Connected" ] || fail "JSON: $(cat "$work/json")"

part "an error, and nonsense"
xl-vchan watch > "$work/text" &
watcher=$!
run 0 xl-vchan attach web "name=app"
told "$work/text" 'app frontend: - -> Initialising'
F=/local/domain/$(xl domid web)/device/vchan
for at in $(xenstore-list "$F"); do
    xenstore-write "$F/$at/error" $'bad \e[31mred' "$F/$at/state" 5
    run 0 xl-vchan watch --timeout 1 web
    xenstore-write "$F/$at/state" banana
done
run 0 xl-vchan detach --force web app
run 0 xl-vchan wait --timeout 60 web app gone
kill "$watcher"
wait "$watcher"
grep -q 'web app frontend: Initialising -> Closing: bad ?\[31mred$' "$work/text" || fail "$(cat "$work/text")"
grep -q 'web app frontend: Closing -> -$' "$work/text" || fail "$(cat "$work/text")"

part "a backend that was killed while its guest is paused: the states do not tell"
run 0 xl-vchan attach web "name=echo, connection=echo"
in_domain web vchan cat echo < "$work/in" > /dev/null 2>&1 &
cat=$!
exec {in}> "$work/in"
run 0 xl-vchan wait --timeout 60 web echo
run 0 xl-vchan list web
[[ $out != *nobody* ]] || fail "$out"
run 0 xl pause web
kill -KILL "$backend"
backend_end 137
run 0 xl-vchan list web
[[ $out == *" Connected/Connected "*"
    no process serves it now: no vchan-backend runs in Domain-0 (systemctl start vchan-backend)" ]] || fail "$out"
run 0 xl-vchan list --json web
for text in '"served":false' '"trouble":"no process serves it now: ' '"hint":"no process serves it now: '; do
    [[ $out == *"$text"* ]] || fail "no $text in $out"
done
run 3 xl-vchan wait --timeout 0 web echo
complains 'xl-vchan: wait web: channel "echo": not Connected in time (it is Connected/Connected): no process serves it now: no vchan-backend runs in Domain-0 (systemctl start vchan-backend)'
run 3 xl-vchan watch --until Connected --timeout 0 web
run 0 xl-vchan graph
[[ $out == *' (echo)", color=red,'* ]] || fail "$out"
xl-vchan wait --timeout 60 web echo &
waiter=$!
backend_start
run 0 xl unpause web
wait "$waiter" || fail "wait ends with $? though the channel is served again"
run 0 xl-vchan list --json web
[[ $out == *'"served":true'*'"trouble":null'* ]] || fail "$out"

part "a backend that is stopped serves nobody"
freeze "$backend"
run 3 xl-vchan wait --timeout 0 web echo
xl-vchan wait --timeout 60 web echo &
waiter=$!
kill -CONT "$backend"
wait "$waiter" || fail "wait ends with $? though the backend goes on"
exec {in}>&-
backend_stop # it has inherited that, too
wait "$cat"
run 0 xl-vchan detach web echo
run 0 xl destroy web
finish
