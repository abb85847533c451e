#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan top on a terminal of 80x24, and xl-vchan graph.
. "$(dirname "$0")/../lib/sim-lib.bash"

backend_start
domain logger
domain web "name=org.example.db, connection=echo" "name=org.example.log, backend=logger" \
    "name=sock, connection=connect, path=/nowhere"
in_domain web vchan cat sock < /dev/null > /dev/null 2>&1
run 0 xl-vchan wait --timeout 60 web sock Closed

part "graph"
run 0 xl-vchan graph
web=d$(xl domid web) logger=d$(xl domid logger)
for text in "$web [label=\"web\"];" "$logger [label=\"logger\"];" 'd0 [label="Domain-0"];' \
    "$web -> d0 [label=\"org.example.db (echo)\", color=gray40," \
    "$web -> $logger [label=\"org.example.log (app)\"," "$web -> d0 [label=\"sock (connect)\", color=red,"; do
    [[ $out == *"$text"* ]] || fail "no \"$text\" in $out"
done
[ "$(grep -c 'label="web"' <<< "$out")" = 1 ] || fail "a domain twice: $out"
[ "$(tail -n 1 <<< "$out")" = "}" ] || fail "no end: $out"

part "top needs a terminal"
run 1 xl-vchan top
complains "xl-vchan: top: not a terminal (use xl-vchan watch)"

# terminal SETTING: top reports that it cannot run there, and exits.
terminal() {
    run 1 script -qefc "env -u TERM ${1:+"$1"} xl-vchan top" /dev/null
    [ "${out%$'\r'}" = "xl-vchan: top: $2" ] || fail "top on a terminal with $1 said: $out"
}
terminal "" "TERM is not set (try TERM=xterm, or use xl-vchan watch)"
terminal TERM= "TERM is not set (try TERM=xterm, or use xl-vchan watch)"
terminal TERM=banana "TERM=banana: unknown terminal type (try TERM=xterm, or use xl-vchan watch)"
terminal TERM=dumb "TERM=dumb: this terminal is too simple (use xl-vchan watch)"

# screen_start: runs top on a terminal that writes all its output to $work/screen; keys go to $keys.
screen_start() {
    rm -f "$work/keys"
    mkfifo "$work/keys"
    : > "$work/screen"
    TERM=xterm script -qefc "stty cols 80 rows 24; stty -g > $work/before; xl-vchan top
        code=\$?; stty -g > $work/after; exit \$code" "$work/screen" < "$work/keys" > /dev/null &
    screen=$!
    exec {keys}> "$work/keys"
}
# shows REGEX: the output matches within 40 s. Polls, because a terminal's output has no lines to
# wait for.
shows() {
    local i
    for i in {1..800}; do
        grep -aqE -e "$1" "$work/screen" && return
        pause
    done
    fail "the screen does not show \"$1\""
}
press() { printf '%b' "$1" >&"$keys"; }
screen_end() {
    wait "$screen" || fail "top: exit code $?"
    exec {keys}>&-
    cmp "$work/before" "$work/after" || fail "the terminal is not as it was"
    grep -q $'\033\[?1049l' "$work/screen" || fail "the screen was not given back"
}

part "top"
screen_start
shows 'xl-vchan: 3 channels, 0 connected'
shows 'org.example.db'
shows 'InitWait'
press '\033[B'; press j; press s; press s; press r
mkfifo "$work/in"
in_domain web vchan cat org.example.db < "$work/in" > /dev/null &
cat=$!
exec {in}> "$work/in"
shows 'Connected' # only changes are written
press /logger
shows '; 1 shown'
press '\r'
press '\033'
exec {in}>&-
wait "$cat"
press q
screen_end

part "top: bytes a second, and who is there"
run 0 xl-vchan attach web "name=busy, connection=exec, user=root, command=cat > /dev/null"
in_domain web vchan cat busy < <(exec yes) > /dev/null 2>&1 &
cat=$!
screen_start
shows 'busy'
press '/busy\r'
shows ', pid ' # two seconds later
shows '[0-9][KMG]/s'
press q
screen_end
kill "$cat"
wait "$cat" 2> /dev/null
run 0 xl-vchan detach web busy

part "top, stopped by a signal"
screen_start
shows 'org.example.db'
for pid in /proc/[0-9]*; do
    [[ $(tr '\0' ' ' < "$pid/cmdline" 2> /dev/null) == *"xl-vchan top " ]] && kill -TERM "${pid##*/}"
done
screen_end

for name in org.example.db org.example.log sock; do
    run 0 xl-vchan detach web "$name"
done
run 0 xl destroy web
run 0 xl destroy logger
backend_stop
finish
