# SPDX-License-Identifier: LGPL-2.1-or-later
# Functions that every scenario script uses, whatever machine it runs on.

_begin=$(date +%s)

# step WHAT: prints what comes next, with the seconds so far.
step()
{
    echo "-- $(($(date +%s) - _begin)) s: $*"
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

# wait_for SECONDS WHAT CMD…: runs CMD until it succeeds; fails after that time, naming WHAT.
wait_for()
{
    _end=$(($(date +%s) + $1))
    _what=$2
    shift 2
    until "$@"; do
        [ "$(date +%s)" -lt "$_end" ] || fail "timeout: $_what"
        sleep 0.1
    done
}

# freeze PID…: stops the processes. One that is stopped in the middle of a request would block
# xenstored, which reads requests as a whole; then they continue, and are stopped again.
freeze()
{
    _tries=0
    while kill -STOP "$@" && ! timeout 5 xenstore-exists /; do
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

# random_file NAME KIB: makes a file of random bytes; prints its checksum.
random_file()
{
    dd if=/dev/urandom of="$1" bs=1024 count="$2" 2>/dev/null
    sha256sum <"$1"
}

# hold_open DOM NAME: a process in the guest opens the channel and keeps it open without sending
# anything until hold_end, which returns its exit code. Its output is in ./holder.out.
hold_open()
{
    rm -f hold
    mkfifo hold
    guest-exec "$1" sh -c "echo \$\$ >/run/holder.pid; exec vchan cat --timeout 90 $2" \
        <hold >holder.out 2>&1 &
    holder=$!
    exec 9>hold
    wait_for 90 "$2 is not Connected" state_is "$1" "$2" Connected/Connected
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
