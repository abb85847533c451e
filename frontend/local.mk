# SPDX-License-Identifier: LGPL-2.1-or-later
# The code of vchan-frontend, as a library that its unit test can link.
noinst_LTLIBRARIES += libagent.la
libagent_la_SOURCES = \
	frontend/agent.c frontend/agent.h \
	frontend/agent-config.c frontend/agent-config.h
libagent_la_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libagent_la_LIBADD = libservice.la

sbin_PROGRAMS += vchan-frontend
vchan_frontend_SOURCES = frontend/main.c
vchan_frontend_CPPFLAGS = $(AM_CPPFLAGS) -DSYSCONFDIR='"$(sysconfdir)"'
vchan_frontend_LDADD = libagent.la

EXTRA_DIST += frontend/vchan-frontend.service.in

if UNITS
systemdunit_DATA += frontend/vchan-frontend.service
endif
CLEANFILES += frontend/vchan-frontend.service
frontend/vchan-frontend.service: $(srcdir)/frontend/vchan-frontend.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) frontend && sed 's|@sbindir[@]|$(sbindir)|; s|@sysconfdir[@]|$(sysconfdir)|' $< > $@.tmp && mv $@.tmp $@
