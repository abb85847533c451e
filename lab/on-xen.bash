#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The scenarios of tests/sim/daemon.sh from number $first to $last, with the functions that
# tests/lib/sim-lib.bash provides for xensim.
set -u
. "$VOCABULARY"
. "${VOCABULARY%/*}/pause.bash"
work=$PWD patience=90 moments=4 times=10 slower=20 count=$((first - 1))

part() { step "$*"; }
in_domain() { guest_wait "$1" < /dev/null && guest-exec "$@"; }
finish() { exit 0; }

# If no program has to run in it, the echo domain will do, and is created in a tenth of the time.
bare_config()
{
    if [ "$inhabited" ]; then
        grep -v '^name' /lab/guest.cfg
    else
        printf 'kernel = "%s"\n' /usr/local/lib/pvchan/vchan-echo.elf
        printf 'memory = 8\nextra = "server=none channels=none"\n'
    fi
}

# backend_ready: the directory that vchan-backend keeps while it runs exists.
backend_ready()
{
    wait_for $patience "vchan-backend does not serve" xenstore-exists /local/domain/0/data/vchan-backend
}

# run CODE CMD…: the command exits with CODE; its output is in $out and $err.
run()
{
    local code=$1 got
    shift
    out=$(timeout 150 "$@" 2>"$work/err")
    got=$?
    IFS= read -rd '' err <"$work/err" # no process for that
    while [[ $err == *$'\n' ]]; do err=${err%$'\n'}; done
    [ "$got" = "$code" ] || fail "$*: exit code $got instead of $code: $out $err"
}

complains()
{
    same "complaint" "$err" "$1"
}

# Runs the code before the first scenario, the chosen scenarios, and the end.
chosen()
{
    awk -v first="$first" -v last="$last" '
        /^scenario / { number++ }
        !number || (first <= number && number <= last)
        END { print "the_end" }' "${VOCABULARY%/*}/sim-daemon.sh"
}

# Makes room for other domains, and removes what the scenarios do not need from xenstore.
xl destroy g1
xl destroy g2
WORDS=/dev/null
. <(chosen)
