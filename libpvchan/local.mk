# SPDX-License-Identifier: LGPL-2.1-or-later
lib_LTLIBRARIES += libpvchan.la
libpvchan_la_SOURCES = \
	libpvchan/channels.c libpvchan/channels.h \
	libpvchan/group.c libpvchan/handle.h \
	libpvchan/known.c \
	libpvchan/open.c \
	libpvchan/plain.c \
	libpvchan/pvchan.c \
	libpvchan/reason.c \
	libpvchan/wait.c
libpvchan_la_LIBADD = libvchan.la libstate.la
libpvchan_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-Wl,--version-script=$(top_srcdir)/libpvchan/libpvchan.map
EXTRA_libpvchan_la_DEPENDENCIES = libpvchan/libpvchan.map
EXTRA_DIST += libpvchan/libpvchan.map

include_HEADERS += libpvchan/pvchan.h
pkgconfig_DATA += libpvchan/pvchan.pc
dist_modulesload_DATA += libpvchan/pvchan.conf

# Permissions of the devices that these modules make.
EXTRA_DIST += libpvchan/60-pvchan.rules libpvchan/sysusers.d/pvchan.conf libpvchan/tmpfiles.d/pvchan.conf
if UDEV_RULES
udevrules_DATA = libpvchan/60-pvchan.rules
endif
if SYSUSERS
sysusers_DATA = libpvchan/sysusers.d/pvchan.conf
endif
if TMPFILES
tmpfiles_DATA = libpvchan/tmpfiles.d/pvchan.conf
endif
