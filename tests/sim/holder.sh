#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a guest's program wrote is delivered even if the program dies while vchan-backend and its workers
# are dead, too, because vchan-holder has the rings. Step by step; tests/sim/reattach-both.sh kills at
# random moments.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# broker_dies: kills vchan-backend; the next one does not come before service_comes.
broker_dies() {
    local pid
    pid=$(pgrep -P "$manager" -x vchan-backend)
    kill -STOP "$manager"
    kill -9 "$pid"
    within 30 grep -q "^State:.Z" "/proc/$pid/status"
}
# service_dies: kills its workers, too.
service_dies() {
    broker_dies
    pkill -9 -x vchan-worker
    within 30 no_worker
}
# no_worker: none is alive, or is a zombie of the manager's.
no_worker() { ! pgrep -x vchan-worker; }
service_comes() { kill -CONT "$manager"; }

# opens: a program of the guest ($program) opens the channel; what it must write goes to $input.
opens() {
    rm -f "$work/in"
    mkfifo "$work/in"
    in_domain guest vchan cat log < "$work/in" > /dev/null 2> "$work/cat.err" &
    program=$!
    exec {input}> "$work/in"
}
# writes_and_dies TEXT: it writes while the service is dead; everything is in the ring once its
# state is Closing.
writes_and_dies() {
    state "$front" 4
    service_dies
    echo "$1" >&"$input"
    exec {input}>&-
    state "$front" 5
    in_domain guest pkill -9 -x vchan
    wait "$program"
}
# expects TEXT…: the log has exactly these lines, one for each connection.
expects() {
    local text
    for text; do printf '%s\nEND\n' "$text"; done >> "$work/want"
    within 60 cmp "$work/got" "$work/want"
}
holder() { pgrep -x vchan-holder; }
# no_zombie: no domain is kept by mappings of its pages.
no_zombie() { ! xl list | grep '(null)'; }
new_guest() {
    domain guest "name=log, connection=exec, user=root, $1, command=cat >> $work/got; echo END >> $work/got"
    front=/local/domain/$(xl domid guest)/device/vchan/0
    back=/local/domain/0/backend/vchan/$(xl domid guest)/0
}

: > "$work/want"
manager_start 0 0
new_guest ring=64K

# is_now KEY: what /proc/PID/status says of the holder.
is_now() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(holder)/status" | tr '\t' ' '; }

part "the holder has no rights but those over what it has open"
within 30 eval '[ "$(is_now Seccomp)" = 2 ]'
same_text "its capabilities" "0000000000000000" "$(is_now CapEff)"
same_text "those it may have" "0000000000000000" "$(is_now CapPrm)"
same_text "no_new_privs" 1 "$(is_now NoNewPrivs)"
user=0
! grep -q 4294967295 /proc/self/uid_map || user=65520
same_text "its user" "$user $user $user $user" "$(is_now Uid)"
same_text "its descriptors" "0 1 2 3 4" "$(ls "/proc/$(holder)/fd" | sort -n | paste -sd ' ')"
for i in 0 1 2; do within 30 eval '[ "$(readlink "/proc/$(holder)/fd/$i")" = /dev/null ]'; done

part "the service dies, then the program; what it wrote arrives, and then its end"
opens
writes_and_dies "one"
service_comes
expects "one"
state "$back" 6

part "its successor has begun before the service comes: first what the old one wrote, then the new one"
opens
writes_and_dies "old"
opens
state "$front" 1
service_comes
echo "new" >&"$input"
exec {input}>&-
exits 0 wait "$program"
expects "old" "new"

part "the holder is killed: another one holds all that this one did"
opens
state "$front" 4
old=$(holder)
kill -9 "$old"
logged "vchan-holder died; restarting it"
within 30 eval '[ "$(holder)" != "$old" ]'
logged "vchan-holder mapped the rings of 1 channel again"
writes_and_dies "held again"
service_comes
expects "held again"

part "the service goes on as a new process: the holder stays"
old=$(holder)
opens
state "$front" 4
kill -HUP "$manager"
logged "Reconfiguring" 4
state "$back" 4
[ "$(holder)" = "$old" ] || fail "the holder was $old, and is $(holder)"
writes_and_dies "anew"
service_comes
expects "anew"

part "the domain is destroyed, too: what it wrote arrives, and nobody keeps it"
opens
writes_and_dies "last words"
run 0 xl destroy guest
service_comes
expects "last words"
within 30 no_zombie

part "the same, and the toolstack has removed the device"
xenstore-rm "${back%/*}"
new_guest "read-ring=1K, write-ring=2K"
opens
writes_and_dies "nobody asks for it"
run 0 xl destroy guest
xenstore-rm "${back%/*}"
service_comes
within 30 no_zombie
echo END >> "$work/want" # without it
within 60 cmp "$work/got" "$work/want"

part "only vchan-backend dies: its worker delivers meanwhile, and the end comes later"
new_guest ring=64K
opens
state "$front" 4
broker_dies
echo "meanwhile" >&"$input"
echo "meanwhile" >> "$work/want"
within 30 cmp "$work/got" "$work/want"
exec {input}>&-
state "$front" 5
service_comes
echo END >> "$work/want"
within 30 cmp "$work/got" "$work/want"
exits 0 wait "$program"
state "$back" 6
run 0 xl-vchan detach guest log
run 0 xl destroy guest

part "rings in the shared page"
new_guest "read-ring=1K, write-ring=2K"
opens
writes_and_dies "small"
service_comes
expects "small"

part "the service is stopped: the holder is, too"
[ "$(holder | wc -l)" = 1 ] || fail "the holder: $(holder)"
manager_end
no_holder() { ! holder; }
within 30 no_holder # it exits by itself
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"
run 0 xl-vchan detach guest log
run 0 xl destroy guest
xenstore-rm data 2> /dev/null
finish
