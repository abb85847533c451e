# SPDX-License-Identifier: LGPL-2.1-or-later
# xensim works under any program, so its own parts are never built with sanitizers.
SIM_CFLAGS = $(PVCHAN_CFLAGS) -fno-sanitize=all -D_GNU_SOURCE
SIM_PLACES = -DXENSTORED='"$(XEN_BIN)/xenstored"' -DBINDIR='"$(bindir)"' -DPKGLIBDIR='"$(pkglibdir)"' -DSIMEXECDIR='"$(simexecdir)"'

# Replaces the Xen libraries in a program.
pkglib_LTLIBRARIES = libxensim.la
libxensim_la_SOURCES = \
	sim/call.c \
	sim/client.c sim/client.h sim/control.h sim/protocol.h \
	sim/evtchn.c sim/evtchn.h sim/export.h \
	sim/files.c \
	sim/gnttab.c
# It defines both open() and open64(); with 64-bit offsets they would be the same function.
libxensim_la_CFLAGS = $(SIM_CFLAGS) -U_FILE_OFFSET_BITS
# libtool passes -fsanitize on by itself, but not this.
libxensim_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -Wc,-fno-sanitize=all

bin_PROGRAMS += xensim
xensim_SOURCES = \
	sim/bridge.c sim/bridge.h \
	sim/client.c \
	sim/conns.c \
	sim/domains.c \
	sim/evtchn.c \
	sim/grants.c \
	sim/handles.c \
	sim/hypervisor.c sim/hypervisor.h \
	sim/init.c sim/init.h \
	sim/leaks.c sim/leaks.h \
	sim/mounts.c \
	sim/ports.c \
	sim/registry.c \
	sim/repair.c \
	sim/report.c \
	sim/sources.c \
	sim/spawns.c \
	sim/xensim.c
xensim_CPPFLAGS = $(AM_CPPFLAGS) $(SIM_PLACES)
xensim_CFLAGS = $(SIM_CFLAGS)
xensim_LDADD = $(XENSTORE_LIBS)

simexecdir = $(pkglibexecdir)/sim
simexec_PROGRAMS = sim/xl
sim_xl_SOURCES = sim/client.c sim/xl.c
sim_xl_CFLAGS = $(SIM_CFLAGS) $(XENLIGHT_CFLAGS) $(XLUTIL_CFLAGS)
sim_xl_LDADD = $(XENLIGHT_LIBS) $(XLUTIL_LIBS) $(XENSTORE_LIBS) $(XENTOOLLOG_LIBS)

EXTRA_DIST += sim/README.md
