# SPDX-License-Identifier: LGPL-2.1-or-later
# Shared by the tests of several folders.
EXTRA_DIST += tests/lib/check-main.h tests/lib/cppcheck.supp tests/lib/coverage.h tests/lib/driver \
	tests/lib/lsan.supp tests/lib/on-sim.sh tests/lib/pause.bash tests/lib/sim-lib.bash \
	tests/lib/traffic.bash

# For tests that control each access to the page (tests/model/fuzz-barrier.h); fakes replace xen.c
# and spin.c.
SHARED_FILES = \
	tests/lib/fake-spin.c tests/lib/fake-xen.c tests/lib/fake-xen.h \
	tests/model/fuzz-barrier.c tests/model/fuzz-barrier.h \
	state/device.c vchan/bytes.c vchan/channel.c vchan/copy.c vchan/relay.c vchan/ring.c
SHARED_CPPFLAGS = -include $(top_srcdir)/tests/model/fuzz-barrier.h $(AM_CPPFLAGS)
