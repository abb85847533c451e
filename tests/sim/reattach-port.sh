#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A frontend dies while vchan-backend is not running, and another channel of that guest gets its
# event channel: the next vchan-backend does not resume the dead one, and the other is unharmed.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

backend_start
domain guest "name=dead, connection=echo" "name=other, connection=echo"
id=$(xl domid guest)
back=/local/domain/0/backend/vchan/$id front=/local/domain/$id/device/vchan
mkfifo "$work/never"
exec {never}<> "$work/never"
in_domain guest vchan cat dead < "$work/never" > /dev/null 2>&1 &
cat=$!
state "$front/0" 4
state "$back/1" 2
kill -9 "$backend"
backend_end 137

part "the event channel is given to another"
port=$(xenstore-read "$front/0/event-channel")
run 0 xensim exec guest pkill -9 -f '[v]chan cat dead'
wait $cat
in_domain guest vchan cat other < <(echo "unharmed") > "$work/out" 2> "$work/other.err" &
cat=$!
state "$front/1" 3
run 0 xenstore-read "$front/1/event-channel"
says "$port"

part "the next backend takes it for the other's"
backend_start
await "$id/0 dead: cannot resume $front/0: event channel $port is also claimed by another channel"
state "$back/0" 6
run 0 xenstore-read "$back/0/error"
says "cannot resume $front/0: event channel $port is also claimed by another channel"
wait $cat || fail "vchan cat other: exit code $? $(cat "$work/other.err")"
same "$work/out" <(echo "unharmed")

part "the dead one's can be opened again"
run 0 xensim exec guest vchan cat dead < <(echo "again")
says "again"
for name in dead other; do run 0 xl-vchan detach guest $name; done
run 0 xl destroy guest
backend_stop
finish
