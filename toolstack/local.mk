# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libtoolstack.la
libtoolstack_la_SOURCES = \
	toolstack/config.c toolstack/config.h \
	toolstack/devices.c toolstack/devices.h \
	toolstack/edit.c toolstack/edit.h \
	toolstack/identity.c toolstack/identity.h \
	toolstack/plug.c toolstack/plug.h \
	toolstack/present.c toolstack/present.h \
	toolstack/event-channel.c toolstack/event-channel.h \
	toolstack/record.c toolstack/record.h \
	toolstack/roster.c toolstack/roster.h \
	toolstack/service.c toolstack/service.h \
	toolstack/tool.c toolstack/tool.h \
	toolstack/unplug.c
libtoolstack_la_CPPFLAGS = $(TOOLSTACK_CPPFLAGS)
libtoolstack_la_LIBADD = libstate.la $(XENCONTROL_LIBS) $(XENLIGHT_LIBS) $(XLUTIL_LIBS) $(XENTOOLLOG_LIBS)

TOOLSTACK_CPPFLAGS = $(AM_CPPFLAGS) $(XENLIGHT_CFLAGS) $(XLUTIL_CFLAGS) $(XENTOOLLOG_CFLAGS) \
	$(XENCONTROL_CFLAGS) $(JSON_CFLAGS) $(NCURSES_CFLAGS)

sbin_PROGRAMS += xl-vchan
xl_vchan_SOURCES = \
	toolstack/apply.c \
	toolstack/attach.c \
	toolstack/command.c toolstack/command.h \
	toolstack/create.c \
	toolstack/daemon.c \
	toolstack/config-search.c toolstack/config-search.h \
	toolstack/detach.c \
	toolstack/diff.c \
	toolstack/difference.c toolstack/difference.h \
	toolstack/graph.c \
	toolstack/hint.c toolstack/hint.h \
	toolstack/json.c toolstack/json.h \
	toolstack/list.c \
	toolstack/main.c \
	toolstack/monitor.c toolstack/monitor.h \
	toolstack/reconcile.c toolstack/reconcile.h \
	toolstack/show.c \
	toolstack/spec-json.c toolstack/spec-json.h \
	toolstack/terminal.c toolstack/terminal.h \
	toolstack/top.c \
	toolstack/traffic.c toolstack/traffic.h \
	toolstack/view.c toolstack/view.h \
	toolstack/wait.c \
	toolstack/watch.c
xl_vchan_CPPFLAGS = $(TOOLSTACK_CPPFLAGS)
xl_vchan_LDADD = libtoolstack.la $(JSON_LIBS) $(NCURSES_LIBS)

bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = toolstack/completion/xl-vchan

EXTRA_DIST += toolstack/xl-vchan.service.in

if UNITS
systemdunit_DATA += toolstack/xl-vchan.service
endif
CLEANFILES += toolstack/xl-vchan.service
toolstack/xl-vchan.service: $(srcdir)/toolstack/xl-vchan.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) toolstack && sed 's|@sbindir[@]|$(sbindir)|' $< > $@.tmp && mv $@.tmp $@

# doc/channels.svg, drawn from the output of xl-vchan graph; needs dot (package graphviz).
doc-graph: all
	PATH='$(abs_top_builddir):$(abs_top_builddir)/cli':"$$PATH" \
		xensim run -- $(abs_top_srcdir)/doc/scene.sh xl-vchan graph > channels.dot
	dot -Tsvg channels.dot > $(srcdir)/doc/channels.svg && rm channels.dot
.PHONY: doc-graph
