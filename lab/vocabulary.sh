# SPDX-License-Identifier: LGPL-2.1-or-later
# Functions that every scenario script uses, whatever machine it runs on.

# clock_read: the seconds since the machine started: $_now. It starts no process.
clock_read()
{
    read -r _now _ </proc/uptime
    _now=${_now%.*}
}

clock_read
_begin=$_now

# step WHAT: prints what comes next, with the seconds so far.
step()
{
    clock_read
    echo "-- $((_now - _begin)) s: $*"
}

fail()
{
    echo "FAIL: $*" >&2
    exit 1
}

# skip WHY: this scenario cannot run here.
skip()
{
    echo "SKIP: $*" >&2
    exit 77
}

# wait_for SECONDS WHAT CMD…: runs CMD until it succeeds; fails, naming WHAT, after that time. It looks ever less often,
# down to twice a second, since each look takes the CPU from what is awaited.
wait_for()
{
    clock_read
    _end=$((_now + $1))
    _what=$2
    _nap=1
    shift 2
    until "$@"; do
        clock_read
        [ "$_now" -lt "$_end" ] || fail "timeout: $_what"
        nap $_nap
        [ $_nap = 5 ] || _nap=$((_nap + 1))
    done
}

# freeze PID…: stops the processes. One that is stopped in the middle of a request would block
# xenstored, which reads requests as a whole; then they continue, and are stopped again.
freeze()
{
    _tries=0
    while kill -STOP "$@"; ! timeout 5 xenstore-exists /; do
        kill -CONT "$@"
        _tries=$((_tries + 1))
        [ $_tries -lt 30 ] || fail "xenstored does not answer while $* is stopped"
    done
}

# same WHAT A B: two words are equal.
same()
{
    [ "$2" = "$3" ] || fail "$1: '$2' is not '$3'"
}

# contains WHAT TEXT PART: the text contains the part.
contains()
{
    case $2 in
    *"$3"*) ;;
    *) fail "$1: no '$3' in: $2" ;;
    esac
}

# fails WHAT CMD…: the command exits with a code other than 0.
fails()
{
    _what=$1
    shift
    ! "$@" >/dev/null 2>&1 || fail "$_what: should have failed: $*"
}

# backend_start: starts vchan-backend in domain 0, with its log in ./backend.log; backend_stop ends
# it cleanly.
backend_start()
{
    vchan-backend -v 2>>backend.log 9>&- & # closed, so that the holder does not inherit it
    backend=$!
}

backend_stop()
{
    kill "$backend"
    wait "$backend" || fail "vchan-backend ended with $?: $(tail -n 3 backend.log)"
}

# state_is DOM NAME STATES: "xl-vchan list" shows the channel in those states, such as
# "Connected/Connected".
state_is()
{
    xl-vchan list "$1" | grep -q " $2  *$3 "
}

# states_are DOM NAME STATES: the same, by its nodes in xenstore: for wait_for, since xl-vchan takes long to start.
states_are()
{
    if [ "$_nodes_of" != "$1 $2" ] || ! _states=$(xenstore-read "$_front" "$_back" 2>/dev/null); then
        _nodes_of=
        _back=$(xl-vchan list "$1" 2>/dev/null | awk -v name="$2" '$1 ~ /^[0-9]+$/ && $3 == name { print $NF }')
        [ "$_back" ] && _front=$(xenstore-read "$_back/frontend" 2>/dev/null)/state || return
        _back=$_back/state
        _states=$(xenstore-read "$_front" "$_back" 2>/dev/null) || return
        _nodes_of="$1 $2"
    fi
    state_numbers "$3"
    [ "$_states" = "$_numbers" ]
}
_nodes_of=

# state_numbers STATES: $_numbers, as the two nodes have them, a line each.
state_numbers()
{
    _numbers=
    for _state in "${1%/*}" "${1#*/}"; do
        case $_state in
        Initialising) _state=1 ;;
        InitWait) _state=2 ;;
        Initialised) _state=3 ;;
        Connected) _state=4 ;;
        Closing) _state=5 ;;
        Closed) _state=6 ;;
        *) fail "no such state: $_state" ;;
        esac
        _numbers=$_numbers${_numbers:+$_newline}$_state
    done
}
_newline='
'

# random_file NAME KIB: makes a file of random bytes; prints its checksum.
random_file()
{
    dd if=/dev/urandom of="$1" bs=1024 count="$2" 2>/dev/null
    sha256sum <"$1"
}

# hold_open DOM NAME [COMMAND]: a process in the guest opens the channel and keeps it open without
# sending anything until hold_end, which returns its exit code. Its output is in ./holder.out. With
# COMMAND it sends what that prints in the guest, as soon as a line is written to descriptor 9: on
# the way from here, over xenstore, many bytes take seconds.
hold_open()
{
    rm -f hold
    mkfifo hold
    _hold="echo \$\$ >/run/holder.pid; exec vchan cat --timeout 90 $2"
    [ ! "${3:-}" ] || _hold="{ read -r _ && $3; } | sh -c '$_hold'"
    guest-exec "$1" sh -c "$_hold" <hold >holder.out 2>&1 &
    holder=$!
    exec 9>hold
    wait_for 90 "$2 is not Connected" states_are "$1" "$2" Connected/Connected
}

hold_end()
{
    exec 9>&-
    wait $holder
}

# hold_kill DOM: kills that process.
hold_kill()
{
    guest-exec "$1" sh -c 'kill -9 $(cat /run/holder.pid)'
}
