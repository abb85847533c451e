#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the README's demo to its end.
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

out=$("$srcdir/examples/demo")
for text in "web org.example.echo frontend: Initialised -> Connected" "InitWait -> Connected" \
    "hello from web" "org.example.date backend: - -> Init" "Connected/Connected"; do
    [[ $out == *"$text"* ]] || fail "the demo does not show \"$text\": $out"
done
[ "${out##*$'\n'}" = nothing ] || fail "the demo does not end with nothing left: $out"
