# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libstate.la
libstate_la_SOURCES = \
	state/claims.c state/claims.h \
	state/clock.h \
	state/descriptor.c state/descriptor.h \
	state/device.c state/device.h \
	state/endpoint.c state/endpoint.h state/endpoint-acts.c state/endpoint-own.h \
	state/error.c state/error.h \
	state/lock.c state/lock.h \
	state/machine.c state/machine.h \
	state/notify.c state/notify.h \
	state/path.c state/path.h \
	state/rings.h \
	state/seconds.c state/seconds.h \
	state/stderr.c state/stderr.h \
	state/size.c state/size.h \
	state/spec.c state/spec.h state/spec-text.c state/spec-nodes.c \
	state/store.c state/store.h \
	state/text.c state/text.h \
	state/watches.c state/watches.h \
	state/xenbus.c state/xenbus.h
libstate_la_LIBADD = $(XENSTORE_LIBS)
