# SPDX-License-Identifier: LGPL-2.1-or-later
# For the scripts of tests/ that run on real Xen too: the words that tests/sim-lib.bash has for xensim.
set -u
. "$VOCABULARY"
# Those after the first 13 have not yet been seen to hold here.
work=$PWD scenarios=13 patience=90 moments=4 times=10 slower=20

part() { step "$*"; }
bare_config() { grep -v '^name' /lab/guest.cfg; }
in_domain() { guest_wait "$1" < /dev/null && guest-exec "$@"; }
finish() { exit 0; }

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

# Room for other domains, and nothing in xenstore that is not of the scenario.
xl destroy g1
xl destroy g2
