#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libpvchan/pvchan.h, pvchan_state(): a program whose backend is killed sees that the backend is
# awaited, that the next one continues, and how it ends when the channel is detached.
limit=600
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

# As in enum pvchan_state.
connected=3 awaited=4 ended=5

vchan-backend 2> /dev/null &
service=$!
guest web
xl-vchan attach web name=echo,connection=echo > /dev/null
{ coproc there { exec xensim exec web "$builddir/tests/api/api" peer; }; } 2> /dev/null
exec {there_in}>&"${there[1]}" {there_out}<&"${there[0]}"

# says ANSWER COMMAND…: the guest's program answers the command with ANSWER.
says() {
    local line
    echo "${*:2}" >&$there_in
    read -rt 60 line <&"$there_out" || fail "no answer to: ${*:2}"
    [ "$line" = "$1" ] || fail "$line instead of $1 to: ${*:2}"
}

says 0 open echo 30000
says $connected state
says 5 write 5
says 5 drain 5
kill -9 $service
wait $service || true
says $awaited news 30000
says $awaited state
says 5 write 5
vchan-backend 2> /dev/null &
service=$!
says $connected news 30000
says 5 drain 5
xl-vchan detach web echo > "$work/detached" &
detaching=$!
says $ended news 30000
says 0 read 1
says 0 close
wait $detaching
echo end >&$there_in
read -rt 60 _ <&"$there_out" || [ $? = 1 ] || fail "the program does not end"
kill $service
wait $service
xl destroy web
