#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs started with some standard descriptors closed: none of their own files takes those
# numbers.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# without REDIRECTIONS COMMAND…: starts it with these descriptors closed.
cat > "$work/without" << 'END'
eval "exec $1"
shift
exec "$@"
END
without=(bash "$work/without")

# all_null PROGRAM [COMMAND…]: its standard descriptors are open on /dev/null, as COMMAND sees its
# domain.
all_null() {
    run 0 "${@:2}" sh -c 'for fd in 0 1 2; do readlink "/proc/$(pgrep -x "$0")/fd/$fd"; done' "$1"
    says $'/dev/null\n/dev/null\n/dev/null'
}

part "vchan-backend"
"${without[@]}" "<&- >&- 2>&-" vchan-backend &
backend=$!
backend_ready
all_null vchan-backend

part "xl-vchan"
domain guest "name=echo, connection=echo" "name=app" "name=local"
guest=$(xl domid guest)
run 0 "${without[@]}" "<&- >&- 2>&-" xl-vchan attach guest "name=more, connection=echo"
run 1 "${without[@]}" ">&-" xl-vchan list
complains "xl-vchan: list: cannot write: Bad file descriptor"
run 3 "${without[@]}" "2>&-" xl-vchan wait --timeout 0 guest app Connected
complains ""

part "vchan cat"
in_guest=(xensim exec guest "${without[@]}")
run 1 "${in_guest[@]}" "<&-" vchan cat echo
complains "vchan: cannot read standard input: Bad file descriptor"
run 1 "${in_guest[@]}" ">&-" vchan cat echo <<< hi
complains "vchan: cannot write to standard output: Bad file descriptor"
run 0 "${in_guest[@]}" "2>&-" vchan cat more <<< hi
says hi
run 1 "${in_guest[@]}" "<&- >&- 2>&-" vchan cat echo
complains ""

part "vchan cat: one that is open the other way round"
run 1 "${in_guest[@]}" "< /dev/null > /dev/null 0>&1" vchan cat echo
complains "vchan: cannot read standard input: Bad file descriptor"
run 1 "${in_guest[@]}" "1< /dev/null" vchan cat echo <<< hi
complains "vchan: cannot write to standard output: Bad file descriptor"

part "vchan list and wait"
run 1 "${in_guest[@]}" ">&-" vchan list
complains "vchan: cannot write to standard output: Bad file descriptor"
run 0 "${in_guest[@]}" "<&- >&- 2>&-" vchan wait --timeout 30 --state Closed echo

part "vchan echo"
"${without[@]}" "<&- >&- 2>&-" vchan echo app &
echo=$!
run 0 xensim exec guest vchan cat --timeout 30 app <<< hi
says hi
wait "$echo" || fail "vchan echo: exit code $?"

part "vchan-frontend"
agent_config "name=local, connection=echo"
"${in_guest[@]}" "<&- >&- 2>&-" vchan-frontend -c "$work/frontend.conf" &
agent=$!
run 0 vchan cat --timeout 30 local <<< hi
says hi
all_null vchan-frontend xensim exec guest
kill "$agent"
wait "$agent" || fail "vchan-frontend: exit code $?"

part "xensim"
run 0 "${without[@]}" "<&- 2>&-" xensim exec guest cat
says ""
exits 127 xensim exec guest no-such-program 2> /dev/full

detach_all guest --force
run 0 xl destroy guest
kill "$backend"
wait "$backend" || fail "vchan-backend: exit code $?"
finish
