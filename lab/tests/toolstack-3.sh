#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Scenarios of tests/sim/daemon.sh with real domains, xl and xenstored: the daemon 3 of 3.
first=25 last=1000
. "${VOCABULARY%/*}/on-xen.bash"
