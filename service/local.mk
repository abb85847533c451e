# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libservice.la
libservice_la_SOURCES = \
	service/backoff.c service/backoff.h \
	service/carrier.c service/carrier.h \
	service/cgroup.c service/cgroup.h \
	service/connection.c service/connection.h \
	service/device.c service/device.h \
	service/log.c service/log.h \
	service/loop.c service/loop.h \
	service/packets.c service/packets.h \
	service/quota.c service/quota.h \
	service/sandbox.c service/sandbox.h \
	service/start.c service/start.h \
	service/statistics.c service/statistics.h \
	service/timer.h \
	service/toll.c service/toll.h \
	service/usage-error.c service/usage-error.h \
	service/handover/fdstore.c service/handover/fdstore.h \
	service/handover/fdstore-table.c service/handover/fdstore-table.h \
	service/handover/inheritance.c service/handover/inheritance.h \
	service/handover/journal-kit.c service/handover/journal-kit.h \
	service/handover/ring-holder.c service/handover/ring-holder.h \
	service/handover/ring-holder-process.c service/handover/ring-holder-protocol.h \
	service/kinds/account.c service/kinds/account.h \
	service/kinds/child.c service/kinds/child.h \
	service/kinds/connect.c \
	service/kinds/dial.c service/kinds/dial.h \
	service/kinds/echo.c \
	service/kinds/environment.c service/kinds/environment.h \
	service/kinds/errand.c service/kinds/errand.h \
	service/kinds/exec.c \
	service/kinds/kinds.c service/kinds/listener.c service/kinds/listener.h \
	service/kinds/path.c service/kinds/path.h \
	service/kinds/place.c service/kinds/place.h \
	service/kinds/program.c service/kinds/program.h \
	service/kinds/pty.c \
	service/kinds/rights.c service/kinds/rights.h \
	service/kinds/socket.c service/kinds/streams.c service/kinds/streams.h \
	service/kinds/tcp-listen.c \
	service/kinds/unix.c service/kinds/unix.h \
	service/kinds/walk.c service/kinds/walk.h \
	service/worker/confine.c service/worker/confine.h \
	service/worker/echo.c service/worker/echo.h \
	service/worker/journal.c service/worker/journal.h \
	service/worker/process.c service/worker/process.h \
	service/worker/protocol.h \
	service/worker/relaying.c service/worker/relaying.h \
	service/worker/serve.c service/worker/streaming.c service/worker/streaming.h \
	service/worker/worker.c service/worker/worker.h
libservice_la_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(SECCOMP_CFLAGS)
libservice_la_LIBADD = libvchan.la libstate.la $(EVENT_LIBS) $(SECCOMP_LIBS)
