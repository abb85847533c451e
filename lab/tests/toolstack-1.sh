#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Scenarios of tests/sim/daemon.sh with real domains, xl and xenstored: the daemon 1 of 3.
first=1 last=16
. "${VOCABULARY%/*}/on-xen.bash"
