#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# connection=exec with a delegated cgroup: each command has its own, in which nothing outlives the channel, be it in a
# session of its own, deaf to SIGTERM, or left by a service that was killed. (Real cgroups: the test needs a
# cgroup v2 hierarchy that it may write to.)
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# may_write DIR: DIR is a cgroup v2 hierarchy in which this test may make and kill cgroups.
may_write() {
    local probe=$1/pvchan-test-$$ kills
    [ -e "$1/cgroup.procs" ] && mkdir "$probe" 2> /dev/null || return
    [ -e "$probe/cgroup.kill" ]
    kills=$?
    rmdir "$probe"
    return $kills
}
# Where the machine shows none, the host's own mount namespace can have one.
top=/sys/fs/cgroup
may_write $top || top=/sys/fs/cgroup/unified
may_write $top || { top=/sys/fs/cgroup; mount -t cgroup2 none $top 2> /dev/null; }
may_write $top || {
    echo "no cgroup v2 hierarchy to write to: only lab/tests/systemd.sh sees commands in cgroups"
    finish
}

# One that no other run of this test has: its process ids may be the same.
CGROUP=$(mktemp -d "$top/pvchan-test.XXXXXX")
rmdir "$CGROUP"
export CGROUP
gone() { ! kill -0 "$(head -n 1 "$1")" 2> /dev/null; }
# hold NAME: vchan cat in the guest ($guest), its input at $input, its output at $output; the command answers.
hold() {
    rm -f "$work/in"
    mkfifo "$work/in"
    exec {output}< <(exec timeout 120 xensim exec guest vchan cat "$1" < "$work/in" 2> /dev/null)
    guest=$!
    exec {input}> "$work/in"
    answers "are you there"
}
leave() {
    exec {input}>&-
    wait "$guest"
    exec {output}<&-
}
# in_cgroup FILE DIR: the process whose id is there is in that cgroup of the service's.
in_cgroup() {
    grep -qx "$(cat "$1")" "$CGROUP/$2/cgroup.procs" || fail "$2 has not $(cat "$1") but: $(cat "$CGROUP/$2/cgroup.procs")"
}
removed() { [ ! -e "$CGROUP/$1" ]; }
# daemon FILE: a command's words for one in a session of its own, which SIGTERM does not end.
daemon() {
    echo "setsid sh -c 'trap : TERM; echo \$\$ >> $work/$1; while :; do sleep 1000; done' < /dev/null > /dev/null 2>&1 &"
}

part "a session of its own is no way out"
manager_start 0 0
domain guest "name=daemon, connection=exec, user=root, command=echo \$\$ > $work/shell; $(daemon daemon) exec cat" \
    "name=killed, connection=exec, user=root, command=echo \$\$ > $work/shell; $(daemon killed) exec cat" \
    "name=again, connection=exec, user=root, reconnect=1, command=$(daemon again) head -n 1" \
    "name=own, connection=exec, user=nobody, command=cat /proc/self/cgroup"
domid=$(xl domid guest)
hold daemon
within 30 test -s "$work/daemon"
in_cgroup "$work/shell" "guest-$domid/daemon-0"
in_cgroup "$work/daemon" "guest-$domid/daemon-0"
! grep -qx "$(pgrep -P "$manager")" "$CGROUP/guest-$domid/daemon-0/cgroup.procs" || fail "the service is in it"
out=$(in_domain guest vchan cat own < /dev/null)
[[ $out == *"0::"*"/guest-$domid/own-0"* ]] || fail "as nobody, a command is in $out"
within 30 removed "guest-$domid/own-0"
leave
within 60 gone "$work/daemon"
within 30 removed "guest-$domid"

part "a command that is started again: what it left behind does not pile up"
hold again
logged "again: command started" 2 # or the earlier one would have what comes
answers "once more"
within 60 gone "$work/again"
leave

part "a kill: the next process goes on with the command, and still ends all of it"
hold killed
within 30 test -s "$work/killed"
kill -USR1 "$manager"
logged "killed: Connected" 2
answers "after the kill"
in_cgroup "$work/killed" "guest-$domid/killed-0"
leave
within 60 gone "$work/killed"
within 30 removed "guest-$domid"

part "the channel goes while no process is there"
rm "$work/killed"
hold killed
within 30 test -s "$work/killed"
freeze "$(pgrep -P "$manager")"
run 0 xl-vchan detach --force guest killed
kill -USR1 "$manager"
within 60 gone "$work/killed"
within 60 gone "$work/shell"
leave
within 30 removed "guest-$domid"

part "what is left of commands that nobody remembers"
mkdir "$CGROUP/guest-$domid" "$CGROUP/guest-$domid/daemon-7"
setsid sh -c "trap '' TERM; echo 0 > $CGROUP/guest-$domid/daemon-7/cgroup.procs; echo \$\$ > $work/lost; while :; do sleep 1000; done" &
within 30 test -s "$work/lost"
kill -USR1 "$manager"
within 60 gone "$work/lost"
within 30 removed "guest-$domid"
manager_end
within 30 rmdir "$CGROUP"

part "limits where the service is in the cgroup itself: an error, and commands run"
: > "$work/backend.log"
manager_start 0 0 --command-tasks-max=16
logged "cannot limit commands: the service's own processes are in its cgroup (add DelegateSubgroup=service"
hold daemon
leave
manager_end
within 30 rmdir "$CGROUP"

if grep -qw pids "$top/cgroup.controllers"; then
    part "limits"
    export CGROUP_SUB=service
    : > "$work/backend.log"
    manager_start 0 0 --command-tasks-max=16
    hold daemon
    [ "$(cat "$CGROUP/guest-$domid/daemon-0/pids.max")" = 16 ] || fail "a command may have $(cat "$CGROUP"/guest-*/*/pids.max) tasks"
    kill -USR1 "$manager" # and the next process can be started beside them
    logged "daemon: Connected" 2
    answers "after the kill"
    leave
    ! grep "cannot limit" "$work/backend.log" || fail "it has no limits"
    manager_end
    within 30 rmdir "$CGROUP/service"
    within 30 rmdir "$CGROUP"
    unset CGROUP_SUB
fi

part "without delegation all is as ever, and the log says so once"
unset CGROUP
backend_start -v
await "commands have no cgroups of their own: "
[ "$(in_domain guest vchan cat own < /dev/null | grep -c guest-)" = 0 ] || fail "a command has a cgroup of its own"
backend_stop

for name in daemon again own; do run 0 xl-vchan detach guest $name; done
run 0 xl destroy guest
xenstore-rm data 2> /dev/null
finish
