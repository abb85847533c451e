# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libvchan.la
libvchan_la_SOURCES = \
	vchan/barrier.h \
	vchan/channel.c vchan/channel.h \
	vchan/ring.c vchan/ring.h \
	vchan/xen.c vchan/xen.h
libvchan_la_LIBADD = libstate.la $(XENGNTTAB_LIBS) $(XENEVTCHN_LIBS)
