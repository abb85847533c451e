#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Scenarios of tests/sim/daemon.sh with real domains, xl and xenstored: the daemon 2 of 3.
first=17 last=24
. "${VOCABULARY%/*}/on-xen.bash"
