#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The scenarios of tests/sim/daemon.sh from number $first to $last, with the words that tests/lib/sim-lib.bash has for xensim.
set -u
. "$VOCABULARY"
. "${VOCABULARY%/*}/pause.bash"
work=$PWD patience=90 moments=4 times=10 slower=20 count=$((first - 1))

part() { step "$*"; }
in_domain() { guest_wait "$1" < /dev/null && guest-exec "$@"; }
finish() { exit 0; }

# Where no program is to run, the echo domain is a domain as good as any, and made in a tenth of the time.
bare_config()
{
    if [ "$inhabited" ]; then
        grep -v '^name' /lab/guest.cfg
    else
        printf 'kernel = "%s"\n' /usr/local/lib/pvchan/vchan-echo.elf
        printf 'memory = 8\nextra = "server=none channels=none"\n'
    fi
}

# What it keeps while it runs is there.
backend_ready()
{
    wait_for $patience "vchan-backend does not serve" xenstore-exists /local/domain/0/data/vchan-backend
}

# run CODE CMD…: it ends with that code. What it said: $out and $err.
run()
{
    local code=$1 got
    shift
    out=$(timeout 150 "$@" 2>"$work/err")
    got=$?
    err=$(cat "$work/err")
    [ "$got" = "$code" ] || fail "$*: exit code $got instead of $code: $out $err"
}

complains()
{
    same "complaint" "$err" "$1"
}

# What is before the first scenario, those chosen, and the end.
chosen()
{
    awk -v first="$first" -v last="$last" '
        /^scenario / { number++ }
        !number || (first <= number && number <= last)
        END { print "the_end" }' "${VOCABULARY%/*}/sim-daemon.sh"
}

# Room for other domains, and nothing in xenstore that is not of the scenario.
xl destroy g1
xl destroy g2
WORDS=/dev/null
. <(chosen)
