#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The service's user has reached the kernel's soft limit for pipes, so that each new pipe has two
# pages (tests/programs/small-pipes.c). Under load in both directions, and killed now and then,
# vchan-backend loses no byte, repeats none, and never stalls.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
PATH=$PWD/tests/programs:$PATH

# sizes PID: prints the sizes of the process's pipes, one a line.
sizes() {
    perl -e 'for (glob "/proc/$ARGV[0]/fd/*") {
        next unless (readlink($_) // "") =~ /^pipe:/ and sysopen(my $pipe, $_, 2);
        print fcntl($pipe, 1032, 0) + 0, "\n"; # F_GETPIPE_SZ
    }' "$1"
}
# counts FILE FILE: the programs at the two ends each received what the other sent.
counts() {
    local one other
    one=$(sed -n 's/^sent //p' "$1") other=$(sed -n 's/^sent //p' "$2")
    [ "${one:-0}" -gt 0 ] && [ "${other:-0}" -gt 0 ] || fail "sent: \"$one\", \"$other\""
    grep -qx "received $other lost 0 duplicated 0" "$1" || fail "$other were sent to the guest: $(cat "$1")"
    grep -qx "received $one lost 0 duplicated 0" "$2" || fail "$one were sent to the command: $(cat "$2")"
}

LD_PRELOAD=$LD_PRELOAD:$PWD/tests/programs/.libs/small-pipes.so manager_start 5 200
domain guest "name=exec, connection=exec, user=root, reconnect=0, command={ counted send $work/stop & counted check; wait; } 2> $work/host"
in_domain guest bash -c "counted send $work/stop | vchan cat exec | counted check" 2> "$work/guest" &
guest=$!
run 0 vchan wait --timeout 60 "$(xl domid guest)/exec"
kill -USR2 "$manager"
manager_says "kills done" 120
run 0 vchan wait --timeout 60 "$(xl domid guest)/exec"
small=$(sizes "$(pgrep -P "$manager")" | grep -cx 8192)
[ "$small" -ge 6 ] || fail "pipes of two pages: $small (three of the command, three that are kept)"
touch "$work/stop"
wait "$guest" || fail "the guest's program: exit code $?"
counts "$work/guest" "$work/host"
manager_end
run 0 xl-vchan detach guest exec
run 0 xl destroy guest
finish
