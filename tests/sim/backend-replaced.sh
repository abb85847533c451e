#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend: a channel is detached and another attached in its place before it looks: it
# releases the old one without closing the new one.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# replace ENTRY: replaces the channel with devid 0 while the service does not run.
replace() {
    freeze "$backend"
    run 0 xl-vchan detach --force guest first
    xl-vchan attach --wait 60 guest "$@" 2> "$work/attach.err" &
    attach=$!
    state "$back" 1
    kill -CONT "$backend"
    wait $attach || fail "xl-vchan attach: exit code $? $(cat "$work/attach.err")"
}

backend_start -v
domain guest "name=first, connection=socket, path=$work/first"
id=$(xl domid guest)
back=/local/domain/0/backend/vchan/$id/0

part "one that nobody has open"
await "$id/0 first: InitWait"
replace name=first connection=socket "path=$work/second"
[ -S "$work/second" ] || fail "nothing listens when attach is done"
await "$id/0 first: removed"
await "$id/0 first: InitWait (socket $work/second)"
[ ! -e "$work/first" ] || fail "$work/first is left"

part "one that is in use"
mkfifo "$work/never"
exec {never}<> "$work/never"
in_domain guest vchan cat first < "$work/never" > /dev/null 2>&1 &
cat=$!
await "$id/0 first: frontend Connected"
replace name=first connection=socket "path=$work/third"
[ -S "$work/third" ] || fail "nothing listens when attach is done"
while read -r -t 30 -u "$log" line; do
    [[ $line != *Clos* ]] || fail "the new one is closed: $line"
    [[ $line != *"InitWait (socket $work/third)" ]] || break
done
wait $cat
[ $? != 0 ] || fail "vchan cat did not notice"
run 0 xl-vchan detach guest first
run 0 xl destroy guest
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"
backend_stop
finish
