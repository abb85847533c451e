# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libtoolstack.la
libtoolstack_la_SOURCES = \
	toolstack/channel.c toolstack/channel.h \
	toolstack/config.c toolstack/config.h
libtoolstack_la_CPPFLAGS = $(AM_CPPFLAGS) $(XENLIGHT_CFLAGS) $(XLUTIL_CFLAGS) $(JSON_CFLAGS)
libtoolstack_la_LIBADD = libstate.la $(XENLIGHT_LIBS) $(XLUTIL_LIBS) $(JSON_LIBS)
