#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What list and show print about the bytes that a channel moved, and about a service that writes
# invalid statistics.
. "$(dirname "$0")/../lib/sim-lib.bash"

# comes PATTERN CMD…: its output matches within 30 s. Polls, since the service writes every two
# seconds.
comes() {
    local pattern=$1 deadline=$((SECONDS + 30))
    shift
    until out=$("$@") && [[ $out =~ $pattern ]]; do
        [ $SECONDS -lt $deadline ] || { fail "$*: $out"$'\n'"    not: $pattern"; return; }
        pause 0.1
    done
}
json() { comes "${1//|/$'[ \n]*'}" xl-vchan "${@:2}"; }

backend_start
domain logger
domain web "name=echo, connection=echo" "name=log, backend=logger"

part "nothing moved so far"
run 0 xl-vchan list --long web
says "Idx BE       Name FE/BE state               r/w-ring FE>BE BE>FE Connected since Peer
0   Domain-0 echo Initialising/InitWait     64K/64K  -     -     -               -
1   logger   log  Initialising/Initialising 64K/64K  -     -     -               -"
run 0 xl-vchan list --json web
[ "$(grep -c '"statistics":null' <<< "$out")" = 2 ] || fail "$out"
run 0 xl-vchan show web echo
[[ $out != *"from frontend"* ]] || fail "$out"

part "moved, and not connected any more"
run 0 xensim exec web vchan cat echo < <(yes | head -c 150000)
json '"statistics":\{|"received":150000,|"sent":150000,|"wakes":[0-9]+,|"sleeps":[0-9]+,|"since":0,|"connections":1,|"waiting":0,|"streams":0,|"opened":0,|"refused":0,|"reset":0,|"stored":0,|"peer":null|\}' \
    list --json web
run 0 xl-vchan list --long web
[[ $out == *"echo Closed/Closed "*" 146K  146K  -    "* ]] || fail "$out"

part "connected, by whom"
run 0 xl-vchan attach web "name=cat, connection=exec, user=root, command=cat"
mkfifo "$work/in"
in_domain web vchan cat cat < "$work/in" > /dev/null &
cat=$!
exec {in}> "$work/in"
echo hello >&"$in"
comes 'connected since [-0-9]+ [:0-9]+
connections     1 so far
peer            pid [0-9]+
from frontend   6 bytes
to frontend     6 bytes
signals         [0-9]+ from frontend, [0-9]+ to it' xl-vchan show web cat
exec {in}>&-
wait "$cat"
run 0 xl-vchan detach web cat

part "a backend that says nonsense"
node=data/vchan-backend/$(xl domid web)/1
for text in "" "received=1" "received=-1 sent=2 peer=" "received=99999999999999999999 peer=" "peer" "=1 peer=" \
    "received= sent=1 peer=" "received=1  sent=1 peer="; do
    run 0 xensim exec logger xenstore-write "$node" "$text"
    run 0 xl-vchan show --json web log
    [[ $out == *'"statistics":null'* ]] || fail "\"$text\": $out"
done
run 0 xensim exec logger xenstore-write "$node" \
    $'sent=18446744073709551615 new=7 since=18446744073709551615 received=999 peer=\e[31mred peer=2'
run 0 xl-vchan show web log
[[ $out == *"connected since -
connections     0 so far
peer            ?[31mred peer=2
from frontend   999 bytes
to frontend     16E (18446744073709551615 bytes)"* ]] || fail "$out"
run 0 xensim exec logger xenstore-rm data

for name in echo log; do
    run 0 xl-vchan detach --force web $name
done
run 0 xl destroy web
run 0 xl destroy logger
backend_stop
finish
