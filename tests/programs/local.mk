# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs and preloaded modules that the tests in tests/sim/ and lab/ run.

# One end of the interoperation test (tests/sim/interop.sh, and the lab).
check_PROGRAMS += tests/programs/interop
tests_programs_interop_SOURCES = tests/programs/interop.c
tests_programs_interop_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
tests_programs_interop_LDADD = libpvchan.la libstate.la $(XENVCHAN_LIBS)
tests_programs_interop_LDFLAGS = -no-install

# The command without libtool's wrapper script, which takes ten times as long to start.
check_PROGRAMS += tests/programs/vchan
tests_programs_vchan_SOURCES = cli/main.c
tests_programs_vchan_LDADD = $(cli_vchan_LDADD)
tests_programs_vchan_LDFLAGS = -no-install

# Reattach (tests/sim/reattach.sh, tests/sim/reattach-both.sh, and the lab): counted bytes, a
# service manager that kills, and a frontend program that is killed.
check_PROGRAMS += tests/programs/counted tests/programs/lives tests/programs/manager
tests_programs_counted_SOURCES = tests/programs/counted.c
tests_programs_lives_SOURCES = tests/programs/lives.c
tests_programs_lives_LDADD = libpvchan.la
tests_programs_lives_LDFLAGS = -no-install
tests_programs_manager_SOURCES = tests/programs/manager.c

# Many clients that check what comes back (tests/sim/streams-kill.sh).
check_PROGRAMS += tests/programs/streamers
tests_programs_streamers_SOURCES = tests/programs/streamers.c

# Many channels in one process (tests/sim/api-lots.sh).
check_PROGRAMS += tests/programs/lots
tests_programs_lots_SOURCES = tests/programs/lots.c
tests_programs_lots_LDADD = libpvchan.la
tests_programs_lots_LDFLAGS = -no-install

# An example, which is the other end there.
check_PROGRAMS += examples/echo
examples_echo_SOURCES = examples/echo.c
examples_echo_CPPFLAGS = -I$(top_srcdir)/libpvchan
examples_echo_LDADD = libpvchan.la
examples_echo_LDFLAGS = -no-install

# A hostile guest (tests/sim/backend-hostile.sh, bench/hostile).
check_PROGRAMS += tests/programs/hostile
tests_programs_hostile_SOURCES = tests/programs/hostile.c
tests_programs_hostile_LDADD = $(XENSTORE_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)

# The simulator itself.
check_PROGRAMS += tests/programs/sim-evtchn tests/programs/sim-grants tests/programs/sim-peer \
	tests/programs/sim-peer-asan
tests_programs_sim_evtchn_SOURCES = tests/programs/sim-evtchn.c tests/lib/sim-domain.h sim/client.c
tests_programs_sim_evtchn_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D_GNU_SOURCE
tests_programs_sim_evtchn_LDADD = $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_programs_sim_grants_SOURCES = tests/programs/sim-grants.c tests/lib/sim-domain.h
tests_programs_sim_grants_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D_GNU_SOURCE
tests_programs_sim_grants_LDADD = $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_programs_sim_peer_SOURCES = tests/programs/sim-peer.c
tests_programs_sim_peer_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
# Also run under valgrind.
tests_programs_sim_peer_CFLAGS = $(SIM_CFLAGS)
tests_programs_sim_peer_LDADD = $(XENVCHAN_LIBS)
tests_programs_sim_peer_asan_SOURCES = tests/programs/sim-peer.c
tests_programs_sim_peer_asan_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
tests_programs_sim_peer_asan_CFLAGS = $(PVCHAN_CFLAGS) -U_FORTIFY_SOURCE -fsanitize=address,undefined
tests_programs_sim_peer_asan_LDADD = $(XENVCHAN_LIBS)

# A fault at the Nth step of a program (tests/sim/toolstack-steps.sh).
check_LTLIBRARIES += tests/programs/at-step.la
tests_programs_at_step_la_SOURCES = tests/programs/at-step.c
tests_programs_at_step_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
# -rpath makes it a shared object, though it is not installed.
tests_programs_at_step_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere -Wc,-fno-sanitize=all

# Requests to xenstore that fail (tests/sim/no-answer.sh).
check_LTLIBRARIES += tests/programs/no-answer.la
tests_programs_no_answer_la_SOURCES = tests/programs/no-answer.c
tests_programs_no_answer_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
tests_programs_no_answer_la_LDFLAGS = $(tests_programs_at_step_la_LDFLAGS)

# Pipes of two pages (tests/sim/reattach-pipes.sh).
check_LTLIBRARIES += tests/programs/small-pipes.la
tests_programs_small_pipes_la_SOURCES = tests/programs/small-pipes.c
tests_programs_small_pipes_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
tests_programs_small_pipes_la_LDFLAGS = $(tests_programs_at_step_la_LDFLAGS)

# Packets of no bytes (tests/sim/backend-inherited.sh). It defines read(), which a header does, too,
# with _FORTIFY_SOURCE.
check_LTLIBRARIES += tests/programs/empty-packets.la
tests_programs_empty_packets_la_SOURCES = tests/programs/empty-packets.c
tests_programs_empty_packets_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default -U_FORTIFY_SOURCE
tests_programs_empty_packets_la_LDFLAGS = $(tests_programs_at_step_la_LDFLAGS)

# Counts requests to xenstore (tests/sim/toolstack-many.sh).
check_LTLIBRARIES += tests/programs/requests.la
tests_programs_requests_la_SOURCES = tests/programs/requests.c
tests_programs_requests_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
tests_programs_requests_la_LDFLAGS = $(tests_programs_at_step_la_LDFLAGS)
