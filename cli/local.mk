# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libcommand.la
libcommand_la_SOURCES = \
	libpvchan/channels.c libpvchan/channels.h \
	cli/cat.c \
	cli/command.h \
	cli/complain.c \
	cli/echo.c \
	cli/flow.c cli/flow.h \
	cli/list.c \
	cli/options.c cli/options.h \
	cli/stdio.c cli/stdio.h \
	cli/stop.c cli/stop.h \
	cli/target.c \
	cli/wait.c
libcommand_la_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_CFLAGS)
libcommand_la_LIBADD = libstate.la $(JSON_LIBS)

# cli/vchan rather than vchan: in the build folder, vchan is the name of a folder.
bin_PROGRAMS += cli/vchan
cli_vchan_SOURCES = cli/main.c
cli_vchan_LDADD = libcommand.la libpvchan.la
