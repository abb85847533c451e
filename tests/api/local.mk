# SPDX-License-Identifier: LGPL-2.1-or-later
# The public API (tests/sim/api.sh).
check_PROGRAMS += tests/api/api
tests_api_api_SOURCES = \
	tests/api/api.c tests/api/api.h \
	tests/api/bytes.c tests/api/end.c tests/api/group.c tests/api/loop.c tests/api/open.c tests/api/plain.c \
	tests/api/spans.c tests/api/waits.c \
	tests/api/peer.c tests/api/side.c tests/api/side.h
tests_api_api_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_api_api_LDADD = libpvchan.la libstate.la $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_api_api_LDFLAGS = -no-install
