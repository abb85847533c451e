# SPDX-License-Identifier: LGPL-2.1-or-later
sbin_PROGRAMS += vchan-backend
vchan_backend_SOURCES = backend/main.c backend/service.c backend/service.h backend/turns.c \
	backend/turns.h
vchan_backend_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
vchan_backend_LDADD = libservice.la

EXTRA_DIST += backend/vchan-backend.service.in

if UNITS
systemdunit_DATA += backend/vchan-backend.service
endif
CLEANFILES += backend/vchan-backend.service
backend/vchan-backend.service: $(srcdir)/backend/vchan-backend.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) backend && sed 's|@sbindir[@]|$(sbindir)|' $< > $@.tmp && mv $@.tmp $@
