#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab itself: commands in a guest get the right exit code, output, input and arguments.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

same "exit code" "$(guest-exec g1 sh -c 'exit 37'; echo $?)" 37
same "signal" "$(guest-exec g1 sh -c 'kill -9 $$'; echo $?)" 137
same "no such command" "$(guest-exec g1 /no/such 2>/dev/null; echo $?)" 127
fails "no such guest" guest-exec nobody true
same "arguments" "$(guest-exec g2 printf '%s|' 'a b' '' '$HOME')" 'a b||$HOME|'
# shellcheck disable=SC2046
same "many arguments" "$(guest-exec g2 sh -c 'echo $# ${500}' sh $(seq 500))" "500 500"
same "stderr" "$(guest-exec g1 sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err

step "bytes in both directions"
dd if=/dev/urandom of=bytes bs=1024 count=50 2>/dev/null
guest-exec g1 cat <bytes >back || fail "cat in the guest"
cmp bytes back || fail "bytes changed on the way"

step "a command that leaves a process behind still ends"
guest-exec g1 sh -c 'sleep 60 & echo started' >started
same "output" "$(cat started)" started

step "a signal reaches the command"
guest-exec g2 sh -c 'echo up; exec sleep 60' >up &
wait_for 90 "the command did not start" test -s up
kill $!
wait $!
same "exit code" $? 143
