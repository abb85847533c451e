# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libbackend.la
libbackend_la_SOURCES = \
	backend/child.c backend/child.h \
	backend/connect.c \
	backend/connection.c backend/connection.h \
	backend/device.c backend/device.h \
	backend/echo.c \
	backend/exec.c \
	backend/log.c backend/log.h \
	backend/service.c backend/service.h \
	backend/socket.c \
	backend/stream.c backend/stream.h \
	backend/unix.c backend/unix.h
libbackend_la_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libbackend_la_LIBADD = libvchan.la libstate.la $(EVENT_LIBS)

sbin_PROGRAMS += vchan-backend
vchan_backend_SOURCES = backend/main.c
vchan_backend_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
vchan_backend_LDADD = libbackend.la

EXTRA_DIST += backend/vchan-backend.service.in

systemdunitdir = $(prefix)/lib/systemd/system
systemdunit_DATA = backend/vchan-backend.service
CLEANFILES += backend/vchan-backend.service
backend/vchan-backend.service: $(srcdir)/backend/vchan-backend.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) backend && sed 's|@sbindir[@]|$(sbindir)|' $< > $@.tmp && mv $@.tmp $@
