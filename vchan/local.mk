# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libvchan.la
libvchan_la_SOURCES = \
	vchan/barrier.h \
	vchan/bytes.c vchan/bytes.h \
	vchan/channel.c vchan/channel.h \
	vchan/copy.c vchan/copy.h \
	vchan/pace.c vchan/pace.h \
	vchan/relay.c vchan/relay.h \
	vchan/ring.c vchan/ring.h \
	vchan/rings.c vchan/rings.h \
	vchan/spin.c vchan/spin.h \
	vchan/stream-relay.c vchan/stream-relay.h \
	vchan/streams.c vchan/streams.h \
	vchan/trial.c vchan/trial.h \
	vchan/xen.c vchan/xen.h
libvchan_la_LIBADD = $(XENGNTTAB_LIBS) $(XENEVTCHN_LIBS)
