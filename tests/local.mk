# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/test-NAME: unit tests (Check), one per module. They need no Xen and run under valgrind too.
# tests/sim-NAME.sh: whole programs, each script in a simulated host of its own (tests/sim-lib.bash).
# Any other script checks the tree.

TEST_EXTENSIONS = .sh
LOG_DRIVER = $(SHELL) $(top_srcdir)/tests/driver
SH_LOG_DRIVER = $(LOG_DRIVER)
EXTRA_DIST += tests/driver tests/run
# A Check test that hangs ends. Check's own 4 seconds are too few for valgrind on a busy machine.
AM_TESTS_ENVIRONMENT = \
	srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)' \
	PATH='$(abs_top_builddir):$(abs_top_builddir)/cli:$(abs_top_builddir)/tests':"$$PATH"; \
	LSAN_OPTIONS=suppressions='$(abs_top_srcdir)/tests/lsan.supp':print_suppressions=0; \
	CK_DEFAULT_TIMEOUT=600; \
	export srcdir builddir PATH LSAN_OPTIONS CK_DEFAULT_TIMEOUT;

UNIT_TESTS = \
	tests/fuzz-page tests/test-agent-config tests/test-connection tests/test-command tests/test-config \
	tests/test-device tests/test-echo tests/test-endpoint tests/test-machine tests/test-pace tests/test-relay tests/test-ring tests/test-spin tests/test-turns \
	tests/test-unikernel \
	tests/test-unikernel-device tests/test-watches tests/test-xen
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)

TESTS += tests/completion.sh
EXTRA_DIST += tests/completion.sh

# What sanitizers have nothing to see in: the tree, what is installed, and the simulator, which is built without them.
ONCE_TESTS = tests/hardened.sh tests/include-graph.sh tests/installed.sh \
	tests/sim-drivers.sh tests/sim-host.sh tests/sim-run.sh
if !ASAN
TESTS += $(ONCE_TESTS)
endif
EXTRA_DIST += $(ONCE_TESTS)

SIM_TESTS = \
	tests/sim-agent.sh \
	tests/sim-agent-hostile.sh \
	tests/sim-agent-life.sh \
	tests/sim-api.sh \
	tests/sim-api-lost.sh \
	tests/sim-api-lots.sh \
	tests/sim-backend-commands.sh \
	tests/sim-backend-crash.sh \
	tests/sim-backend-driver.sh \
	tests/sim-backend-driver-many.sh \
	tests/sim-backend-errors.sh \
	tests/sim-backend-hostile.sh \
	tests/sim-backend-inherited.sh \
	tests/sim-backend-kinds.sh \
	tests/sim-backend-limits.sh \
	tests/sim-backend-many.sh \
	tests/sim-backend-paths.sh \
	tests/sim-backend-plugs.sh \
	tests/sim-backend-quota.sh \
	tests/sim-backend-replaced.sh \
	tests/sim-backend-scale.sh \
	tests/sim-backend-service.sh \
	tests/sim-backend-statistics.sh \
	tests/sim-badpeer.sh \
	tests/sim-daemon.sh \
	tests/sim-daemon-idle.sh \
	tests/sim-descriptors.sh \
	tests/sim-demo.sh \
	tests/sim-interop.sh \
	tests/sim-holder.sh \
	tests/sim-versions.sh \
	tests/sim-reattach.sh \
	tests/sim-reattach-both.sh \
	tests/sim-reattach-ends.sh \
	tests/sim-reattach-pipes.sh \
	tests/sim-reattach-port.sh \
	tests/sim-no-answer.sh \
	tests/sim-toolstack.sh \
	tests/sim-toolstack-apply.sh \
	tests/sim-toolstack-hints.sh \
	tests/sim-toolstack-identity.sh \
	tests/sim-toolstack-many.sh \
	tests/sim-toolstack-screen.sh \
	tests/sim-toolstack-steps.sh \
	tests/sim-toolstack-traffic.sh \
	tests/sim-toolstack-watch.sh \
	tests/sim-vchan-cat-ends.sh \
	tests/sim-vchan-cat-plain.sh
TESTS += $(SIM_TESTS)
EXTRA_DIST += $(SIM_TESTS)

# The programs that libtool made are run by the program itself, not by its wrapper script.
check-valgrind: $(UNIT_TESTS)
	EXPLORE_CRASHES=1 FUZZ_SCRIPTS=300 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(UNIT_TESTS)' \
		LOG_COMPILER='$(LIBTOOL) --mode=execute $(VALGRIND) -q --error-exitcode=99 \
		--leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=no'
.PHONY: check-valgrind

tests_test_agent_config_SOURCES = tests/test-agent-config.c
tests_test_agent_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_agent_config_LDADD = libagent.la $(CHECK_LIBS)

tests_test_connection_SOURCES = tests/test-connection.c
tests_test_connection_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_test_connection_LDADD = libservice.la $(CHECK_LIBS)

tests_test_command_SOURCES = tests/test-command.c
tests_test_command_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_command_LDADD = libcommand.la libpvchan.la $(CHECK_LIBS)

tests_test_config_SOURCES = tests/test-config.c
tests_test_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_config_LDADD = libtoolstack.la $(CHECK_LIBS)

EXTRA_DIST += tests/check-main.h tests/lsan.supp

tests_test_device_SOURCES = tests/test-device.c
tests_test_device_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_device_LDADD = libstate.la $(CHECK_LIBS)

# Its own functions stand before those of libpvchan.
tests_test_echo_SOURCES = tests/test-echo.c
tests_test_echo_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_echo_LDADD = libcommand.la libpvchan.la $(CHECK_LIBS)

tests_test_endpoint_SOURCES = tests/test-endpoint.c state/device.c state/error.c state/machine.c state/xenbus.c \
	state/claims.c vchan/endpoint.c vchan/endpoint-acts.c
tests_test_endpoint_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_endpoint_LDADD = $(CHECK_LIBS)

tests_test_machine_SOURCES = tests/test-machine.c tests/explore.c tests/explore.h
tests_test_machine_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_machine_LDADD = libstate.la $(CHECK_LIBS)

tests_test_ring_SOURCES = tests/test-ring.c
tests_test_ring_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_ring_LDADD = libvchan.la libstate.la $(CHECK_LIBS)
tests_test_pace_SOURCES = tests/test-pace.c vchan/pace.c
tests_test_pace_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_pace_LDADD = $(CHECK_LIBS)

tests_test_spin_SOURCES = tests/test-spin.c vchan/spin.c vchan/trial.c
tests_test_spin_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_spin_LDADD = $(CHECK_LIBS)

tests_test_turns_SOURCES = tests/test-turns.c backend/turns.c
tests_test_turns_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_turns_LDADD = $(CHECK_LIBS)

tests_test_xen_SOURCES = tests/test-xen.c
tests_test_xen_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_xen_LDADD = libvchan.la libstate.la $(CHECK_LIBS)

tests_test_watches_SOURCES = tests/test-watches.c state/watches.c
tests_test_watches_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_watches_LDADD = $(CHECK_LIBS)

tests_test_unikernel_SOURCES = tests/test-unikernel.c unikernel/channel.c unikernel/options.c \
	unikernel/store.c unikernel/text.c state/device.c vchan/ring.c
tests_test_unikernel_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D__XEN_INTERFACE_VERSION__=0x00040e00
tests_test_unikernel_LDADD = $(CHECK_LIBS)

tests_test_unikernel_device_SOURCES = tests/test-unikernel-device.c unikernel/channel.c \
	unikernel/device.c unikernel/text.c state/device.c state/machine.c state/xenbus.c vchan/ring.c
tests_test_unikernel_device_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) \
	-D__XEN_INTERFACE_VERSION__=0x00040e00
tests_test_unikernel_device_LDADD = $(CHECK_LIBS)

# Another user's attacks on paths: thousands of processes, which valgrind does not bear.
check_PROGRAMS += tests/races
TESTS += tests/races
tests_races_SOURCES = tests/races.c
tests_races_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_races_LDADD = libservice.la $(CHECK_LIBS)
tests_races_LDFLAGS = -no-install

# The same with ThreadSanitizer: two threads at the two ends of a page, no access of which is a race. (It does not know
# fences, but no data goes by one: they only decide on signals.)
if !ASAN
check_PROGRAMS += tests/test-ring-tsan
TESTS += tests/test-ring-tsan
endif
tests_test_ring_tsan_SOURCES = tests/test-ring.c vchan/ring.c state/device.c
tests_test_ring_tsan_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_ring_tsan_CFLAGS = $(PVCHAN_CFLAGS) -Wno-tsan -fsanitize=thread
tests_test_ring_tsan_LDADD = $(CHECK_LIBS)

# One end of the interoperation test (tests/sim-interop.sh, and the lab).
check_PROGRAMS += tests/interop
tests_interop_SOURCES = tests/interop.c
tests_interop_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
tests_interop_LDADD = libpvchan.la libstate.la $(XENVCHAN_LIBS)
tests_interop_LDFLAGS = -no-install
EXTRA_DIST += tests/sim-lib.bash

# Reattach (tests/sim-reattach.sh, tests/sim-reattach-both.sh, and the lab): bytes that are counted, a service
# manager that kills, and a frontend program that is killed.
check_PROGRAMS += tests/counted tests/lives tests/manager
tests_counted_SOURCES = tests/counted.c
tests_lives_SOURCES = tests/lives.c
tests_lives_LDADD = libpvchan.la
tests_lives_LDFLAGS = -no-install
tests_manager_SOURCES = tests/manager.c

# The public API (tests/sim-api.sh).
check_PROGRAMS += tests/api
tests_api_SOURCES = \
	tests/api.c tests/api.h \
	tests/api-bytes.c tests/api-end.c tests/api-group.c tests/api-loop.c tests/api-open.c tests/api-plain.c \
	tests/api-spans.c \
	tests/api-peer.c tests/api-side.c tests/api-side.h
tests_api_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_api_LDADD = libpvchan.la libstate.la $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_api_LDFLAGS = -no-install

# Many channels in one process (tests/sim-api-lots.sh).
check_PROGRAMS += tests/lots
tests_lots_SOURCES = tests/lots.c
tests_lots_LDADD = libpvchan.la
tests_lots_LDFLAGS = -no-install

# An example, which is the other end there.
check_PROGRAMS += examples/echo
examples_echo_SOURCES = examples/echo.c
examples_echo_CPPFLAGS = -I$(top_srcdir)/libpvchan
examples_echo_LDADD = libpvchan.la
examples_echo_LDFLAGS = -no-install

# A guest that does harm (tests/sim-backend-hostile.sh, bench/hostile).
check_PROGRAMS += tests/hostile
tests_hostile_SOURCES = tests/hostile.c
tests_hostile_LDADD = $(XENSTORE_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)

# The simulator itself.
check_PROGRAMS += tests/sim-evtchn tests/sim-grants tests/sim-peer tests/sim-peer-asan
tests_sim_evtchn_SOURCES = tests/sim-evtchn.c tests/sim-domain.h sim/client.c
tests_sim_evtchn_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D_GNU_SOURCE
tests_sim_evtchn_LDADD = $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_sim_grants_SOURCES = tests/sim-grants.c tests/sim-domain.h
tests_sim_grants_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D_GNU_SOURCE
tests_sim_grants_LDADD = $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_sim_peer_SOURCES = tests/sim-peer.c
tests_sim_peer_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
# Also run by valgrind.
tests_sim_peer_CFLAGS = $(SIM_CFLAGS)
tests_sim_peer_LDADD = $(XENVCHAN_LIBS)
tests_sim_peer_asan_SOURCES = tests/sim-peer.c
tests_sim_peer_asan_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
tests_sim_peer_asan_CFLAGS = $(PVCHAN_CFLAGS) -U_FORTIFY_SOURCE -fsanitize=address,undefined
tests_sim_peer_asan_LDADD = $(XENVCHAN_LIBS)

# Something that happens at the Nth step of a program (tests/sim-toolstack-steps.sh).
check_LTLIBRARIES += tests/at-step.la
tests_at_step_la_SOURCES = tests/at-step.c
tests_at_step_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
# A -rpath makes it a shared object, though it is not installed.
tests_at_step_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere -Wc,-fno-sanitize=all

# Requests to xenstore that fail (tests/sim-no-answer.sh).
check_LTLIBRARIES += tests/no-answer.la
tests_no_answer_la_SOURCES = tests/no-answer.c
tests_no_answer_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
tests_no_answer_la_LDFLAGS = $(tests_at_step_la_LDFLAGS)

# Pipes of two pages (tests/sim-reattach-pipes.sh).
check_LTLIBRARIES += tests/small-pipes.la
tests_small_pipes_la_SOURCES = tests/small-pipes.c
tests_small_pipes_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
tests_small_pipes_la_LDFLAGS = $(tests_at_step_la_LDFLAGS)

# Requests to xenstore counted (tests/sim-toolstack-many.sh).
check_LTLIBRARIES += tests/requests.la
tests_requests_la_SOURCES = tests/requests.c
tests_requests_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
tests_requests_la_LDFLAGS = $(tests_at_step_la_LDFLAGS)

# Tests that own each access to the page (tests/fuzz-barrier.h), with xen.c and spin.c played by fakes.
SHARED_FILES = \
	tests/fake-spin.c tests/fake-xen.c tests/fake-xen.h tests/fuzz-barrier.c tests/fuzz-barrier.h \
	state/device.c vchan/channel.c vchan/copy.c vchan/relay.c vchan/ring.c
SHARED_CPPFLAGS = -include $(top_srcdir)/tests/fuzz-barrier.h $(AM_CPPFLAGS)

# Every interleaving of two sides, closes above all. Sanitizers see the same code in tests/fuzz-page, in a hundredth of
# the time.
tests_steps_close_SOURCES = tests/steps-close.c tests/steps.c tests/steps.h $(SHARED_FILES)
tests_steps_close_CPPFLAGS = $(SHARED_CPPFLAGS)
check_PROGRAMS += tests/steps-close
# It compiles what it tests by itself, with flags of its own: once is enough.
if !ASAN
TESTS += tests/steps-close tests/seeded-faults.sh
endif
EXTRA_DIST += tests/seeded-faults.sh

tests_test_relay_SOURCES = tests/test-relay.c $(SHARED_FILES)
tests_test_relay_CPPFLAGS = $(SHARED_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_relay_LDADD = $(CHECK_LIBS)

# Hostile pages: scripts in tests/corpus/page, and random ones.
tests_fuzz_page_SOURCES = tests/fuzz-page.c tests/fuzz-page.h tests/fuzz-replay.c $(SHARED_FILES)
tests_fuzz_page_CPPFLAGS = $(SHARED_CPPFLAGS)
EXTRA_DIST += tests/corpus

# The same with libFuzzer, which needs clang; `make fuzz FUZZ_SECONDS=1800` is the long run. It goes on
# from tests/corpus/page and keeps what is new in fuzz-corpus/, a script that breaks a rule in crash-*.
FUZZ_CC = clang
FUZZ_SECONDS = 60
FUZZ_FILES = $(tests_fuzz_page_SOURCES:tests/fuzz-replay.c=)
tests/fuzz-page-libfuzzer: $(FUZZ_FILES) $(libvchan_la_SOURCES)
	$(AM_V_CC)$(MKDIR_P) tests && $(FUZZ_CC) -std=gnu11 -O1 -g -fno-omit-frame-pointer \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$(DEFS) -I. $(SHARED_CPPFLAGS) -o $@ $(addprefix $(srcdir)/,$(filter %.c,$(FUZZ_FILES)))
fuzz: tests/fuzz-page-libfuzzer
	mkdir -p fuzz-corpus
	nice -n 19 tests/fuzz-page-libfuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=400 \
		-print_final_stats=1 fuzz-corpus $(srcdir)/tests/corpus/page
.PHONY: fuzz
CLEANFILES += tests/fuzz-page-libfuzzer fuzz-page.broken
