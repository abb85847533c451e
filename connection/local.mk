# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libconnection.la
libconnection_la_SOURCES = \
	connection/account.c connection/account.h \
	connection/child.c connection/child.h \
	connection/connect.c \
	connection/backoff.c connection/backoff.h \
	connection/connection.c connection/connection.h \
	connection/dial.c connection/dial.h \
	connection/device.c connection/device.h \
	connection/echo.c \
	connection/exec.c \
	connection/holder.c connection/holder-process.c connection/holder.h connection/holder-own.h \
	connection/host.c connection/host.h \
	connection/keep.c connection/keep.h \
	connection/log.c connection/log.h \
	connection/party.c connection/party.h \
	connection/place.c connection/place.h \
	connection/pty.c \
	connection/quota.c connection/quota.h \
	connection/rights.c connection/rights.h \
	connection/socket.c \
	connection/stage.c connection/stage.h \
	connection/stream.c connection/stream.h \
	connection/toll.c connection/toll.h \
	connection/unix.c connection/unix.h \
	connection/usage.c connection/usage.h \
	connection/walk.c connection/walk.h
libconnection_la_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libconnection_la_LIBADD = libvchan.la libstate.la $(EVENT_LIBS)
