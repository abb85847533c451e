# SPDX-License-Identifier: LGPL-2.1-or-later
lib_LTLIBRARIES += libpvchan.la
libpvchan_la_SOURCES = \
	frontend/channels.c frontend/channels.h \
	frontend/open.c
libpvchan_la_LIBADD = libvchan.la libstate.la
libpvchan_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-Wl,--version-script=$(top_srcdir)/frontend/libpvchan.map
EXTRA_libpvchan_la_DEPENDENCIES = frontend/libpvchan.map
EXTRA_DIST += frontend/libpvchan.map

noinst_LTLIBRARIES += libcommand.la
libcommand_la_SOURCES = \
	frontend/channels.c frontend/channels.h \
	frontend/complain.c \
	frontend/flow.c frontend/flow.h \
	frontend/options.c frontend/options.h \
	frontend/stdio.c frontend/stdio.h \
	frontend/stop.c frontend/stop.h \
	frontend/target.c \
	frontend/vchan-cat.c \
	frontend/vchan-echo.c \
	frontend/vchan-list.c \
	frontend/vchan-wait.c \
	frontend/vchan.h
libcommand_la_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_CFLAGS)
libcommand_la_LIBADD = libstate.la $(JSON_LIBS)

# The guest's agent.
noinst_LTLIBRARIES += libagent.la
libagent_la_SOURCES = \
	frontend/agent.c frontend/agent.h \
	frontend/agent-config.c frontend/agent-config.h \
	frontend/stale.c frontend/stale.h
libagent_la_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libagent_la_LIBADD = libconnection.la

sbin_PROGRAMS += vchan-frontend
vchan_frontend_SOURCES = frontend/vchan-frontend.c
vchan_frontend_CPPFLAGS = $(AM_CPPFLAGS) -DSYSCONFDIR='"$(sysconfdir)"'
vchan_frontend_LDADD = libagent.la

EXTRA_DIST += frontend/vchan-frontend.service.in

systemdunit_DATA += frontend/vchan-frontend.service
CLEANFILES += frontend/vchan-frontend.service
frontend/vchan-frontend.service: $(srcdir)/frontend/vchan-frontend.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) frontend && sed 's|@sbindir[@]|$(sbindir)|; s|@sysconfdir[@]|$(sysconfdir)|' $< > $@.tmp && mv $@.tmp $@

# In the folder, since the build has a folder of the program's name.
bin_PROGRAMS += frontend/vchan
frontend_vchan_SOURCES = frontend/vchan.c
frontend_vchan_LDADD = libcommand.la libpvchan.la
