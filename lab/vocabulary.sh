# SPDX-License-Identifier: LGPL-2.1-or-later
# Words that every scenario script uses, whatever machine it runs on.

step()
{
    echo "-- $*"
}

fail()
{
    echo "FAIL: $*" >&2
    exit 1
}

# skip WHY: this scenario cannot be shown here.
skip()
{
    echo "SKIP: $*" >&2
    exit 77
}

# wait_for SECONDS WHAT CMD…: runs CMD until it succeeds; fails, naming WHAT, after that time.
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

# same WHAT A B: two words are equal.
same()
{
    [ "$2" = "$3" ] || fail "$1: '$2' is not '$3'"
}
