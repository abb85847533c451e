# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests of several folders share.
EXTRA_DIST += tests/lib/check-main.h tests/lib/driver tests/lib/lsan.supp tests/lib/on-sim.sh \
	tests/lib/pause.bash tests/lib/sim-lib.bash

# For tests that own each access to the page (tests/model/fuzz-barrier.h), with xen.c and spin.c
# played by fakes.
SHARED_FILES = \
	tests/lib/fake-spin.c tests/lib/fake-xen.c tests/lib/fake-xen.h \
	tests/model/fuzz-barrier.c tests/model/fuzz-barrier.h \
	state/device.c vchan/bytes.c vchan/channel.c vchan/copy.c vchan/relay.c vchan/ring.c
SHARED_CPPFLAGS = -include $(top_srcdir)/tests/model/fuzz-barrier.h $(AM_CPPFLAGS)
