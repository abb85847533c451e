#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libpvchan/pvchan.h, -EIO: xenstored dies while channels are open. What is in the rings can still
# be read, every other call reports it, and nothing hangs or is killed.
set -euo pipefail

if [ -z "${XENSIM_DIR:-}" ]; then
    # The host cannot look for leaks either, so its own verdict does not count.
    said=$(timeout 600 xensim run --keep-going -- bash "$0" 2>&1) || true
    [[ $said == *$'\nwell\n'* ]] && exit 0
    echo "$said" >&2
    exit 1
fi

strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

# A program on each side, and what each answers.
guest web
xl-vchan attach web name=app > /dev/null
xl-vchan attach web name=more > /dev/null
coproc here { exec "$builddir/tests/api/api" peer; } 2> /dev/null
exec {here_in}>&"${here[1]}" {here_out}<&"${here[0]}"
{ coproc there { exec xensim exec web "$builddir/tests/api/api" peer; }; } 2> /dev/null
exec {there_in}>&"${there[1]}" {there_out}<&"${there[0]}"

here() { echo "$*" >&$here_in; }
there() { echo "$*" >&$there_in; }

# says FD ANSWER WHAT
says() {
    local line
    read -rt 60 line <&"$1" || fail "no answer to: $3"
    [ "$line" = "$2" ] || fail "$line instead of $2 to: $3"
}

here open app 60000
there open app 60000
says "$here_out" 0 open
says "$there_out" 0 open
here gopen 1 more 60000
there gopen 1 more 60000
says "$here_out" 0 gopen
says "$there_out" 0 gopen
here gopened 1
there gopened 1
says "$here_out" 1 gopened
says "$there_out" 1 gopened
there write 5
says "$there_out" 5 write
kill -9 "$(cat /run/xensim/xenstored.pid)"

here read 5
says "$here_out" 5 "read what is there"
here write 7
says "$here_out" 7 write
there read 7
says "$there_out" 7 "read in the guest"
# Until its thread has noticed, the call still succeeds; it soon notices.
answer='' deadline=$((SECONDS + 60))
while [[ $answer != -5 && $SECONDS -lt $deadline ]]; do
    here dispatch
    read -rt 60 answer <&"$here_out"
    pause
done
[ "$answer" = -5 ] || fail "dispatch says $answer"
answer='' deadline=$((SECONDS + 60))
while [[ $answer != -5 && $SECONDS -lt $deadline ]]; do
    here gagain 1 # a channel has something to do, always
    says "$here_out" 0 gagain
    here gwait 20
    read -rt 60 answer <&"$here_out"
done
[ "$answer" = -5 ] || fail "the group says $answer"
here gwait 0
says "$here_out" 1 "the group, whose channel still has its turn"
here gwait 20
says "$here_out" 0 "the group, which has said so"
kill -9 "$there_PID"
here gwait 10000
says "$here_out" 1 "the group, which goes on"
here gclose
says "$here_out" 0 gclose
here close
says "$here_out" 0 close
here open app 100
says "$here_out" -19 "open, when there is none"
here end
read -rt 60 _ <&"$here_out" || [ $? = 1 ] || fail "the program does not end"
echo well
