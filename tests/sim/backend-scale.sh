#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Many channels of many guests in one vchan-backend: a small run of bench/scale. It fails if one is
# not Connected.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

out=$("$srcdir/bench/scale" 8 16 1 2>&1) || fail "exit code $?: $out"
echo "$out"
[[ $out == "128 channels of 8 guests, all Connected"* ]] || fail "said: $out"
finish
