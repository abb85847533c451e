# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/unit/NAME: unit tests (Check), one per module. They need no Xen and run under valgrind too.
# tests/sim/NAME.sh: whole programs, each script in a simulated host of its own (tests/lib/sim-lib.bash).
# Any other script checks the tree.

LOG_DRIVER = $(SHELL) $(top_srcdir)/tests/lib/driver
SH_LOG_DRIVER = $(LOG_DRIVER)
EXTRA_DIST += tests/lib/driver tests/lib/pause.bash tests/run
# A Check test that hangs ends. Check's own 4 seconds are too few for valgrind on a busy machine.
AM_TESTS_ENVIRONMENT = \
	srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)' \
	PATH='$(abs_top_builddir)/tests/programs:$(abs_top_builddir)':"$$PATH"; \
	LSAN_OPTIONS=suppressions='$(abs_top_srcdir)/tests/lib/lsan.supp':print_suppressions=0; \
	CK_DEFAULT_TIMEOUT=600; \
	export srcdir builddir PATH LSAN_OPTIONS CK_DEFAULT_TIMEOUT;

UNIT_TESTS = \
	tests/model/fuzz-page tests/unit/agent-config tests/unit/connection tests/unit/command tests/unit/config \
	tests/unit/device tests/unit/echo tests/unit/endpoint tests/model/machine tests/unit/pace tests/unit/relay tests/unit/ring tests/unit/spin tests/unit/turns \
	tests/unit/unikernel \
	tests/unit/unikernel-device tests/unit/watches tests/unit/xen
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)

TESTS += tests/tree/completion.sh
TESTS += tests/tree/manual-keys.sh
EXTRA_DIST += tests/tree/completion.sh tests/tree/manual-keys.sh

# What sanitizers have nothing to see in: the tree, what is installed, and the simulator, which is built without them.
ONCE_TESTS = tests/tree/circles.sh tests/tree/hardened.sh tests/tree/include-graph.sh tests/tree/installed.sh \
	tests/sim/drivers.sh tests/sim/host.sh tests/sim/run.sh
if !ASAN
TESTS += $(ONCE_TESTS)
endif
EXTRA_DIST += $(ONCE_TESTS)

SIM_TESTS = \
	tests/sim/agent.sh \
	tests/sim/agent-hostile.sh \
	tests/sim/agent-life.sh \
	tests/sim/api.sh \
	tests/sim/api-lost.sh \
	tests/sim/backend-commands.sh \
	tests/sim/backend-crash.sh \
	tests/sim/backend-driver.sh \
	tests/sim/backend-errors.sh \
	tests/sim/backend-hostile.sh \
	tests/sim/backend-inherited.sh \
	tests/sim/backend-kinds.sh \
	tests/sim/backend-limits.sh \
	tests/sim/backend-paths.sh \
	tests/sim/backend-plugs.sh \
	tests/sim/backend-quota.sh \
	tests/sim/backend-replaced.sh \
	tests/sim/backend-service.sh \
	tests/sim/backend-statistics.sh \
	tests/sim/badpeer.sh \
	tests/sim/daemon.sh \
	tests/sim/daemon-idle.sh \
	tests/sim/descriptors.sh \
	tests/sim/demo.sh \
	tests/sim/interop.sh \
	tests/sim/holder.sh \
	tests/sim/versions.sh \
	tests/sim/reattach.sh \
	tests/sim/reattach-both.sh \
	tests/sim/reattach-ends.sh \
	tests/sim/reattach-pipes.sh \
	tests/sim/reattach-port.sh \
	tests/sim/no-answer.sh \
	tests/sim/toolstack.sh \
	tests/sim/toolstack-apply.sh \
	tests/sim/toolstack-hints.sh \
	tests/sim/toolstack-identity.sh tests/sim/toolstack-json.sh \
	tests/sim/toolstack-screen.sh \
	tests/sim/toolstack-traffic.sh \
	tests/sim/toolstack-watch.sh \
	tests/sim/vchan-cat-ends.sh \
	tests/sim/vchan-cat-plain.sh
TESTS += $(SIM_TESTS)
EXTRA_DIST += $(SIM_TESTS)

# Of many, and of something at each step: the same code as in the tests above, so that sanitizers have seen it.
OFTEN_TESTS = \
	tests/sim/api-lots.sh \
	tests/sim/backend-driver-many.sh \
	tests/sim/backend-many.sh \
	tests/sim/backend-scale.sh \
	tests/sim/toolstack-many.sh \
	tests/sim/toolstack-steps.sh
if !ASAN
TESTS += $(OFTEN_TESTS)
endif
EXTRA_DIST += $(OFTEN_TESTS)

# The programs that libtool made are run by the program itself, not by its wrapper script.
check-valgrind: $(UNIT_TESTS)
	EXPLORE_CRASHES=1 FUZZ_SCRIPTS=300 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(UNIT_TESTS)' \
		LOG_COMPILER='$(LIBTOOL) --mode=execute $(VALGRIND) -q --error-exitcode=99 \
		--leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=no'
.PHONY: check-valgrind

tests_unit_agent_config_SOURCES = tests/unit/agent-config.c
tests_unit_agent_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_agent_config_LDADD = libagent.la $(CHECK_LIBS)

tests_unit_connection_SOURCES = tests/unit/connection.c
tests_unit_connection_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_unit_connection_LDADD = libservice.la $(CHECK_LIBS)

tests_unit_command_SOURCES = tests/unit/command.c
tests_unit_command_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_command_LDADD = libcommand.la libpvchan.la $(CHECK_LIBS)

tests_unit_config_SOURCES = tests/unit/config.c
tests_unit_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_config_LDADD = libtoolstack.la $(CHECK_LIBS)

EXTRA_DIST += tests/lib/check-main.h tests/lib/lsan.supp

tests_unit_device_SOURCES = tests/unit/device.c
tests_unit_device_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_device_LDADD = libstate.la $(CHECK_LIBS)

# Its own functions stand before those of libpvchan.
tests_unit_echo_SOURCES = tests/unit/echo.c
tests_unit_echo_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_echo_LDADD = libcommand.la libpvchan.la $(CHECK_LIBS)

tests_unit_endpoint_SOURCES = tests/unit/endpoint.c state/claims.c state/device.c state/endpoint.c state/endpoint-acts.c \
	state/error.c state/machine.c state/xenbus.c
tests_unit_endpoint_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_endpoint_LDADD = $(CHECK_LIBS)

tests_model_machine_SOURCES = tests/model/machine.c tests/model/explore.c tests/model/explore.h
tests_model_machine_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_model_machine_LDADD = libstate.la $(CHECK_LIBS)

tests_unit_ring_SOURCES = tests/unit/ring.c
tests_unit_ring_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_ring_LDADD = libvchan.la libstate.la $(CHECK_LIBS)
tests_unit_pace_SOURCES = tests/unit/pace.c vchan/pace.c
tests_unit_pace_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_pace_LDADD = $(CHECK_LIBS)

tests_unit_spin_SOURCES = tests/unit/spin.c vchan/spin.c vchan/trial.c
tests_unit_spin_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_spin_LDADD = $(CHECK_LIBS)

tests_unit_turns_SOURCES = tests/unit/turns.c backend/turns.c
tests_unit_turns_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_turns_LDADD = $(CHECK_LIBS)

tests_unit_xen_SOURCES = tests/unit/xen.c
tests_unit_xen_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_xen_LDADD = libvchan.la libstate.la $(CHECK_LIBS)

tests_unit_watches_SOURCES = tests/unit/watches.c state/watches.c
tests_unit_watches_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_watches_LDADD = $(CHECK_LIBS)

tests_unit_unikernel_SOURCES = tests/unit/unikernel.c unikernel/channel.c unikernel/options.c \
	unikernel/store.c unikernel/text.c state/device.c vchan/bytes.c vchan/ring.c
tests_unit_unikernel_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D__XEN_INTERFACE_VERSION__=0x00040e00
tests_unit_unikernel_LDADD = $(CHECK_LIBS)

tests_unit_unikernel_device_SOURCES = tests/unit/unikernel-device.c unikernel/channel.c \
	unikernel/device.c unikernel/text.c state/device.c state/machine.c state/xenbus.c \
	vchan/bytes.c vchan/ring.c
tests_unit_unikernel_device_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) \
	-D__XEN_INTERFACE_VERSION__=0x00040e00
tests_unit_unikernel_device_LDADD = $(CHECK_LIBS)

# Another user's attacks on paths: thousands of processes, which valgrind does not bear.
check_PROGRAMS += tests/unit/races
TESTS += tests/unit/races
tests_unit_races_SOURCES = tests/unit/races.c
tests_unit_races_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_unit_races_LDADD = libservice.la $(CHECK_LIBS)
tests_unit_races_LDFLAGS = -no-install

# The same with ThreadSanitizer: two threads at the two ends of a page, no access of which is a race. (It does not know
# fences, but no data goes by one: they only decide on signals.)
if !ASAN
check_PROGRAMS += tests/unit/ring-tsan
TESTS += tests/unit/ring-tsan
endif
tests_unit_ring_tsan_SOURCES = tests/unit/ring.c vchan/ring.c state/device.c
tests_unit_ring_tsan_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_ring_tsan_CFLAGS = $(PVCHAN_CFLAGS) -Wno-tsan -fsanitize=thread
tests_unit_ring_tsan_LDADD = $(CHECK_LIBS)

# One end of the interoperation test (tests/sim/interop.sh, and the lab).
check_PROGRAMS += tests/programs/interop
tests_programs_interop_SOURCES = tests/programs/interop.c
tests_programs_interop_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
tests_programs_interop_LDADD = libpvchan.la libstate.la $(XENVCHAN_LIBS)
tests_programs_interop_LDFLAGS = -no-install
EXTRA_DIST += tests/lib/sim-lib.bash

# The command, without the script that libtool puts before one that is to be installed: it takes ten times as long to start.
check_PROGRAMS += tests/programs/vchan
tests_programs_vchan_SOURCES = cli/main.c
tests_programs_vchan_LDADD = $(cli_vchan_LDADD)
tests_programs_vchan_LDFLAGS = -no-install

# Reattach (tests/sim/reattach.sh, tests/sim/reattach-both.sh, and the lab): bytes that are counted, a service
# manager that kills, and a frontend program that is killed.
check_PROGRAMS += tests/programs/counted tests/programs/lives tests/programs/manager
tests_programs_counted_SOURCES = tests/programs/counted.c
tests_programs_lives_SOURCES = tests/programs/lives.c
tests_programs_lives_LDADD = libpvchan.la
tests_programs_lives_LDFLAGS = -no-install
tests_programs_manager_SOURCES = tests/programs/manager.c

# The public API (tests/sim/api.sh).
check_PROGRAMS += tests/api/api
tests_api_api_SOURCES = \
	tests/api/api.c tests/api/api.h \
	tests/api/bytes.c tests/api/end.c tests/api/group.c tests/api/loop.c tests/api/open.c tests/api/plain.c \
	tests/api/spans.c \
	tests/api/peer.c tests/api/side.c tests/api/side.h
tests_api_api_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_api_api_LDADD = libpvchan.la libstate.la $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_api_api_LDFLAGS = -no-install

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

# A guest that does harm (tests/sim/backend-hostile.sh, bench/hostile).
check_PROGRAMS += tests/programs/hostile
tests_programs_hostile_SOURCES = tests/programs/hostile.c
tests_programs_hostile_LDADD = $(XENSTORE_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)

# The simulator itself.
check_PROGRAMS += tests/programs/sim-evtchn tests/programs/sim-grants tests/programs/sim-peer tests/programs/sim-peer-asan
tests_programs_sim_evtchn_SOURCES = tests/programs/sim-evtchn.c tests/lib/sim-domain.h sim/client.c
tests_programs_sim_evtchn_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D_GNU_SOURCE
tests_programs_sim_evtchn_LDADD = $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_programs_sim_grants_SOURCES = tests/programs/sim-grants.c tests/lib/sim-domain.h
tests_programs_sim_grants_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D_GNU_SOURCE
tests_programs_sim_grants_LDADD = $(CHECK_LIBS) $(XENEVTCHN_LIBS) $(XENGNTTAB_LIBS)
tests_programs_sim_peer_SOURCES = tests/programs/sim-peer.c
tests_programs_sim_peer_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
# Also run by valgrind.
tests_programs_sim_peer_CFLAGS = $(SIM_CFLAGS)
tests_programs_sim_peer_LDADD = $(XENVCHAN_LIBS)
tests_programs_sim_peer_asan_SOURCES = tests/programs/sim-peer.c
tests_programs_sim_peer_asan_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
tests_programs_sim_peer_asan_CFLAGS = $(PVCHAN_CFLAGS) -U_FORTIFY_SOURCE -fsanitize=address,undefined
tests_programs_sim_peer_asan_LDADD = $(XENVCHAN_LIBS)

# Something that happens at the Nth step of a program (tests/sim/toolstack-steps.sh).
check_LTLIBRARIES += tests/programs/at-step.la
tests_programs_at_step_la_SOURCES = tests/programs/at-step.c
tests_programs_at_step_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
# A -rpath makes it a shared object, though it is not installed.
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

# Requests to xenstore counted (tests/sim/toolstack-many.sh).
check_LTLIBRARIES += tests/programs/requests.la
tests_programs_requests_la_SOURCES = tests/programs/requests.c
tests_programs_requests_la_CFLAGS = $(SIM_CFLAGS) -fvisibility=default
tests_programs_requests_la_LDFLAGS = $(tests_programs_at_step_la_LDFLAGS)

# Tests that own each access to the page (tests/model/fuzz-barrier.h), with xen.c and spin.c played by fakes.
SHARED_FILES = \
	tests/lib/fake-spin.c tests/lib/fake-xen.c tests/lib/fake-xen.h tests/model/fuzz-barrier.c tests/model/fuzz-barrier.h \
	state/device.c vchan/bytes.c vchan/channel.c vchan/copy.c vchan/relay.c vchan/ring.c
SHARED_CPPFLAGS = -include $(top_srcdir)/tests/model/fuzz-barrier.h $(AM_CPPFLAGS)

# Every interleaving of two sides, closes above all. Sanitizers see the same code in tests/model/fuzz-page, in a hundredth of
# the time.
tests_model_steps_close_SOURCES = tests/model/steps-close.c tests/model/steps.c tests/model/steps.h $(SHARED_FILES)
tests_model_steps_close_CPPFLAGS = $(SHARED_CPPFLAGS)
tests_model_steps_close_CFLAGS = $(PVCHAN_CFLAGS) -U_FORTIFY_SOURCE # which takes a jump to another stack for a fault
check_PROGRAMS += tests/model/steps-close
# It compiles what it tests by itself, with flags of its own: once is enough. Last: what searches needs a CPU of its own.
if !ASAN
TESTS += tests/model/steps-close tests/model/seeded-faults.sh
endif
EXTRA_DIST += tests/model/seeded-faults.sh

tests_unit_relay_SOURCES = tests/unit/relay.c $(SHARED_FILES)
tests_unit_relay_CPPFLAGS = $(SHARED_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_relay_LDADD = $(CHECK_LIBS)

# Hostile pages: scripts in tests/model/corpus/page, and random ones.
tests_model_fuzz_page_SOURCES = tests/model/fuzz-page.c tests/model/fuzz-page.h tests/model/fuzz-replay.c $(SHARED_FILES)
tests_model_fuzz_page_CPPFLAGS = $(SHARED_CPPFLAGS)
EXTRA_DIST += tests/model/corpus

# The same with libFuzzer, which needs clang; `make fuzz FUZZ_SECONDS=1800` is the long run. It goes on
# from tests/model/corpus/page and keeps what is new in fuzz-corpus/, a script that breaks a rule in crash-*.
FUZZ_CC = clang
FUZZ_SECONDS = 60
FUZZ_FILES = $(tests_model_fuzz_page_SOURCES:tests/model/fuzz-replay.c=)
tests/fuzz-page-libfuzzer: $(FUZZ_FILES) $(libvchan_la_SOURCES)
	$(AM_V_CC)$(MKDIR_P) tests && $(FUZZ_CC) -std=gnu11 -O1 -g -fno-omit-frame-pointer \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$(DEFS) -I. $(SHARED_CPPFLAGS) -o $@ $(addprefix $(srcdir)/,$(filter %.c,$(FUZZ_FILES)))
fuzz: tests/fuzz-page-libfuzzer
	mkdir -p fuzz-corpus
	nice -n 19 tests/fuzz-page-libfuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=400 \
		-print_final_stats=1 fuzz-corpus $(srcdir)/tests/model/corpus/page
.PHONY: fuzz
CLEANFILES += tests/fuzz-page-libfuzzer fuzz-page.broken
