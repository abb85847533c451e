#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Event channels and grants of the simulator, also under memory checkers.
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

domid=0
guest one && GUEST=$domid
guest two && OTHER=$domid
export GUEST OTHER

"$builddir/tests/programs/sim-evtchn"
guest three && export DYING=$domid
"$builddir/tests/programs/sim-grants" 2> /dev/null
xensim leaks

xl destroy one
xl destroy two
