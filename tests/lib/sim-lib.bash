# SPDX-License-Identifier: LGPL-2.1-or-later
# For tests of whole programs: source it first. The script runs in a simulated host of its own, from
# the build folder, and ends with finish. If it sets strict=yes before, it ends at the first
# failure, even of a plain command, and need not end with finish.
set -u

if [ -z "${XENSIM_DIR:-}" ]; then
    [ -x ./xensim ] || { echo "no xensim here"; exit 77; }
    exec timeout -k 10 "${limit:-900}" ./xensim run -- "$0"
fi

. "$(dirname "${BASH_SOURCE[0]}")/pause.bash"
PATH=$PWD/tests/programs:$PWD:$PATH
work=$(mktemp -d) || exit 1
failures=0

if [ "${strict:-}" ]; then
    set -eo pipefail
    trap 'echo "FAIL: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
    trap 'rm -rf "$work"' EXIT
fi

fail() {
    echo "FAIL: ${BASH_SOURCE[-1]##*/}:${BASH_LINENO[-2]}: $*"
    failures=$((failures + 1))
    [ -z "${strict:-}" ] || exit 1
}
part() { echo "--- $*"; }

# freeze PID…: stops the processes. One that is stopped in the middle of a request would block
# xenstored, which reads requests as a whole; then they continue, and are stopped again.
freeze() {
    local tries
    for tries in {1..30}; do
        kill -STOP "$@"
        timeout 5 xenstore-exists / && return
        kill -CONT "$@"
    done
    fail "xenstored does not answer while $* is stopped, $tries times"
}

# complaint_read: reads $work/err into $err, as $(cat) would.
complaint_read() {
    IFS= read -rd '' err < "$work/err" || true
    while [[ $err == *$'\n' ]]; do err=${err%$'\n'}; done
}

# same_text WHAT OLD NEW: fails if they differ.
same_text() { [ "$2" = "$3" ] || fail "$1 differs:"$'\n'"$(diff <(echo "$2") <(echo "$3"))"; }

# run CODE CMD…: the command exits with CODE within 200 seconds. Its output is in $out (and $err).
run() {
    local code=$1 got=0
    shift
    out=$(timeout 200 "$@" 2> "$work/err") || got=$?
    complaint_read
    [ "$got" = "$code" ] || fail "$*: exit code $got instead of $code: $out $err"
}
says() { [ "$out" = "$1" ] || fail "said: $out"$'\n'"    not: $1"; }
complains() { [ "$err" = "$1" ] || fail "complained: $err"$'\n'"    not: $1"; }
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }

# exits CODE COMMAND…: it exits with CODE; also for what is not a program, such as wait.
exits() {
    local code=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" = "$code" ] || fail "exit code $got instead of $code from: $*"
}

# expect TEXT COMMAND…: its output (both streams) contains TEXT, whatever its exit code.
expect() {
    local text=$1 output
    shift
    output=$("$@" 2>&1) || true
    [[ $output == *"$text"* ]] || fail "expected \"$text\" from: $*; got: $output"
}

# within SECONDS COMMAND…: it succeeds within that time. Polls, for changes without an event.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { fail "not within its time: $*"; return; }
        pause
    done
}

# kernel_is_up DOMAIN: its kernel has written its nodes, which it does after xl create has returned.
kernel_is_up() { [ "$(xenstore-read "/local/domain/$(xl domid "$1")/control/feature-reboot")" = 1 ]; }

# guest NAME: makes a running domain without channels and without a program; its id is in $domid.
guest() {
    printf 'name = "%s"\nmemory = 64\nkernel = "/none"\n' "$1" > "$work/$1.cfg"
    xl create "$work/$1.cfg" > /dev/null
    within 30 kernel_is_up "$1"
    domid=$(xl domid "$1")
}

# domain NAME ENTRY…: creates a domain with these channels. The backend must exist.
domain() {
    local name=$1 entries=()
    shift
    [ $# = 0 ] || printf -v entries '"%s",' "$@"
    printf 'name = "%s"\nmemory = 64\nkernel = "/none"\nvchan = [ %s ]\n' "$name" "${entries[*]}" \
        > "$work/$name.cfg"
    run 0 xl-vchan create --wait 60 "$work/$name.cfg"
    within 30 kernel_is_up "$name"
}
# detach_all DOMAIN [OPTION…]: it has no channel any more. One command, where those of many take a minute.
detach_all() { run 0 xl-vchan apply --quiet --wait 60 "${@:2}" /dev/stdin "$1" <<< 'vchan = []'; }

in_domain() { timeout 600 xensim exec "$@"; }

# listen PATH IN OUT: starts a program ($listener) that takes one client at PATH; it listens on
# return.
listen() {
    local said text
    exec {said}< <(exec socat -dd -t 60 - "UNIX-LISTEN:$1" 2>&1 < "$2" > "$3")
    listener=$!
    while read -r -t 30 -u "$said" text; do
        [[ $text != *"listening on"* ]] || return
    done
    fail "socat does not listen on $1"
}

# backend_start [OPTION…]: starts vchan-backend, with its process in $backend and its log in $log
# (see await).
backend_start() {
    exec {log}< <(exec vchan-backend "$@" 2>&1)
    backend=$!
}

# backend_ready: it has made the directory that it keeps in xenstore while it runs.
backend_ready() {
    local deadline=$((SECONDS + 30))
    until xenstore-exists /local/domain/0/data/vchan-backend; do
        [ $SECONDS -lt $deadline ] || { fail "vchan-backend has no directory for statistics"; return; }
        pause
    done
}

# await TEXT [SECONDS]: a line with TEXT comes in the backend's log, each line within that time (30).
# The line is in $line; those before it are in $seen. A line of another domain or channel counts
# too, so TEXT says whose it is.
await() {
    seen=
    while read -r -t "${2:-30}" -u "$log" line; do
        [[ $line == *"$1"* ]] && return
        seen+=$'\n'"    $line"
    done
    fail "no \"$1\" in the log:$seen"
}

# backend_stop [CODE]: sends SIGTERM; it exits with CODE (0).
backend_stop() {
    kill "$backend"
    backend_end "${1:-0}"
}
backend_end() {
    local got
    wait "$backend"
    got=$?
    exec {log}<&-
    [ "$got" = "$1" ] || fail "vchan-backend: exit code $got instead of $1"
}

# manager_start KILLS MILLISECONDS [OPTION…]: starts vchan-backend under a manager ($manager,
# tests/programs/manager.c), whose output comes at $said; the log is $work/backend.log.
manager_start() {
    rm -f "$work/said"
    mkfifo "$work/said"
    tests/programs/manager "$1" "$2" vchan-backend -v "${@:3}" > "$work/said" 2>> "$work/backend.log" &
    manager=$!
    exec {said}< "$work/said"
}
# manager_says TEXT [SECONDS]: the manager prints a line with TEXT, each line within that time (60).
# The line is in $heard.
manager_says() {
    while read -r -t "${2:-60}" -u "$said" heard; do
        [[ $heard != *"$1"* ]] || return
    done
    fail "the manager does not say: $1"
}
# manager_end: ends the service, which has no descriptor stored.
manager_end() {
    kill "$manager"
    wait "$manager"
    manager_says stored
    [ "$heard" = "stored 0" ] || fail "descriptors are left: $heard"
    exec {said}<&-
}
# answers TEXT: the guest's program at $input and $output sends it and gets it back.
answers() {
    local answer
    echo "$1" >&"$input"
    read -r -t 30 -u "$output" answer
    [ "$answer" = "$1" ] || fail "no answer to $1 but \"$answer\""
}

# logged TEXT [COUNT]: the log contains it that many times (1) within 30 seconds.
logged() {
    local deadline=$((SECONDS + 30))
    until [ "$(grep -c -e "$1" "$work/backend.log")" -ge "${2:-1}" ]; do
        [ $SECONDS -lt $deadline ] ||
            { fail "not in the log: $1"$'\n'"$(tail -n 20 "$work/backend.log")"; return; }
        pause
    done
}

# asks PATH TEXT: a client of a socket says TEXT, hears it again and leaves.
asks() { meets "$1" "$2" "$2"; }

# meets PATH TEXT HEARD: a client of a socket says TEXT, hears HEARD, however late, and leaves.
meets() {
    local from client answer=
    exec {from}< <(exec socat -t 60 - "UNIX-CONNECT:$1" <<< "$2")
    client=$!
    read -r -t 60 -u "$from" answer
    [ "$answer" = "$3" ] || fail "to \"$2\" a client of $1 heard \"$answer\", not \"$3\""
    kill "$client" 2> /dev/null
    exec {from}<&-
}

# datagrams SOCKET FILE: starts a program ($receiver) that writes all datagrams to the socket into
# the file.
datagrams() {
    socat -u "UNIX-RECV:$1" - > "$2" &
    receiver=$!
    within 30 test -S "$1"
}
# told FILE TEXT: the text comes into the file within 30 seconds.
told() {
    local deadline=$((SECONDS + 30))
    until grep -qa -- "$2" "$1"; do
        [ $SECONDS -lt $deadline ] || { fail "no \"$2\" in: $(cat "$1")"; return; }
        pause
    done
}

# agent_config ENTRY…: writes what the next agent_start, or SIGHUP, reads.
agent_config() {
    local entries
    printf -v entries '"%s",' "$@"
    printf 'vchan = [ %s ]\n' "$entries" > "$work/frontend.conf"
}

# agent_start DOMAIN [OPTION…]: starts vchan-frontend there, with its log in $agent_log (see hears);
# send signals to $agent.
agent_start() {
    exec {agent_log}< <(exec xensim exec "$1" vchan-frontend -c "$work/frontend.conf" "${@:2}" 2>&1)
    agent=$!
}

# hears TEXT: a line with TEXT comes in the agent's log within 30 seconds. The line is in $line.
hears() { log=$agent_log await "$1"; }

# agent_stop [CODE]: sends SIGTERM; it exits with CODE (0).
agent_stop() {
    kill "$agent"
    agent_end "${1:-0}"
}
agent_end() {
    local got
    wait "$agent"
    got=$?
    exec {agent_log}<&-
    [ "$got" = "$1" ] || fail "vchan-frontend: exit code $got instead of $1"
}

# appears FILE: the file exists within 30 seconds.
appears() {
    local deadline=$((SECONDS + 30))
    until [ -e "$1" ]; do
        [ $SECONDS -lt $deadline ] || { fail "no $1"; return; }
        pause
    done
}

# state DIR TEXT: the state of a device's side becomes TEXT, each change within 30 seconds.
state() {
    local events value='' i
    exec {events}< <(exec xenstore-watch -n 100 "$1/state")
    local watcher=$!
    for i in {1..100}; do
        read -r -t 30 -u "$events" || break
        value=$(xenstore-read "$1/state" 2> /dev/null)
        [ "$value" = "$2" ] && break
    done
    kill "$watcher" 2> /dev/null
    exec {events}<&-
    [ "$value" = "$2" ] || fail "$1/state is $value, not $2"
}

# vanishes FILE: the file is gone within 30 seconds. (The service removes it slightly after the
# toolstack is done.)
vanishes() {
    local deadline=$((SECONDS + 30))
    while [ -e "$1" ]; do
        [ $SECONDS -lt $deadline ] || { fail "$1 is left"; return; }
        pause
    done
}

finish() {
    rm -rf "$work"
    [ "$failures" = 0 ] || { echo "$failures failures"; exit 1; }
    exit 0
}
