#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The scenarios of tests/sim-daemon.sh with real domains, xl and xenstored.
WORDS=${VOCABULARY%/*}/on-xen.bash
. "${VOCABULARY%/*}/sim-daemon.sh"
