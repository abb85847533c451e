# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by tests/sim-*.sh: runs the script in a simulated host of its own, which reports leaks at its
# end, and gives it a few words. A test says what it expects; the first thing that is not so ends it.
set -euo pipefail

if [ -z "${XENSIM_DIR:-}" ]; then
    exec timeout "${TEST_SECONDS:-120}" xensim run -- bash "$0" "$@"
fi

trap 'echo "FAILED: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# guest NAME: makes a running domain without a program of its own; its id is in $domid.
guest() {
    local config
    config=$(mktemp --suffix=.cfg)
    printf 'name = "%s"\nmemory = 64\nkernel = "/boot/vmlinuz"\n' "$1" > "$config"
    xl create "$config" > /dev/null
    rm -f "$config"
    domid=$(xl domid "$1")
}

# await SECONDS COMMAND…: until it succeeds; a poll, with the command in the message if it never does.
await() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "not within its time: $*"
        read -rt 0.05 <> <(:) || true
    done
}

# expect TEXT COMMAND…: its output (both streams) has TEXT in it, whatever its exit code.
expect() {
    local text=$1 output
    shift
    output=$("$@" 2>&1) || true
    case $output in
        *"$text"*) ;;
        *) fail "expected \"$text\" from: $*; got: $output" ;;
    esac
}

# exits CODE COMMAND…: it ends with that exit code.
exits() {
    local code=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" = "$code" ] || fail "exit code $got instead of $code from: $*"
}
