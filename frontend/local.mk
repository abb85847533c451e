# SPDX-License-Identifier: LGPL-2.1-or-later
lib_LTLIBRARIES += libpvchan.la
libpvchan_la_SOURCES = \
	frontend/open.c
libpvchan_la_LIBADD = libvchan.la libstate.la
libpvchan_la_LDFLAGS = -version-info 0:0:0 -no-undefined \
	-Wl,--version-script=$(top_srcdir)/frontend/libpvchan.map
EXTRA_libpvchan_la_DEPENDENCIES = frontend/libpvchan.map
EXTRA_DIST += frontend/libpvchan.map
